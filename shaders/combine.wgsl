// out = c0·a + c1·b, with coefficients of each sample.
//
// a, b, out: (B, …), a multiple of four elements per sample; coefficients: (B, 2).

#import shared/elementwise.wgsl

struct Params {
    count: u32, // vectors
    per_sample: u32, // vectors
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>; // (B, per_sample)
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>; // (B, per_sample)
@group(0) @binding(3) var<storage, read> coefficients: array<vec2<f32>>; // (B)
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>; // (B, per_sample)

fn element(i: u32) {
    let c = coefficients[i / params.per_sample];
    out[i] = c.x * a[i] + c.y * b[i];
}
