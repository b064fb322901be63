// No bias: the kernel then has no such binding.

fn bias4(i: u32) -> vec4<f32> {
    return vec4<f32>();
}
