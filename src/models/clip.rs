//! CLIP whole: pictures and prompts as points of one space (Radford et al., arXiv 2103.00020).

use crate::{
    nn::{Builder, Linear, Recording},
    tape::{Tape, Value},
    weights::PartTensors,
};

use super::{
    ClipText, ClipTextConfig, VisionConfig, VisionTransformer,
    shapes::{ShapeError, Shapes},
};

/// CLIP's image encoder with its projection.
pub struct ClipImage {
    pub vision: VisionTransformer,
    projection: Linear,
}

/// CLIP's text encoder with its projection.
pub struct ClipPrompt<'a> {
    pub text: ClipText<'a>,
    projection: Linear,
}

impl ClipImage {
    /// # Errors
    /// A tensor that tells a width is missing; an activation that is not known.
    pub fn new(builder: &Builder<'_>, tensors: &PartTensors) -> Result<Self, ShapeError> {
        let vision = VisionTransformer::clip(builder, VisionConfig::clip(tensors)?);
        let projection = projection(builder, tensors, "visual_projection", vision.config.width)?;
        Ok(Self { vision, projection })
    }

    /// Inputs as of [`VisionTransformer::forward`]. Gives (1, N, embedding); the picture's is the first row.
    pub fn forward(&self, tape: &mut Tape, patches: Value, positions: Value) -> Value {
        let tokens = self.vision.forward(tape, patches, positions);
        self.projection.frozen(tape, tokens)
    }
}

impl<'a> ClipPrompt<'a> {
    /// # Errors
    /// A tensor that tells a width is missing; an activation that is not known.
    pub fn new(builder: &Builder<'a>, tensors: &PartTensors) -> Result<Self, ShapeError> {
        let text = ClipText::new(builder, ClipTextConfig::of(tensors)?);
        let projection = projection(builder, tensors, "text_projection", text.config.width)?;
        Ok(Self { text, projection })
    }

    /// `embedded`: (B, N, width), from [`ClipText::embed`]. Gives (B, N, embedding); a prompt's is the row of its end
    /// mark.
    pub fn forward(&self, tape: &mut Tape, embedded: Value) -> Value {
        let outputs = self.text.forward(&mut Recording::frozen(tape), embedded);
        self.projection.frozen(tape, outputs.contexts[0])
    }
}

fn projection(builder: &Builder<'_>, tensors: &PartTensors, name: &str, width: usize) -> Result<Linear, ShapeError> {
    let shapes = Shapes { part: "projection", tensors };
    let embedding = shapes.size(&format!("{name}.weight"), 0)?;
    Ok(Linear::without_bias(&builder.child(name), width, embedding))
}
