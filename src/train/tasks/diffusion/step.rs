//! What a diffusion step is recorded from: its sizes, its options, and the networks.

use crate::{
    adapters::AdapterSet,
    diffusion::LatentShape,
    families::SD_V1,
    models::{ClipText, UNet},
    size::Size,
    tape::{Checkpointing, DType},
    train::engine::LossScale,
};

use super::objective::Objective;

/// Sizes that the passes are recorded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepShape {
    pub batch: usize,
    /// Of the latents.
    pub size: Size,
    /// Tokens of a text embedding.
    pub tokens: usize,
}

impl StepShape {
    /// Shape of a picture's latent.
    pub fn latent(&self) -> LatentShape {
        LatentShape { size: self.size, channels: SD_V1.latent.channels }
    }
}

/// What is recorded besides the sizes.
#[derive(Clone, Debug)]
pub struct StepOptions {
    pub objective: Objective,
    pub checkpointing: Checkpointing,
    /// Element type of the U-Net's activations and their gradients: F32 or F16.
    pub activations: DType,
    pub dropouts: Dropouts,
    /// Modules whose outputs are kept for reading, by diffusers path.
    pub observed: Vec<String>,
}

/// What LoRAs drop in training (sd-scripts' `networks/lora.py`); 0 is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Dropouts {
    /// Share of the elements behind `down`.
    pub network: f32,
    /// Share of the ranks, drawn for each picture.
    pub rank: f32,
    /// Share of the modules.
    pub module: f32,
}

impl Dropouts {
    /// Whether each module takes a mask of its ranks.
    pub fn masks_ranks(&self) -> bool {
        *self != Self::default()
    }
}

/// A text encoder that is trained.
#[derive(Clone, Copy)]
pub struct TrainedText<'a> {
    pub model: &'a ClipText<'a>,
    /// From 1: which layer the U-Net reads, from behind.
    pub clip_skip: usize,
}

/// What every pass is recorded from.
#[derive(Clone, Copy)]
pub struct Recorder<'a> {
    pub unet: &'a UNet,
    /// `None`: text embeddings are given.
    pub text: Option<TrainedText<'a>>,
    pub adapters: &'a AdapterSet,
    pub loss_scale: &'a LossScale,
}
