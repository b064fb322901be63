// Attention's gradient for the queries, for software drivers with subgroups of exactly eight lanes.
//
//   p = exp(q·kᵀ·scale − lse)    ds = p∘(d_out·vᵀ − delta)·scale    d_q = ds·k
//
// q, d_out, d_q: (B, N, C); k, v: (B, M, C); C = heads · 4 · HEAD4, HEAD4 even; lse, delta: (B, heads, N).
// A workgroup is one subgroup, and a lane owns ROWS queries; keys are shared as in attention_cpu.wgsl.
// Dispatch: (N / (8·ROWS), heads, B) workgroups.

#import shared/attention.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<Octet>; // (B, N, C)
@group(0) @binding(2) var<storage, read> k: array<Octet>; // (B, M, C)
@group(0) @binding(3) var<storage, read> v: array<Octet>; // (B, M, C)
@group(0) @binding(4) var<storage, read> d_out: array<Octet>; // (B, N, C)
@group(0) @binding(5) var<storage, read> lse: array<f32>; // (B, heads, N)
@group(0) @binding(6) var<storage, read> delta: array<f32>; // (B, heads, N)
@group(0) @binding(7) var<storage, read_write> d_q: array<Quad>; // (B, N, C)

@compute @workgroup_size(8)
fn backward_query(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let head = workgroup.y;
    let batch = workgroup.z;
    let first_query = workgroup.x * 8 * ROWS;
#for r in 0..ROWS
    let query_$r = min(first_query + $(8*r)u + lane, params.queries - 1u);
    let row_$r = row_start(batch, params.queries, query_$r, head);
    let lse_$r = lse[statistic_index(batch, head, query_$r)];
    let delta_$r = delta[statistic_index(batch, head, query_$r)];
#for e in 0..HEAD4/2
    let q_$(r)_$e = unpack_octet(q[row_$r / 2u + $(e)u]);
    let d_out_$(r)_$e = unpack_octet(d_out[row_$r / 2u + $(e)u]);
#end
#for c in 0..HEAD4
    let scaled_$(r)_$c = q_$(r)_$(c/2)[$(c%2)] * params.scale;
    var d_q_$(r)_$c = vec4<f32>();
#end
#end

    let end = select(params.keys, min(params.keys, first_query + 8 * ROWS), CAUSAL == 1u);
    for (var first = 0u; first < end; first += 8u) {
        let own = row_start(batch, params.keys, min(first + lane, params.keys - 1u), head) / 2u;
#for e in 0..HEAD4/2
        let k_$e = unpack_octet(k[own + $(e)u]);
        let v_$e = unpack_octet(v[own + $(e)u]);
#end
#for j in 0..8
#for c in 0..HEAD4
        let key_$(j)_$c = subgroupBroadcast(k_$(c/2)[$(c%2)], $(j)u);
        let value_$(j)_$c = subgroupBroadcast(v_$(c/2)[$(c%2)], $(j)u);
#end
#for r in 0..ROWS
        var s_$(r)_$j = 0.0;
        var dp_$(r)_$j = 0.0;
#for c in 0..HEAD4
        s_$(r)_$j += dot(scaled_$(r)_$c, key_$(j)_$c);
        dp_$(r)_$j += dot(d_out_$(r)_$(c/2)[$(c%2)], value_$(j)_$c);
#end
        let p_$(r)_$j = select(0.0, exp(s_$(r)_$j - lse_$r), visible(query_$r, first + $(j)u));
        let ds_$(r)_$j = p_$(r)_$j * (dp_$(r)_$j - delta_$r);
#for c in 0..HEAD4
        d_q_$(r)_$c += ds_$(r)_$j * key_$(j)_$c;
#end
#end
#end
    }

#for r in 0..ROWS
    if first_query + $(8*r)u + lane < params.queries {
#for c in 0..HEAD4
        d_q[row_$r + $(c)u] = pack4(d_q_$(r)_$c * params.scale);
#end
    }
#end
}
