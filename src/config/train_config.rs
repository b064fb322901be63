//! The typed, resolved configuration. Every field has its final value: nothing is left to be derived later, except where
//! a type says so (`Option`, `Auto`).

use super::{
    loss_config::{LossConfig, NoiseConfig},
    network_config::NetworkConfig,
    optimizers::OptimizerSettings,
};
use crate::{families::Prediction, size::Size};
use std::path::PathBuf;

/// Everything `train` needs to know. Field names are the configuration keys.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainConfig {
    /// A single-file checkpoint or a diffusers folder.
    pub base_model: PathBuf,
    /// A VAE that replaces the base model's own.
    pub vae: Option<PathBuf>,
    pub prediction_type: Prediction,
    /// 1: the text encoder's last layer, 2: the one before it.
    pub clip_skip: u32,

    pub train_data_dir: PathBuf,
    /// A csv or jsonl table of captions; `None`: a table in the data folder, or files beside the pictures.
    pub metadata_path: Option<PathBuf>,
    /// With its dot; `None`: `.txt`, then `.caption`.
    pub caption_extension: Option<String>,
    pub allow_missing_captions: bool,
    /// A folder of masks under the names of the pictures; `None`: masks lie beside them.
    pub conditioning_data_dir: Option<PathBuf>,
    /// Pixels that pictures are resized and cropped to: whole cells of a latent along both sides.
    pub resolution: Size,
    pub num_repeats: u32,
    pub cache_latents_to_disk: bool,
    /// Share of the pictures held out, in [0, 1); 0 = none, `None`: by the size of the data set.
    pub validation_split: Option<f64>,

    pub lora_rank: u32,
    /// ΔW = (alpha / rank) · up · down.
    pub lora_alpha: f64,
    pub lora_target: LoraTarget,
    pub network: NetworkConfig,
    /// A LoRA file to start from.
    pub network_weights: Option<PathBuf>,

    pub epochs: u32,
    /// Optimizer steps; wins over `epochs` where set.
    pub max_train_steps: Option<u32>,
    pub batch_size: u32,
    pub gradient_accumulation_steps: u32,
    pub learning_rate: f64,
    /// The U-Net's own learning rate.
    pub unet_lr: f64,
    pub optimizer: OptimizerSettings,
    pub lr_scheduler: LrScheduler,
    pub lr_warmup_steps: Warmup,
    /// Restarts of `cosine_with_restarts`.
    pub lr_scheduler_num_cycles: u32,
    /// Exponent of `polynomial`.
    pub lr_scheduler_power: f64,
    /// Share of the learning rate that `cosine_with_min_lr` and `warmup_stable_decay` end at.
    pub lr_scheduler_min_lr_ratio: f64,
    /// Steps over which `inverse_sqrt` falls; `None`: as many as the warm-up has, without one 10 000.
    pub lr_scheduler_timescale: Option<u32>,
    /// Over which `warmup_stable_decay` falls.
    pub lr_decay_steps: Warmup,
    /// Gradients are scaled down to this norm over all parameters; 0 = never.
    pub max_grad_norm: f64,
    pub gradient_checkpointing: GradientCheckpointing,
    pub mixed_precision: MixedPrecision,
    /// γ of min-SNR loss weighting; `None`: every timestep weighs 1.
    pub min_snr_gamma: Option<f64>,
    /// Deviation of what is added to all noise of a channel, so that dark and light pictures are learnt; 0 = nothing.
    pub noise_offset: f64,
    pub loss: LossConfig,
    pub noise: NoiseConfig,
    pub seed: u64,
    /// Index of a GPU in the device list, or a part of its name; `None`: the best one.
    pub device: Option<String>,
    /// Bytes of device memory that the plan must stay within; `None`: what the device has free, where its driver tells.
    pub vram_limit: Option<u64>,

    pub output_dir: PathBuf,
    /// Stem of the LoRA files, and the name a prompt calls the LoRA by.
    pub output_name: String,
    pub save_every_n_epochs: u32,
    pub save_precision: SavePrecision,
    pub logging_dir: PathBuf,
    pub log_with: LogWith,
    /// Put before the time stamp in the name of a run's log folder.
    pub log_prefix: String,
    pub previews: Previews,
    pub provenance: Provenance,
}

/// Pictures drawn while training; the fields are the keys `sample_…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previews {
    pub prompts: PreviewPrompts,
    /// 0: never.
    pub every_n_epochs: u32,
    /// 0: never.
    pub every_n_steps: u32,
    pub at_first: bool,
    pub sampler: &'static str,
}

