// The pseudo-Huber error 2f·(√(d² + c²) − c) of each element, and half its derivative, f·d/√(d² + c²), where c is the
// sample's threshold. The including kernel declares `const TIMES_THRESHOLD: u32`: 1 for f = c (huber), 0 for f = 1
// (smooth_l1).
//
// √(d² + c²) − c = d²/(√(d² + c²) + c), which does not cancel where |d| is far below c.

@group(0) @binding(7) var<storage, read> threshold: array<f32>; // (B), above 0

fn pseudo_huber_factor(sample: u32) -> f32 {
    return select(1.0, threshold[sample], TIMES_THRESHOLD == 1u);
}

fn pseudo_huber_root(distance: vec4<f32>, c: f32) -> vec4<f32> {
    return sqrt(distance * distance + c * c);
}

fn loss_of(distance: vec4<f32>, sample: u32) -> vec4<f32> {
    let c = threshold[sample];
    return 2.0 * pseudo_huber_factor(sample) * (distance * distance / (pseudo_huber_root(distance, c) + c));
}

fn half_slope_of(distance: vec4<f32>, sample: u32) -> vec4<f32> {
    return pseudo_huber_factor(sample) * (distance / pseudo_huber_root(distance, threshold[sample]));
}
