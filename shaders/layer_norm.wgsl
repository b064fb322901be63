// y = x̂·gamma + beta with x̂ = (x − mean)·rstd; mean and rstd = 1/√(variance + eps) of each row.
//
// x, y: (rows, C); gamma, beta: (C); statistics: (rows, 2), mean and rstd.
// forward, backward: one workgroup per row. *_by_row: one invocation per row, for drivers that run invocations in
// sequence and pay for every barrier.
// The bindings of x and its like may start at a later row than statistics, which is bound whole.

#import shared/addend.wgsl
#import shared/index.wgsl
const REDUCE_LANES: u32 = 64u;
#import shared/reduce.wgsl

struct Params {
    rows: u32, // in this launch
    first_row: u32, // where this launch's rows start in `statistics`
    columns: u32, // C/4
    eps: f32,
    has_addend: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>; // (rows, C/4)
@group(0) @binding(2) var<storage, read> gamma: array<vec4<f32>>; // (C/4)
// forward
@group(0) @binding(3) var<storage, read> beta: array<vec4<f32>>; // (C/4)
@group(0) @binding(4) var<storage, read_write> y: array<Quad>; // (rows, C/4)
@group(0) @binding(5) var<storage, read_write> statistics: array<vec2<f32>>; // (all rows)
// backward
@group(0) @binding(3) var<storage, read> saved: array<vec2<f32>>; // (all rows), the statistics
@group(0) @binding(4) var<storage, read> d_y: array<Quad>; // (rows, C/4)
@group(0) @binding(5) var<storage, read> addend: array<Quad>; // (rows, C/4), or anything
@group(0) @binding(6) var<storage, read_write> d_x: array<Quad>; // (rows, C/4)

fn sum_of_row(row: u32, first: u32, step: u32) -> f32 {
    var sum = vec4<f32>(0.0);
    for (var i = first; i < params.columns; i += step) {
        sum += unpack4(x[row * params.columns + i]);
    }
    return horizontal_sum(sum);
}

fn squares_of_row(row: u32, mean: f32, first: u32, step: u32) -> f32 {
    var sum = vec4<f32>(0.0);
    for (var i = first; i < params.columns; i += step) {
        let distance = unpack4(x[row * params.columns + i]) - mean;
        sum += distance * distance;
    }
    return horizontal_sum(sum);
}

fn finish_row(row: u32, mean: f32, variance: f32, first: u32, step: u32) {
    let rstd = 1.0 / sqrt(variance + params.eps);
    for (var i = first; i < params.columns; i += step) {
        let at = row * params.columns + i;
        y[at] = pack4((unpack4(x[at]) - mean) * rstd * gamma[i] + beta[i]);
    }
    if first == 0u {
        statistics[params.first_row + row] = vec2<f32>(mean, rstd);
    }
}

// Sums of d_x̂ = d_y·gamma and of d_x̂·x̂.
fn gradient_sums_of_row(row: u32, mean_rstd: vec2<f32>, first: u32, step: u32) -> vec2<f32> {
    var plain = vec4<f32>(0.0);
    var weighted = vec4<f32>(0.0);
    for (var i = first; i < params.columns; i += step) {
        let at = row * params.columns + i;
        let d_x_hat = unpack4(d_y[at]) * gamma[i];
        plain += d_x_hat;
        weighted += d_x_hat * (unpack4(x[at]) - mean_rstd.x) * mean_rstd.y;
    }
    return vec2<f32>(horizontal_sum(plain), horizontal_sum(weighted));
}

// d_x = rstd·(d_x̂ − mean(d_x̂) − x̂·mean(d_x̂·x̂)) (+ addend).
fn finish_gradient_row(row: u32, mean_rstd: vec2<f32>, means: vec2<f32>, first: u32, step: u32) {
    for (var i = first; i < params.columns; i += step) {
        let at = row * params.columns + i;
        let x_hat = (unpack4(x[at]) - mean_rstd.x) * mean_rstd.y;
        let gradient = mean_rstd.y * (unpack4(d_y[at]) * gamma[i] - means.x - x_hat * means.y);
        d_x[at] = pack4(with_addend(gradient, at));
    }
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
    let count = 4.0 * f32(params.columns);
    let mean = reduce_sum(local, vec2<f32>(sum_of_row(row, local, REDUCE_LANES), 0.0)).x / count;
    let squares = vec2<f32>(squares_of_row(row, mean, local, REDUCE_LANES), 0.0);
    finish_row(row, mean, reduce_sum(local, squares).x / count, local, REDUCE_LANES);
}

@compute @workgroup_size(256)
fn forward_by_row(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = flat_index(workgroup, workgroups, local);
    if row >= params.rows {
        return;
    }
    let count = 4.0 * f32(params.columns);
    let mean = sum_of_row(row, 0u, 1u) / count;
    finish_row(row, mean, squares_of_row(row, mean, 0u, 1u) / count, 0u, 1u);
}

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
    let mean_rstd = saved[params.first_row + row];
    let sums = reduce_sum(local, gradient_sums_of_row(row, mean_rstd, local, REDUCE_LANES));
    finish_gradient_row(row, mean_rstd, sums / (4.0 * f32(params.columns)), local, REDUCE_LANES);
}

@compute @workgroup_size(256)
fn backward_by_row(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = flat_index(workgroup, workgroups, local);
    if row >= params.rows {
        return;
    }
    let mean_rstd = saved[params.first_row + row];
    let means = gradient_sums_of_row(row, mean_rstd, 0u, 1u) / (4.0 * f32(params.columns));
    finish_gradient_row(row, mean_rstd, means, 0u, 1u);
}
