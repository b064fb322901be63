// Eight values loaded at a time, for drivers that load lane by lane: there one load of 32 bytes costs little more than
// one of 16.

#import shared/half.wgsl

alias Eight = array<vec4<f32>, 2>;

// The f32 values of four 64-bit words, lower halves first.
fn unpack8(words: vec4<u64>) -> Eight {
    let low = vec4<u32>(words);
    let high = vec4<u32>(words >> vec4<u32>(32u));
    return Eight(
        bitcast<vec4<f32>>(vec4<u32>(low.x, high.x, low.y, high.y)),
        bitcast<vec4<f32>>(vec4<u32>(low.z, high.z, low.w, high.w)),
    );
}

// The f16 values of four words.
fn unpack_half8(words: vec4<u32>) -> Eight {
    return Eight(unpack_half4(words.xy), unpack_half4(words.zw));
}
