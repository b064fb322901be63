// A frozen matrix stored as f32, in vectors of eight. The shader declares `weight: array<WeightVec>`.

alias WeightVec = vec4<u64>;

fn unpack_weights(packed: WeightVec) -> Eight {
    return unpack8(packed);
}
