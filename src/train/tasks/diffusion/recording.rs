//! What a diffusion training replays at one shape: the U-Net's pass over noisy latents, its loss and gradients; where the
//! text encoder is trained, its pass comes first.

use crate::{
    adapters::{AdapterSet, RecordedAdapters},
    diffusion::LatentShape,
    families::SD_V1,
    models::{ClipText, UNet, UNetInputs},
    nn::{Dropped, ElementDropout, Recording},
    ops::{self, Loss, LossInputs},
    size::Size,
    tape::{Checkpointing, DType, Tape, Value},
    train::engine::{LOSS, LossScale, Recorded, RecordedShape},
};

use super::{inputs::StepInputs, objective::Objective};

/// Sizes that the passes are recorded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepShape {
    pub batch: usize,
    /// Of the latents.
    pub size: Size,
    /// Tokens of a text embedding.
    pub tokens: usize,
}

impl StepShape {
    /// Shape of a picture's latent.
    pub fn latent(&self) -> LatentShape {
        LatentShape { size: self.size, channels: SD_V1.latent.channels }
    }
}

/// What is recorded besides the sizes.
#[derive(Clone, Debug)]
pub struct StepOptions {
    pub objective: Objective,
    pub checkpointing: Checkpointing,
    /// Element type of the U-Net's activations and their gradients: F32 or F16.
    pub activations: DType,
    pub dropouts: Dropouts,
    /// Modules whose outputs are kept for reading, by diffusers path.
    pub observed: Vec<String>,
}

/// What LoRAs drop in training (sd-scripts' `networks/lora.py`); 0 is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Dropouts {
    /// Share of the elements behind `down`.
    pub network: f32,
    /// Share of the ranks, drawn for each picture.
    pub rank: f32,
    /// Share of the modules.
    pub module: f32,
}

impl Dropouts {
    /// Whether each module takes a mask of its ranks.
    pub fn masks_ranks(&self) -> bool {
        *self != Self::default()
    }
}

/// A text encoder that is trained.
#[derive(Clone, Copy)]
pub struct TrainedText<'a> {
    pub model: &'a ClipText<'a>,
    /// From 1: which layer the U-Net reads, from behind.
    pub clip_skip: usize,
}

/// What every pass is recorded from.
#[derive(Clone, Copy)]
pub struct Recorder<'a> {
    pub unet: &'a UNet,
    /// `None`: text embeddings are given.
    pub text: Option<TrainedText<'a>>,
    pub adapters: &'a AdapterSet,
    pub loss_scale: &'a LossScale,
}

/// A forward pass with its loss.
struct Forward {
    inputs: StepInputs,
    prediction: Value,
    noisy: Value,
    hidden: Value,
    loss: Loss,
    adapters: RecordedAdapters,
}

impl Recorder<'_> {
    /// Records a step and its loss alone.
    pub fn record(&self, shape: StepShape, options: &StepOptions) -> RecordedShape {
        RecordedShape { step: self.step(shape, options), probe: self.probe(shape, options) }
    }

    fn step(&self, shape: StepShape, options: &StepOptions) -> Recorded {
        let mut tape = Tape::new();
        let forward = self.forward(&mut tape, shape, options);
        let seeds = [(forward.prediction, forward.loss.d_prediction)];
        let gradients = tape.backward(&seeds, &forward.adapters.parameters, options.checkpointing, ops::add);
        self.adapters.place_gradients(&mut tape, &forward.adapters, &gradients);
        tape.keep(LOSS, forward.loss.loss);
        for path in &options.observed {
            let value = match path.as_str() {
                "unet_out" => forward.prediction,
                "noisy" => forward.noisy,
                "hidden" => forward.hidden,
                module => tape.observed(module).unwrap_or_else(|| panic!("no module `{module}` was recorded")),
            };
            let value = ops::convert(&mut tape, value, DType::F32);
            tape.keep(path, value);
        }
        Recorded { tape, inputs: forward.inputs.in_order() }
    }

    /// Nothing is dropped where a loss is measured, and it is measured in the same way whatever is trained by.
    fn probe(&self, shape: StepShape, options: &StepOptions) -> Recorded {
        let mut tape = Tape::new();
        let options =
            StepOptions { objective: options.objective.of_probes(), dropouts: Dropouts::default(), ..options.clone() };
        let forward = self.forward(&mut tape, shape, &options);
        tape.keep(LOSS, forward.loss.loss);
        Recorded { tape, inputs: forward.inputs.in_order() }
    }

    fn forward(&self, tape: &mut Tape, shape: StepShape, options: &StepOptions) -> Forward {
        let inputs = StepInputs::record(tape, self, shape, options);
        let loss_scale = self.loss_scale.on(tape);
        let dropped = |module: usize| {
            let ranks = inputs.rank_masks.get(module)?.value;
            let element = |key| ElementDropout { key, site: module as u32, rate: options.dropouts.network };
            Some(Dropped { ranks, elements: inputs.dropout_key.map(|key| element(key.value)) })
        };
        let adapters = self.adapters.record(tape, &self.adapters.scales, &dropped);
        let input_noise = inputs.input_noise.unwrap_or(inputs.noise);
        let noisy = ops::combine(tape, inputs.latents.value, input_noise.value, inputs.noise_factors.value);
        let target = ops::combine(tape, inputs.latents.value, inputs.noise.value, inputs.target_factors.value);
        let mut recording = Recording::adapted(tape, &adapters.adapters);
        let hidden = self.hidden(&mut recording, inputs.text.value, shape);
        let read = UNetInputs { sample: noisy, timestep: inputs.timestep.value, context: hidden };
        let prediction = self.unet.predict(&mut recording, read, options.activations);
        let loss = LossInputs {
            kind: options.objective.loss,
            target,
            weight: inputs.weight.value,
            loss_scale,
            threshold: inputs.threshold.map(|input| input.value),
            mask: inputs.mask.map(|input| input.value),
        };
        let loss = ops::weighted_loss(tape, prediction, &loss);
        Forward { inputs, prediction, noisy, hidden, loss, adapters }
    }

    /// The text embeddings, (B, tokens, D): given, or of a text encoder that is trained.
    fn hidden(&self, recording: &mut Recording<'_>, text: Value, shape: StepShape) -> Value {
        let Some(trained) = self.text else { return text };
        let states = trained.model.forward(recording, text).contexts[trained.clip_skip - 1];
        ops::join_chunks(recording.tape, states, trained.model.config.chunks(shape.tokens))
    }
}
