// C = scale · Σ partial + bias (+ C) (+ addend): the sum over the slices of k that gemm_tiled.wgsl computed.
//
// partial: (slices, M, N), C: (M, N) with strided rows.
// Dispatch: (⌈N/64⌉, ⌈M/16⌉, 1), one invocation per four columns of a row.

#import shared/gemm.wgsl
#import shared/gemm_store.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<vec4<f32>>; // (slices, M, N/4)
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>; // (N/4), or anything
@group(0) @binding(3) var<storage, read> scale: array<f32>; // (1), or anything
@group(0) @binding(4) var<storage, read> addend: array<ResultQuad>; // (M, N/4), or anything
@group(0) @binding(5) var<storage, read_write> out: array<ResultQuad>; // (M, N/4)

@compute @workgroup_size(16, 16)
fn reduce(@builtin(global_invocation_id) id: vec3<u32>) {
    let columns = vectors(params.n);
    if id.x >= columns || id.y >= params.m {
        return;
    }
    var sum = vec4<f32>();
    for (var slice = 0u; slice < params.slices; slice++) {
        sum += partial[slice * params.slice_stride + id.y * columns + id.x];
    }
    store(id.y, id.x, 0u, sum);
}
