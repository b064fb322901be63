//! LoRA files for SD v1.x: ΔW = (alpha / rank) · up · down.
//!
//! Written in kohya's layout, which every WebUI reads, and in diffusers'. Read in those and in PEFT's and the old
//! attention-processor layouts.

mod adapter_config;
mod delta;
mod keys;
mod loss_metadata;
mod metadata;
mod network_metadata;
mod python;
mod read;
mod read_adapters;
mod refuse;
mod values;
mod write;

pub use super::site::{Part, Site, SiteKind};
pub use delta::{Delta, WeightRef};
pub use loss_metadata::LossMetadata;
pub use metadata::{BucketCount, DatasetDir, LoraMetadata};
pub use network_metadata::{Algorithm, NetworkMetadata};
pub use read::{LoraFileContents, read, read_any};
pub use read_adapters::{AdapterFileContents, read_adapters};
pub use write::{FloatType, diffusers_lacks, write_diffusers, write_kohya};

/// The LoRA of one linear layer or 1×1 convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraModule {
    pub site: Site,
    pub rank: usize,
    pub alpha: f32,
    /// `(rank, in_features)`, row-major.
    pub down: Vec<f32>,
    /// `(out_features, rank)`, row-major.
    pub up: Vec<f32>,
}

/// An adapter of any kind on one layer, as a file holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterModule {
    pub site: Site,
    pub rank: usize,
    pub alpha: f32,
    pub tensors: Vec<AdapterTensor>,
}

/// One of an adapter's tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterTensor {
    /// As kohya and LyCORIS call it, such as `lora_down.weight` or `hada_w1_a`.
    pub name: &'static str,
    /// In the file.
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

impl AdapterModule {
    /// The tensor called `name`.
    pub fn tensor(&self, name: &str) -> Option<&AdapterTensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }
}

/// kohya's names of a LoRA's matrices.
pub const DOWN: &str = "lora_down.weight";
pub const UP: &str = "lora_up.weight";
/// LyCORIS' name of DoRA's magnitudes.
pub const MAGNITUDE: &str = "dora_scale";

impl From<LoraModule> for AdapterModule {
    fn from(LoraModule { site, rank, alpha, down, up }: LoraModule) -> Self {
        let down_shape = [&[rank, site.in_features], site.kind.kernel()].concat();
        let up_shape = [&[site.out_features, rank], site.kind.ones()].concat();
        let tensors = vec![
            AdapterTensor { name: DOWN, shape: down_shape, values: down },
            AdapterTensor { name: UP, shape: up_shape, values: up },
        ];
        Self { site, rank, alpha, tensors }
    }
}

#[cfg(test)]
mod tests;
