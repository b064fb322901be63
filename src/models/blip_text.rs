//! BLIP's text decoder: BERT with cross-attention to a picture, one token at a time over a key/value cache.

use anyhow::{Result, ensure};

use crate::{
    nn::{Builder, LayerNorm, Linear},
    ops::{self, Mask},
    tape::{Tape, Value},
    weights::{PartTensors, Tensor},
};

use super::shapes::{ShapeError, Shapes};

/// BERT's, in every published BLIP.
const EPS: f32 = 1e-12;
const ROOT: &str = "text_decoder.bert";

/// What differs between BLIP's text decoders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlipTextConfig {
    pub width: usize,
    pub intermediate: usize,
    pub layers: usize,
    pub heads: usize,
    /// Width of the picture's tokens.
    pub image_width: usize,
    /// Most tokens of a caption.
    pub positions: usize,
    pub vocabulary: usize,
}

impl BlipTextConfig {
    /// Reads widths from tensor shapes, and the number of heads from `config.json`.
    ///
    /// # Errors
    /// A tensor that tells a width is missing.
    pub fn of(tensors: &PartTensors) -> Result<Self, ShapeError> {
        let shapes = Shapes { part: "text decoder", tensors };
        let words = format!("{ROOT}.embeddings.word_embeddings.weight");
        let width = shapes.size(&words, 1)?;
        let inner = |layer| format!("{ROOT}.encoder.layer.{layer}.intermediate.dense.weight");
        Ok(Self {
            width,
            intermediate: shapes.size(&inner(0), 0)?,
            layers: shapes.count(inner),
            heads: shapes.heads(width)?,
            image_width: shapes.size(&format!("{ROOT}.encoder.layer.0.crossattention.self.key.weight"), 1)?,
            positions: shapes.size(&format!("{ROOT}.embeddings.position_embeddings.weight"), 0)?,
            vocabulary: shapes.size(&words, 0)?,
        })
    }
}

/// Keys and values of one layer.
#[derive(Clone, Copy, Debug)]
pub struct KeysValues<T = Value> {
    pub keys: T,
    pub values: T,
}

/// The text decoder. Token embeddings stay on the host, where their rows are gathered.
pub struct BlipText<'a> {
    pub config: BlipTextConfig,
    word_embeddings: Option<Tensor<'a>>,     // (vocabulary, width)
    position_embeddings: Option<Tensor<'a>>, // (positions, width)
    embedding_norm: LayerNorm,
    layers: Vec<DecoderLayer>,
    transform: Linear,
    transform_norm: LayerNorm,
    decoder: Linear,
}

struct DecoderLayer {
    attention: Attention,
    cross_attention: Attention,
    intermediate: Linear,
    output: Output,
}

/// BERT's attention: queries, keys, values, and what follows.
struct Attention {
    path: String,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Output,
    heads: usize,
}

/// norm(x + linear(y)): BERT normalizes after adding.
struct Output {
    path: String,
    dense: Linear,
    layer_norm: LayerNorm,
}

/// What a step of the decoder gives.
pub struct StepOutputs {
    /// Of the token that follows, (B, vocabulary), padded to whole vectors of four.
    pub logits: Value,
    /// The caches for the next step, (B, M, width) each.
    pub caches: Vec<KeysValues>,
}

impl<'a> BlipText<'a> {
    pub fn new(builder: &Builder<'a>, config: BlipTextConfig) -> Self {
        let (root, predictions) = (builder.child(ROOT), builder.child("text_decoder.cls.predictions"));
        let (embeddings, transform) = (root.child("embeddings"), predictions.child("transform"));
        let BlipTextConfig { width, vocabulary, .. } = config;
        let words = embeddings.matrix("word_embeddings.weight", width, vocabulary);
        let layer = |index| DecoderLayer::new(&root.child(format!("encoder.layer.{index}")), &config);
        Self {
            word_embeddings: embeddings.host_table("word_embeddings.weight", width),
            position_embeddings: embeddings.host_table("position_embeddings.weight", width),
            embedding_norm: LayerNorm::with_eps(&embeddings.child("LayerNorm"), width, EPS),
            layers: (0..config.layers).map(layer).collect(),
            transform: Linear::new(&transform.child("dense"), width, width),
            transform_norm: LayerNorm::with_eps(&transform.child("LayerNorm"), width, EPS),
            decoder: Linear::tied(&predictions, words, vocabulary),
            config,
        }
    }

    /// Word plus position embeddings of one token for each sequence, (B, width).
    ///
    /// # Errors
    /// A token that the vocabulary lacks, or a position past the last.
    pub fn embed(&self, tokens: &[u32], position: usize) -> Result<Vec<f32>> {
        let BlipTextConfig { vocabulary, positions, .. } = self.config;
        let built = "a model whose build finished has its tables";
        ensure!(position < positions, "the text decoder writes captions of at most {positions} tokens");
        let position = self.position_embeddings.as_ref().expect(built).row_to_f32(position)?;
        let words = self.word_embeddings.as_ref().expect(built);
        let mut rows = Vec::with_capacity(tokens.len() * position.len());
        for &token in tokens {
            ensure!((token as usize) < vocabulary, "the text decoder has no token {token}");
            rows.extend(
                words.row_to_f32(token as usize)?.iter().zip(&position).map(|(word, position)| word + position),
            );
        }
        Ok(rows)
    }

