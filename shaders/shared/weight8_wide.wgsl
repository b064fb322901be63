// Eight weights at once: rows whose lengths and strides are multiples of eight.
// Another import declares `WeightVec`, which holds eight, and unpacks it.

#import shared/eights.wgsl

// Vectors `at`, which is even, and `at` + 1.
fn weight8(at: u32, next: bool) -> Eight {
    return unpack_weights(weight[at / 2u]);
}

// The lane's QUADS vectors from `at` on.
fn columns(at: u32) -> array<vec4<f32>, QUADS> {
    let loaded = weight8(at, true);
    return array<vec4<f32>, QUADS>(
#for q in 0..QUADS
        loaded[$q],
#end
    );
}
