use super::{Plan, Sampler, ddim, dpmpp_2m, dpmpp_sde, euler, heun, lcm, weighted_sum};
use crate::diffusion::schedule::Prediction;
use crate::diffusion::sigmas::Level;

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

/// Samples: `latents` holds unit normal noise and becomes the finished latents. `image` holds a picture's latents to
/// begin from, for a plan of strength below 1.
pub fn run<E>(
    plan: &Plan,
    image: Option<&[f32]>,
    latents: &mut Vec<f32>,
    callbacks: &mut Callbacks<E>,
) -> Result<(), E> {
    *latents = plan.begin(image, latents);
    let mut walk = Walk { plan, callbacks, calls: 0, previous: None };
    for (index, levels) in plan.levels.windows(2).enumerate() {
        let denoised = walk.denoised(latents, levels[0])?;
        *latents = walk.step(latents, &denoised, levels[0], levels[1])?;
        let report = StepReport { index, steps: plan.steps(), latents, denoised: &denoised };
        (walk.callbacks.on_step)(report)?;
        walk.previous = Some((levels[0], denoised));
    }
    Ok(())
}

/// A sampling under way.
pub(super) struct Walk<'a, 'b, E> {
    plan: &'a Plan,
    callbacks: &'a mut Callbacks<'b, E>,
    calls: usize,
    /// Where the step before began, and its estimate there.
    previous: Option<(Level, Vec<f32>)>,
}

impl<E> Walk<'_, '_, E> {
    /// The latents at `to` from those at `from`.
    fn step(&mut self, x: &[f32], denoised: &[f32], from: Level, to: Level) -> Result<Vec<f32>, E> {
        Ok(match self.plan.sampler {
            Sampler::Euler => euler::step(x, denoised, from.sigma, to.sigma),
            Sampler::EulerA => euler::ancestral_step(self, x, denoised, from.sigma, to.sigma),
            Sampler::Ddim => ddim::step(x, denoised, from, to),
            Sampler::Heun => heun::step(self, x, denoised, from, to)?,
            Sampler::Dpmpp2m | Sampler::Dpmpp2mKarras => {
                let previous = self.previous.as_ref().map(|(level, denoised)| (level.sigma, &denoised[..]));
                dpmpp_2m::step(x, denoised, previous, from.sigma, to.sigma)
            }
            Sampler::DpmppSde => dpmpp_sde::step(self, x, denoised, from.sigma, to.sigma)?,
            Sampler::Lcm => lcm::step(self, x, denoised, from, to),
        })
    }

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
