// out = x in another element type.
//
// x, out: (count) vectors of four.

#import shared/elementwise.wgsl

struct Params {
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>; // (count)
@group(0) @binding(2) var<storage, read_write> out: array<ResultQuad>; // (count)

fn element(i: u32) {
    out[i] = pack_result(unpack4(x[i]));
}
