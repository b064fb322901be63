// A bias over the global `bias: array<vec4<f32>>`, (N / 4).

fn bias4(i: u32) -> vec4<f32> {
    return bias[i];
}
