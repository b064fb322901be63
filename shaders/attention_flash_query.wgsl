// Attention's gradient for the queries, without a score matrix in memory.
//
//   p = exp(q·kᵀ·scale − lse)    ds = p∘(d_out·vᵀ − delta)·scale    d_q = ds·k
//
// q, d_out, d_q: (B, N, C); k, v: (B, M, C); C = heads · 4 · HEAD4; lse, delta: (B, heads, N).
// Dispatch: (N / TILE_ROWS, heads, B) workgroups; shared/attention_tile.wgsl says how one splits its work.

#import shared/attention_gradient.wgsl

@group(0) @binding(7) var<storage, read_write> d_q: array<Quad>; // (B, N, C)

// exp(s − lse), zero where the key is masked.
fn probabilities(scores: vec4<f32>, lse: f32, query: u32, key: u32) -> vec4<f32> {
    let keys = vec4<bool>(
        visible(query, key), visible(query, key + 1u), visible(query, key + 2u), visible(query, key + 3u));
    return select(vec4<f32>(), exp(scores - lse), keys);
}

@compute @workgroup_size(WORKGROUP)
fn backward_query(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let head = workgroup.y;
    let batch = workgroup.z;
    let slice = local % SLICES;
    let first_query = workgroup.x * TILE_ROWS + local / SLICES * ROWS;
#for r in 0..ROWS
    let query_$r = min(first_query + $(r)u, params.queries - 1u);
    let row_$r = row_start(batch, params.queries, query_$r, head);
    let lse_$r = lse[statistic_index(batch, head, query_$r)];
    let delta_$r = delta[statistic_index(batch, head, query_$r)];
#for c in 0..SLICE4
    let score_own_$(r)_$c = unpack4(q[row_$r + min($c * SLICES + slice, HEAD4 - 1u)]) * params.scale;
    let dp_own_$(r)_$c = unpack4(d_out[row_$r + min($c * SLICES + slice, HEAD4 - 1u)]);
    var d_q_$(r)_$c = vec4<f32>();
#end
#end

    let end = select(params.keys, min(params.keys, (workgroup.x + 1u) * TILE_ROWS), CAUSAL == 1u);
#for e in 0..EACH
    var next$e = streamed(local + $(e)u * WORKGROUP, batch, params.keys, 0u, head);
    var k_next$e = k[next$e.at];
    var v_next$e = v[next$e.at];
#end
    for (var first = 0u; first < end; first += COLUMNS) {
#for e in 0..EACH
        put(local + $(e)u * WORKGROUP, k_next$e, v_next$e, next$e.inside);
        next$e = streamed(local + $(e)u * WORKGROUP, batch, params.keys, first + COLUMNS, head);
        k_next$e = k[next$e.at];
        v_next$e = v[next$e.at];
#end
#include shared/attention_gradient_products.wgsl
#for j in 0..COLUMNS/4
#for r in 0..ROWS
        s_$(r)_$j = sum_of_slices($(r*COLUMNS/4+j) * WORKGROUP + local - slice);
        dp_$(r)_$j = sum_of_slices(PARTIALS + $(r*COLUMNS/4+j) * WORKGROUP + local - slice);
        let p_$(r)_$j = probabilities(s_$(r)_$j, lse_$r, query_$r, first + $(4*j));
        let ds_$(r)_$j = p_$(r)_$j * (dp_$(r)_$j - delta_$r);
#end
#end
#for j in 0..COLUMNS
#for c in 0..SLICE4
        {
            let key = score_tile[$j * TILE4 + $c * SLICES + slice];
#for r in 0..ROWS
            d_q_$(r)_$c += ds_$(r)_$(j/4)[$(j%4)] * key;
#end
        }
#end
#end
        // The next block replaces these tiles and sums.
        workgroupBarrier();
    }

#for r in 0..ROWS
    if first_query + $(r)u < params.queries {
#for c in 0..SLICE4
        if $c * SLICES + slice < HEAD4 {
            d_q[row_$r + $c * SLICES + slice] = pack4(d_q_$(r)_$c * params.scale);
        }
#end
    }
#end
}
