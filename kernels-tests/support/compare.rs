//! Comparison by relative L2 norm.

/// ‖actual − expected‖ / ‖expected‖ (the plain norm where the expected values are all zero).
fn relative_l2(actual: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(actual.len(), expected.len(), "lengths differ");
    let difference: f64 = actual.iter().zip(expected).map(|(a, e)| (f64::from(*a) - e).powi(2)).sum();
    let norm: f64 = expected.iter().map(|e| e * e).sum();
    if norm == 0.0 { difference.sqrt() } else { (difference / norm).sqrt() }
}

/// Fails with `what` where the relative error exceeds `tolerance` or a value is not finite.
pub fn assert_close(what: &str, actual: &[f32], expected: &[f64], tolerance: f64) {
    let error = relative_l2(actual, expected);
    let worst = actual.iter().zip(expected).enumerate().max_by(|a, b| {
        let distance = |(_, (actual, expected)): &(usize, (&f32, &f64))| (f64::from(**actual) - **expected).abs();
        distance(a).total_cmp(&distance(b))
    });
    assert!(error <= tolerance, "{what}: relative error {error:.2e} exceeds {tolerance:.0e}; worst element {worst:?}");
}
