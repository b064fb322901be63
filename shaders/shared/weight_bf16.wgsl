// A frozen matrix stored as bf16, the upper halves of f32 values, two to a word.
// The shader declares `weight: array<WeightVec>`.

alias WeightVec = vec2<u32>;

fn unpack_weight(packed: WeightVec) -> vec4<f32> {
    let words = vec4<u32>(packed.x << 16u, packed.x & 0xffff0000u, packed.y << 16u, packed.y & 0xffff0000u);
    return bitcast<vec4<f32>>(words);
}

// Elements 4·i to 4·i + 3.
fn weight4(i: u32) -> vec4<f32> {
    return unpack_weight(weight[i]);
}
