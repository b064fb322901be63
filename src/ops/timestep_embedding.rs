//! The sinusoidal embedding of timesteps, computed on the host: WGSL promises too little of sin and cos at large
//! arguments.

/// Ratio of the longest to the shortest wavelength.
const MAX_PERIOD: f32 = 10_000.0;

/// Embeds timesteps `t` (B) into (B, `width`): for each of width/2 frequencies `10000^(−i/(width/2))` the cosine of
/// frequency·t, then for each the sine (diffusers' `get_timestep_embedding` with `flip_sin_to_cos` and
/// `downscale_freq_shift` 0, as SD v1.5 is configured).
///
/// Frequencies and angles are rounded to f32 as diffusers rounds them: at t = 999 the rounding alone moves an angle by
/// up to 6e-5, and the network was trained with it.
///
/// # Panics
/// Where `width` is odd.
pub fn timestep_embedding(t: &[f64], width: usize) -> Vec<f32> {
    assert_eq!(width % 2, 0, "timestep_embedding: width {width} is odd");
    let half = width / 2;
    let frequencies: Vec<f32> = (0..half).map(|i| frequency(i, half)).collect();
    let mut embedding = Vec::with_capacity(t.len() * width);
    for &t in t {
        let angles = frequencies.iter().map(|frequency| f64::from(t as f32 * frequency));
        embedding.extend(angles.clone().map(|angle| angle.cos() as f32));
        embedding.extend(angles.map(|angle| angle.sin() as f32));
    }
    embedding
}

fn frequency(index: usize, half: usize) -> f32 {
    let exponent = -MAX_PERIOD.ln() * index as f32 / half as f32;
    f64::from(exponent).exp() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_come_before_sines() {
        let embedding = timestep_embedding(&[0.0, 1.0], 4);
        let expected = [1.0, 1.0, 0.0, 0.0, 1f32.cos(), 0.01f32.cos(), 1f32.sin(), 0.01f32.sin()];
        let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-6;
        assert!(embedding.iter().zip(&expected).all(close), "{embedding:?}");
    }
}
