// Eight values of `source` in two loads: any row.

#import shared/eights.wgsl

alias SourceVec = Quad;

// Vectors `at` and `at` + 1, of which the second is zero unless there is a `next` one in the row.
fn source8(at: u32, next: bool) -> Eight {
    return Eight(unpack4(source[at]), select(vec4<f32>(), unpack4(source[at + u32(next)]), next));
}
