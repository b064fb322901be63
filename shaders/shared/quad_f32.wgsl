// Activations stored as f32. Kernels read and write them as quads, four values each.

alias Quad = vec4<f32>;

fn unpack4(quad: Quad) -> vec4<f32> {
    return quad;
}

fn pack4(values: vec4<f32>) -> Quad {
    return values;
}
