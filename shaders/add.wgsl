// out = a + b, element by element.
//
// a, b, out: (count) vectors of four.

#import shared/elementwise.wgsl

struct Params {
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Quad>; // (count)
@group(0) @binding(2) var<storage, read> b: array<Quad>; // (count)
@group(0) @binding(3) var<storage, read_write> out: array<Quad>; // (count)

fn element(i: u32) {
    out[i] = pack4(unpack4(a[i]) + unpack4(b[i]));
}
