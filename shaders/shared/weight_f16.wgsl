// A frozen matrix stored as f16, two to a word; exact, and no device feature is needed.
// The shader declares `weight: array<WeightVec>`.

#import shared/half.wgsl

alias WeightVec = vec2<u32>;

fn unpack_weight(packed: WeightVec) -> vec4<f32> {
    return unpack_half4(packed);
}

// Elements 4·i to 4·i + 3.
fn weight4(i: u32) -> vec4<f32> {
    return unpack_weight(weight[i]);
}
