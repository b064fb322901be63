// Attention forward for software drivers with subgroups of exactly eight lanes, without a score matrix in memory.
//
//   out = softmax(q·kᵀ·scale)·v    lse = log Σ exp(q·kᵀ·scale)
//
// q, out: (B, N, C); k, v: (B, M, C); C = heads · 4 · HEAD4, HEAD4 even; lse: (B, heads, N).
// A workgroup is one subgroup, and a lane owns ROWS queries. Eight keys are loaded at a time, one by each lane, and
// shared by broadcasts, with a running softmax over the blocks: see gemm_cpu.wgsl for what is cheap on these drivers.
// Dispatch: (N / (8·ROWS), heads, B) workgroups.

#import shared/attention.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<Octet>; // (B, N, C)
@group(0) @binding(2) var<storage, read> k: array<Octet>; // (B, M, C)
@group(0) @binding(3) var<storage, read> v: array<Octet>; // (B, M, C)
@group(0) @binding(4) var<storage, read_write> out: array<Quad>; // (B, N, C)
@group(0) @binding(5) var<storage, read_write> lse: array<f32>; // (B, heads, N)

@compute @workgroup_size(8)
fn forward(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let head = workgroup.y;
    let batch = workgroup.z;
    let first_query = workgroup.x * 8 * ROWS;
#for r in 0..ROWS
    let query_$r = min(first_query + $(8*r)u + lane, params.queries - 1u);
    let row_$r = row_start(batch, params.queries, query_$r, head);
    var largest_$r = MASKED;
    var total_$r = 0.0;
#for e in 0..HEAD4/2
    let q_$(r)_$e = unpack_octet(q[row_$r / 2u + $(e)u]);
#end
#for c in 0..HEAD4
    let scaled_$(r)_$c = q_$(r)_$(c/2)[$(c%2)] * params.scale;
    var out_$(r)_$c = vec4<f32>();
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
#for r in 0..ROWS
        var s_$(r)_$j = 0.0;
#end
#for c in 0..HEAD4
        {
            let key = subgroupBroadcast(k_$(c/2)[$(c%2)], $(j)u);
#for r in 0..ROWS
            s_$(r)_$j += dot(scaled_$(r)_$c, key);
#end
        }
#end
#end
#for r in 0..ROWS
        var top_$r = largest_$r;
#for j in 0..8
        s_$(r)_$j = select(MASKED, s_$(r)_$j, visible(query_$r, first + $(j)u));
        top_$r = max(top_$r, s_$(r)_$j);
#end
        let fade_$r = exp(largest_$r - top_$r);
        largest_$r = top_$r;
        total_$r *= fade_$r;
#for j in 0..8
        let p_$(r)_$j = exp(s_$(r)_$j - top_$r);
        total_$r += p_$(r)_$j;
#end
#for c in 0..HEAD4
        out_$(r)_$c *= fade_$r;
#end
#end
#for c in 0..HEAD4
#for j in 0..8
        {
            let value = subgroupBroadcast(v_$(c/2)[$(c%2)], $(j)u);
#for r in 0..ROWS
            out_$(r)_$c += p_$(r)_$j * value;
#end
        }
#end
#end
    }

#for r in 0..ROWS
    if first_query + $(8*r)u + lane < params.queries {
#for c in 0..HEAD4
        out[row_$r + $(c)u] = pack4(out_$(r)_$c / total_$r);
#end
        lse[statistic_index(batch, head, query_$r)] = largest_$r + log(total_$r);
    }
#end
}
