// into += gradients, in place.
//
// into, gradients: (count) vectors of four.

#import shared/elementwise.wgsl

struct Params {
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> into: array<Quad>; // (count)
@group(0) @binding(2) var<storage, read> gradients: array<Quad>; // (count)

fn element(i: u32) {
    into[i] = pack4(unpack4(into[i]) + unpack4(gradients[i]));
}
