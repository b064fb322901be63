// out = x + y at every position; d_y = Σ over positions of d_out.
//
// x, out, d_out: (B, P, C); y, d_y: (B, C). Positions are cut into chunks, as in group_norm.wgsl: one invocation walks
// over a chunk in one column of four channels.
// Dispatch: flat, one invocation per (chunk, column); sum_chunks: one per (sample, column).

#import shared/chunks.wgsl
#import shared/index.wgsl

@group(0) @binding(0) var<uniform> params: Chunks;
// forward
@group(0) @binding(1) var<storage, read> x: array<Quad>; // (rows, C/4)
@group(0) @binding(2) var<storage, read> y: array<vec4<f32>>; // (B, C/4)
@group(0) @binding(3) var<storage, read_write> out: array<Quad>; // (rows, C/4)
// sum_positions
@group(0) @binding(1) var<storage, read> d_out: array<Quad>; // (rows, C/4)
@group(0) @binding(2) var<storage, read_write> partial_sums: array<vec4<f32>>; // (chunks, C/4)
// sum_chunks
@group(0) @binding(1) var<storage, read> partials: array<vec4<f32>>; // (chunks, C/4)
@group(0) @binding(2) var<storage, read_write> d_y: array<vec4<f32>>; // (B, C/4)

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
    let added = y[walk.sample * walk.step + walk.column];
    for (var at = walk.first; at < walk.end; at += walk.step) {
        out[at] = pack4(unpack4(x[at]) + added);
    }
}

@compute @workgroup_size(256)
fn sum_positions(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = flat_index(workgroup, workgroups, local);
    if index >= chunk_invocations(params) {
        return;
    }
    let walk = chunk_walk(params, index);
    var sum = vec4<f32>(0.0);
    for (var at = walk.first; at < walk.end; at += walk.step) {
        sum += unpack4(d_out[at]);
    }
    partial_sums[walk.chunk * walk.step + walk.column] = sum;
}

@compute @workgroup_size(256)
fn sum_chunks(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = flat_index(workgroup, workgroups, local);
    let columns = params.channels / 4u;
    if index >= params.samples * columns {
        return;
    }
    let sample = index / columns;
    var sum = vec4<f32>(0.0);
    for (var chunk = 0u; chunk < params.per_sample; chunk++) {
        sum += partials[(sample * params.per_sample + chunk) * columns + index % columns];
    }
    d_y[index] = sum;
}
