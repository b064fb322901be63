//! What a run takes of the device's memory.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::{models::encode::BuiltDecoder, train::engine::Plans};

use super::assembly::Trained;

/// The plan, in bytes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MemoryPlan {
    pub weights: u64,
    /// Computed once from weights; 0 where kernels take them as they are.
    pub transformed_weights: u64,
    pub lora_and_optimizer: u64,
    /// For previews; 0 without.
    pub vae_decoder: u64,
    pub activations: u64,
}

impl MemoryPlan {
    /// `weights`: bytes of the networks that are trained on.
    pub fn new(weights: u64, trained: &Trained, plans: &Plans, previews: Option<&BuiltDecoder<'_>>) -> Self {
        Self {
            weights,
            transformed_weights: plans.prepared_bytes(),
            lora_and_optimizer: trained.bytes(),
            vae_decoder: previews.map_or(0, BuiltDecoder::bytes),
            activations: plans.bytes(),
        }
    }

    pub fn total(&self) -> u64 {
        self.weights + self.transformed_weights + self.lora_and_optimizer + self.vae_decoder + self.activations
    }
}

impl Display for MemoryPlan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let gigabytes = |bytes: u64| bytes as f64 * 1e-9;
        write!(f, "{:.2} GB = U-Net weights {:.2}", gigabytes(self.total()), gigabytes(self.weights))?;
        if self.transformed_weights > 0 {
            write!(f, " + their transforms {:.2}", gigabytes(self.transformed_weights))?;
        }
        write!(f, " + LoRA and optimizer {:.2}", gigabytes(self.lora_and_optimizer))?;
        if self.vae_decoder > 0 {
            write!(f, " + VAE decoder for previews {:.2}", gigabytes(self.vae_decoder))?;
        }
        write!(f, " + activations and scratch {:.2}", gigabytes(self.activations))
    }
}
