//! The pre-norm transformer layer of CLIP's and BLIP's encoders.

use crate::{
    nn::{Builder, LayerNorm, Linear, Recording},
    ops::{self, Mask},
    tape::{Tape, Value},
};

use super::shapes::{ShapeError, Shapes};

/// What stands between the two linear layers of an encoder's mlp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    Gelu,
    QuickGelu,
}

impl Activation {
    /// As `config.json` names it, else `default`.
    ///
    /// # Errors
    /// Another activation.
    pub(super) fn of(shapes: &Shapes<'_>, default: Self) -> Result<Self, ShapeError> {
        match shapes.value("hidden_act").map(|value| value.as_str().unwrap_or_default()) {
            None => Ok(default),
            Some("gelu") => Ok(Self::Gelu),
            Some("quick_gelu") => Ok(Self::QuickGelu),
            Some(name) => Err(ShapeError::Activation { part: shapes.part, name: name.to_owned() }),
        }
    }

    fn record(self, tape: &mut Tape, x: Value) -> Value {
        match self {
            Self::Gelu => ops::gelu(tape, x),
            Self::QuickGelu => ops::quick_gelu(tape, x),
        }
    }
}

/// What the layers of one encoder have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct LayerShape {
    pub width: usize,
    pub intermediate: usize,
    pub heads: usize,
    pub mask: Mask,
    pub activation: Activation,
}

/// x + attention(norm(x)), then x + mlp(norm(x)).
pub(super) struct EncoderLayer {
    path: String,
    shape: LayerShape,
    layer_norm1: LayerNorm,
    projections: Projections,
    out_proj: Linear,
    layer_norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

/// Queries, keys and values: by a layer each, as CLIP has them, or by one together, as BLIP has it.
enum Projections {
    Separate(Box<[Linear; 3]>),
    Fused(Linear),
}

impl EncoderLayer {
    /// A layer with CLIP's names.
    pub fn clip(builder: &Builder<'_>, shape: LayerShape) -> Self {
        let projection = |name| Linear::new(&builder.child("self_attn").child(name), shape.width, shape.width);
        let projections = Projections::Separate(Box::new(["q_proj", "k_proj", "v_proj"].map(projection)));
        Self::new(builder, shape, projections, projection("out_proj"))
    }

    /// A layer with BLIP's names.
    pub fn blip(builder: &Builder<'_>, shape: LayerShape) -> Self {
        let attention = builder.child("self_attn");
        let fused = Linear::new(&attention.child("qkv"), shape.width, 3 * shape.width);
        let out_proj = Linear::new(&attention.child("projection"), shape.width, shape.width);
        Self::new(builder, shape, Projections::Fused(fused), out_proj)
    }

    fn new(builder: &Builder<'_>, shape: LayerShape, projections: Projections, out_proj: Linear) -> Self {
        Self {
            path: builder.path().to_owned(),
            shape,
            layer_norm1: LayerNorm::new(&builder.child("layer_norm1"), shape.width),
            projections,
            out_proj,
            layer_norm2: LayerNorm::new(&builder.child("layer_norm2"), shape.width),
            fc1: Linear::new(&builder.child("mlp.fc1"), shape.width, shape.intermediate),
            fc2: Linear::new(&builder.child("mlp.fc2"), shape.intermediate, shape.width),
        }
    }

    /// `x`: (B, N, width).
    pub fn forward(&self, recording: &mut Recording<'_>, x: Value) -> Value {
        let LayerShape { heads, mask, activation, .. } = self.shape;
        let normed = self.layer_norm1.forward(recording.tape, x);
        let [q, k, v] = self.projections.forward(recording, normed);
        let mixed = recording.tape.scope(&self.path, |tape| ops::attention(tape, q, k, v, heads, mask));
        let attended = self.out_proj.forward(recording, mixed);
        let x = recording.tape.scope(&self.path, |tape| ops::add(tape, x, attended));
        let normed = self.layer_norm2.forward(recording.tape, x);
        let hidden = self.fc1.forward(recording, normed);
        let hidden = recording.tape.scope(&self.path, |tape| activation.record(tape, hidden));
        let fed = self.fc2.forward(recording, hidden);
        recording.tape.scope(&self.path, |tape| ops::add(tape, x, fed))
    }
}

impl Projections {
    fn forward(&self, recording: &mut Recording<'_>, x: Value) -> [Value; 3] {
        match self {
            Self::Separate(projections) => projections.as_ref().each_ref().map(|linear| linear.forward(recording, x)),
            Self::Fused(linear) => {
                let together = linear.forward(recording, x);
                ops::split(recording.tape, together, 3).try_into().expect("three parts")
            }
        }
    }
}
