// W = m·v/n with n = ‖v‖ + ε of each group of a weight's values: an output row, or an input channel's taps in all rows.
// backward: d_m = v·G/n of each group; d_v = m/n·(G − v/n·d_m), or m/n·G where n counts as a constant.
//
// v, W, G, d_v: (rows, columns); m, n, d_m: (groups).
// Dispatch: row_products, a workgroup per row, *_by_row, an invocation; column_products, flat over chunks of rows and
// vectors of four columns; column_sums, flat over groups; apply*, flat over the vectors of v.

#import shared/chunks.wgsl
#import shared/index.wgsl
const REDUCE_LANES: u32 = 64u;
#import shared/reduce.wgsl

struct Params {
    rows: u32,
    columns: u32, // vectors of four
    taps: u32,
    along_rows: u32, // whether groups are rows
    is_norm: u32, // whether sums become norms
    detached: u32,
    chunks: u32,
    groups: u32,
}

const EPS: f32 = 1.1920929e-7;

@group(0) @binding(0) var<uniform> params: Params;
// row_products
@group(0) @binding(1) var<storage, read> left: array<vec4<f32>>; // (rows, columns)
@group(0) @binding(2) var<storage, read> right: array<vec4<f32>>; // (rows, columns)
@group(0) @binding(3) var<storage, read> row_norms: array<f32>; // (rows), or anything for norms
@group(0) @binding(4) var<storage, read_write> row_sums: array<f32>; // (rows)
// column_products; left and right too
@group(0) @binding(0) var<uniform> cut: Chunks;
@group(0) @binding(3) var<storage, read_write> partial_sums: array<vec4<f32>>; // (chunks, columns)
// column_sums
@group(0) @binding(1) var<storage, read> partials: array<f32>; // (chunks, 4·columns)
@group(0) @binding(2) var<storage, read> column_norms: array<f32>; // (groups), or anything for norms
@group(0) @binding(3) var<storage, read_write> sums: array<f32>; // (groups)
// apply
@group(0) @binding(1) var<storage, read> v: array<vec4<f32>>; // (rows, columns)
@group(0) @binding(2) var<storage, read> magnitude: array<f32>; // (groups)
@group(0) @binding(3) var<storage, read> norms: array<f32>; // (groups)
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>; // (rows, columns)
// apply_backward; v, magnitude and norms too
@group(0) @binding(4) var<storage, read> d_out: array<vec4<f32>>; // (rows, columns)
@group(0) @binding(5) var<storage, read> d_magnitude: array<f32>; // (groups)
@group(0) @binding(6) var<storage, read_write> d_v: array<vec4<f32>>; // (rows, columns)

// What becomes of a group's sum.
fn finished(sum: f32, norm: f32) -> f32 {
    return select(sum / norm, sqrt(sum) + EPS, params.is_norm != 0u);
}

// Vectors that a lane sums before it adds them to its total: two levels keep the rounding of long rows small.
const RUN: u32 = 16u;

fn product_of_row(row: u32, first: u32, step: u32) -> f32 {
    var total = vec4<f32>();
    for (var start = first; start < params.columns; start += RUN * step) {
        let end = min(params.columns, start + RUN * step);
        var sum = vec4<f32>();
        for (var i = start; i < end; i += step) {
            let at = row * params.columns + i;
            sum += left[at] * right[at];
        }
        total += sum;
    }
    return horizontal_sum(total);
}

@compute @workgroup_size(64)
fn row_products(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = workgroup.y * workgroups.x + workgroup.x;
    if row >= params.rows {
        return;
    }
    let sum = reduce_sum(local, vec2<f32>(product_of_row(row, local, REDUCE_LANES), 0.0)).x;
    if local == 0u {
        row_sums[row] = finished(sum, row_norms[row]);
    }
}

@compute @workgroup_size(256)
fn row_products_by_row(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = flat_index(workgroup, workgroups, local);
    if row < params.rows {
        row_sums[row] = finished(product_of_row(row, 0u, 1u), row_norms[row]);
    }
}

@compute @workgroup_size(256)
fn column_products(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = flat_index(workgroup, workgroups, local);
    if index >= chunk_invocations(cut) {
        return;
    }
    let walk = chunk_walk(cut, index);
    var sum = vec4<f32>();
    for (var at = walk.first; at < walk.end; at += walk.step) {
        sum += left[at] * right[at];
    }
    partial_sums[walk.chunk * walk.step + walk.column] = sum;
}

@compute @workgroup_size(256)
fn column_sums(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let group = flat_index(workgroup, workgroups, local);
    if group >= params.groups {
        return;
    }
    var sum = 0.0;
    for (var chunk = 0u; chunk < params.chunks; chunk++) {
        let first = 4u * chunk * params.columns + group * params.taps;
        for (var tap = 0u; tap < params.taps; tap++) {
            sum += partials[first + tap];
        }
    }
    sums[group] = finished(sum, column_norms[group]);
}

// The groups of the four values of a vector.
fn groups_of(i: u32) -> vec4<u32> {
    let columns = 4u * (i % params.columns) + vec4<u32>(0u, 1u, 2u, 3u);
    return select(columns / params.taps, vec4<u32>(i / params.columns), params.along_rows != 0u);
}

fn norms_of(groups: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(norms[groups.x], norms[groups.y], norms[groups.z], norms[groups.w]);
}

fn magnitudes_of(groups: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(magnitude[groups.x], magnitude[groups.y], magnitude[groups.z], magnitude[groups.w]);
}

@compute @workgroup_size(256)
fn apply(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    if i < params.rows * params.columns {
        let groups = groups_of(i);
        out[i] = magnitudes_of(groups) / norms_of(groups) * v[i];
    }
}

@compute @workgroup_size(256)
fn apply_backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    if i >= params.rows * params.columns {
        return;
    }
    let groups = groups_of(i);
    let n = norms_of(groups);
    var gradient = d_out[i];
    if params.detached == 0u {
#for e in 0..4
        gradient[$e] -= v[i][$e] / n[$e] * d_magnitude[groups[$e]];
#end
    }
    d_v[i] = magnitudes_of(groups) / n * gradient;
}
