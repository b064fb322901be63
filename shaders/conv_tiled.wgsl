// As `conv_naive.wgsl`, register-tiled, within WebGPU's default limits.
//
// A workgroup of 128 invocations computes 16·ROWS pixels × 64 result channels, an invocation ROWS pixels × two quads.
// Tap by tap, 16 source channels of the pixels and the weights between them and the result channels pass through
// workgroup memory (ROWS + 4 KiB); a tap's next ones are read into registers, as they are stored, while the present ones
// are multiplied. No read is behind a branch: compilers wait for it there.
// Neighbouring invocations use neighbouring quads of workgroup memory, so that no bank serves two; where they write with a
// stride instead, the quads of a row are mixed.
// Where pixels are few, the taps are cut into slices that different workgroups add up; gemm_reduce.wgsl then sums the
// slices, and adds bias and addend.
// Dispatch: (pixels / (16·ROWS), N / 64, slices), rounded up.

#import shared/conv.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<Quad>; // (B, H, W, K / 4)
@group(0) @binding(2) var<storage, read> weight: array<WeightVec>; // (9, K, N) or (9, N, K), by four
@group(0) @binding(3) var<storage, read> addend: array<Quad>; // (B, H, W, N / 4), or anything
@group(0) @binding(4) var<storage, read_write> result: array<ResultQuad>; // (B, H, W, N / 4), or (slices, pixels, N / 4)
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
    let slice = workgroup.z;
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
    let taps = params.rows.taps * params.columns.taps;
    for (var tap = taps * slice / params.slices; tap < taps * (slice + 1u) / params.slices; tap++) {
        let row = tap / params.columns.taps;
        let column = tap % params.columns.taps;
        let weights = weight_tap(row, column);
#for l in 0..ROWS/2
        let inside$l = load_index$l < params.end_pixel && inside(load$l, row, column);
        let at$l = source_at(load$l, row, column);
        var source_next$l = load_source(at$l, local % STEP, inside$l);
#end
#for w in 0..2
        var weight_next$w = load_weight(weights, 0u, first_quad, local + $(128*w)u);
#end
        for (var first = 0u; first < params.source_quads; first += STEP) {
#for l in 0..ROWS/2
            source_tile[source_in_tile(local % STEP, $(32*l) + local / STEP)] = unpack4(source_next$l);
#end
#for w in 0..2
            put_weight(weight_next$w, local + $(128*w)u);
#end
            workgroupBarrier();
#for l in 0..ROWS/2
            source_next$l = load_source(at$l, first + STEP + local % STEP, inside$l);
#end
#for w in 0..2
            weight_next$w = load_weight(weights, first + STEP, first_quad, local + $(128*w)u);
#end
            for (var step = 0u; step < STEP; step++) {
                let block0 = block_at(step, along);
                let block1 = block_at(step, along + 8u);
#for r in 0..ROWS
                let x$r = source_tile[source_in_tile(step, $(16*r) + across)];
#for i in 0..4
                sum$(r)_0 += block0[$i] * x$r[$i];
                sum$(r)_1 += block1[$i] * x$r[$i];
#end
#end
            }
            workgroupBarrier();
        }
    }
    let last_quad = params.result_quads - 1u;
#for q in 0..2
    let n$q = first_quad + along + $(8*q);
    let bias$q = bias4(min(n$q, last_quad));
#end
#for r in 0..ROWS
    let index$r = first_pixel + $(16*r) + across;
    let to$r = result_at(min(index$r, params.end_pixel - 1u), slice);
#for q in 0..2
    sum$(r)_$q += bias$q;
#end
#end
    if params.has_addend != 0u {
#for r in 0..ROWS
#for q in 0..2
        sum$(r)_$q += unpack4(addend[to$r + min(n$q, last_quad)]);
#end
#end
    }
#for r in 0..ROWS
#for q in 0..2
    if index$r < params.end_pixel && n$q < params.result_quads {
        result[to$r + n$q] = pack_result(sum$(r)_$q);
    }
#end
#end
}

// Where the result of a pixel, or what a slice adds to it, begins.
fn result_at(index: u32, slice: u32) -> u32 {
    if params.slices == 1u {
        return pixel_at(index).result;
    }
    return (slice * (params.end_pixel - params.first_pixel) + index - params.first_pixel) * params.result_quads;
}

// Source quad k of the pixel that starts at `at`; zero outside of the picture and past the last quad.
fn load_source(at: u32, k: u32, inside: bool) -> Quad {
    let within = inside && k < params.source_quads;
    return select(Quad(), source[select(0u, at + k, within)], within);
}

fn source_in_tile(step: u32, pixel: u32) -> u32 {
    return step * PIXELS + (pixel ^ (2u * step));
}

// A vector of the weight tile: row i of the block between source quad `step` and result quad n.
struct WeightPlace {
    step: u32,
    i: u32,
    n: u32,
}

// Which vector is `index` of the 256, in the order of the weight's memory.
fn weight_place(index: u32) -> WeightPlace {
    if TRANSPOSED == 1u {
        return WeightPlace(index % STEP, index / STEP % 4u, index / (4u * STEP));
    }
    return WeightPlace(index / (4u * QUADS), index / QUADS % 4u, index % QUADS);
}

fn weight_in_tile(place: WeightPlace) -> u32 {
    return (place.step * 4u + place.i) * QUADS + (place.n ^ (2u * place.step + place.i % 2u));
}

// Vector `index` of the tile whose source quads begin at `first`; zero past the last source and result quad.
fn load_weight(tap: u32, first: u32, first_quad: u32, index: u32) -> WeightVec {
    let place = weight_place(index);
    let within = first + place.step < params.source_quads && first_quad + place.n < params.result_quads;
    let at = weight_row(tap, first + place.step, first_quad + place.n, place.i);
    return select(WeightVec(), weight[select(0u, at, within)], within);
}

fn put_weight(vector: WeightVec, index: u32) {
    weight_tile[weight_in_tile(weight_place(index))] = unpack_weight(vector);
}

fn block_at(step: u32, n: u32) -> mat4x4<f32> {
    return weight_block(
#for i in 0..4
        weight_tile[weight_in_tile(WeightPlace(step, $(i)u, n))],
#end
    );
}
