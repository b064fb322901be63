// A frozen matrix stored as bf16, the upper halves of f32 values, in vectors of eight.
// The shader declares `weight: array<WeightVec>`.

alias WeightVec = vec4<u32>;

fn unpack_weights(packed: WeightVec) -> Eight {
    let low = bitcast<vec4<f32>>(packed << vec4<u32>(16u));
    let high = bitcast<vec4<f32>>(packed & vec4<u32>(0xffff0000u));
    return Eight(vec4<f32>(low.x, high.x, low.y, high.y), vec4<f32>(low.z, high.z, low.w, high.w));
}
