//! Lu et al.: "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models", the multistep solver of
//! second order, as k-diffusion's `sample_dpmpp_2m`.

use super::{euler, weighted_sum};

/// (σ'/σ)·x + (1 − σ'/σ)·D, where D = denoised + (denoised − before)/(2r), r = ln(σ_before/σ)/ln(σ/σ').
///
/// `previous` is σ and estimate of the step before. The first step, and the last (to 0), are of first order: Euler's.
pub(super) fn step(x: &[f32], denoised: &[f32], previous: Option<(f64, &[f32])>, from: f64, to: f64) -> Vec<f32> {
    let Some((before, denoised_before)) = previous.filter(|_| to > 0.0) else {
        return euler::step(x, denoised, from, to);
    };
    let kept = to / from;
    let slope = (from / to).ln() / (before / from).ln() / 2.0;
    let new = 1.0 - kept;
    weighted_sum([(kept, x), (new * (1.0 + slope), denoised), (-new * slope, denoised_before)])
}
