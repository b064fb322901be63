// y_j = exp(scale·x_j − m)/Σ_k exp(scale·x_k − m) with m = max_k scale·x_k, over each row.
// Causal: row i of a matrix takes part up to column i; the rest of y is 0.
//
// x, y, d_y, d_x: (rows, n), any n.
// Dispatch: one workgroup per row.

const REDUCE_LANES: u32 = 64u;
#import shared/reduce.wgsl

struct Params {
    rows: u32, // in this launch
    first_row: u32,
    n: u32,
    causal: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
// forward
@group(0) @binding(1) var<storage, read> x: array<f32>; // (rows, n)
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // (rows, n)
// backward
@group(0) @binding(1) var<storage, read> saved: array<f32>; // (rows, n), y
@group(0) @binding(2) var<storage, read> d_y: array<f32>; // (rows, n)
@group(0) @binding(3) var<storage, read_write> d_x: array<f32>; // (rows, n)

// Columns of `row` that take part.
fn width(row: u32) -> u32 {
    return select(params.n, (params.first_row + row) % params.n + 1u, params.causal != 0u);
}

@compute @workgroup_size(64)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = workgroup.y * workgroups.x + workgroup.x;
    if row >= params.rows {
        return;
    }
    let start = row * params.n;
    let width = width(row);
    var largest = -3e38;
    for (var j = local; j < width; j += REDUCE_LANES) {
        largest = max(largest, params.scale * x[start + j]);
    }
    largest = reduce_max(local, largest);
    var sum = 0.0;
    for (var j = local; j < width; j += REDUCE_LANES) {
        sum += exp(params.scale * x[start + j] - largest);
    }
    sum = reduce_sum(local, vec2<f32>(sum, 0.0)).x;
    for (var j = local; j < params.n; j += REDUCE_LANES) {
        y[start + j] = select(0.0, exp(params.scale * x[start + j] - largest) / sum, j < width);
    }
}

// d_x = scale·y·(d_y − Σ_k d_y_k·y_k).
@compute @workgroup_size(64)
fn backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = workgroup.y * workgroups.x + workgroup.x;
    if row >= params.rows {
        return;
    }
    let start = row * params.n;
    var sum = 0.0;
    for (var j = local; j < params.n; j += REDUCE_LANES) {
        sum += d_y[start + j] * saved[start + j];
    }
    sum = reduce_sum(local, vec2<f32>(sum, 0.0)).x;
    for (var j = local; j < params.n; j += REDUCE_LANES) {
        d_x[start + j] = params.scale * saved[start + j] * (d_y[start + j] - sum);
    }
}
