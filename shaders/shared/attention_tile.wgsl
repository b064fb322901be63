// How the flash kernels split work over a workgroup.
//
// A workgroup owns a tile of rows and streams blocks of COLUMNS other rows through workgroup memory. SLICES
// neighbouring invocations own ROWS rows together, each the vec4s `slice + SLICES·c`, c < SLICE4, of a head. Neighbours
// then read neighbouring vec4s, and invocations of equal slice read the same one. Dot products over a whole head are
// sums over the SLICES invocations, exchanged through `partials`.
//
// A block's elements are read EACH per invocation into registers, ahead of their use, and put into workgroup memory where
// the last block's are no longer wanted.
//
// The kernel defines HEAD4, SLICES, SLICE4, ROWS, COLUMNS, WORKGROUP and EACH, and EXCHANGED: how many dot products a
// pair of rows needs.

const TILE4: u32 = SLICES * SLICE4; // vec4s per row of a streamed block; those from HEAD4 on are zero
const BLOCK: u32 = COLUMNS * TILE4; // vec4s of a streamed block
const TILE_ROWS: u32 = WORKGROUP / SLICES * ROWS;
const PARTIALS: u32 = WORKGROUP * ROWS * COLUMNS / 4;

var<workgroup> partials: array<vec4<f32>, EXCHANGED * PARTIALS>;

// Where element `i` of a streamed block comes from in (B, rows, C); zeros take its place where that is not `inside`.
struct Source {
    at: u32,
    inside: bool,
}

fn streamed(i: u32, batch: u32, rows: u32, first: u32, head: u32) -> Source {
    let row = first + i / TILE4;
    let component = i % TILE4;
    let at = row_start(batch, rows, min(row, rows - 1u), head) + min(component, HEAD4 - 1u);
    return Source(at, row < rows && component < HEAD4);
}

// The dot products of `a` with four others, added to `sum`: a product and a sum each, so that compilers fuse them.
fn plus_dots(sum: vec4<f32>, a: vec4<f32>, b0: vec4<f32>, b1: vec4<f32>, b2: vec4<f32>, b3: vec4<f32>) -> vec4<f32> {
    var sums = sum;
#for i in 0..4
    sums += a[$i] * vec4<f32>(b0[$i], b1[$i], b2[$i], b3[$i]);
#end
    return sums;
}

// Sum over the invocations that share a row; `first` is that of slice 0.
fn sum_of_slices(first: u32) -> vec4<f32> {
    var sum = partials[first];
    for (var slice = 1u; slice < SLICES; slice++) {
        sum += partials[first + slice];
    }
    return sum;
}

fn sum4(a: vec4<f32>) -> f32 {
    return (a.x + a.y) + (a.z + a.w);
}

fn max4(a: vec4<f32>) -> f32 {
    return max(max(a.x, a.y), max(a.z, a.w));
}
