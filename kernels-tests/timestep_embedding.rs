use lora_wgpu::ops;

use crate::support::Fixture;

/// Frequencies whose exponential lies so near the middle between two floats (within 2 % of their distance) that
/// PyTorch's exp, which is good to one unit in the last place, takes the other one.
const ROUNDED_ELSEWISE: [usize; 2] = [2, 55];

#[test]
fn matches_diffusers() {
    let fixture = Fixture::open("timestep_embedding");
    let expected = fixture.expected("embedding");
    let actual = ops::timestep_embedding(&fixture.expected("t"), 320);
    for (i, (actual, expected)) in actual.iter().zip(&expected).enumerate() {
        // One unit in the last place of an angle below 1,024 is 6.1e-5.
        let tolerance = if ROUNDED_ELSEWISE.contains(&(i % 160)) { 6.2e-5 } else { 1e-6 };
        assert!((f64::from(*actual) - expected).abs() < tolerance, "{i}: {actual}, not {expected}");
    }
}
