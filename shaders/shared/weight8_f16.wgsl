// A frozen matrix stored as f16, in vectors of eight. The shader declares `weight: array<WeightVec>`.

alias WeightVec = vec4<u32>;

fn unpack_weights(packed: WeightVec) -> Eight {
    return Eight(
        vec4<f32>(unpack2x16float(packed.x), unpack2x16float(packed.y)),
        vec4<f32>(unpack2x16float(packed.z), unpack2x16float(packed.w)),
    );
}
