//! Samplers: from noise to latents, through a model that is called at falling noise levels.
//!
//! All are linear between two calls of the model: each new latent is a weighted sum of a few vectors, whose weights are
//! worked out in f64. `x` names the latents, `denoised` the model's estimate of the noiseless ones.

mod ddim;
mod dpmpp_2m;
mod dpmpp_sde;
mod euler;
mod heun;
mod lcm;
mod plan;
mod run;
mod sampler;
#[cfg(test)]
mod tests;
mod walk;

pub use plan::{PlanError, SamplingPlan};
pub use run::run;
pub use sampler::Sampler;
pub use walk::{Callbacks, ModelCall, StepReport};

/// Σ weight · vector, element by element: in f64, rounded once.
fn weighted_sum<const N: usize>(terms: [(f64, &[f32]); N]) -> Vec<f32> {
    let length = terms[0].1.len();
    assert!(terms.iter().all(|(_, vector)| vector.len() == length), "latents, noise and picture differ in size");
    let sum =
        |index: usize| terms.iter().map(|&(weight, vector)| weight * f64::from(vector[index])).sum::<f64>() as f32;
    (0..length).map(sum).collect()
}
