// Attention, one row per invocation: the check of the other kernels.
//
//   forward     out = softmax(q·kᵀ·scale)·v          lse = log Σ exp(q·kᵀ·scale)
//   backward    p = exp(s − lse)   ds = p∘(d_out·vᵀ − delta)·scale
//               d_q = ds·k    d_k = dsᵀ·q    d_v = pᵀ·d_out
//
// q, out, d_out, d_q: (B, N, C); k, v, d_k, d_v: (B, M, C); C = heads · 4 · HEAD4; lse, delta: (B, heads, N).
// Dispatch: flat, one invocation per (batch, head, row): rows are queries, for `backward_keys` keys.

#import shared/index.wgsl
#import shared/attention.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<Quad>; // (B, N, C)
@group(0) @binding(2) var<storage, read> k: array<Quad>; // (B, M, C)
@group(0) @binding(3) var<storage, read> v: array<Quad>; // (B, M, C)

@group(0) @binding(4) var<storage, read_write> out: array<Quad>; // (B, N, C)
@group(0) @binding(5) var<storage, read_write> lse_out: array<f32>; // (B, heads, N)

@group(0) @binding(4) var<storage, read> d_out: array<Quad>; // (B, N, C)
@group(0) @binding(5) var<storage, read> lse: array<f32>; // (B, heads, N)
@group(0) @binding(6) var<storage, read> delta: array<f32>; // (B, heads, N)
@group(0) @binding(7) var<storage, read_write> d_q: array<Quad>; // (B, N, C)
@group(0) @binding(7) var<storage, read_write> d_k: array<Quad>; // (B, M, C)
@group(0) @binding(8) var<storage, read_write> d_v: array<Quad>; // (B, M, C)

struct Row {
    batch: u32,
    head: u32,
    index: u32,
}

// Rows lie in the order (batch, head, row).
fn row_of(flat: u32, rows: u32) -> Row {
    return Row(flat / (rows * params.heads), flat / rows % params.heads, flat % rows);
}

fn score(query: u32, key: u32) -> f32 {
    var sum = 0.0;
    for (var c = 0u; c < HEAD4; c++) {
        sum += dot(unpack4(q[query + c]), unpack4(k[key + c]));
    }
    return sum * params.scale;
}

// Gradient of a probability.
fn d_probability(query: u32, key: u32) -> f32 {
    var sum = 0.0;
    for (var c = 0u; c < HEAD4; c++) {
        sum += dot(unpack4(d_out[query + c]), unpack4(v[key + c]));
    }
    return sum;
}

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = row_of(flat_index(workgroup, workgroups, local), params.queries);
    if row.batch >= params.batch {
        return;
    }
    let query = row_start(row.batch, params.queries, row.index, row.head);
    var sums: array<vec4<f32>, HEAD4>;
    var largest = MASKED;
    var total = 0.0;
    for (var j = 0u; visible(row.index, j); j++) {
        let key = row_start(row.batch, params.keys, j, row.head);
        let s = score(query, key);
        let fade = exp(largest - max(largest, s));
        largest = max(largest, s);
        let p = exp(s - largest);
        total = total * fade + p;
        for (var c = 0u; c < HEAD4; c++) {
            sums[c] = sums[c] * fade + p * unpack4(v[key + c]);
        }
    }
    for (var c = 0u; c < HEAD4; c++) {
        out[query + c] = pack4(sums[c] / total);
    }
    lse_out[statistic_index(row.batch, row.head, row.index)] = largest + log(total);
}

@compute @workgroup_size(256)
fn backward_query(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = row_of(flat_index(workgroup, workgroups, local), params.queries);
    if row.batch >= params.batch {
        return;
    }
    let query = row_start(row.batch, params.queries, row.index, row.head);
    let statistic = statistic_index(row.batch, row.head, row.index);
    var sums: array<vec4<f32>, HEAD4>;
    for (var j = 0u; visible(row.index, j); j++) {
        let key = row_start(row.batch, params.keys, j, row.head);
        let p = exp(score(query, key) - lse[statistic]);
        let ds = p * (d_probability(query, key) - delta[statistic]) * params.scale;
        for (var c = 0u; c < HEAD4; c++) {
            sums[c] += ds * unpack4(k[key + c]);
        }
    }
    for (var c = 0u; c < HEAD4; c++) {
        d_q[query + c] = pack4(sums[c]);
    }
}

@compute @workgroup_size(256)
fn backward_keys(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = row_of(flat_index(workgroup, workgroups, local), params.keys);
    if row.batch >= params.batch {
        return;
    }
    let key = row_start(row.batch, params.keys, row.index, row.head);
    var k_sums: array<vec4<f32>, HEAD4>;
    var v_sums: array<vec4<f32>, HEAD4>;
    for (var i = select(0u, row.index, CAUSAL == 1u); i < params.queries; i++) {
        let query = row_start(row.batch, params.queries, i, row.head);
        let statistic = statistic_index(row.batch, row.head, i);
        let p = exp(score(query, key) - lse[statistic]);
        let ds = p * (d_probability(query, key) - delta[statistic]) * params.scale;
        for (var c = 0u; c < HEAD4; c++) {
            k_sums[c] += ds * unpack4(q[query + c]);
            v_sums[c] += p * unpack4(d_out[query + c]);
        }
    }
    for (var c = 0u; c < HEAD4; c++) {
        d_k[key + c] = pack4(k_sums[c]);
        d_v[key + c] = pack4(v_sums[c]);
    }
}
