// A 3×3 convolution as a gather, shared by its kernels; `src/ops/conv/phase.rs` fills the parameters.
//
// Along each axis, grid position g computes result pixel g·result_step + result_first from the source pixels
// g·source_step + source_first + j, j < taps, and weight tap tap_first + j·tap_step. That describes the forward pass
// as well as the gradient of the input; the latter of stride 2 is one launch per parity of row and column, so that no
// tap is tried in vain.
//
// source: (B, rows.source, columns.source, K), result: (B, rows.result, columns.result, N),
// weight: (9, K, N), or where TRANSPOSED (9, N, K), the rows of each tap perhaps in panels. All are read four channels at a
// time.

#import shared/addend.wgsl
#import shared/panels.wgsl

struct Axis {
    grid: u32,
    source: u32,
    source_step: u32,
    source_first: i32,
    result: u32,
    result_step: u32,
    result_first: u32,
    taps: u32,
    tap_first: i32,
    tap_step: i32,
    unused: vec2<u32>,
}

struct Params {
    rows: Axis,
    columns: Axis,
    first_pixel: u32, // of the flattened grid (B, rows.grid, columns.grid)
    end_pixel: u32,
    source_quads: u32, // K / 4
    result_quads: u32, // N / 4
    source_start: u32, // quads of the source that lie before its binding
    result_start: u32,
    weight_row_stride: u32, // quads from one row of weights to the next
    weight_panel_stride: u32, // and from one panel to the next
    has_addend: u32,
    slices: u32, // how many workgroups share the taps of a result
}

// What a grid pixel needs to know.
struct Pixel {
    row: i32, // source position of tap (0, 0)
    column: i32,
    image: u32, // source pixels before the image
    result: u32, // index of the result's first quad
}

fn pixel_at(index: u32) -> Pixel {
    let column = index % params.columns.grid;
    let row = index / params.columns.grid % params.rows.grid;
    let image = index / params.columns.grid / params.rows.grid;
    let result_row = image * params.rows.result + row * params.rows.result_step + params.rows.result_first;
    let result_column = column * params.columns.result_step + params.columns.result_first;
    return Pixel(
        i32(row * params.rows.source_step) + params.rows.source_first,
        i32(column * params.columns.source_step) + params.columns.source_first,
        image * params.rows.source * params.columns.source,
        (result_row * params.columns.result + result_column) * params.result_quads - params.result_start,
    );
}

// Whether tap (row, column) of a pixel lies inside the picture.
fn inside(pixel: Pixel, row: u32, column: u32) -> bool {
    // A negative position wraps to a large one.
    return u32(pixel.row) + row < params.rows.source && u32(pixel.column) + column < params.columns.source;
}

// Index of the first source quad of a tap; of some bound quad where the tap lies outside.
fn source_at(pixel: Pixel, row: u32, column: u32) -> u32 {
    let position = pixel.image + (u32(pixel.row) + row) * params.columns.source + u32(pixel.column) + column;
    return select(0u, position * params.source_quads - params.source_start, inside(pixel, row, column));
}

// Number of the weight tap, 3·ky + kx.
fn weight_tap(row: u32, column: u32) -> u32 {
    let ky = params.rows.tap_first + i32(row) * params.rows.tap_step;
    let kx = params.columns.tap_first + i32(column) * params.columns.tap_step;
    return u32(3 * ky + kx);
}

// Index of row i of the 4×4 block of weights between source quad k and result quad n: four results of source channel
// 4·k + i, or where TRANSPOSED four sources of result channel 4·n + i.
fn weight_row(tap: u32, k: u32, n: u32, i: u32) -> u32 {
    let row = 4u * select(k, n, TRANSPOSED == 1u) + i;
    let quad = select(n, k, TRANSPOSED == 1u);
    let tap_start = tap * 4u * params.source_quads * params.result_quads;
    return tap_start + row * params.weight_row_stride + in_panels(quad, params.weight_panel_stride);
}

// The block so that block · source is the result.
fn weight_block(row0: vec4<f32>, row1: vec4<f32>, row2: vec4<f32>, row3: vec4<f32>) -> mat4x4<f32> {
    let rows = mat4x4<f32>(row0, row1, row2, row3);
    if TRANSPOSED == 1u {
        return transpose(rows);
    }
    return rows;
}
