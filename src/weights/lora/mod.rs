//! LoRA files for SD v1.x: ΔW = (alpha / rank) · up · down.
//!
//! Written in kohya's layout, which every WebUI reads, and in diffusers'. Read in those and in PEFT's and the old
//! attention-processor layouts.

mod adapter_config;
mod delta;
mod keys;
mod loss_metadata;
mod metadata;
mod read;
mod refuse;
mod write;

pub use delta::{Delta, WeightRef};
pub use loss_metadata::LossMetadata;
pub use metadata::{BucketCount, DatasetDir, LoraMetadata};
pub use read::{LoraFileContents, read, read_any};
pub use write::{SavePrecision, write_diffusers, write_kohya};

/// The network a module belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    Unet,
    TextEncoder,
}

/// A linear layer or 1×1 convolution that a LoRA can stand on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleRef {
    pub part: Part,
    /// diffusers' module path, such as `down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q`.
    pub path: String,
    /// Whether the base weight is a 1×1 convolution, `[out, in, 1, 1]`.
    pub conv: bool,
    pub in_features: usize,
    pub out_features: usize,
}

/// The LoRA of one module.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraModule {
    pub part: Part,
    /// diffusers' module path.
    pub path: String,
    /// Whether the base weight is a 1×1 convolution; files then carry two more axes of length 1.
    pub conv: bool,
    pub rank: usize,
    pub in_features: usize,
    pub out_features: usize,
    pub alpha: f32,
    /// `(rank, in_features)`, row-major.
    pub down: Vec<f32>,
    /// `(out_features, rank)`, row-major.
    pub up: Vec<f32>,
}

#[cfg(test)]
mod tests;
