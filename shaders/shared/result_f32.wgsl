// Results stored as f32, in kernels whose results may be of another type than what they read.

alias ResultQuad = vec4<f32>;

fn unpack_result(quad: ResultQuad) -> vec4<f32> {
    return quad;
}

fn pack_result(values: vec4<f32>) -> ResultQuad {
    return values;
}
