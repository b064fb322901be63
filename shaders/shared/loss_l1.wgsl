// The absolute error |d| of each element, and half its derivative, ½·sign(d) with sign(0) = 0.

fn loss_of(distance: vec4<f32>, sample: u32) -> vec4<f32> {
    return abs(distance);
}

fn half_slope_of(distance: vec4<f32>, sample: u32) -> vec4<f32> {
    return 0.5 * sign(distance);
}
