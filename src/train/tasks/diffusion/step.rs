//! What a diffusion step is recorded from: its sizes, its options, and the networks.

use crate::{
    adapters::AdapterSet,
    diffusion::LatentSize,
    models::{ClipText, UNet},
    tape::{Checkpointing, DType},
    train::engine::LossScale,
};

use super::objective::Objective;

/// Of Stable Diffusion v1.
const LATENT_CHANNELS: usize = 4;

/// Sizes that the passes are recorded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepShape {
    pub batch: usize,
    /// Latent rows: an eighth of the picture's height.
    pub height: usize,
    /// Latent columns.
    pub width: usize,
    /// Tokens of a text embedding.
    pub tokens: usize,
}

impl StepShape {
    /// Size of a picture's latent.
    pub fn latent(&self) -> LatentSize {
        LatentSize { height: self.height, width: self.width, channels: LATENT_CHANNELS }
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
