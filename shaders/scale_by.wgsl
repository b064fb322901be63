// out = factor·x, element by element.
//
// x, out: (count) vectors of four; factor: (1).

#import shared/elementwise.wgsl

struct Params {
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>; // (count)
@group(0) @binding(2) var<storage, read_write> out: array<Quad>; // (count)
@group(0) @binding(3) var<storage, read> factor: array<f32>; // (1)

fn element(i: u32) {
    out[i] = pack4(factor[0] * unpack4(x[i]));
}
