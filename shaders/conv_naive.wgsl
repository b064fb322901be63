// result[b, y, x, n] = bias[n] + Σ over taps and k of source[b, tap's pixel, k] · weight[tap, k, n]
//
// One result quad per invocation: the check of the other kernels. Shapes and geometry: `shared/conv.wgsl`.
// Dispatch: flat over (pixels, N / 4).

#import shared/index.wgsl
#import shared/conv.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<Quad>; // (B, H, W, K / 4)
@group(0) @binding(2) var<storage, read> weight: array<WeightVec>; // (9, K, N) or (9, N, K), by four
@group(0) @binding(3) var<storage, read> addend: array<Quad>; // (B, H, W, N / 4), or anything
@group(0) @binding(4) var<storage, read_write> result: array<Quad>; // (B, H, W, N / 4)
@group(0) @binding(5) var<storage, read> bias: array<vec4<f32>>; // (N / 4)

@compute @workgroup_size(256)
fn naive(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = flat_index(workgroup, workgroups, local);
    let n = index % params.result_quads;
    let grid_pixel = params.first_pixel + index / params.result_quads;
    if grid_pixel >= params.end_pixel {
        return;
    }
    let pixel = pixel_at(grid_pixel);
    var sum = bias4(n);
    for (var row = 0u; row < params.rows.taps; row++) {
        for (var column = 0u; column < params.columns.taps; column++) {
            if inside(pixel, row, column) {
                sum += tap_sum(source_at(pixel, row, column), weight_tap(row, column), n);
            }
        }
    }
    result[pixel.result + n] = pack4(with_addend(sum, pixel.result + n));
}

fn tap_sum(first: u32, tap: u32, n: u32) -> vec4<f32> {
    var sum = vec4<f32>();
    for (var k = 0u; k < params.source_quads; k++) {
        let block = weight_block(
            weight4(weight_row(tap, k, n, 0u)),
            weight4(weight_row(tap, k, n, 1u)),
            weight4(weight_row(tap, k, n, 2u)),
            weight4(weight_row(tap, k, n, 3u)),
        );
        sum += block * unpack4(source[first + k]);
    }
    return sum;
}
