//! Heun's method: Karras et al. 2022, algorithm 2 without churn, as k-diffusion's `sample_heun`.

use super::{euler, walk::Walk, weighted_sum};
use crate::diffusion::sigmas::Level;

/// x + (d + d')/2 · (σ' − σ), where d = (x − denoised)/σ, and d' is the same at the end of an Euler step. The last
/// step is Euler's.
pub(super) fn step<E>(walk: &mut Walk<E>, x: &[f32], denoised: &[f32], from: Level, to: Level) -> Result<Vec<f32>, E> {
    let euler = euler::step(x, denoised, from.sigma, to.sigma);
    if to.sigma == 0.0 {
        return Ok(euler);
    }
    let denoised_there = walk.denoised(&euler, to)?;
    let half = (to.sigma - from.sigma) / 2.0;
    let (here, there) = (half / from.sigma, half / to.sigma);
    Ok(weighted_sum([(1.0 + here, x), (-here, denoised), (there, &euler), (-there, &denoised_there)]))
}
