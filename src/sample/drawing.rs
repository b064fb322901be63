//! What is to be drawn: prompts, sizes, settings, and the passes that they make.

use std::path::PathBuf;

use anyhow::Result;

use crate::{
    diffusion::{
        NoiseSchedule, Rng,
        samplers::{Sampler, SamplingPlan},
    },
    families::{Prediction, SD_V1},
    size::Size,
};

use super::{denoiser::DenoiserShape, prompt::lora_tags::LoraTag};

/// One picture to draw.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// Without its `<lora:…>` tags.
    pub prompt: String,
    pub negative_prompt: String,
    pub loras: Vec<LoraTag>,
    pub seed: u64,
    /// Another drawing that it is on the way to.
    pub toward: Option<Toward>,
    /// Of the first pass, in pixels: whole cells of a latent along both sides.
    pub size: Size,
    pub settings: Settings,
}

/// Where a drawing between two goes.
#[derive(Clone, Debug)]
pub struct Toward {
    pub prompt: String,
    pub seed: u64,
    /// How far it is, 0 to 1.
    pub share: f64,
}

/// How pictures are drawn.
#[derive(Clone, Debug)]
pub struct Settings {
    pub prediction: Prediction,
    pub sampler: Sampler,
    pub steps: usize,
    /// Strength of guidance; at 1 the negative prompt does not count.
    pub cfg_scale: f32,
    pub clip_skip: usize,
    pub rng: Rng,
    /// A picture to start from.
    pub init_image: Option<Redraw<PathBuf>>,
    /// A second pass at this factor of the size.
    pub hires: Option<Redraw<f64>>,
}

/// Noise over something that is there already, and how much.
#[derive(Clone, Debug)]
pub struct Redraw<T> {
    pub from: T,
    /// Share of the steps that is drawn anew, up to 1, which leaves nothing; at least one step.
    pub strength: f64,
}

impl Drawing {
    /// The passes that lead to the picture: sizes in latents, and the share of the steps of each.
    pub(super) fn passes(&self) -> Vec<Pass> {
        let of = |factor: f64, pixels: usize| (pixels as f64 * factor / SD_V1.latent.cell as f64).round() as usize;
        let size = |factor| Size::new(of(factor, self.size.width), of(factor, self.size.height));
        let pass = |factor, strength| Pass { size: size(factor), strength };
        let first = pass(1.0, self.settings.init_image.as_ref().map_or(1.0, |init| init.strength));
        let second = self.settings.hires.as_ref().map(|hires| pass(hires.from, hires.strength));
        std::iter::once(first).chain(second).collect()
    }

    /// Steps of all passes.
    ///
    /// # Errors
    /// A number of steps or a strength that the sampler cannot run.
    pub fn steps(&self) -> Result<usize> {
        self.passes().iter().map(|pass| Ok(self.settings.plan(pass.strength)?.steps())).sum()
    }
}

/// One run of the sampler: size of its latents, and the share of the steps that it draws.
pub(super) struct Pass {
    pub size: Size,
    pub strength: f64,
}

impl Settings {
    /// What a denoiser is compiled for that draws latents of `size`.
    pub fn shape(&self, size: Size, tokens: usize) -> DenoiserShape {
        DenoiserShape { size, tokens, guided: self.cfg_scale != 1.0 }
    }

    pub(super) fn plan(&self, strength: f64) -> Result<SamplingPlan> {
        let schedule = NoiseSchedule::stable_diffusion();
        Ok(SamplingPlan::new(self.sampler, &schedule, self.prediction, self.steps, strength)?)
    }
}
