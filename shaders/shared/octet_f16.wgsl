// Activations stored as f16, read eight at a time.

#import shared/eight.wgsl

alias Octet = vec4<u32>;

fn unpack_octet(octet: Octet) -> Eight {
    return unpack_half8(octet);
}
