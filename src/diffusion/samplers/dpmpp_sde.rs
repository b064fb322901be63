//! DPM-Solver++ for the stochastic equation, as k-diffusion's `sample_dpmpp_sde` with r = 1/2 and η = 1.
//!
//! The two noises of a step are increments of one Brownian motion over σ, as from k-diffusion's
//! `BrownianTreeNoiseSampler`: the second spans the first. Here each half of the step draws its own, and the second is
//! their weighted sum.

use super::euler::{self, ancestral};
use super::{walk::Walk, weighted_sum};

/// To σ_mid = √(σσ') and noise; then from x again all the way, with the estimate made there, and noise.
pub(super) fn step<E>(walk: &mut Walk<E>, x: &[f32], denoised: &[f32], from: f64, to: f64) -> Result<Vec<f32>, E> {
    if to == 0.0 {
        return Ok(euler::step(x, denoised, from, to));
    }
    let mid = (from * to).sqrt();
    let first = walk.noise(x.len());
    let half_way = half_step(x, denoised, &first, from, mid);
    let denoised_mid = walk.denoised_at(&half_way, mid)?;
    let second = walk.noise(x.len());
    let whole = joined(&first, from - mid, &second, mid - to);
    Ok(half_step(x, &denoised_mid, &whole, from, to))
}

/// (σ_down/σ)·x + (1 − σ_down/σ)·denoised + σ_up·noise
fn half_step(x: &[f32], denoised: &[f32], noise: &[f32], from: f64, to: f64) -> Vec<f32> {
    let (down, up) = ancestral(from, to);
    let kept = down / from;
    weighted_sum([(kept, x), (1.0 - kept, denoised), (up, noise)])
}

/// Unit noise over two spans from unit noise over each: increments of √span·noise add up.
fn joined(first: &[f32], first_span: f64, second: &[f32], second_span: f64) -> Vec<f32> {
    let whole = first_span + second_span;
    weighted_sum([((first_span / whole).sqrt(), first), ((second_span / whole).sqrt(), second)])
}
