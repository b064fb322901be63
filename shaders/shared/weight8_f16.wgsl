// A frozen matrix stored as f16, in vectors of eight. The shader declares `weight: array<WeightVec>`.

alias WeightVec = vec4<u32>;

fn unpack_weights(packed: WeightVec) -> Eight {
    return unpack_half8(packed);
}
