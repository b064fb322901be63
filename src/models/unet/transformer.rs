//! diffusers' `Transformer2DModel` with one `BasicTransformerBlock`.

use crate::{
    nn::{Adapters, Attention, Builder, GegluFeedForward, GroupNorm, LayerNorm, Linear},
    ops,
    tape::{Tape, Value},
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
            norm: GroupNorm::new(&builder.pp("norm"), width, EPS),
            proj_in: Linear::new(&builder.pp("proj_in"), width, width),
            block: TransformerBlock::new(&builder.pp("transformer_blocks.0"), width, config),
            proj_out: Linear::new(&builder.pp("proj_out"), width, width),
        }
    }

    /// `x`: (B, H, W, C); `context`: (B, M, D).
    pub fn forward(&self, tape: &mut Tape, x: Value, context: Value, adapters: &Adapters) -> Value {
        let &[batch, height, width, channels] = tape.shape(x) else { panic!("{}: not (B, H, W, C)", self.path) };
        let tokens = [batch, height * width, channels];
        let normed = self.norm.forward(tape, x);
        let mut hidden = tape.reshape(normed, &tokens);
        hidden = self.proj_in.forward(tape, hidden, adapters);
        hidden = self.block.forward(tape, hidden, context, adapters);
        hidden = self.proj_out.forward(tape, hidden, adapters);
        let residual = tape.reshape(x, &tokens);
        hidden = tape.scope(&self.path, |tape| ops::add(tape, hidden, residual));
        let out = tape.reshape(hidden, &[batch, height, width, channels]);
        tape.observe(&self.path, out);
        out
    }
}

impl TransformerBlock {
    fn new(builder: &Builder<'_>, width: usize, config: &UNetConfig) -> Self {
        Self {
            path: builder.path().to_owned(),
            norm1: LayerNorm::new(&builder.pp("norm1"), width),
            attn1: Attention::new(&builder.pp("attn1"), width, width, config.heads),
            norm2: LayerNorm::new(&builder.pp("norm2"), width),
            attn2: Attention::new(&builder.pp("attn2"), width, config.cross_attention_dim, config.heads),
            norm3: LayerNorm::new(&builder.pp("norm3"), width),
            ff: GegluFeedForward::new(&builder.pp("ff"), width),
        }
    }

    /// `x`: (B, N, C).
    fn forward(&self, tape: &mut Tape, x: Value, context: Value, adapters: &Adapters) -> Value {
        let add = |tape: &mut Tape, a, b| tape.scope(&self.path, |tape| ops::add(tape, a, b));
        let normed = self.norm1.forward(tape, x);
        let attended = self.attn1.forward(tape, normed, normed, adapters);
        let x = add(tape, attended, x);
        let normed = self.norm2.forward(tape, x);
        let attended = self.attn2.forward(tape, normed, context, adapters);
        let x = add(tape, attended, x);
        let normed = self.norm3.forward(tape, x);
        let fed = self.ff.forward(tape, normed, adapters);
        let x = add(tape, fed, x);
        tape.observe(&self.path, x);
        x
    }
}
