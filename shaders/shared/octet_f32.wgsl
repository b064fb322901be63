// Activations stored as f32, read eight at a time.

#import shared/eight.wgsl

alias Octet = vec4<u64>;

fn unpack_octet(octet: Octet) -> Eight {
    return unpack8(octet);
}
