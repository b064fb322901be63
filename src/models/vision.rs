//! Vision transformers: CLIP's and BLIP's image encoders (Dosovitskiy et al., arXiv 2010.11929).

use crate::{
    nn::{Builder, LayerNorm, Linear, Recording},
    ops::{self, Mask},
    tape::{Tape, Value},
    weights::PartTensors,
};

use super::{
    encoder_layer::{Activation, EncoderLayer, LayerShape},
    shapes::{ShapeError, Shapes},
};

/// Red, green, blue.
const IMAGE_CHANNELS: usize = 3;
const PATCH_WEIGHT: &str = "vision_model.embeddings.patch_embedding.weight";

/// What differs between vision transformers of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisionConfig {
    pub width: usize,
    pub intermediate: usize,
    pub layers: usize,
    pub heads: usize,
    pub activation: Activation,
    /// Pixels of a patch's side.
    pub patch: usize,
    /// Patches of a picture's side.
    pub side: usize,
}

impl VisionConfig {
    /// Reads CLIP's widths from tensor shapes, and the number of heads from `config.json`.
    ///
    /// # Errors
    /// A tensor that tells a width is missing; an activation that is not known.
    pub fn clip(tensors: &PartTensors) -> Result<Self, ShapeError> {
        let shapes = Shapes { part: "image encoder", tensors };
        let tokens = shapes.size("vision_model.embeddings.position_embedding.weight", 0)?;
        Self::of(&shapes, tokens, Activation::QuickGelu)
    }

    /// The same for BLIP.
    ///
    /// # Errors
    /// As [`VisionConfig::clip`].
    pub fn blip(tensors: &PartTensors) -> Result<Self, ShapeError> {
        let shapes = Shapes { part: "image encoder", tensors };
        let tokens = shapes.size("vision_model.embeddings.position_embedding", 1)?;
        Self::of(&shapes, tokens, Activation::Gelu)
    }

    /// One of the `tokens` is no patch: it stands for the class.
    fn of(shapes: &Shapes<'_>, tokens: usize, default: Activation) -> Result<Self, ShapeError> {
        let width = shapes.size(PATCH_WEIGHT, 0)?;
        let patch = shapes.size(PATCH_WEIGHT, 2)?;
        if !patch.is_multiple_of(2) {
            return Err(ShapeError::Patch { part: shapes.part, patch });
        }
        let layer = |index| format!("vision_model.encoder.layers.{index}.mlp.fc1.weight");
        Ok(Self {
            width,
            intermediate: shapes.size(&layer(0), 0)?,
            layers: shapes.count(layer),
            heads: shapes.heads(width)?,
            activation: Activation::of(shapes, default)?,
            patch,
            side: tokens.saturating_sub(1).isqrt(),
        })
    }

    /// Pixels of a picture's side.
    pub fn image_size(&self) -> usize {
        self.side * self.patch
    }

    /// N: one for each patch, and one for the class.
    pub fn tokens(&self) -> usize {
        self.side * self.side + 1
    }

    /// Numbers of one patch.
    pub fn patch_values(&self) -> usize {
        IMAGE_CHANNELS * self.patch * self.patch
    }

    fn layer_shape(&self) -> LayerShape {
        let Self { width, intermediate, heads, activation, .. } = *self;
        LayerShape { width, intermediate, heads, mask: Mask::None, activation }
    }
}

/// The image encoder.
pub struct VisionTransformer {
    pub config: VisionConfig,
    patch_embedding: Linear,
    /// What is added to the embedded patches, (N, width): positions, the convolution's bias, and the class embedding in
    /// the first row, whose patch is zero.
    table: Vec<f32>,
    pre_layernorm: Option<LayerNorm>,
    layers: Vec<EncoderLayer>,
    post_layernorm: LayerNorm,
}

impl VisionTransformer {
    pub fn clip(builder: &Builder<'_>, config: VisionConfig) -> Self {
        let root = builder.child("vision_model");
        let positions = root.host_values("embeddings.position_embedding.weight", config.tokens() * config.width);
        let bias = vec![0.0; config.width];
        Self {
            // OpenAI's spelling.
            pre_layernorm: Some(LayerNorm::new(&root.child("pre_layrnorm"), config.width)),
            ..Self::new(&root, config, &positions, &bias, EncoderLayer::clip)
        }
    }

    pub fn blip(builder: &Builder<'_>, config: VisionConfig) -> Self {
        let root = builder.child("vision_model");
        let positions = root.host_values("embeddings.position_embedding", config.tokens() * config.width);
        let bias = root.host_values("embeddings.patch_embedding.bias", config.width);
        Self::new(&root, config, &positions, &bias, EncoderLayer::blip)
    }

    fn new(
        root: &Builder<'_>,
        config: VisionConfig,
        positions: &[f32],
        bias: &[f32],
        layer: fn(&Builder<'_>, LayerShape) -> EncoderLayer,
    ) -> Self {
        let class = root.host_values("embeddings.class_embedding", config.width);
        let rows = positions.chunks_exact(config.width).enumerate();
        let row = |(index, row): (usize, &[f32])| {
            let added = if index == 0 { &class } else { bias };
            row.iter().zip(added).map(|(position, added)| position + added).collect::<Vec<f32>>()
        };
        let layers = (0..config.layers).map(|index| root.child(format!("encoder.layers.{index}")));
        Self {
            table: rows.flat_map(row).collect(),
            patch_embedding: Linear::of_patches(
                &root.child("embeddings.patch_embedding"),
                IMAGE_CHANNELS,
                config.patch,
                config.width,
            ),
            pre_layernorm: None,
            layers: layers.map(|builder| layer(&builder, config.layer_shape())).collect(),
            post_layernorm: LayerNorm::new(&root.child("post_layernorm"), config.width),
            config,
        }
    }

    /// What the host writes once into the input `positions` of [`VisionTransformer::forward`].
    pub fn table(&self) -> &[f32] {
        &self.table
    }

    /// `patches`: (1, N, 3·patch²), each in the order (channel, row, column), the first of them zero; `positions`: (1, N,
    /// width), from [`VisionTransformer::table`]. Gives every token after the last norm, (1, N, width).
    pub fn forward(&self, tape: &mut Tape, patches: Value, positions: Value) -> Value {
        let embedded = self.patch_embedding.frozen(tape, patches);
        let embedded = ops::add(tape, embedded, positions);
        let mut hidden = self.pre_layernorm.iter().fold(embedded, |hidden, norm| norm.forward(tape, hidden));
        for layer in &self.layers {
            hidden = layer.forward(&mut Recording::frozen(tape), hidden);
        }
        self.post_layernorm.forward(tape, hidden)
    }
}
