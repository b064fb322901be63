//! The text of a recorded training case.

use anyhow::Result;

use crate::{
    gpu::Gpu,
    models::{ClipText, encode::TextEncoder},
    weights::Checkpoint,
};

use super::{file::TrainingCase, recorder::Recorder};

/// What the frozen encoder makes of the texts of all steps, each (B, tokens, width), and what else is recorded of the
/// first.
struct Encoded {
    contexts: Vec<Vec<f32>>,
    skip2: Vec<f32>,
    embedded: Vec<f32>,
    first_layer: Vec<f32>,
}

/// The input of each step that stands for its text.
pub(super) struct Texts {
    pub inputs: Vec<Vec<f32>>,
    /// Of a text embedding.
    pub tokens: usize,
    width: usize,
    encoded: Option<Encoded>,
}

impl Texts {
    /// Text embeddings of the frozen encoder.
    ///
    /// # Errors
    /// Ids that the encoder does not know; a failure of the device.
    pub fn frozen(gpu: &Gpu, checkpoint: &Checkpoint, case: &TrainingCase) -> Result<Self> {
        let encoder = TextEncoder::new(gpu, &checkpoint.text_encoder, case.batch)?;
        let first = case.input_ids(0)?;
        let encoded = Encoded {
            skip2: encoder.encode(gpu, &first, 2)?,
            embedded: encoder.embed(&first)?,
            first_layer: encoder.first_layer(gpu)?,
            contexts: (0..case.steps)
                .map(|step| encoder.encode(gpu, &case.input_ids(step)?, 1))
                .collect::<Result<_>>()?,
        };
        let (tokens, width, inputs) = (encoder.tokens(), encoder.width(), encoded.contexts.clone());
        Ok(Self { inputs, tokens, width, encoded: Some(encoded) })
    }

    /// Embedded tokens for an encoder that is trained.
    ///
    /// # Errors
    /// Ids that the encoder does not know.
    pub fn embedded(model: &ClipText<'_>, case: &TrainingCase) -> Result<Self> {
        let positions = model.config.positions;
        let embed = |step| model.embed(&case.input_ids(step)?, positions);
        let inputs: Vec<Vec<f32>> = (0..case.steps).map(embed).collect::<Result<_>>()?;
        let chunks = inputs[0].len() / (case.batch * positions * model.config.width);
        Ok(Self { inputs, tokens: model.config.tokens(chunks), width: model.config.width, encoded: None })
    }

    pub fn record(&self, recorder: &mut Recorder, batch: usize) {
        let Some(encoded) = &self.encoded else { return };
        let shape = [batch, self.tokens, self.width];
        recorder.floats("step1/hidden", &encoded.contexts[0], &shape);
        recorder.floats("step1/hidden_skip2", &encoded.skip2, &shape);
        recorder.floats("step1/te_embed", &encoded.embedded, &shape);
        recorder.floats("step1/te_layer0", &encoded.first_layer, &shape);
    }
}
