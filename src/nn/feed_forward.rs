//! diffusers' `FeedForward` with a GEGLU.

use crate::{ops, tape::Value};

use super::{Builder, Linear, Recording};

/// Inner width over outer width.
const EXPANSION: usize = 4;

/// Linear to value and gate, value · GELU(gate), linear back.
#[derive(Clone, Debug)]
pub struct GegluFeedForward {
    path: String,
    proj: Linear, // net.0.proj: (2·4C, C)
    out: Linear,  // net.2: (C, 4C)
}

impl GegluFeedForward {
    pub fn new(builder: &Builder<'_>, width: usize) -> Self {
        let inner = EXPANSION * width;
        Self {
            path: builder.path().to_owned(),
            proj: Linear::new(&builder.child("net.0.proj"), width, 2 * inner),
            out: Linear::new(&builder.child("net.2"), inner, width),
        }
    }

    /// `x`: (B, N, C).
    pub fn forward(&self, recording: &mut Recording<'_>, x: Value) -> Value {
        let projected = self.proj.forward(recording, x);
        let gated = recording.tape.scope(&self.path, |tape| ops::geglu(tape, projected));
        let out = self.out.forward(recording, gated);
        recording.tape.observe(&self.path, out);
        out
    }
}
