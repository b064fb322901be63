//! CLIP's text encoder.

use anyhow::{Result, ensure};

use crate::{
    nn::{Builder, LayerNorm, Recording},
    ops::Mask,
    tape::Value,
    weights::{PartTensors, Tensor},
};

use super::{
    encoder_layer::{Activation, EncoderLayer, LayerShape},
    shapes::{ShapeError, Shapes},
};

/// What differs between CLIP text encoders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClipTextConfig {
    pub width: usize,
    pub intermediate: usize,
    pub layers: usize,
    pub heads: usize,
    pub activation: Activation,
    /// Longest prompt in tokens: 77.
    pub positions: usize,
}

impl ClipTextConfig {
    /// Reads widths from tensor shapes, and the number of heads from `config.json` where there is one: no shape tells
    /// it.
    ///
    /// # Errors
    /// A tensor that tells a width is missing; an activation that is not known.
    pub fn of(tensors: &PartTensors) -> Result<Self, ShapeError> {
        let shapes = Shapes { part: "text encoder", tensors };
        let width = shapes.size("text_model.embeddings.token_embedding.weight", 1)?;
        Ok(Self {
            width,
            intermediate: shapes.size("text_model.encoder.layers.0.mlp.fc1.weight", 0)?,
            layers: shapes.count(|layer| format!("text_model.encoder.layers.{layer}.mlp.fc1.weight")),
            heads: shapes.heads(width)?,
            activation: Activation::of(&shapes, Activation::QuickGelu)?,
            positions: shapes.size("text_model.embeddings.position_embedding.weight", 0)?,
        })
    }
}

impl ClipTextConfig {
    /// Into how many passes of the encoder a text embedding of `tokens` tokens is cut: each has a begin and an end of its
    /// own, of which the first and the last stay.
    pub fn chunks(&self, tokens: usize) -> usize {
        (tokens - 2) / (self.positions - 2)
    }

    /// Tokens of a text embedding out of `chunks` passes.
    pub fn tokens(&self, chunks: usize) -> usize {
        chunks * (self.positions - 2) + 2
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
        let root = builder.child("text_model");
        let embeddings = root.child("embeddings");
        let ClipTextConfig { width, intermediate, heads, activation, .. } = config;
        let shape = LayerShape { width, intermediate, heads, mask: Mask::Causal, activation };
        let layer = |index| EncoderLayer::clip(&root.child(format!("encoder.layers.{index}")), shape);
        Self {
            token_embedding: embeddings.host_table("token_embedding.weight", config.width),
            position_embedding: embeddings.host_table("position_embedding.weight", config.width),
            layers: (0..config.layers).map(layer).collect(),
            final_layer_norm: LayerNorm::new(&root.child("final_layer_norm"), config.width),
            config,
        }
    }

    /// Token plus position embeddings of `ids`, (tokens, width) flattened; each prompt is `length` tokens long.
    ///
    /// # Errors
    /// A token that the vocabulary lacks.
    pub fn embed(&self, ids: &[u32], length: usize) -> Result<Vec<f32>> {
        let (tokens, positions) = self.tables();
        let mut rows = Vec::with_capacity(ids.len() * self.config.width);
        for (index, &id) in ids.iter().enumerate() {
            ensure!((id as usize) < tokens.shape[0], "the text encoder has no token {id}");
            let token = tokens.row_to_f32(id as usize)?;
            let position = positions.row_to_f32(index % length)?;
            rows.extend(token.iter().zip(position).map(|(token, position)| token + position));
        }
        Ok(rows)
    }

    fn tables(&self) -> (&Tensor<'a>, &Tensor<'a>) {
        let built = "a model whose build finished has its tables";
        (self.token_embedding.as_ref().expect(built), self.position_embedding.as_ref().expect(built))
    }

    /// `embedded`: (B, N, width), from [`ClipText::embed`].
    pub fn forward(&self, recording: &mut Recording<'_>, embedded: Value) -> TextOutputs {
        let mut states = vec![embedded];
        for layer in &self.layers {
            let before = states[states.len() - 1];
            let hidden = recording.block(|recording| layer.forward(recording, before));
            states.push(hidden);
        }
        TextOutputs {
            contexts: states[1..]
                .iter()
                .rev()
                .map(|&state| self.final_layer_norm.forward(recording.tape, state))
                .collect(),
            first_layer: states[1],
        }
    }
}
