// Attention's gradient for keys and values, for software drivers with subgroups of exactly eight lanes.
//
//   p = exp(q·kᵀ·scale − lse)    ds = p∘(d_out·vᵀ − delta)·scale    d_k = dsᵀ·q    d_v = pᵀ·d_out
//
// q, d_out: (B, N, C); k, v, d_k, d_v: (B, M, C); C = heads · 4 · HEAD4, HEAD4 even; lse, delta: (B, heads, N).
// A workgroup is one subgroup, and a lane owns ROWS keys; queries are shared as keys are in attention_cpu.wgsl.
// Dispatch: (M / (8·ROWS), heads, B) workgroups.

#import shared/attention.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<Octet>; // (B, N, C)
@group(0) @binding(2) var<storage, read> k: array<Octet>; // (B, M, C)
@group(0) @binding(3) var<storage, read> v: array<Octet>; // (B, M, C)
@group(0) @binding(4) var<storage, read> d_out: array<Octet>; // (B, N, C)
@group(0) @binding(5) var<storage, read> lse: array<f32>; // (B, heads, N)
@group(0) @binding(6) var<storage, read> delta: array<f32>; // (B, heads, N)
@group(0) @binding(7) var<storage, read_write> d_k: array<Quad>; // (B, M, C)
@group(0) @binding(8) var<storage, read_write> d_v: array<Quad>; // (B, M, C)

@compute @workgroup_size(8)
fn backward_keys(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let head = workgroup.y;
    let batch = workgroup.z;
    let first_key = workgroup.x * 8 * ROWS;
#for r in 0..ROWS
    let key_$r = min(first_key + $(8*r)u + lane, params.keys - 1u);
    let row_$r = row_start(batch, params.keys, key_$r, head);
#for e in 0..HEAD4/2
    let k_$(r)_$e = unpack_octet(k[row_$r / 2u + $(e)u]);
    let v_$(r)_$e = unpack_octet(v[row_$r / 2u + $(e)u]);
#end
#for c in 0..HEAD4
    let scaled_$(r)_$c = k_$(r)_$(c/2)[$(c%2)] * params.scale;
    var d_k_$(r)_$c = vec4<f32>();
    var d_v_$(r)_$c = vec4<f32>();
#end
#end

    // Under a causal mask, the queries before a tile's first key see none of its keys.
    let start = select(0u, first_key, CAUSAL == 1u);
    for (var first = start; first < params.queries; first += 8u) {
        let own_query = min(first + lane, params.queries - 1u);
        let own = row_start(batch, params.queries, own_query, head) / 2u;
        let own_lse = lse[statistic_index(batch, head, own_query)];
        let own_delta = delta[statistic_index(batch, head, own_query)];
#for e in 0..HEAD4/2
        let q_$e = unpack_octet(q[own + $(e)u]);
        let d_out_$e = unpack_octet(d_out[own + $(e)u]);
#end
#for j in 0..8
        let lse_$j = subgroupBroadcast(own_lse, $(j)u);
        let delta_$j = subgroupBroadcast(own_delta, $(j)u);
#for c in 0..HEAD4
        let query_$(j)_$c = subgroupBroadcast(q_$(c/2)[$(c%2)], $(j)u);
        let d_value_$(j)_$c = subgroupBroadcast(d_out_$(c/2)[$(c%2)], $(j)u);
#end
#for r in 0..ROWS
        var s_$(r)_$j = 0.0;
        var dp_$(r)_$j = 0.0;
#for c in 0..HEAD4
        s_$(r)_$j += dot(scaled_$(r)_$c, query_$(j)_$c);
        dp_$(r)_$j += dot(v_$(r)_$(c/2)[$(c%2)], d_value_$(j)_$c);
#end
        let inside_$(r)_$j = first + $(j)u < params.queries && visible(first + $(j)u, key_$r);
        let p_$(r)_$j = select(0.0, exp(s_$(r)_$j - lse_$j), inside_$(r)_$j);
        let ds_$(r)_$j = p_$(r)_$j * (dp_$(r)_$j - delta_$j);
#for c in 0..HEAD4
        d_k_$(r)_$c += ds_$(r)_$j * query_$(j)_$c;
        d_v_$(r)_$c += p_$(r)_$j * d_value_$(j)_$c;
#end
#end
#end
    }

#for r in 0..ROWS
    if first_key + $(8*r)u + lane < params.keys {
#for c in 0..HEAD4
        d_k[row_$r + $(c)u] = pack4(d_k_$(r)_$c * params.scale);
        d_v[row_$r + $(c)u] = pack4(d_v_$(r)_$c);
#end
    }
#end
}
