//! What a run takes of the device's memory.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::nn::Built;

use super::{lora::Lora, step::StepPlans};

/// The plan, in bytes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MemoryPlan {
    pub weights: u64,
    pub lora_and_optimizer: u64,
    pub activations: u64,
}

impl MemoryPlan {
    pub fn new(built: &Built<'_>, lora: &Lora, plans: &StepPlans) -> Self {
        Self { weights: built.bytes(), lora_and_optimizer: lora.bytes(), activations: plans.bytes() }
    }

    pub fn total(&self) -> u64 {
        self.weights + self.lora_and_optimizer + self.activations
    }
}

impl Display for MemoryPlan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let gigabytes = |bytes: u64| bytes as f64 * 1e-9;
        write!(
            f,
            "{:.2} GB = U-Net weights {:.2} + LoRA and optimizer {:.2} + activations and scratch {:.2}",
            gigabytes(self.total()),
            gigabytes(self.weights),
            gigabytes(self.lora_and_optimizer),
            gigabytes(self.activations),
        )
    }
}
