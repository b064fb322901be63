// out[i·k + p, j·block + c] = w1[i, j] · w2[p, c], and the gradients of both factors in two levels of sums.
//
// w1: (l, m), w2: (k, block) with block = n·taps, stored with zeros behind their rows and columns; out: (l·k, m·block).
// Dispatch: forward, flat over vectors of four of out; row_products, a workgroup per (i, p, j), *_by_row, an invocation;
// block_products, flat over (l·k, block); sums, flat over the elements of a stored factor.

#import shared/index.wgsl
const REDUCE_LANES: u32 = 64u;
#import shared/reduce.wgsl

struct Params {
    l: u32,
    m: u32,
    k: u32,
    block: u32,
    w1_columns: u32, // as stored
    w2_columns: u32,
}

struct Sums {
    count: u32, // elements of the stored matrix
    stored_columns: u32,
    rows: u32, // that are no padding
    columns: u32,
    terms: u32,
    row_step: u32, // how far rows and terms lie apart
    term_step: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
// forward
@group(0) @binding(1) var<storage, read> w1: array<f32>; // (rows ≥ l, w1_columns)
@group(0) @binding(2) var<storage, read> w2: array<f32>; // (rows ≥ k, w2_columns)
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // (l·k, m·block / 4)
// row_products, block_products
@group(0) @binding(1) var<storage, read> d_out: array<f32>; // (l·k, m·block)
@group(0) @binding(2) var<storage, read> factor: array<f32>; // row_products: w2; block_products: w1
@group(0) @binding(3) var<storage, read_write> partial_sums: array<f32>; // (l·k, m); (l·k, block)
// sums
@group(0) @binding(0) var<uniform> sizes: Sums;
@group(0) @binding(1) var<storage, read> partials: array<f32>;
@group(0) @binding(2) var<storage, read_write> gradient: array<f32>; // as the factor is stored

fn element(row: u32, column: u32) -> f32 {
    let left = w1[row / params.k * params.w1_columns + column / params.block];
    return left * w2[row % params.k * params.w2_columns + column % params.block];
}

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    let quads = params.m * params.block / 4u;
    let row = i / quads;
    if row >= params.l * params.k {
        return;
    }
    let column = 4u * (i % quads);
    out[i] = vec4<f32>(
#for e in 0..4
        element(row, column + $(e)u),
#end
    );
}

// Values that a lane sums before it adds them to its total: two levels keep the rounding of long rows small.
const RUN: u32 = 16u;

// The part of Σ_c d_out[row, j·block + c] · w2[p, c] that begins at c = first.
fn product_of_row(index: u32, first: u32, step: u32) -> f32 {
    let at = index * params.block;
    let row = index / params.m % params.k * params.w2_columns;
    var total = 0.0;
    for (var start = first; start < params.block; start += RUN * step) {
        let end = min(params.block, start + RUN * step);
        var sum = 0.0;
        for (var c = start; c < end; c += step) {
            sum += d_out[at + c] * factor[row + c];
        }
        total += sum;
    }
    return total;
}

@compute @workgroup_size(64)
fn row_products(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = workgroup.y * workgroups.x + workgroup.x;
    if index >= params.l * params.k * params.m {
        return;
    }
    let sum = reduce_sum(local, vec2<f32>(product_of_row(index, local, REDUCE_LANES), 0.0)).x;
    if local == 0u {
        partial_sums[index] = sum;
    }
}

@compute @workgroup_size(256)
fn row_products_by_row(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = flat_index(workgroup, workgroups, local);
    if index < params.l * params.k * params.m {
        partial_sums[index] = product_of_row(index, 0u, 1u);
    }
}

// Σ_j d_out[row, j·block + c] · w1[i, j]
@compute @workgroup_size(256)
fn block_products(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = flat_index(workgroup, workgroups, local);
    let row = index / params.block;
    if row >= params.l * params.k {
        return;
    }
    let first = row * params.m * params.block + index % params.block;
    var sum = 0.0;
    for (var j = 0u; j < params.m; j++) {
        sum += d_out[first + j * params.block] * factor[row / params.k * params.w1_columns + j];
    }
    partial_sums[index] = sum;
}

@compute @workgroup_size(256)
fn sums(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    if i >= sizes.count {
        return;
    }
    let row = i / sizes.stored_columns;
    let column = i % sizes.stored_columns;
    var sum = 0.0;
    if row < sizes.rows && column < sizes.columns {
        for (var term = 0u; term < sizes.terms; term++) {
            sum += partials[row * sizes.row_step + column + term * sizes.term_step];
        }
    }
    gradient[i] = sum;
}