    /// Keys and values that the layers' cross-attention reads off a picture, (1, N, width), from its tokens (1, N, image
    /// width): the same for every step.
    pub fn picture(&self, tape: &mut Tape, image: Value) -> Vec<KeysValues> {
        self.layers.iter().map(|layer| layer.cross_attention.keys_values(tape, image)).collect()
    }

    /// One token further: `embedded` (B, width) from [`BlipText::embed`]; `step` as [`ops::extend_cache`] wants it; for
    /// each layer its cache (B, M, width) and what [`BlipText::picture`] gave.
    pub fn forward(
        &self,
        tape: &mut Tape,
        embedded: Value,
        step: Value,
        caches: &[KeysValues],
        picture: &[KeysValues],
    ) -> StepOutputs {
        let mut hidden = self.embedding_norm.forward(tape, embedded);
        let mut extended = Vec::with_capacity(caches.len());
        for ((layer, &cache), &picture) in self.layers.iter().zip(caches).zip(picture) {
            let next;
            (hidden, next) = layer.forward(tape, hidden, step, cache, picture);
            extended.push(next);
        }
        let hidden = self.transform.frozen(tape, hidden);
        let hidden = ops::gelu(tape, hidden);
        let hidden = self.transform_norm.forward(tape, hidden);
        StepOutputs { logits: self.decoder.frozen(tape, hidden), caches: extended }
    }
}

impl DecoderLayer {
    fn new(builder: &Builder<'_>, config: &BlipTextConfig) -> Self {
        let BlipTextConfig { width, intermediate, image_width, .. } = *config;
        Self {
            attention: Attention::new(&builder.child("attention"), width, config),
            cross_attention: Attention::new(&builder.child("crossattention"), image_width, config),
            intermediate: Linear::new(&builder.child("intermediate.dense"), width, intermediate),
            output: Output::new(&builder.child("output"), intermediate, width),
        }
    }

    fn forward(
        &self,
        tape: &mut Tape,
        x: Value,
        step: Value,
        cache: KeysValues,
        picture: KeysValues,
    ) -> (Value, KeysValues) {
        let (attended, cache) = self.attention.to_itself(tape, x, step, cache);
        let attended = self.cross_attention.to_picture(tape, attended, picture);
        let hidden = self.intermediate.frozen(tape, attended);
        let hidden = ops::gelu(tape, hidden);
        (self.output.forward(tape, attended, hidden), cache)
    }
}

impl Attention {
    /// `context_width` is the width of what keys and values are made of.
    fn new(builder: &Builder<'_>, context_width: usize, config: &BlipTextConfig) -> Self {
        let (inner, width) = (builder.child("self"), config.width);
        Self {
            path: builder.path().to_owned(),
            query: Linear::new(&inner.child("query"), width, width),
            key: Linear::new(&inner.child("key"), context_width, width),
            value: Linear::new(&inner.child("value"), context_width, width),
            output: Output::new(&builder.child("output"), width, width),
            heads: config.heads,
        }
    }

    fn keys_values(&self, tape: &mut Tape, context: Value) -> KeysValues {
        KeysValues { keys: self.key.frozen(tape, context), values: self.value.frozen(tape, context) }
    }

    /// `x` (B, C) to the tokens before it and to itself.
    fn to_itself(&self, tape: &mut Tape, x: Value, step: Value, cache: KeysValues) -> (Value, KeysValues) {
        let q = self.query.frozen(tape, x);
        let row = self.keys_values(tape, x);
        let (mixed, next) = tape.scope(&self.path, |tape| {
            let keys = ops::extend_cache(tape, step, cache.keys, row.keys);
            let values = ops::extend_cache(tape, step, cache.values, row.values);
            (ops::cached_attention(tape, step, q, keys, values, self.heads), KeysValues { keys, values })
        });
        (self.output.forward(tape, x, mixed), next)
    }

    /// `x` (B, C) to the tokens of the one picture, as if the sequences were rows of one.
    fn to_picture(&self, tape: &mut Tape, x: Value, picture: KeysValues) -> Value {
        let shape = tape.shape(x).to_vec();
        let q = self.query.frozen(tape, x);
        let mixed = tape.scope(&self.path, |tape| {
            let rows = tape.reshape(q, &[&[1], &shape[..]].concat());
            let mixed = ops::attention(tape, rows, picture.keys, picture.values, self.heads, Mask::None);
            tape.reshape(mixed, &shape)
        });
        self.output.forward(tape, x, mixed)
    }
}

impl Output {
    fn new(builder: &Builder<'_>, in_features: usize, width: usize) -> Self {
        Self {
            path: builder.path().to_owned(),
            dense: Linear::new(&builder.child("dense"), in_features, width),
            layer_norm: LayerNorm::with_eps(&builder.child("LayerNorm"), width, EPS),
        }
    }

    fn forward(&self, tape: &mut Tape, x: Value, y: Value) -> Value {
        let y = self.dense.frozen(tape, y);
        let sum = tape.scope(&self.path, |tape| ops::add(tape, x, y));
        self.layer_norm.forward(tape, sum)
    }
}
