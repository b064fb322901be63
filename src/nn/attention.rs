//! diffusers' `Attention`: projections around scaled dot products.

use crate::{
    ops::{self, Mask},
    tape::Value,
};

use super::{Builder, Linear, Recording};

/// Multi-head attention over tokens; `to_q`, `to_k` and `to_v` without bias, `to_out.0` with one.
#[derive(Clone, Debug)]
pub struct Attention {
    path: String,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    heads: usize,
}

impl Attention {
    /// `context_width` is the width of what keys and values are made of: `width` itself for self-attention.
    pub fn new(builder: &Builder<'_>, width: usize, context_width: usize, heads: usize) -> Self {
        Self {
            path: builder.path().to_owned(),
            to_q: Linear::without_bias(&builder.child("to_q"), width, width),
            to_k: Linear::without_bias(&builder.child("to_k"), context_width, width),
            to_v: Linear::without_bias(&builder.child("to_v"), context_width, width),
            to_out: Linear::new(&builder.child("to_out.0"), width, width),
            heads,
        }
    }

    /// `x`: (B, N, C), `context`: (B, M, context width) to (B, N, C).
    pub fn forward(&self, recording: &mut Recording<'_>, x: Value, context: Value) -> Value {
        let q = self.to_q.forward(recording, x);
        let k = self.to_k.forward(recording, context);
        let v = self.to_v.forward(recording, context);
        let mixed = recording.tape.scope(&self.path, |tape| ops::attention(tape, q, k, v, self.heads, Mask::None));
        let out = self.to_out.forward(recording, mixed);
        recording.tape.observe(&self.path, out);
        out
    }
}
