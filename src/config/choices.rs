//! The words of keys that choose among some: tables of words and what they mean.

use crate::families::Prediction;

use super::{
    loss_config::{HuberSchedule, LossType},
    network_config::{DoraAxis, NetworkType},
    train_config::{GradientCheckpointing, LogWith, LoraTarget, LrScheduler, MixedPrecision, SavePrecision},
};

/// Words and what they mean; the first word of a meaning is the one that is shown, the others are other trainers'.
pub(super) type Choices<T> = [(&'static str, T)];

/// The word that shows `meaning`.
pub(super) fn word_for<T: PartialEq>(choices: &Choices<T>, meaning: &T) -> &'static str {
    choices[position(choices, meaning)].0
}

/// Index of the row that shows `meaning`.
pub(super) fn position<T: PartialEq>(choices: &Choices<T>, meaning: &T) -> usize {
    choices.iter().position(|(_, other)| other == meaning).expect("every meaning has a word")
}

/// A word without its meaning, for what lists or reads words of any key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub word: &'static str,
    /// The word that is shown for the same meaning: itself, or the one that it is another name for.
    pub shown: &'static str,
}

/// The words of a table, in its order.
pub(super) fn words<T: PartialEq>(choices: &Choices<T>) -> Vec<Word> {
    choices.iter().map(|(word, meaning)| Word { word, shown: word_for(choices, meaning) }).collect()
}

pub(super) const PREDICTION_TYPES: &Choices<Prediction> =
    &[(Prediction::Epsilon.name(), Prediction::Epsilon), (Prediction::VPrediction.name(), Prediction::VPrediction)];
pub(super) const LORA_TARGETS: &Choices<LoraTarget> = &[
    ("attention", LoraTarget::Attention),
    ("transformer", LoraTarget::Transformer),
    ("attn-only", LoraTarget::Attention),
    ("attn-mlp", LoraTarget::Transformer),
];
/// LyCORIS' words for its kinds.
pub(super) const NETWORK_TYPES: &Choices<NetworkType> = &[
    ("lora", NetworkType::Lora),
    ("dora", NetworkType::Dora),
    ("loha", NetworkType::Loha),
    ("lokr", NetworkType::Lokr),
    ("locon", NetworkType::Lora),
];
pub(super) const DORA_AXES: &Choices<DoraAxis> = &[("input", DoraAxis::Input), ("output", DoraAxis::Output)];
pub(super) const LR_SCHEDULERS: &Choices<LrScheduler> = &[
    ("constant", LrScheduler::Constant),
    ("constant_with_warmup", LrScheduler::ConstantWithWarmup),
    ("linear", LrScheduler::Linear),
    ("cosine", LrScheduler::Cosine),
    ("cosine_with_restarts", LrScheduler::CosineWithRestarts),
    ("polynomial", LrScheduler::Polynomial),
    ("cosine_with_min_lr", LrScheduler::CosineWithMinLr),
    ("inverse_sqrt", LrScheduler::InverseSqrt),
    ("warmup_stable_decay", LrScheduler::WarmupStableDecay),
    ("rex", LrScheduler::Rex),
];
pub(super) const LOSS_TYPES: &Choices<LossType> =
    &[("l2", LossType::L2), ("l1", LossType::L1), ("huber", LossType::Huber), ("smooth_l1", LossType::SmoothL1)];
pub(super) const HUBER_SCHEDULES: &Choices<HuberSchedule> =
    &[("snr", HuberSchedule::Snr), ("exponential", HuberSchedule::Exponential), ("constant", HuberSchedule::Constant)];
pub(super) const SAVE_PRECISIONS: &Choices<SavePrecision> = &[
    ("fp16", SavePrecision::Fp16),
    ("float", SavePrecision::Float),
    ("bf16", SavePrecision::Bf16),
    ("fp32", SavePrecision::Float),
    ("float_16", SavePrecision::Fp16),
    ("float_32", SavePrecision::Float),
    ("bfloat_16", SavePrecision::Bf16),
];
pub(super) const CHECKPOINTING_MODES: &Choices<GradientCheckpointing> = &[
    ("auto", GradientCheckpointing::Auto),
    ("cheap", GradientCheckpointing::Cheap),
    ("true", GradientCheckpointing::On),
    ("false", GradientCheckpointing::Off),
];
pub(super) const MIXED_PRECISIONS: &Choices<MixedPrecision> = &[
    ("auto", MixedPrecision::Auto),
    ("no", MixedPrecision::No),
    ("fp16", MixedPrecision::Fp16),
    ("false", MixedPrecision::No),
    ("fp32", MixedPrecision::No),
    ("float_32", MixedPrecision::No),
    ("float_16", MixedPrecision::Fp16),
];
pub(super) const LOGGERS: &Choices<LogWith> = &[("tensorboard", LogWith::TensorBoard), ("none", LogWith::None)];

/// The words for `sample_sampler`, sd-scripts' among them, and what `lora-wgpu sample` calls them.
pub const PREVIEW_SAMPLERS: &Choices<&str> = &[
    ("euler_a", "euler_a"),
    ("euler", "euler"),
    ("ddim", "ddim"),
    ("heun", "heun"),
    ("dpmpp_2m", "dpmpp_2m"),
    ("dpmpp_2m_karras", "dpmpp_2m_karras"),
    ("dpmpp_sde", "dpmpp_sde"),
    ("lcm", "lcm"),
    ("k_euler_a", "euler_a"),
    ("k_euler", "euler"),
    ("dpmsolver++", "dpmpp_2m"),
];