/// Where the previews' prompts are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PreviewPrompts {
    /// Prompts, with sd-scripts' options; nothing is drawn where there are none.
    Lines(Vec<String>),
    /// A file of such lines.
    File(PathBuf),
}

/// What the written LoRA files say about whose they are and how to use them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    pub author: Option<String>,
    pub license: Option<String>,
    pub description: Option<String>,
    pub tags: Vec<String>,
    /// Words that belong into a prompt; WebUIs add them with the LoRA.
    pub trigger_phrase: Option<String>,
}

/// Which U-Net modules get a LoRA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoraTarget {
    /// q, k, v and out of every attention: 128 modules.
    Attention,
    /// Every linear and 1×1 convolution of the transformer blocks, as WebUI LoRAs have: 192 modules.
    Transformer,
}

/// Shape of the learning rate over the run, by the names of diffusers and transformers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LrScheduler {
    Constant,
    ConstantWithWarmup,
    Linear,
    Cosine,
    CosineWithRestarts,
    Polynomial,
    CosineWithMinLr,
    InverseSqrt,
    WarmupStableDecay,
    Rex,
}

/// The learning rate at which [`LrScheduler::Polynomial`] ends, diffusers' `lr_end`.
pub const POLYNOMIAL_END_RATE: f64 = 1e-7;

/// Length of the warm-up, or of another part of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Warmup {
    /// Optimizer steps.
    Steps(u32),
    /// Share of all optimizer steps, in (0, 1).
    Share(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GradientCheckpointing {
    Off,
    /// Norms, GEGLUs and joined skips are computed again.
    Cheap,
    On,
    /// Cheap or on where memory is short.
    Auto,
}

/// Type of the numbers that a training step keeps: activations and their gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MixedPrecision {
    /// f32.
    No,
    Fp16,
    /// f32, or fp16 where memory is short.
    Auto,
}

/// Type of the numbers in the written LoRA file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SavePrecision {
    Float,
    Fp16,
    Bf16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogWith {
    TensorBoard,
    /// Only `metrics.jsonl`.
    None,
}

impl TrainConfig {
    /// The defaults of all keys. Required and derived fields are empty until the rest of this module fills them.
    pub(super) fn unresolved() -> Self {
        Self {
            base_model: PathBuf::new(),
            vae: None,
            prediction_type: Prediction::Epsilon,
            clip_skip: 1,
            train_data_dir: PathBuf::new(),
            metadata_path: None,
            caption_extension: None,
            allow_missing_captions: false,
            conditioning_data_dir: None,
            resolution: Size::square(512),
            num_repeats: 1,
            cache_latents_to_disk: false,
            validation_split: None,
            lora_rank: 8,
            lora_alpha: 0.0,
            lora_target: LoraTarget::Attention,
            network: NetworkConfig::default(),
            network_weights: None,
            epochs: 10,
            max_train_steps: None,
            batch_size: 1,
            gradient_accumulation_steps: 1,
            learning_rate: 1e-4,
            unet_lr: 0.0,
            optimizer: OptimizerSettings::default(),
            lr_scheduler: LrScheduler::Cosine,
            lr_warmup_steps: Warmup::Share(0.05),
            lr_scheduler_num_cycles: 1,
            lr_scheduler_power: 1.0,
            lr_scheduler_min_lr_ratio: 0.0,
            lr_scheduler_timescale: None,
            lr_decay_steps: Warmup::Steps(0),
            max_grad_norm: 1.0,
            gradient_checkpointing: GradientCheckpointing::Auto,
            mixed_precision: MixedPrecision::Auto,
            noise_offset: 0.0,
            min_snr_gamma: None,
            loss: LossConfig::default(),
            noise: NoiseConfig::default(),
            seed: 42,
            device: None,
            vram_limit: None,
            output_dir: PathBuf::from("./output"),
            output_name: String::new(),
            save_every_n_epochs: 1,
            save_precision: SavePrecision::Fp16,
            logging_dir: PathBuf::from("./logs"),
            log_with: LogWith::TensorBoard,
            log_prefix: String::new(),
            previews: Previews {
                prompts: PreviewPrompts::Lines(Vec::new()),
                every_n_epochs: 1,
                every_n_steps: 0,
                at_first: false,
                sampler: "euler_a",
            },
            provenance: Provenance::default(),
        }
    }
}
