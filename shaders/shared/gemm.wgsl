// What the GEMM kernels share: C = scale · op(A) · op(B) + bias (+ C) (+ addend), for each of a two-level batch.
//
// Strides and offsets count vectors of four elements along the contiguous dimension. In A·Bᵀ and A·B the rows of B may
// lie in panels.

#import shared/panels.wgsl

struct Params {
    m: u32,
    n: u32,
    k: u32,
    // Inner size of the batch: workgroup z = outer · batch_inner + inner.
    batch_inner: u32,
    // Row strides of A, B and C, then how far outer and inner batches lie apart.
    rows: vec4<u32>,
    outer: vec4<u32>,
    inner: vec4<u32>,
    alpha: f32,
    has_scale: u32,
    has_bias: u32,
    accumulate: u32, // whether what C holds is added to the results
    has_addend: u32, // whether the addend, which is strided as C is, is added after that
    // How many slices k is cut into, how long each is, and how far their results lie apart.
    slices: u32,
    slice_k: u32,
    slice_stride: u32,
    // How far panels of B lie apart.
    panel_stride: u32,
}

// Where A, B and C of this batch start.
fn batch_start(z: u32) -> vec3<u32> {
    return (z / params.batch_inner) * params.outer.xyz + (z % params.batch_inner) * params.inner.xyz;
}

// The factor of this launch: a constant times an optional input.
fn factor() -> f32 {
    return params.alpha * select(1.0, scale[0], params.has_scale != 0u);
}

// Vectors of four that hold `count` elements.
fn vectors(count: u32) -> u32 {
    return (count + 3u) / 4u;
}
