use thiserror::Error;

use super::{Sampler, weighted_sum};
use crate::diffusion::sigmas::{Level, ModelSigmas};
use crate::{diffusion::schedule::NoiseSchedule, families::Prediction};

/// A number of steps or a strength that a sampler cannot run.
#[derive(Debug, Error, PartialEq)]
pub enum PlanError {
    #[error("{sampler} takes 1 to {most} steps, not {steps}")]
    Steps { sampler: &'static str, steps: usize, most: usize },
    #[error("strength {strength} of {steps} steps leaves no step to run; take a strength from {least} to 1")]
    TooWeak { strength: f64, steps: usize, least: f64 },
    #[error("strength {0} is not a number from 0 to 1")]
    Strength(f64),
}

/// What is known before the first call of the model: the noise levels to visit.
#[derive(Clone, Debug)]
pub struct SamplingPlan {
    pub(super) sampler: Sampler,
    pub(super) prediction: Prediction,
    pub(super) model: ModelSigmas,
    /// One level more than steps: where each step begins, and where the last one ends.
    pub(super) levels: Vec<Level>,
}

impl SamplingPlan {
    /// `strength` in (0, 1] is the share of the steps that is run: 1 from pure noise, less to change a picture. It is
    /// counted as diffusers does, ⌊steps·strength⌋ steps from the end.
    pub fn new(
        sampler: Sampler,
        schedule: &NoiseSchedule,
        prediction: Prediction,
        steps: usize,
        strength: f64,
    ) -> Result<Self, PlanError> {
        let most = sampler.most_steps();
        if !(1..=most).contains(&steps) {
            return Err(PlanError::Steps { sampler: sampler.name(), steps, most });
        }
        let model = ModelSigmas::new(schedule);
        let mut levels = match (sampler, sampler.schedule()) {
            (_, Some(schedule)) => model.scheduled(schedule, steps),
            (Sampler::Lcm, None) => model.lcm(steps),
            (_, None) => model.ddim(steps),
        };
        levels.drain(..steps - steps_to_run(steps, strength)?);
        Ok(Self { sampler, prediction, model, levels })
    }

    /// Number of steps that are run.
    pub fn steps(&self) -> usize {
        self.levels.len() - 1
    }

    /// The latents of the first step from unit normal noise, and from a picture's latents where there are some.
    pub(super) fn begin(&self, image: Option<&[f32]>, noise: &[f32]) -> Vec<f32> {
        let first = self.levels[0];
        match (image, self.preserves_variance()) {
            (None, true) => noise.to_vec(),
            (None, false) => weighted_sum([(first.sigma, noise)]),
            (Some(image), true) => weighted_sum([(first.signal(), image), (first.noise(), noise)]),
            (Some(image), false) => weighted_sum([(1.0, image), (first.sigma, noise)]),
        }
    }

    /// What the latents are multiplied by to become the U-Net's input.
    pub(super) fn input_scale(&self, level: Level) -> f64 {
        if self.preserves_variance() { 1.0 } else { level.signal() }
    }

    fn preserves_variance(&self) -> bool {
        self.sampler.schedule().is_none()
    }
}

/// `int(steps * strength)`
fn steps_to_run(steps: usize, strength: f64) -> Result<usize, PlanError> {
    if !(0.0..=1.0).contains(&strength) {
        return Err(PlanError::Strength(strength));
    }
    match (steps as f64 * strength) as usize {
        0 => Err(PlanError::TooWeak { strength, steps, least: (100.0 / steps as f64).ceil() / 100.0 }),
        count => Ok(count),
    }
}
