// A frozen matrix stored as f32. The shader declares `weight: array<WeightVec>`.

alias WeightVec = vec4<f32>;

fn unpack_weight(packed: WeightVec) -> vec4<f32> {
    return packed;
}

// Elements 4·i to 4·i + 3.
fn weight4(i: u32) -> vec4<f32> {
    return unpack_weight(weight[i]);
}
