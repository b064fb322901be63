// C = scale · op(A) · op(B) + bias (+ C) (+ addend), four columns of a row per invocation: the check of the other GEMM kernels.
//
// op(A): (M, K), op(B): (K, N), C: (M, N), for every batch. Rows are strided; see shared/gemm.wgsl.
// Where K is no multiple of 4, nt and nn want the columns of A from K up to the next multiple to be zero.
// Dispatch: (⌈N/64⌉, ⌈M/16⌉, batches).

#import shared/gemm.wgsl
#import shared/gemm_store.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Quad>; // nt, nn: (M, K/4); tn: (K, M/4)
@group(0) @binding(2) var<storage, read> weight: array<WeightVec>; // nt: (N, K/4); nn, tn: (K, N/4)
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>; // (N/4), or anything
@group(0) @binding(4) var<storage, read> scale: array<f32>; // (1), or anything
@group(0) @binding(5) var<storage, read> addend: array<ResultQuad>; // (M, N/4), or anything
@group(0) @binding(6) var<storage, read_write> out: array<ResultQuad>; // (M, N/4)

// C = A · Bᵀ
@compute @workgroup_size(16, 16)
fn nt(@builtin(global_invocation_id) id: vec3<u32>) {
    let start = batch_start(id.z);
    var sum = vec4<f32>();
    for (var k = 0u; k < vectors(params.k); k++) {
        let left = unpack4(a[start.x + min(id.y, params.m - 1u) * params.rows.x + k]);
        let along = in_panels(k, params.panel_stride);
#for j in 0..4
        sum[$j] += dot(left, weight4(start.y + min(4u * id.x + $(j)u, params.n - 1u) * params.rows.y + along));
#end
    }
    store(id.y, id.x, start.z, sum);
}

// C = A · B
@compute @workgroup_size(16, 16)
fn nn(@builtin(global_invocation_id) id: vec3<u32>) {
    let start = batch_start(id.z);
    let column = start.y + in_panels(min(id.x, vectors(params.n) - 1u), params.panel_stride);
    var sum = vec4<f32>();
    for (var k = 0u; k < vectors(params.k); k++) {
        let left = unpack4(a[start.x + min(id.y, params.m - 1u) * params.rows.x + k]);
#for j in 0..4
        sum += left[$j] * weight4(column + min(4u * k + $(j)u, params.k - 1u) * params.rows.y);
#end
    }
    store(id.y, id.x, start.z, sum);
}

// C = Aᵀ · B
@compute @workgroup_size(16, 16)
fn tn(@builtin(global_invocation_id) id: vec3<u32>) {
    let start = batch_start(id.z);
    let row = start.x + min(id.y, params.m - 1u) / 4u;
    let column = start.y + min(id.x, vectors(params.n) - 1u);
    var sum = vec4<f32>();
    for (var k = 0u; k < params.k; k++) {
        sum += unpack4(a[row + k * params.rows.x])[id.y % 4u] * weight4(column + k * params.rows.y);
    }
    store(id.y, id.x, start.z, sum);
}
