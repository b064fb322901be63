// C = scale · op(A) · op(B) + bias (+ C), one element per invocation: the check of the other GEMM kernels.
//
// op(A): (M, K), op(B): (K, N), C: (M, N), for every batch. Rows are strided; see shared/gemm.wgsl.
// Dispatch: (⌈N/16⌉, ⌈M/16⌉, batches).

#import shared/gemm.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>; // nt, nn: (M, K); tn: (K, M)
@group(0) @binding(2) var<storage, read> weight: array<WeightVec>; // nt: (N, K/4); nn, tn: (K, N/4)
@group(0) @binding(3) var<storage, read> bias: array<f32>; // (N), or anything
@group(0) @binding(4) var<storage, read> scale: array<f32>; // (1), or anything
@group(0) @binding(5) var<storage, read_write> out: array<f32>; // (M, N)

fn weight1(row: u32, column: u32, start: u32) -> f32 {
    return weight4(start + row * params.rows.y + column / 4u)[column % 4u];
}

fn store(m: u32, n: u32, start: u32, sum: f32) {
    let at = 4u * (start + m * params.rows.z) + n;
    var value = factor() * sum;
    if params.has_bias != 0u {
        value += bias[n];
    }
    if params.accumulate != 0u {
        value += out[at];
    }
    out[at] = value;
}

// C = A · Bᵀ
@compute @workgroup_size(16, 16)
fn nt(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.n || id.y >= params.m {
        return;
    }
    let start = batch_start(id.z);
    var sum = 0.0;
    for (var k = 0u; k < params.k; k++) {
        sum += a[4u * (start.x + id.y * params.rows.x) + k] * weight1(id.x, k, start.y);
    }
    store(id.y, id.x, start.z, sum);
}

// C = A · B
@compute @workgroup_size(16, 16)
fn nn(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.n || id.y >= params.m {
        return;
    }
    let start = batch_start(id.z);
    var sum = 0.0;
    for (var k = 0u; k < params.k; k++) {
        sum += a[4u * (start.x + id.y * params.rows.x) + k] * weight1(k, id.x, start.y);
    }
    store(id.y, id.x, start.z, sum);
}

// C = Aᵀ · B
@compute @workgroup_size(16, 16)
fn tn(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.n || id.y >= params.m {
        return;
    }
    let start = batch_start(id.z);
    var sum = 0.0;
    for (var k = 0u; k < params.k; k++) {
        sum += a[4u * (start.x + k * params.rows.x) + id.y] * weight1(k, id.x, start.y);
    }
    store(id.y, id.x, start.z, sum);
}
