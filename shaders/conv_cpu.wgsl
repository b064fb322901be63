// As `conv_naive.wgsl`, for software drivers with subgroups of eight lanes.
//
// A workgroup is one subgroup: ROWS pixels × 32·QUADS result channels. Lane i loads the source of pixels i, 8 + i, …,
// and the weights of QUADS adjacent result quads; the source is handed round by broadcasts, so that every load is of
// distinct data.
// Dispatch: (pixels / ROWS, N / (32·QUADS)), rounded up.

#import shared/conv.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<SourceVec>; // (B, H, W, K)
@group(0) @binding(2) var<storage, read> weight: array<WeightVec>; // (9, K, N) or (9, N, K)
@group(0) @binding(3) var<storage, read> addend: array<Quad>; // (B, H, W, N / 4), or anything
@group(0) @binding(4) var<storage, read_write> result: array<Quad>; // (B, H, W, N / 4)
@group(0) @binding(5) var<storage, read> bias: array<vec4<f32>>; // (N / 4)

// The weights of a tap between source quads k and k + 1 and the lane's result quads.
fn weight_blocks(tap: u32, k: u32, next: bool, n: u32) -> Blocks {
    if TRANSPOSED == 1u {
        return blocks_along_k(array<Eight, 4 * QUADS>(
#for j in 0..4*QUADS
            weight8(weight_row(tap, k, n + $(j/4)u, $(j%4)u), next),
#end
        ));
    }
    return blocks_along_n(array<array<vec4<f32>, QUADS>, 8>(
#for p in 0..8
        columns(weight_row(tap, k + u32(next) * $(p/4)u, n, $(p%4)u)),
#end
    ));
}

fn zero_unless(inside: bool, values: Eight) -> Eight {
    return Eight(select(vec4<f32>(), values[0], inside), select(vec4<f32>(), values[1], inside));
}

@compute @workgroup_size(8)
fn broadcast(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first_pixel = params.first_pixel + workgroup.x * ROWS;
    // Lanes beyond the last quads or pixel repeat them and store nothing.
    let quad = QUADS * (8u * workgroup.y + lane);
    let n = min(quad, params.result_quads - QUADS);
#for g in 0..ROWS/8
    let pixel$g = pixel_at(min(first_pixel + $(8*g)u + lane, params.end_pixel - 1u));
#end
#for i in 0..ROWS*QUADS
    var sum$i = bias4(n + $(i%QUADS)u);
#end
    for (var row = 0u; row < params.rows.taps; row++) {
        for (var column = 0u; column < params.columns.taps; column++) {
            let tap = weight_tap(row, column);
#for g in 0..ROWS/8
            let inside$g = inside(pixel$g, row, column);
            let source$g = source_at(pixel$g, row, column);
#end
            for (var k = 0u; k < params.source_quads; k += 2u) {
                let next = k + 1u < params.source_quads;
#for g in 0..ROWS/8
                let own$g = zero_unless(inside$g, source8(source$g + k, next));
#end
                let blocks = weight_blocks(tap, k, next, n);
#include shared/broadcast_rows.wgsl
            }
        }
    }
#for i in 0..ROWS
    let result$i = subgroupBroadcast(pixel$(i/8).result, $(i%8)u);
#for q in 0..QUADS
    if quad == n && first_pixel + $(i)u < params.end_pixel {
        let at = result$i + n + $(q)u;
        result[at] = pack4(with_addend(sum$(QUADS*i+q), at));
    }
#end
#end
}
