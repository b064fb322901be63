//! What a configuration means for the passes of a training.

use crate::{
    adapters::{AdapterSet, Kind, Rules, Size, UnetRules},
    config::{GradientCheckpointing, MixedPrecision, TrainConfig},
    families::SD_V1,
    gpu::Gpu,
    optim::Optimizer,
    tape::{Checkpointing, DType},
    train::engine::LossScale,
    weights::lora::Site,
};

use super::{
    assembly::Trained,
    objective::Objective,
    recording::{Dropouts, StepOptions, StepShape},
};

/// The adapters that the configuration asks for, on those of `sites` that it targets, with their optimizer.
pub(super) fn trained(gpu: &Gpu, config: &TrainConfig, sites: &[Site]) -> Trained {
    let (plans, groups) = rules(config).plans(sites);
    let accumulate = config.gradient_accumulation_steps > 1;
    let adapters = AdapterSet::new(Kind::Lora, plans, gpu.caps().max_binding, accumulate);
    let loss_scale = LossScale::for_activations(activations(config));
    Trained::new(adapters, groups, Optimizer::new(&optimizer_settings(&config.optimizer)), loss_scale)
}

fn optimizer_settings(adamw: &crate::config::AdamW) -> crate::config::OptimizerSettings {
    let mut settings = crate::config::OptimizerSettings::new(crate::config::OptimizerKind::AdamW);
    let _ = settings.set("weight_decay", &adamw.weight_decay.into());
    settings
}

/// What is adapted, and how.
fn rules(config: &TrainConfig) -> Rules {
    let unet = UnetRules {
        target: config.lora_target,
        size: Size { rank: config.lora_rank as usize, alpha: config.lora_alpha as f32 },
        conv: None,
        blocks: None,
        conv_blocks: None,
        rate: config.unet_lr,
        block_rates: None,
        up_ratio: 1.0,
    };
    Rules { unet: Some(unet), text: None }
}

/// Sizes of a training step.
pub(super) fn step_shape(config: &TrainConfig, tokens: usize) -> StepShape {
    StepShape { batch: config.batch_size as usize, size: config.resolution.cells(SD_V1.latent.cell), tokens }
}

/// What a training step records.
pub(super) fn step_options(config: &TrainConfig) -> StepOptions {
    StepOptions {
        objective: Objective::of(config),
        checkpointing: checkpointing(config),
        activations: activations(config),
        dropouts: Dropouts::default(),
        observed: Vec::new(),
    }
}

/// Which activations the configuration keeps.
pub fn checkpointing(config: &TrainConfig) -> Checkpointing {
    match config.gradient_checkpointing {
        GradientCheckpointing::On => Checkpointing::Blocks,
        GradientCheckpointing::Cheap => Checkpointing::Cheap,
        GradientCheckpointing::Off | GradientCheckpointing::Auto => Checkpointing::Off,
    }
}

/// How the configuration stores activations.
pub fn activations(config: &TrainConfig) -> DType {
    match config.mixed_precision {
        MixedPrecision::Fp16 => DType::F16,
        MixedPrecision::No | MixedPrecision::Auto => DType::F32,
    }
}
