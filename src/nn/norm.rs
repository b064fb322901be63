//! Group and layer normalization.

use crate::{
    ops,
    tape::{Tape, Value},
};

use super::{Builder, Weight};

/// Groups of every GroupNorm in Stable Diffusion.
const GROUPS: usize = 32;

/// GroupNorm over 32 groups.
#[derive(Clone, Debug)]
pub struct GroupNorm {
    path: String,
    gamma: Weight, // (C)
    beta: Weight,  // (C)
    eps: f32,
}

impl GroupNorm {
    pub fn new(builder: &Builder<'_>, channels: usize, eps: f32) -> Self {
        let (gamma, beta) = (builder.vector("weight", channels), builder.vector("bias", channels));
        Self { path: builder.path().to_owned(), gamma, beta, eps }
    }

    /// `x`: (B, …, C).
    pub fn forward(&self, tape: &mut Tape, x: Value) -> Value {
        self.record(tape, x, false)
    }

    /// SiLU(norm(x)).
    pub fn forward_silu(&self, tape: &mut Tape, x: Value) -> Value {
        self.record(tape, x, true)
    }

    fn record(&self, tape: &mut Tape, x: Value, silu: bool) -> Value {
        let (gamma, beta) = (self.gamma.on(tape), self.beta.on(tape));
        tape.scope(&self.path, |tape| ops::group_norm(tape, x, gamma, beta, GROUPS, self.eps, silu))
    }
}

/// LayerNorm over the last dimension.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    path: String,
    gamma: Weight, // (C)
    beta: Weight,  // (C)
    eps: f32,
}

impl LayerNorm {
    /// With the eps that PyTorch and Stable Diffusion take, 1e-5.
    pub fn new(builder: &Builder<'_>, width: usize) -> Self {
        Self::with_eps(builder, width, 1e-5)
    }

    pub fn with_eps(builder: &Builder<'_>, width: usize, eps: f32) -> Self {
        let (gamma, beta) = (builder.vector("weight", width), builder.vector("bias", width));
        Self { path: builder.path().to_owned(), gamma, beta, eps }
    }

    /// `x`: (…, C).
    pub fn forward(&self, tape: &mut Tape, x: Value) -> Value {
        let (gamma, beta) = (self.gamma.on(tape), self.beta.on(tape));
        tape.scope(&self.path, |tape| ops::layer_norm(tape, x, gamma, beta, self.eps))
    }
}
