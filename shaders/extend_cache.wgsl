// The key or value cache of sequences that grow by one token, each going on from a parent.
//
//   next[b, m] = cache[parent[b], m] for m < position, row[b] from there on
//
// cache, next: (B, M, C); row: (B, C), C by vectors of four.
// Dispatch: flat, one invocation per vector of next.

#import shared/index.wgsl

struct Params {
    batch: u32, // B
    rows: u32, // M
    quads: u32, // C / 4
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> step: array<u32>; // (1 + B): position, then the parent of each sequence
@group(0) @binding(2) var<storage, read> cache: array<vec4<f32>>; // (B, M, C)
@group(0) @binding(3) var<storage, read> row: array<vec4<f32>>; // (B, C)
@group(0) @binding(4) var<storage, read_write> next: array<vec4<f32>>; // (B, M, C)

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    let b = i / (params.rows * params.quads);
    if b >= params.batch {
        return;
    }
    let m = i / params.quads % params.rows;
    let quad = i % params.quads;
    if m < step[0] {
        next[i] = cache[(step[1 + b] * params.rows + m) * params.quads + quad];
    } else {
        next[i] = row[b * params.quads + quad];
    }
}
