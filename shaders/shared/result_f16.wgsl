// Results stored as f16, in kernels whose results may be of another type than what they read.

#import shared/half.wgsl

alias ResultQuad = vec2<u32>;

fn unpack_result(quad: ResultQuad) -> vec4<f32> {
    return unpack_half4(quad);
}

fn pack_result(values: vec4<f32>) -> ResultQuad {
    return pack_half4(values);
}
