// Eight values of `source` at once: rows whose lengths and strides are multiples of eight.

#import shared/eights.wgsl

alias SourceVec = vec4<u64>;

// Vectors `at`, which is even, and `at` + 1.
fn source8(at: u32, next: bool) -> Eight {
    return unpack8(source[at / 2u]);
}
