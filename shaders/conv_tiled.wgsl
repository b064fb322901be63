// As `conv_naive.wgsl`, register-tiled, within WebGPU's default limits.
//
// A workgroup of 128 invocations computes 16·ROWS pixels × 64 result channels, an invocation ROWS pixels × two quads.
// Tap by tap, 16 source channels of the pixels and the weights between them and the result channels pass through
// workgroup memory (ROWS + 4 KiB). Neighbouring invocations read neighbouring quads there, so that no bank serves two.
// Dispatch: (pixels / (16·ROWS), N / 64), rounded up.

#import shared/conv.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<Quad>; // (B, H, W, K / 4)
@group(0) @binding(2) var<storage, read> weight: array<WeightVec>; // (9, K, N) or (9, N, K), by four
@group(0) @binding(3) var<storage, read> addend: array<Quad>; // (B, H, W, N / 4), or anything
@group(0) @binding(4) var<storage, read_write> result: array<Quad>; // (B, H, W, N / 4)
@group(0) @binding(5) var<storage, read> bias: array<vec4<f32>>; // (N / 4)

const STEP: u32 = 4u; // source quads per pass
const QUADS: u32 = 16u; // result quads per workgroup
const PIXELS: u32 = 16u * ROWS;

var<workgroup> source_tile: array<vec4<f32>, $(64*ROWS)>; // (STEP, PIXELS)
var<workgroup> weight_tile: array<vec4<f32>, 256>; // (STEP, 4 rows of a block, QUADS)

@compute @workgroup_size(128)
fn tiled(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let first_pixel = params.first_pixel + workgroup.x * PIXELS;
    let first_quad = workgroup.y * QUADS;
    // What this invocation computes: pixels first_pixel + 16·r + across, quads first_quad + 8·q + along.
    let along = local % 8u;
    let across = local / 8u;
    // What it loads: source quad local % STEP of pixels first_pixel + 32·l + local / STEP.
#for l in 0..ROWS/2
    let load_index$l = first_pixel + $(32*l) + local / STEP;
    let load$l = pixel_at(min(load_index$l, params.end_pixel - 1u));
#end
#for r in 0..ROWS
    var sum$(r)_0 = vec4<f32>();
    var sum$(r)_1 = vec4<f32>();
#end
    for (var row = 0u; row < params.rows.taps; row++) {
        for (var column = 0u; column < params.columns.taps; column++) {
            let tap = weight_tap(row, column);
#for l in 0..ROWS/2
            let inside$l = load_index$l < params.end_pixel && inside(load$l, row, column);
            let at$l = source_at(load$l, row, column);
#end
            for (var first = 0u; first < params.source_quads; first += STEP) {
                let k = first + local % STEP;
                let bound = k < params.source_quads;
#for l in 0..ROWS/2
                var loaded$l = vec4<f32>();
                if bound && inside$l {
                    loaded$l = unpack4(source[at$l + k]);
                }
                source_tile[local % STEP * PIXELS + $(32*l) + local / STEP] = loaded$l;
#end
                load_weights(tap, first, first_quad, local);
                load_weights(tap, first, first_quad, local + 128u);
                workgroupBarrier();
                for (var step = 0u; step < STEP; step++) {
                    let block0 = block_at(step, along);
                    let block1 = block_at(step, along + 8u);
#for r in 0..ROWS
                    let x$r = source_tile[step * PIXELS + $(16*r) + across];
                    sum$(r)_0 += block0 * x$r;
                    sum$(r)_1 += block1 * x$r;
#end
                }
                workgroupBarrier();
            }
        }
    }
#for r in 0..ROWS
    store(first_pixel + $(16*r) + across, first_quad + along, sum$(r)_0);
    store(first_pixel + $(16*r) + across, first_quad + along + 8u, sum$(r)_1);
#end
}

// Loads quad `index` of the 256 of the weight tile, in the order of the weight's memory.
fn load_weights(tap: u32, first: u32, first_quad: u32, index: u32) {
    var step = index / (4u * QUADS);
    var i = index / QUADS % 4u;
    var n = index % QUADS;
    if TRANSPOSED == 1u {
        step = index % STEP;
        i = index / STEP % 4u;
        n = index / (4u * STEP);
    }
    var loaded = vec4<f32>();
    if first + step < params.source_quads && first_quad + n < params.result_quads {
        loaded = weight4(weight_row(tap, first + step, first_quad + n, i));
    }
    weight_tile[(step * 4u + i) * QUADS + n] = loaded;
}

fn block_at(step: u32, n: u32) -> mat4x4<f32> {
    let at = step * 4u * QUADS + n;
    return weight_block(weight_tile[at], weight_tile[at + QUADS], weight_tile[at + 2u * QUADS], weight_tile[at + 3u * QUADS]);
}

fn store(index: u32, n: u32, sum: vec4<f32>) {
    if index < params.end_pixel && n < params.result_quads {
        let at = pixel_at(index).result + n;
        result[at] = pack4(with_addend(sum + bias4(n), at));
    }
}
