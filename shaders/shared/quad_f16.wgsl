// Activations stored as f16. Kernels read and write them as quads, four values each.

#import shared/half.wgsl

alias Quad = vec2<u32>;

fn unpack4(quad: Quad) -> vec4<f32> {
    return unpack_half4(quad);
}

fn pack4(values: vec4<f32>) -> Quad {
    return pack_half4(values);
}
