//! diffusers' `Transformer2DModel` with one `BasicTransformerBlock`.

use crate::{
    nn::{Attention, Builder, GegluFeedForward, GroupNorm, LayerNorm, Linear, Recording},
    ops,
    tape::Value,
};

use super::UNetConfig;

/// Eps of the transformer's input norm.
const EPS: f32 = 1e-6;

/// norm, `proj_in`, self-attention, cross-attention, feed-forward, `proj_out`, + input.
#[derive(Clone, Debug)]
pub(super) struct Transformer {
    path: String,
    norm: GroupNorm,
    proj_in: Linear,
    block: TransformerBlock,
    proj_out: Linear,
}

#[derive(Clone, Debug)]
struct TransformerBlock {
    path: String,
    norm1: LayerNorm,
    attn1: Attention,
    norm2: LayerNorm,
    attn2: Attention,
    norm3: LayerNorm,
    ff: GegluFeedForward,
}

impl Transformer {
    pub fn new(builder: &Builder<'_>, width: usize, config: &UNetConfig) -> Self {
        Self {
            path: builder.path().to_owned(),
            norm: GroupNorm::new(&builder.child("norm"), width, EPS),
            proj_in: Linear::new(&builder.child("proj_in"), width, width),
            block: TransformerBlock::new(&builder.child("transformer_blocks.0"), width, config),
            proj_out: Linear::new(&builder.child("proj_out"), width, width),
        }
    }

    /// `x`: (B, H, W, C); `context`: (B, M, D).
    pub fn forward(&self, recording: &mut Recording<'_>, x: Value, context: Value) -> Value {
        let &[batch, height, width, channels] = recording.tape.shape(x) else {
            panic!("{}: not (B, H, W, C)", self.path)
        };
        let tokens = [batch, height * width, channels];
        let normed = self.norm.forward(recording.tape, x);
        let mut hidden = recording.tape.reshape(normed, &tokens);
        hidden = self.proj_in.forward(recording, hidden);
        hidden = self.block.forward(recording, hidden, context);
        hidden = self.proj_out.forward(recording, hidden);
        let residual = recording.tape.reshape(x, &tokens);
        hidden = recording.tape.scope(&self.path, |tape| ops::add(tape, hidden, residual));
        let out = recording.tape.reshape(hidden, &[batch, height, width, channels]);
        recording.tape.observe(&self.path, out);
        out
    }
}

impl TransformerBlock {
    fn new(builder: &Builder<'_>, width: usize, config: &UNetConfig) -> Self {
        Self {
            path: builder.path().to_owned(),
            norm1: LayerNorm::new(&builder.child("norm1"), width),
            attn1: Attention::new(&builder.child("attn1"), width, width, config.heads),
            norm2: LayerNorm::new(&builder.child("norm2"), width),
            attn2: Attention::new(&builder.child("attn2"), width, config.cross_attention_dim, config.heads),
            norm3: LayerNorm::new(&builder.child("norm3"), width),
            ff: GegluFeedForward::new(&builder.child("ff"), width),
        }
    }

    /// `x`: (B, N, C).
    fn forward(&self, recording: &mut Recording<'_>, x: Value, context: Value) -> Value {
        let add = |recording: &mut Recording<'_>, a, b| recording.tape.scope(&self.path, |tape| ops::add(tape, a, b));
        let normed = self.norm1.forward(recording.tape, x);
        let attended = self.attn1.forward(recording, normed, normed);
        let x = add(recording, attended, x);
        let normed = self.norm2.forward(recording.tape, x);
        let attended = self.attn2.forward(recording, normed, context);
        let x = add(recording, attended, x);
        let normed = self.norm3.forward(recording.tape, x);
        let fed = self.ff.forward(recording, normed);
        let x = add(recording, fed, x);
        recording.tape.observe(&self.path, x);
        x
    }
}
