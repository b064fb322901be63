//! Settings that keep a run within a limit of device memory.

use std::fmt::{self, Display, Formatter};

use anyhow::{Result, bail};

use crate::{
    config::{GradientCheckpointing, MixedPrecision, TrainConfig, bytes_as_text},
    gpu::Gpu,
    models::encode::BuiltDecoder,
    train::{
        engine::Plans,
        events::{Tell, say},
    },
};

use super::{
    assembly::Trained,
    material::Networks,
    memory_plan::MemoryPlan,
    previews::{PlannedPreviews, PreviewSet},
    settings::{activations, step_options, step_shape, trained},
};

/// A run whose plan stays within the limit: the configuration, changed where it had to be, and what follows from it.
pub(super) struct Fitted {
    pub config: TrainConfig,
    pub trained: Trained,
    pub plans: Plans,
    pub previews: Option<PlannedPreviews>,
    pub memory: MemoryPlan,
}

impl Fitted {
    /// The first of the settings from fast to slow that fits into `vram_limit`, or else into what the device has free; the
    /// configured ones where neither is known. Says what it changes.
    ///
    /// # Errors
    /// A value too large for the device; a `vram_limit` that no setting meets, with the least that would.
    pub fn new(
        gpu: &Gpu,
        config: &TrainConfig,
        networks: &Networks<'_>,
        previews: Option<(&PreviewSet, &BuiltDecoder<'_>)>,
        tell: &mut Tell<'_>,
    ) -> Result<Self> {
        let limit = Limit::of(config, gpu.free_memory());
        let mut smallest: Option<Self> = None;
        for candidate in candidates(config) {
            let fitted = Self::plan(gpu, candidate, networks, previews)?;
            let bytes = fitted.memory.total();
            if bytes <= limit.bytes() {
                fitted.changes(config).iter().for_each(|change| say(tell, &format!("{limit}: {change}")));
                return Ok(fitted);
            }
            smallest = smallest.filter(|other| other.memory.total() <= bytes).or(Some(fitted));
        }
        let smallest = smallest.expect("the configuration itself is a candidate");
        let least = smallest.memory.total() as f64 * 1e-9;
        let advice = advice(config, previews.is_some());
        if let Limit::Configured(_) = limit {
            let weights = networks.bytes() as f64 * 1e-9;
            bail!(
                "{limit} cannot be met: these settings take {least:.2} GB at least, {weights:.2} GB of them for the base \
                 model. {advice}"
            );
        }
        smallest.changes(config).iter().for_each(|change| say(tell, &format!("{limit}: {change}")));
        say(
            tell,
            &format!(
                "warning: {limit}, and these settings take {least:.2} GB at least: the device may run out of memory. Close \
             other programs. {advice}"
            ),
        );
        Ok(smallest)
    }

    fn plan(
        gpu: &Gpu,
        config: TrainConfig,
        networks: &Networks<'_>,
        previews: Option<(&PreviewSet, &BuiltDecoder<'_>)>,
    ) -> Result<Self> {
        let trained = trained(gpu, &config, &networks.sites(), networks.text_config.layers);
        let (shape, options) = (step_shape(&config, networks.tokens(&config)), step_options(&config));
        let unet = &networks.unet;
        let mut plans = trained.plan(gpu, (unet, networks.trained_text(&config)), &[shape], &options)?;
        let mut planned = None;
        if let Some((set, decoder)) = previews {
            let (guests, previews) = set.plan(gpu, unet, &trained.adapters, decoder, activations(&config))?;
            plans.share_slots(guests);
            planned = Some(previews);
        }
        let memory = MemoryPlan::new(networks.bytes(), &trained, &plans, previews.map(|(_, decoder)| decoder));
        Ok(Self { config, trained, plans, previews: planned, memory })
    }

    /// What is no longer as configured, and what it costs.
    fn changes(&self, config: &TrainConfig) -> Vec<String> {
        let mut changes = Vec::new();
        if self.config.mixed_precision != config.mixed_precision {
            changes.push("activations in fp16, with loss scaling".into());
        }
        if self.config.batch_size < config.batch_size {
            changes.push(format!(
                "{} at once instead of {}, with gradients summed over {} for the same update; slower only where so few do \
                 not fill the device",
                self.config.batch_size, config.batch_size, self.config.gradient_accumulation_steps
            ));
        }
        if self.config.gradient_checkpointing != config.gradient_checkpointing {
            changes.push(match self.config.gradient_checkpointing {
                GradientCheckpointing::Cheap => "norms and GEGLUs computed again in backward, hardly slower".into(),
                _ => "gradient checkpointing, so that a step computes about two fifths more".into(),
            });
        }
        changes
    }
}

/// Where a limit of memory comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    Configured(u64),
    /// What the device has free.
    Free(u64),
    Unknown,
}

impl Limit {
    fn of(config: &TrainConfig, free: Option<u64>) -> Self {
        config.vram_limit.map(Self::Configured).or(free.map(Self::Free)).unwrap_or(Self::Unknown)
    }

