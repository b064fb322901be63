// delta = rowsum(d_out ∘ out): what the softmax's gradient subtracts, one number per query and head.
//
// out, d_out: (B, N, C), C = heads · 4 · HEAD4; delta: (B, heads, N).
// Dispatch: flat, one invocation per (batch, head, query), heads fastest, so that neighbours read neighbouring values.

#import shared/index.wgsl
#import shared/attention.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> out: array<Quad>; // (B, N, C)
@group(0) @binding(2) var<storage, read> d_out: array<Quad>; // (B, N, C)
@group(0) @binding(3) var<storage, read_write> delta: array<f32>; // (B, heads, N)

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let flat = flat_index(workgroup, workgroups, local);
    let head = flat % params.heads;
    let query = flat / params.heads % params.queries;
    let batch = flat / (params.heads * params.queries);
    if batch >= params.batch {
        return;
    }
    let start = row_start(batch, params.queries, query, head);
    var sum = 0.0;
    for (var c = 0u; c < HEAD4; c++) {
        sum += dot(unpack4(out[start + c]), unpack4(d_out[start + c]));
    }
    delta[statistic_index(batch, head, query)] = sum;
}
