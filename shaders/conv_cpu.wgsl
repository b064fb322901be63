// As `conv_naive.wgsl`, for software drivers with subgroups of eight lanes.
//
// A workgroup is one subgroup: 8·SETS pixels × 32·QUADS result channels. Lane i loads the source of pixels i, 8 + i, …,
// and the weights of result quads i, 8 + i, …; the source is handed round by broadcasts, so that every load is of distinct data.
// Dispatch: (pixels / (8·SETS), N / (32·QUADS)), rounded up.

#import shared/conv.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>; // (B, H, W, K / 4)
@group(0) @binding(2) var<storage, read> weight: array<WeightVec>; // (9, K, N) or (9, N, K), by four
@group(0) @binding(3) var<storage, read_write> result: array<vec4<f32>>; // (B, H, W, N / 4)
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>; // (N / 4)

@compute @workgroup_size(8)
fn broadcast(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first_pixel = params.first_pixel + workgroup.x * (8u * SETS);
    // Lanes beyond the last quad or pixel repeat it and store nothing.
    let quad = workgroup.y * (8u * QUADS) + lane;
#for q in 0..QUADS
    let n$q = min(quad + $(8*q)u, params.result_quads - 1u);
    let start$q = bias4(n$q);
#end
#for s in 0..SETS
    let pixel$s = pixel_at(min(first_pixel + $(8*s) + lane, params.end_pixel - 1u));
#for i in 0..8
#for q in 0..QUADS
    var sum$(8*s+i)_$q = start$q;
#end
#end
#end
    for (var row = 0u; row < params.rows.taps; row++) {
        for (var column = 0u; column < params.columns.taps; column++) {
            let tap = weight_tap(row, column);
#for s in 0..SETS
            let inside$s = inside(pixel$s, row, column);
            let source$s = source_at(pixel$s, row, column);
#end
            for (var k = 0u; k < params.source_quads; k++) {
#for s in 0..SETS
                let own$s = select(vec4<f32>(), source[source$s + k], inside$s);
#end
#for q in 0..QUADS
                let w$q = weight_block(
                    weight4(weight_row(tap, k, n$q, 0u)),
                    weight4(weight_row(tap, k, n$q, 1u)),
                    weight4(weight_row(tap, k, n$q, 2u)),
                    weight4(weight_row(tap, k, n$q, 3u)),
                );
#end
#for s in 0..SETS
#for i in 0..8
                let x$(8*s+i) = subgroupBroadcast(own$s, $(i)u);
#for q in 0..QUADS
                sum$(8*s+i)_$q += w$q * x$(8*s+i);
#end
#end
#end
            }
        }
    }
#for s in 0..SETS
#for i in 0..8
    let result$(8*s+i) = subgroupBroadcast(pixel$s.result, $(i)u);
#for q in 0..QUADS
    if quad + $(8*q)u < params.result_quads && first_pixel + $(8*s+i) < params.end_pixel {
        result[result$(8*s+i) + n$q] = sum$(8*s+i)_$q;
    }
#end
#end
#end
}