    /// Bytes that a plan may have. A driver needs some of what is free for itself: shaders, queues, half-filled blocks.
    fn bytes(self) -> u64 {
        match self {
            Self::Configured(bytes) => bytes,
            Self::Free(bytes) => bytes / 20 * 19,
            Self::Unknown => u64::MAX,
        }
    }
}

impl Display for Limit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configured(bytes) => write!(f, "vram_limit {}", bytes_as_text(*bytes)),
            Self::Free(bytes) => write!(f, "the device has {:.2} GB free", *bytes as f64 * 1e-9),
            Self::Unknown => write!(f, "no limit is known"),
        }
    }
}

/// What makes a run smaller that does not fit.
fn advice(config: &TrainConfig, previews: bool) -> String {
    let checkpointing = config.gradient_checkpointing == GradientCheckpointing::Off;
    let precision = config.mixed_precision == MixedPrecision::No;
    format!(
        "Lower `resolution`, or use a base model in fp16{}{}{}",
        if precision { ", or leave `mixed_precision` at auto" } else { "" },
        if checkpointing { ", or leave `gradient_checkpointing` at auto" } else { "" },
        if previews { ", or leave out `sample_prompts`, whose pictures need memory too" } else { "" },
    )
}

/// The configuration and what may stand for it, from fast to slow: fp16, then norms and GEGLUs computed again, then fewer
/// pictures at once, then checkpointing too. But for rounding the updates are the same ones.
fn candidates(config: &TrainConfig) -> Vec<TrainConfig> {
    let half = TrainConfig { mixed_precision: MixedPrecision::Fp16, ..config.clone() };
    let chosen = config.mixed_precision != MixedPrecision::Auto;
    let smaller = if chosen { config } else { &half };
    let sizes = (1..=config.batch_size).rev().filter(|size| config.batch_size.is_multiple_of(*size));
    let split = |size| TrainConfig {
        batch_size: size,
        gradient_accumulation_steps: config.gradient_accumulation_steps * (config.batch_size / size),
        ..smaller.clone()
    };
    let splits: Vec<TrainConfig> = sizes.map(split).collect();
    let mut candidates = vec![splits[0].clone()];
    if config.gradient_checkpointing == GradientCheckpointing::Auto {
        for mode in [GradientCheckpointing::Cheap, GradientCheckpointing::On] {
            candidates.extend(splits.iter().map(|split| TrainConfig { gradient_checkpointing: mode, ..split.clone() }));
        }
    } else {
        candidates.extend_from_slice(&splits[1..]);
    }
    if !chosen {
        candidates.insert(0, config.clone());
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

    fn config(yaml: &str) -> TrainConfig {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("base_model: a\ntrain_data_dir: b\n{yaml}")).unwrap();
        crate::config::load(file.path(), &[]).unwrap().config
    }

    #[test]
    fn what_is_configured_goes_before_what_is_free() {
        let gigabyte = 1_000_000_000;
        let limited = Limit::of(&config("vram_limit: 4GB\n"), Some(3 * gigabyte));
        assert_eq!((limited.bytes(), limited.to_string()), (4 * gigabyte, "vram_limit 4GB".to_owned()));
        let free = Limit::of(&config(""), Some(3 * gigabyte));
        assert_eq!((free.bytes(), free.to_string()), (2_850_000_000, "the device has 3.00 GB free".to_owned()));
        assert_eq!(Limit::of(&config(""), None).bytes(), u64::MAX);
    }

    #[test]
    fn what_is_slower_comes_later_and_updates_stay_the_same() {
        let config = config("batch_size: 6\ngradient_accumulation_steps: 2\nmixed_precision: no\n");
        let splits = [(6, 2), (3, 4), (2, 6), (1, 12)];
        let modes = [GradientCheckpointing::Cheap, GradientCheckpointing::On].into_iter();
        let slower = modes.flat_map(|mode| splits.map(|(batch, accumulation)| (batch, accumulation, mode)));
        let expected: Vec<_> = [(6, 2, GradientCheckpointing::Auto)].into_iter().chain(slower).collect();
        assert_eq!(settings(&candidates(&config)), expected);
        let fixed = TrainConfig { gradient_checkpointing: GradientCheckpointing::Off, ..config };
        assert_eq!(candidates(&fixed).len(), 4, "what the user has set stays");
    }

    #[test]
    fn fp16_comes_before_what_is_slower() {
        let candidates = candidates(&config("batch_size: 2\n"));
        let precisions: Vec<_> = candidates.iter().map(|candidate| candidate.mixed_precision).collect();
        let (auto, half) = (MixedPrecision::Auto, MixedPrecision::Fp16);
        assert_eq!(precisions, [auto, half, half, half, half, half]);
        assert_eq!((candidates[0].batch_size, candidates[1].batch_size), (2, 2));
    }
}
