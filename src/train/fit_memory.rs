//! Settings that keep a run within a limit of device memory.

use anyhow::{Result, bail};

use crate::{
    config::{GradientCheckpointing, TrainConfig, bytes_as_text},
    gpu::Gpu,
    models::{UNet, encode::BuiltDecoder},
    nn::Built,
};

use super::{
    lora::Lora,
    memory_plan::MemoryPlan,
    previews::PreviewSet,
    setup::{new_lora, step_options, step_shape},
    step::StepPlans,
};

/// A run whose plan stays within the limit: the configuration, changed where it had to be, and what follows from it.
pub(super) struct Fitted {
    pub config: TrainConfig,
    pub lora: Lora,
    pub plans: StepPlans,
    pub memory: MemoryPlan,
}

impl Fitted {
    /// The first of the settings from fast to slow that `vram_limit` allows; without a limit the configured ones. Says
    /// what it changes.
    ///
    /// # Errors
    /// A value too large for the device; a limit that no setting meets, with the least that would.
    pub fn new(
        gpu: &Gpu,
        config: &TrainConfig,
        unet: &UNet,
        built: &Built<'_>,
        tokens: usize,
        previews: Option<(&PreviewSet, &BuiltDecoder<'_>)>,
        say: &mut dyn FnMut(&str),
    ) -> Result<Self> {
        let limit = config.vram_limit.unwrap_or(u64::MAX);
        let mut least = u64::MAX;
        for candidate in candidates(config) {
            let lora = new_lora(gpu, &candidate, &built.modules);
            let mut plans = StepPlans::new(gpu, unet, &lora, step_shape(&candidate, tokens), step_options(&candidate))?;
            if let Some((set, decoder)) = previews {
                plans.share_slots(set.plans(gpu, unet, &lora, decoder)?);
            }
            let memory = MemoryPlan::new(built, &lora, &plans, previews.map(|(_, decoder)| decoder));
            let fitted = Self { config: candidate, lora, plans, memory };
            let bytes = memory.total();
            if bytes <= limit {
                fitted.changes(config).iter().for_each(|change| say(change));
                return Ok(fitted);
            }
            least = least.min(bytes);
        }
        let fixed = config.gradient_checkpointing == GradientCheckpointing::Off;
        bail!(
            "vram_limit: {} cannot be met: these settings take {:.2} GB at least, {:.2} GB of them for the base model. \
             Lower `resolution`, or use a base model in fp16{}{}",
            bytes_as_text(limit),
            least as f64 * 1e-9,
            built.bytes() as f64 * 1e-9,
            if fixed { ", or leave `gradient_checkpointing` at auto" } else { "" },
            if previews.is_some() { ", or leave out `sample_prompts`, whose pictures need memory too" } else { "" },
        )
    }

    /// What is no longer as configured, and what it costs.
    fn changes(&self, config: &TrainConfig) -> Vec<String> {
        let mut changes = Vec::new();
        if self.config.batch_size < config.batch_size {
            changes.push(format!(
                "vram_limit: {} at once instead of {}, with gradients summed over {} for the same update; slower only \
                 where so few do not fill the device",
                self.config.batch_size, config.batch_size, self.config.gradient_accumulation_steps
            ));
        }
        if self.config.gradient_checkpointing != config.gradient_checkpointing {
            changes.push("vram_limit: gradient checkpointing, so that a step computes about two fifths more".into());
        }
        changes
    }
}

/// The configuration and what may stand for it, from fast to slow: fewer pictures at once, then checkpointing too. The
/// updates are the same ones.
fn candidates(config: &TrainConfig) -> Vec<TrainConfig> {
    let sizes = (1..=config.batch_size).rev().filter(|size| config.batch_size.is_multiple_of(*size));
    let split = |size| TrainConfig {
        batch_size: size,
        gradient_accumulation_steps: config.gradient_accumulation_steps * (config.batch_size / size),
        ..config.clone()
    };
    let mut candidates: Vec<TrainConfig> = sizes.map(split).collect();
    if config.gradient_checkpointing == GradientCheckpointing::Auto {
        let on = |candidate: &TrainConfig| TrainConfig {
            gradient_checkpointing: GradientCheckpointing::On,
            ..candidate.clone()
        };
        candidates.extend(candidates.iter().map(on).collect::<Vec<_>>());
    }
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(candidates: &[TrainConfig]) -> Vec<(u32, u32, GradientCheckpointing)> {
        let of = |c: &TrainConfig| (c.batch_size, c.gradient_accumulation_steps, c.gradient_checkpointing);
        candidates.iter().map(of).collect()
    }

    #[test]
    fn what_is_slower_comes_later_and_updates_stay_the_same() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let yaml = "base_model: a\ntrain_data_dir: b\nbatch_size: 6\ngradient_accumulation_steps: 2\n";
        std::fs::write(file.path(), yaml).unwrap();
        let config = crate::config::load(file.path(), &[]).unwrap().config;
        let (auto, on) = (GradientCheckpointing::Auto, GradientCheckpointing::On);
        let splits = [(6, 2), (3, 4), (2, 6), (1, 12)];
        let expected: Vec<_> = [auto, on].into_iter().flat_map(|mode| splits.map(|(b, a)| (b, a, mode))).collect();
        assert_eq!(settings(&candidates(&config)), expected);
        let fixed = TrainConfig { gradient_checkpointing: GradientCheckpointing::Off, ..config };
        assert_eq!(candidates(&fixed).len(), 4, "what the user has set stays");
    }
}
