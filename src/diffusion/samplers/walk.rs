//! A sampling under way: what samplers call, and what they ask of it.

use super::{SamplingPlan, weighted_sum};
use crate::diffusion::sigmas::Level;
use crate::families::Prediction;

/// One call of the U-Net.
pub struct ModelCall<'a> {
    /// The latents as the U-Net wants them: of unit variance.
    pub input: &'a [f32],
    /// In 0..=999, a fraction between two trained timesteps.
    pub timestep: f64,
    /// Counts the calls from 0; see `Sampler::calls_per_step`.
    pub index: usize,
}

/// What a step led to.
pub struct StepReport<'a> {
    /// Counts the steps from 0.
    pub index: usize,
    pub steps: usize,
    /// The latents after the step.
    pub latents: &'a [f32],
    /// The estimate of the finished latents from which the step began: what a preview shows.
    pub denoised: &'a [f32],
}

/// What a sampler calls. `E` ends the sampling: a failed model, or a report that asks to stop.
pub struct Callbacks<'a, E> {
    /// ε, or v, of the whole batch with guidance applied.
    pub model: &'a mut dyn FnMut(&ModelCall) -> Result<Vec<f32>, E>,
    /// Unit normal noise for the whole batch, new with each call.
    pub noise: &'a mut dyn FnMut(&mut [f32]),
    pub on_step: &'a mut dyn FnMut(StepReport) -> Result<(), E>,
}

/// A sampling under way.
pub(super) struct Walk<'a, 'b, E> {
    pub plan: &'a SamplingPlan,
    pub callbacks: &'a mut Callbacks<'b, E>,
    pub calls: usize,
    /// Where the step before began, and its estimate there.
    pub previous: Option<(Level, Vec<f32>)>,
}

impl<E> Walk<'_, '_, E> {
    /// Calls the model and reads its estimate of the noiseless latents x₀ off the answer:
    /// x₀ = (x_vp − √(1−ᾱ)·ε)/√ᾱ = √ᾱ·x_vp − √(1−ᾱ)·v, where x_vp is the U-Net's input.
    pub fn denoised(&mut self, x: &[f32], level: Level) -> Result<Vec<f32>, E> {
        let scale = self.plan.input_scale(level);
        let input = weighted_sum([(scale, x)]);
        let call = ModelCall { input: &input, timestep: level.timestep, index: self.calls };
        let output = (self.callbacks.model)(&call)?;
        assert_eq!(output.len(), x.len(), "the model's output has another size than its input");
        self.calls += 1;
        Ok(match self.plan.prediction {
            Prediction::Epsilon => weighted_sum([(scale / level.signal(), x), (-level.sigma, &output)]),
            Prediction::VPrediction => weighted_sum([(level.signal() * scale, x), (-level.noise(), &output)]),
        })
    }

    /// As `denoised`, at a noise level between the plan's own.
    pub fn denoised_at(&mut self, x: &[f32], sigma: f64) -> Result<Vec<f32>, E> {
        self.denoised(x, self.plan.model.level_of_sigma(sigma))
    }

    /// New noise for `length` numbers.
    pub fn noise(&mut self, length: usize) -> Vec<f32> {
        let mut noise = vec![0.0; length];
        (self.callbacks.noise)(&mut noise);
        noise
    }
}
