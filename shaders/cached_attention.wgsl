// Attention of sequences that grow by one token, over a cache of their keys and values.
//
//   out[b] = softmax(q[b]·k[b]ᵀ·scale)·v[b] over the rows m ≤ position
//
// q, out: (B, C); k, v: (B, M, C); C = heads · 4 · HEAD4.
// Dispatch: flat, one invocation per (b, head).

#import shared/index.wgsl

struct Params {
    batch: u32, // B
    rows: u32, // M
    heads: u32,
    scale: f32, // 1 / sqrt(head size)
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> step: array<u32>; // (1 + B): position, then what `extend_cache` reads
@group(0) @binding(2) var<storage, read> q: array<vec4<f32>>; // (B, C)
@group(0) @binding(3) var<storage, read> k: array<vec4<f32>>; // (B, M, C)
@group(0) @binding(4) var<storage, read> v: array<vec4<f32>>; // (B, M, C)
@group(0) @binding(5) var<storage, read_write> out: array<vec4<f32>>; // (B, C)

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    let b = i / params.heads;
    let head = i % params.heads;
    if b >= params.batch {
        return;
    }
    let query = i * HEAD4;
    var sums: array<vec4<f32>, HEAD4>;
    var largest = -3e38;
    var total = 0.0;
    for (var m = 0u; m <= step[0]; m++) {
        let key = ((b * params.rows + m) * params.heads + head) * HEAD4;
        var s = 0.0;
        for (var c = 0u; c < HEAD4; c++) {
            s += dot(q[query + c], k[key + c]);
        }
        s *= params.scale;
        let fade = exp(largest - max(largest, s));
        largest = max(largest, s);
        let p = exp(s - largest);
        total = total * fade + p;
        for (var c = 0u; c < HEAD4; c++) {
            sums[c] = sums[c] * fade + p * v[key + c];
        }
    }
    for (var c = 0u; c < HEAD4; c++) {
        out[query + c] = sums[c] / total;
    }
}
