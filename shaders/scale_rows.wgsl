// out = h ⊙ mask at every position.
//
// h, out: (B, P, r); mask: (B, r). Positions are cut into chunks, as in add_channels.wgsl.
// Dispatch: flat, one invocation per (chunk, column of four channels).

#import shared/chunks.wgsl
#import shared/index.wgsl

@group(0) @binding(0) var<uniform> params: Chunks;
@group(0) @binding(1) var<storage, read> h: array<Quad>; // (rows, r/4)
@group(0) @binding(2) var<storage, read> mask: array<vec4<f32>>; // (B, r/4)
@group(0) @binding(3) var<storage, read_write> out: array<Quad>; // (rows, r/4)

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = flat_index(workgroup, workgroups, local);
    if index >= chunk_invocations(params) {
        return;
    }
    let walk = chunk_walk(params, index);
    let factor = mask[walk.sample * walk.step + walk.column];
    for (var at = walk.first; at < walk.end; at += walk.step) {
        out[at] = pack4(unpack4(h[at]) * factor);
    }
}
