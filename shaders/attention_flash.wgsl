// Attention forward without a score matrix in memory: a running softmax over blocks of keys.
//
//   out = softmax(q·kᵀ·scale)·v    lse = log Σ exp(q·kᵀ·scale)
//
// q, out: (B, N, C); k, v: (B, M, C); C = heads · 4 · HEAD4; lse: (B, heads, N).
// Dispatch: (N / TILE_ROWS, heads, B) workgroups; shared/attention_tile.wgsl says how one splits its work.

#import shared/attention.wgsl
#import shared/attention_tile.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<Quad>; // (B, N, C)
@group(0) @binding(2) var<storage, read> k: array<Quad>; // (B, M, C)
@group(0) @binding(3) var<storage, read> v: array<Quad>; // (B, M, C)
@group(0) @binding(4) var<storage, read_write> out: array<Quad>; // (B, N, C)
@group(0) @binding(5) var<storage, read_write> lse: array<f32>; // (B, heads, N)

const EXCHANGED: u32 = 1u;

// Keys, then values, of the current block.
var<workgroup> tile: array<vec4<f32>, BLOCK>;

fn put(i: u32, quad: Quad, inside: bool) {
    if i < BLOCK {
        tile[i] = select(vec4<f32>(), unpack4(quad), inside);
    }
}

fn mask(scores: vec4<f32>, query: u32, key: u32) -> vec4<f32> {
    let keys = vec4<bool>(
        visible(query, key), visible(query, key + 1u), visible(query, key + 2u), visible(query, key + 3u));
    return select(vec4<f32>(MASKED), scores, keys);
}

@compute @workgroup_size(WORKGROUP)
fn forward(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let head = workgroup.y;
    let batch = workgroup.z;
    let slice = local % SLICES;
    let first_query = workgroup.x * TILE_ROWS + local / SLICES * ROWS;
#for r in 0..ROWS
    let query_$r = min(first_query + $(r)u, params.queries - 1u);
    let row_$r = row_start(batch, params.queries, query_$r, head);
    var largest_$r = MASKED;
    var total_$r = 0.0;
#for c in 0..SLICE4
    let q_$(r)_$c = unpack4(q[row_$r + min($c * SLICES + slice, HEAD4 - 1u)]) * params.scale;
    var out_$(r)_$c = vec4<f32>();
#end
#end

    let end = select(params.keys, min(params.keys, (workgroup.x + 1u) * TILE_ROWS), CAUSAL == 1u);
#for e in 0..EACH
    var k_next$e = k[streamed(local + $(e)u * WORKGROUP, batch, params.keys, 0u, head).at];
#end
    for (var first = 0u; first < end; first += COLUMNS) {
#for e in 0..EACH
        let source$e = streamed(local + $(e)u * WORKGROUP, batch, params.keys, first, head);
        put(local + $(e)u * WORKGROUP, k_next$e, source$e.inside);
        let v_next$e = v[source$e.at];
#end
        workgroupBarrier();
#for j in 0..COLUMNS/4
#for r in 0..ROWS
        var s_$(r)_$j = vec4<f32>();
#end
#for c in 0..SLICE4
        {
            let at = $(4*j) * TILE4 + $c * SLICES + slice;
            let k0 = tile[at];
            let k1 = tile[at + TILE4];
            let k2 = tile[at + 2 * TILE4];
            let k3 = tile[at + 3 * TILE4];
#for r in 0..ROWS
            s_$(r)_$j = plus_dots(s_$(r)_$j, q_$(r)_$c, k0, k1, k2, k3);
#end
        }
#end
#for r in 0..ROWS
        partials[$(r*COLUMNS/4+j) * WORKGROUP + local] = s_$(r)_$j;
#end
#end
        workgroupBarrier();
#for e in 0..EACH
        put(local + $(e)u * WORKGROUP, v_next$e, source$e.inside);
        k_next$e = k[streamed(local + $(e)u * WORKGROUP, batch, params.keys, first + COLUMNS, head).at];
#end
#for r in 0..ROWS
        var top_$r = largest_$r;
#for j in 0..COLUMNS/4
        s_$(r)_$j = sum_of_slices($(r*COLUMNS/4+j) * WORKGROUP + local - slice);
        s_$(r)_$j = mask(s_$(r)_$j, query_$r, first + $(4*j));
        top_$r = max(top_$r, max4(s_$(r)_$j));
#end
        let fade_$r = exp(largest_$r - top_$r);
        largest_$r = top_$r;
        total_$r *= fade_$r;
#for j in 0..COLUMNS/4
        s_$(r)_$j = exp(s_$(r)_$j - largest_$r);
        total_$r += sum4(s_$(r)_$j);
#end
#for c in 0..SLICE4
        out_$(r)_$c *= fade_$r;
#end
#end
        workgroupBarrier();
#for j in 0..COLUMNS
#for c in 0..SLICE4
        {
            let value = tile[$j * TILE4 + $c * SLICES + slice];
#for r in 0..ROWS
            out_$(r)_$c += s_$(r)_$(j/4)[$(j%4)] * value;
#end
        }
#end
#end
        // The next block's keys replace these values.
        workgroupBarrier();
    }

#for r in 0..ROWS
    if first_query + $(r)u < params.queries {
#for c in 0..SLICE4
        if $c * SLICES + slice < HEAD4 {
            out[row_$r + $c * SLICES + slice] = pack4(out_$(r)_$c / total_$r);
        }
#end
        if slice == 0u {
            lse[statistic_index(batch, head, query_$r)] = largest_$r + log(total_$r);
        }
    }
#end
}
