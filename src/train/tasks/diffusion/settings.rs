//! What a configuration means for the passes of a training.

use crate::{
    adapters::{AdapterSet, Kind, Rules, Size, TextRules, UnetRules},
    config::{self, GradientCheckpointing, MixedPrecision, NETWORK_BLOCKS, NetworkConfig, NetworkType, TrainConfig},
    data::tokenizer::MAX_CAPTION_TOKENS,
    families::SD_V1,
    gpu::Gpu,
    ops::DoraAxis,
    optim::{EmaRule, Optimizer},
    tape::{Checkpointing, DType},
    train::engine::LossScale,
    weights::lora::Site,
};

use super::{
    assembly::Trained,
    objective::Objective,
    step::{Dropouts, StepOptions, StepShape},
};

/// The adapters that the configuration asks for among `sites`, with their optimizer; `layers` are those of the text
/// encoder.
pub(super) fn trained(gpu: &Gpu, config: &TrainConfig, sites: &[Site], layers: usize) -> Trained {
    let (plans, groups) = rules(config, layers).plans(sites);
    let accumulate = config.gradient_accumulation_steps > 1;
    let adapters = AdapterSet::new(kind(&config.network), plans, gpu.caps().max_binding, accumulate);
    let loss_scale = LossScale::for_activations(activations(config));
    let network = &config.network;
    let average = network.use_ema.then_some(EmaRule::Diffusers {
        decay: network.ema_decay,
        min_decay: 0.0,
        update_after_step: 0,
        warmup: None,
    });
    Trained::new(adapters, groups, Optimizer::new(&config.optimizer), loss_scale)
        .averaged(average)
        .capped((network.scale_weight_norms > 0.0).then_some(network.scale_weight_norms as f32))
}

fn kind(network: &NetworkConfig) -> Kind {
    match network.network_type {
        NetworkType::Lora => Kind::Lora,
        NetworkType::Dora => {
            let axis = match network.dora_axis {
                config::DoraAxis::Input => DoraAxis::In,
                config::DoraAxis::Output => DoraAxis::Out,
            };
            Kind::Dora { axis, detached: false }
        }
        NetworkType::Loha => Kind::Loha,
        NetworkType::Lokr => Kind::Lokr { factor: network.lokr_factor },
    }
}

/// What is adapted, and how; `layers` are those of the text encoder.
pub(super) fn rules(config: &TrainConfig, layers: usize) -> Rules {
    let network = &config.network;
    let size = size(network, config.lora_rank as usize, config.lora_alpha);
    Rules {
        unet: (!network.network_train_text_encoder_only).then(|| unet_rules(config, size)),
        text: network.trains_text_encoder().then(|| TextRules {
            size,
            rate: network.text_encoder_lr,
            up_ratio: network.loraplus_text_encoder_lr_ratio,
            layers: (layers + 1).saturating_sub(config.clip_skip as usize),
        }),
    }
}

fn unet_rules(config: &TrainConfig, whole: Size) -> UnetRules {
    let network = &config.network;
    let sized = |rank: u32, alpha: f64| size(network, rank as usize, alpha);
    UnetRules {
        target: config.lora_target,
        size: whole,
        conv: (network.conv_dim > 0).then(|| sized(network.conv_dim, network.conv_alpha)),
        blocks: block_sizes(network, &network.block_dims, &network.block_alphas, config.lora_alpha),
        conv_blocks: block_sizes(network, &network.conv_block_dims, &network.conv_block_alphas, network.conv_alpha),
        rate: config.unet_lr,
        block_rates: network.block_lr_factors(),
        up_ratio: network.loraplus_unet_lr_ratio,
    }
}

/// A rank with its alpha; rank-stabilized ones have alpha / √rank for a strength, which is written as an alpha of
/// alpha · √rank (Kalajdzievski, <https://arxiv.org/abs/2312.03732>).
fn size(network: &NetworkConfig, rank: usize, alpha: f64) -> Size {
    let factor = if network.rs_lora { (rank as f64).sqrt() } else { 1.0 };
    Size { rank, alpha: (alpha * factor) as f32 }
}

fn block_sizes(network: &NetworkConfig, dims: &[f64], alphas: &[f64], alpha: f64) -> Option<[Size; NETWORK_BLOCKS]> {
    let of = |block: usize| {
        let alpha = alphas.get(block).copied().unwrap_or(alpha);
        size(network, dims[block] as usize, alpha)
    };
    (dims.len() == NETWORK_BLOCKS).then(|| std::array::from_fn(of))
}

/// Passes of the text encoder for a caption.
pub(super) fn text_chunks(config: &TrainConfig) -> usize {
    config.network.max_token_length as usize / MAX_CAPTION_TOKENS
}

/// Sizes of a training step with `tokens` tokens of text.
pub(super) fn step_shape(config: &TrainConfig, tokens: usize) -> StepShape {
    StepShape { batch: config.batch_size as usize, size: config.resolution.cells(SD_V1.latent.cell), tokens }
}

/// What a training step records.
pub(super) fn step_options(config: &TrainConfig) -> StepOptions {
    let NetworkConfig { network_dropout, rank_dropout, module_dropout, .. } = config.network;
    StepOptions {
        objective: Objective::of(config),
        checkpointing: checkpointing(config),
        activations: activations(config),
        dropouts: Dropouts {
            network: network_dropout as f32,
            rank: rank_dropout as f32,
            module: module_dropout as f32,
        },
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
