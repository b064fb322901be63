//! Song, Meng, Ermon: "Denoising Diffusion Implicit Models", with η = 0, as diffusers' `DDIMScheduler`.

use super::weighted_sum;
use crate::diffusion::sigmas::Level;

/// √ᾱ'·x₀ + √(1−ᾱ')·ε, where ε = (x − √ᾱ·x₀)/√(1−ᾱ)
pub(super) fn step(x: &[f32], denoised: &[f32], from: Level, to: Level) -> Vec<f32> {
    let kept = to.noise() / from.noise();
    weighted_sum([(kept, x), (to.signal() - kept * from.signal(), denoised)])
}
