// A frozen matrix stored as f16, two to a word; exact, and no device feature is needed.
// The shader declares `weight: array<WeightVec>`.

alias WeightVec = vec2<u32>;

// Elements 4·i to 4·i + 3.
fn weight4(i: u32) -> vec4<f32> {
    let packed = weight[i];
    return vec4<f32>(unpack2x16float(packed.x), unpack2x16float(packed.y));
}
