// Eight values of `source` at once: rows whose lengths and strides are multiples of eight.

#import shared/eights.wgsl

alias SourceVec = Octet;

// Vectors `at`, which is even, and `at` + 1.
fn source8(at: u32, next: bool) -> Eight {
    return unpack_octet(source[at / 2u]);
}
