//! CLIP's text encoder.

use anyhow::{Result, ensure};

use crate::{
    nn::{Adapters, Builder, LayerNorm, Linear},
    ops::{self, Mask},
    tape::{Tape, Value},
    weights::{PartTensors, Tensor},
};

use super::shapes::{ShapeError, Shapes};

/// Head size of OpenAI's text encoders (768 wide: 12 heads).
const HEAD_SIZE: usize = 64;
/// Heads of encoders too narrow for OpenAI's head size, as small test checkpoints have them.
const SMALL_HEADS: usize = 4;

/// What differs between CLIP text encoders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClipTextConfig {
    pub width: usize,
    pub intermediate: usize,
    pub layers: usize,
    pub heads: usize,
    /// Longest prompt in tokens: 77.
    pub positions: usize,
}

impl ClipTextConfig {
    /// Reads widths from tensor shapes, and the number of heads from `config.json` where there is one: no shape tells
    /// it.
    ///
    /// # Errors
    /// A tensor that tells a width is missing.
    pub fn of(tensors: &PartTensors) -> Result<Self, ShapeError> {
        let shapes = Shapes { part: "text encoder", tensors };
        let width = shapes.size("text_model.embeddings.token_embedding.weight", 1)?;
        let guess = if width >= 4 * HEAD_SIZE { width / HEAD_SIZE } else { SMALL_HEADS };
        Ok(Self {
            width,
            intermediate: shapes.size("text_model.encoder.layers.0.mlp.fc1.weight", 0)?,
            layers: shapes.count(|layer| format!("text_model.encoder.layers.{layer}.mlp.fc1.weight")),
            heads: shapes.configured("num_attention_heads").unwrap_or(guess),
            positions: shapes.size("text_model.embeddings.position_embedding.weight", 0)?,
        })
    }
}

/// The text encoder. Token embeddings stay on the host, where their rows are gathered.
pub struct ClipText<'a> {
    pub config: ClipTextConfig,
    token_embedding: Option<Tensor<'a>>,    // (vocabulary, width)
    position_embedding: Option<Tensor<'a>>, // (positions, width)
    layers: Vec<EncoderLayer>,
    final_layer_norm: LayerNorm,
}

struct EncoderLayer {
    path: String,
    layer_norm1: LayerNorm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    layer_norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    heads: usize,
}

/// What the text encoder gives: (B, N, width) each.
pub struct TextOutputs {
    /// The U-Net's context at `clip_skip` 1, 2, … as WebUIs count: the last layer, the last but one, … after the final
    /// norm.
    pub contexts: Vec<Value>,
    /// After the first layer.
    pub first_layer: Value,
}

impl<'a> ClipText<'a> {
    pub fn new(builder: &Builder<'a>, config: ClipTextConfig) -> Self {
        let root = builder.pp("text_model");
        let embeddings = root.pp("embeddings");
        let layer = |index| EncoderLayer::new(&root.pp(format!("encoder.layers.{index}")), &config);
        Self {
            token_embedding: embeddings.host_table("token_embedding.weight", config.width),
            position_embedding: embeddings.host_table("position_embedding.weight", config.width),
            layers: (0..config.layers).map(layer).collect(),
            final_layer_norm: LayerNorm::new(&root.pp("final_layer_norm"), config.width),
            config,
        }
    }

    /// Token plus position embeddings of `ids`, (tokens, width) flattened; a prompt is `positions` tokens long.
    ///
    /// # Errors
    /// A token that the vocabulary lacks.
    pub fn embed(&self, ids: &[u32]) -> Result<Vec<f32>> {
        let (tokens, positions) = self.tables();
        let mut rows = Vec::with_capacity(ids.len() * self.config.width);
        for (index, &id) in ids.iter().enumerate() {
            ensure!((id as usize) < tokens.shape[0], "the text encoder has no token {id}");
            let token = tokens.row_to_f32(id as usize)?;
            let position = positions.row_to_f32(index % self.config.positions)?;
            rows.extend(token.iter().zip(position).map(|(token, position)| token + position));
        }
        Ok(rows)
    }

    fn tables(&self) -> (&Tensor<'a>, &Tensor<'a>) {
        let built = "a model whose build finished has its tables";
        (self.token_embedding.as_ref().expect(built), self.position_embedding.as_ref().expect(built))
    }

    /// `embedded`: (B, N, width), from [`ClipText::embed`].
    pub fn forward(&self, tape: &mut Tape, embedded: Value, adapters: &Adapters) -> TextOutputs {
        let mut states = vec![embedded];
        for layer in &self.layers {
            let hidden = layer.forward(tape, states[states.len() - 1], adapters);
            states.push(hidden);
        }
        TextOutputs {
            contexts: states[1..].iter().rev().map(|&state| self.final_layer_norm.forward(tape, state)).collect(),
            first_layer: states[1],
        }
    }
}

impl EncoderLayer {
    fn new(builder: &Builder<'_>, config: &ClipTextConfig) -> Self {
        let attention = builder.pp("self_attn");
        let projection = |name| Linear::new(&attention.pp(name), config.width, config.width);
        Self {
            path: builder.path().to_owned(),
            layer_norm1: LayerNorm::new(&builder.pp("layer_norm1"), config.width),
            q_proj: projection("q_proj"),
            k_proj: projection("k_proj"),
            v_proj: projection("v_proj"),
            out_proj: projection("out_proj"),
            layer_norm2: LayerNorm::new(&builder.pp("layer_norm2"), config.width),
            fc1: Linear::new(&builder.pp("mlp.fc1"), config.width, config.intermediate),
            fc2: Linear::new(&builder.pp("mlp.fc2"), config.intermediate, config.width),
            heads: config.heads,
        }
    }

    fn forward(&self, tape: &mut Tape, x: Value, adapters: &Adapters) -> Value {
        let normed = self.layer_norm1.forward(tape, x);
        let q = self.q_proj.forward(tape, normed, adapters);
        let k = self.k_proj.forward(tape, normed, adapters);
        let v = self.v_proj.forward(tape, normed, adapters);
        let mixed = tape.scope(&self.path, |tape| ops::attention(tape, q, k, v, self.heads, Mask::Causal));
        let attended = self.out_proj.forward(tape, mixed, adapters);
        let x = tape.scope(&self.path, |tape| ops::add(tape, x, attended));
        let normed = self.layer_norm2.forward(tape, x);
        let hidden = self.fc1.forward(tape, normed, adapters);
        let hidden = tape.scope(&self.path, |tape| ops::quick_gelu(tape, hidden));
        let fed = self.fc2.forward(tape, hidden, adapters);
        tape.scope(&self.path, |tape| ops::add(tape, x, fed))
    }
}
