//! The kinds of adapters: which tensors they have, how they begin, and how they stand on a tape.

use crate::{
    nn,
    tape::{Tape, Value},
    weights::lora::Site,
};

use super::{kinds::lora, store::TensorShape};

/// What is trained beside a frozen weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ΔW = (alpha / rank) · up · down (Hu et al., <https://arxiv.org/abs/2106.09685>).
    Lora,
}

/// One of a module's tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// As files call it.
    pub name: &'static str,
    pub shape: TensorShape,
}

/// One module's tensors on a tape, in the order of [`Kind::tensors`].
pub struct OnTape<'a> {
    pub site: &'a Site,
    pub tensors: &'a [Value],
    /// (1): the kind's factor, times the strength where there is one.
    pub scale: Value,
}

impl Kind {
    /// The tensors of a module.
    pub fn tensors(self, site: &Site, rank: usize) -> Vec<TensorSpec> {
        match self {
            Self::Lora => lora::tensors(site, rank),
        }
    }

    /// A module's first values, tensor by tensor; `index` counts the modules, so that each has its own.
    pub fn initial(self, seed: u64, index: usize, site: &Site, rank: usize) -> Vec<Vec<f32>> {
        match self {
            Self::Lora => lora::initial(seed, index, site, rank),
        }
    }

    /// The factor of ΔW.
    pub fn factor(self, rank: usize, alpha: f32) -> f32 {
        match self {
            Self::Lora => alpha / rank as f32,
        }
    }

    /// How a layer with this module is to be recorded.
    pub fn record(self, tape: &mut Tape, module: &OnTape<'_>) -> nn::Adapter {
        match self {
            Self::Lora => lora::record(tape, module),
        }
    }
}
