// Tensors on the shapes that files have, in a shard of padded matrices and vectors. One workgroup of 256 invocations works
// on one tensor, which is `batches` matrices, its last two axes.

const REDUCE_LANES: u32 = 256u;
#import shared/reduce.wgsl

struct Tensor {
    offset: u32, // of its first value in the shard
    elements: u32,
    rows: u32,
    columns: u32,
    batches: u32, // outer·inner
    inner: u32,
    outer_stride: u32,
    inner_stride: u32,
    row_stride: u32,
    factored: u32, // 1, or 0 where the second moments are kept whole
}

// Where value `column` of row `row` of matrix `batch` lies.
fn address(t: Tensor, batch: u32, row: u32, column: u32) -> u32 {
    let outer = batch / t.inner * t.outer_stride;
    let inner = batch % t.inner * t.inner_stride;
    return t.offset + outer + inner + row * t.row_stride + column;
}

// Matrix, row and column of a tensor's value number `element`.
fn place(t: Tensor, element: u32) -> vec3<u32> {
    let line = element / t.columns;
    return vec3<u32>(line / t.rows, line % t.rows, element % t.columns);
}

fn place_address(t: Tensor, at: vec3<u32>) -> u32 {
    return address(t, at.x, at.y, at.z);
}

// Values that a lane sums before it adds them to its total: two levels keep the rounding small.
const RUN: u32 = 16u;
