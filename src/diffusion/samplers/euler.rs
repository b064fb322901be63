//! Euler's method, plain and ancestral: k-diffusion's `sample_euler` and `sample_euler_ancestral` with η = 1.

use super::{walk::Walk, weighted_sum};

/// x + (x − denoised)/σ · (σ' − σ)
pub(super) fn step(x: &[f32], denoised: &[f32], from: f64, to: f64) -> Vec<f32> {
    let kept = to / from;
    weighted_sum([(kept, x), (1.0 - kept, denoised)])
}

/// A step to below σ', and noise up to it. The last step ends at 0 and draws none.
pub(super) fn ancestral_step<E>(walk: &mut Walk<E>, x: &[f32], denoised: &[f32], from: f64, to: f64) -> Vec<f32> {
    if to == 0.0 {
        return step(x, denoised, from, to);
    }
    let (down, up) = ancestral(from, to);
    let kept = down / from;
    let noise = walk.noise(x.len());
    weighted_sum([(kept, x), (1.0 - kept, denoised), (up, &noise)])
}

/// (σ_down, σ_up): σ_up² = σ'²(σ² − σ'²)/σ² is added as noise, σ_down² = σ'² − σ_up² is where the model leads.
pub(super) fn ancestral(from: f64, to: f64) -> (f64, f64) {
    let ratio = to / from;
    (to * ratio, to * (1.0 - ratio * ratio).sqrt())
}
