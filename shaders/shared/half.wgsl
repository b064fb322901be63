// Four f16 values in two words; no device feature is needed.

fn unpack_half4(packed: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(packed.x), unpack2x16float(packed.y));
}

// What lies beyond f16's range becomes infinite or NaN: pack2x16float alone may give anything for it.
fn pack_half4(values: vec4<f32>) -> vec2<u32> {
    let beyond = select(vec4<u32>(), vec4<u32>(0x7c00u), abs(values) >= vec4<f32>(65520.0));
    return vec2<u32>(
        pack2x16float(values.xy) | beyond.x | (beyond.y << 16u),
        pack2x16float(values.zw) | beyond.z | (beyond.w << 16u),
    );
}
