// Eight weights in loads of four, by `weight4` of another import: any row.

#import shared/eights.wgsl

// Vectors `at` and `at` + 1; where there is no `next` one in the row, the first twice.
fn weight8(at: u32, next: bool) -> Eight {
    return Eight(weight4(at), weight4(at + u32(next)));
}

// The lane's QUADS vectors from `at` on.
fn columns(at: u32) -> array<vec4<f32>, QUADS> {
    return array<vec4<f32>, QUADS>(
#for q in 0..QUADS
        weight4(at + $(q)u),
#end
    );
}
