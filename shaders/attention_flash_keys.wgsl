// Attention's gradient for keys and values, without a score matrix in memory: a workgroup owns keys and streams queries.
//
//   p = exp(q·kᵀ·scale − lse)    ds = p∘(d_out·vᵀ − delta)·scale    d_k = dsᵀ·q    d_v = pᵀ·d_out
//
// q, d_out: (B, N, C); k, v, d_k, d_v: (B, M, C); C = heads · 4 · HEAD4; lse, delta: (B, heads, N).
// Dispatch: (M / TILE_ROWS, heads, B) workgroups; shared/attention_tile.wgsl says how one splits its work.

#import shared/attention_gradient.wgsl

@group(0) @binding(7) var<storage, read_write> d_k: array<Quad>; // (B, M, C)
@group(0) @binding(8) var<storage, read_write> d_v: array<Quad>; // (B, M, C)

var<workgroup> lse_tile: array<f32, COLUMNS>;
var<workgroup> delta_tile: array<f32, COLUMNS>;

// exp(s − lse), zero where the key is masked or the query is none.
fn probabilities(scores: vec4<f32>, lse: vec4<f32>, query: u32, key: u32) -> vec4<f32> {
    let queries = vec4<u32>(query, query + 1u, query + 2u, query + 3u);
    let inside = queries < vec4<u32>(params.queries);
    let keys = vec4<bool>(
        visible(query, key), visible(query + 1u, key), visible(query + 2u, key), visible(query + 3u, key));
    return select(vec4<f32>(), exp(scores - lse), inside & keys);
}

@compute @workgroup_size(WORKGROUP)
fn backward_keys(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let head = workgroup.y;
    let batch = workgroup.z;
    let slice = local % SLICES;
    let first_key = workgroup.x * TILE_ROWS + local / SLICES * ROWS;
#for r in 0..ROWS
    let key_$r = min(first_key + $(r)u, params.keys - 1u);
    let row_$r = row_start(batch, params.keys, key_$r, head);
#for c in 0..SLICE4
    let score_own_$(r)_$c = unpack4(k[row_$r + min($c * SLICES + slice, HEAD4 - 1u)]) * params.scale;
    let dp_own_$(r)_$c = unpack4(v[row_$r + min($c * SLICES + slice, HEAD4 - 1u)]);
    var d_k_$(r)_$c = vec4<f32>();
    var d_v_$(r)_$c = vec4<f32>();
#end
#end

    // Under a causal mask, the queries before a tile's first key see none of its keys.
    let start = select(0u, workgroup.x * TILE_ROWS / COLUMNS * COLUMNS, CAUSAL == 1u);
#for e in 0..EACH
    var next$e = streamed(local + $(e)u * WORKGROUP, batch, params.queries, start, head);
    var q_next$e = q[next$e.at];
    var d_out_next$e = d_out[next$e.at];
#end
    var statistic = statistic_index(batch, head, min(start + local % COLUMNS, params.queries - 1u));
    var lse_next = lse[statistic];
    var delta_next = delta[statistic];
    for (var first = start; first < params.queries; first += COLUMNS) {
#for e in 0..EACH
        put(local + $(e)u * WORKGROUP, q_next$e, d_out_next$e, next$e.inside);
        next$e = streamed(local + $(e)u * WORKGROUP, batch, params.queries, first + COLUMNS, head);
        q_next$e = q[next$e.at];
        d_out_next$e = d_out[next$e.at];
#end
        if local < COLUMNS {
            lse_tile[local] = lse_next;
            delta_tile[local] = delta_next;
        }
        statistic = statistic_index(batch, head, min(first + COLUMNS + local % COLUMNS, params.queries - 1u));
        lse_next = lse[statistic];
        delta_next = delta[statistic];
#include shared/attention_gradient_products.wgsl
#for j in 0..COLUMNS/4
        let lse_$j = vec4<f32>(lse_tile[$(4*j)], lse_tile[$(4*j+1)], lse_tile[$(4*j+2)], lse_tile[$(4*j+3)]);
        let delta_$j = vec4<f32>(delta_tile[$(4*j)], delta_tile[$(4*j+1)], delta_tile[$(4*j+2)], delta_tile[$(4*j+3)]);
#for r in 0..ROWS
        s_$(r)_$j = sum_of_slices($(r*COLUMNS/4+j) * WORKGROUP + local - slice);
        dp_$(r)_$j = sum_of_slices(PARTIALS + $(r*COLUMNS/4+j) * WORKGROUP + local - slice);
        let p_$(r)_$j = probabilities(s_$(r)_$j, lse_$j, first + $(4*j), key_$r);
        let ds_$(r)_$j = p_$(r)_$j * (dp_$(r)_$j - delta_$j);
#end
#end
#for j in 0..COLUMNS
#for c in 0..SLICE4
        {
            let at = $j * TILE4 + $c * SLICES + slice;
            let query = score_tile[at];
            let d_value = dp_tile[at];
#for r in 0..ROWS
            d_k_$(r)_$c += ds_$(r)_$(j/4)[$(j%4)] * query;
            d_v_$(r)_$c += p_$(r)_$(j/4)[$(j%4)] * d_value;
#end
        }
#end
#end
        // The next block replaces these tiles and sums.
        workgroupBarrier();
    }

#for r in 0..ROWS
    if first_key + $(r)u < params.keys {
#for c in 0..SLICE4
        if $c * SLICES + slice < HEAD4 {
            d_k[row_$r + $c * SLICES + slice] = pack4(d_k_$(r)_$c * params.scale);
            d_v[row_$r + $c * SLICES + slice] = pack4(d_v_$(r)_$c);
        }
#end
    }
#end
}
