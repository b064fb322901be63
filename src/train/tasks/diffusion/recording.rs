//! What a diffusion training replays at one shape: the U-Net's pass over noisy latents, its loss and gradients.

use crate::{
    adapters::{AdapterSet, RecordedAdapters},
    diffusion::{NoiseSchedule, Prediction},
    models::{UNet, UNetInputs},
    nn::{Recording, padded},
    ops::{self, Loss},
    tape::{Checkpointing, DType, Input, Tape, Value},
    train::engine::{LOSS, LossScale, MicroBatch, Recorded, RecordedShape},
};

/// Sizes that the passes are recorded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepShape {
    pub batch: usize,
    /// Latent rows: an eighth of the picture's height.
    pub height: usize,
    /// Latent columns.
    pub width: usize,
    /// Tokens of a text embedding.
    pub tokens: usize,
}

/// What is recorded besides the sizes.
#[derive(Clone, Debug)]
pub struct StepOptions {
    pub prediction: Prediction,
    pub checkpointing: Checkpointing,
    /// Element type of the U-Net's activations and their gradients: F32 or F16.
    pub activations: DType,
    /// Modules whose outputs are kept for reading, by diffusers path.
    pub observed: Vec<String>,
}

/// One micro-batch on the host. All tensors are channels last.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub latents: Vec<f32>, // (B, H, W, 4), scaled
    pub noise: Vec<f32>,   // (B, H, W, 4)
    pub timesteps: Vec<usize>,
    pub context: Vec<f32>, // (B, tokens, D)
    /// Share of each sample in the loss; a padded sample has 0.
    pub weights: Vec<f32>,
}

/// What every pass is recorded from.
#[derive(Clone, Copy)]
pub struct Recorder<'a> {
    pub unet: &'a UNet,
    pub adapters: &'a AdapterSet,
    pub loss_scale: &'a LossScale,
}

/// A forward pass with its loss.
struct Forward {
    inputs: Vec<Input>,
    prediction: Value,
    noisy: Value,
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
                module => tape.observed(module).unwrap_or_else(|| panic!("no module `{module}` was recorded")),
            };
            let value = ops::convert(&mut tape, value, DType::F32);
            tape.keep(path, value);
        }
        Recorded { tape, inputs: forward.inputs }
    }

    fn probe(&self, shape: StepShape, options: &StepOptions) -> Recorded {
        let mut tape = Tape::new();
        let forward = self.forward(&mut tape, shape, options);
        tape.keep(LOSS, forward.loss.loss);
        Recorded { tape, inputs: forward.inputs }
    }

    /// The inputs come in the order of [`BatchWriter::micro_batch`].
    fn forward(&self, tape: &mut Tape, shape: StepShape, options: &StepOptions) -> Forward {
        let StepShape { batch, height, width, tokens } = shape;
        let config = &self.unet.config;
        let latent_shape = [batch, height, width, padded(config.in_channels)];
        let latents = tape.input("latents", &latent_shape);
        let noise = tape.input("noise", &latent_shape);
        let noise_factors = tape.input("noise_factors", &[batch, 2]);
        let target_factors = tape.input("target_factors", &[batch, 2]);
        let timestep = tape.input("timestep", &[batch, config.block_out_channels[0]]);
        let context = tape.input("context", &[batch, tokens, config.cross_attention_dim]);
        let weight = tape.input("weight", &[batch]);
        let loss_scale = self.loss_scale.on(tape);
        let adapters = self.adapters.record(tape, &self.adapters.scales);
        let noisy = ops::combine(tape, latents.value, noise.value, noise_factors.value);
        let target = ops::combine(tape, latents.value, noise.value, target_factors.value);
        let inputs = UNetInputs { sample: noisy, timestep: timestep.value, context: context.value };
        let mut recording = Recording::adapted(tape, &adapters.adapters);
        let prediction = self.unet.predict(&mut recording, inputs, options.activations);
        let loss = ops::weighted_mse(tape, prediction, target, weight.value, loss_scale);
        let inputs = vec![latents, noise, noise_factors, target_factors, timestep, context, weight];
        Forward { inputs, prediction, noisy, loss, adapters }
    }
}

/// Makes the inputs of a pass out of a batch.
pub struct BatchWriter {
    pub schedule: NoiseSchedule,
    pub prediction: Prediction,
    /// Of the timestep's embedding.
    pub embedding_width: usize,
}

impl BatchWriter {
    /// For the steps of `unet`.
    pub fn new(unet: &UNet, prediction: Prediction) -> Self {
        let embedding_width = unet.config.block_out_channels[0];
        Self { schedule: NoiseSchedule::stable_diffusion(), prediction, embedding_width }
    }

    /// The inputs of [`Recorder::record`]'s passes.
    pub fn micro_batch(&self, batch: &Batch) -> MicroBatch {
        let factors: Vec<(f32, f32)> = batch.timesteps.iter().map(|&t| self.schedule.factors(t)).collect();
        let noisy: Vec<f32> = factors.iter().flat_map(|&(signal, sigma)| [signal, sigma]).collect();
        let target = factors.iter().flat_map(|&(signal, sigma)| match self.prediction {
            Prediction::Epsilon => [0.0, 1.0],
            Prediction::VPrediction => [-sigma, signal],
        });
        let timesteps: Vec<f64> = batch.timesteps.iter().map(|&timestep| timestep as f64).collect();
        let mut inputs = MicroBatch::default();
        inputs.push(&batch.latents);
        inputs.push(&batch.noise);
        inputs.push(&noisy);
        inputs.push(&target.collect::<Vec<f32>>());
        inputs.push(&ops::timestep_embedding(&timesteps, self.embedding_width));
        inputs.push(&batch.context);
        inputs.push(&batch.weights);
        inputs
    }
}
