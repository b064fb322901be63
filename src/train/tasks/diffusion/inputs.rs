//! The inputs of a diffusion step: recorded on its tape, and made out of a batch.

use crate::{
    families::Prediction,
    models::UNet,
    nn::padded,
    ops,
    tape::{DType, Input, Tape},
    train::engine::MicroBatch,
};

use super::{
    objective::Objective,
    step::{Recorder, StepOptions, StepShape},
};

/// One micro-batch on the host. All tensors are channels last; what the options of a training do not need is empty.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub latents: Vec<f32>, // (B, H, W, 4), scaled
    pub noise: Vec<f32>,   // (B, H, W, 4)
    /// (B, H, W, 4): what x_t is made with, where the objective perturbs it.
    pub input_noise: Vec<f32>,
    pub timesteps: Vec<usize>,
    /// (B, tokens, D): text embeddings; where the text encoder is trained, its embedded tokens (B · chunks, N, D).
    pub text: Vec<f32>,
    /// Share of each sample in the loss; a padded sample has 0.
    pub weights: Vec<f32>,
    /// Thresholds of the samples' losses, where the objective's loss has one.
    pub thresholds: Vec<f32>,
    /// (B, H, W): how much each pixel counts, where the objective is masked.
    pub masks: Vec<f32>,
    /// Of [`ops::dropout`], where elements are dropped.
    pub dropout_key: Option<[u32; 2]>,
    /// (B, r) for each module, where ranks or modules are dropped.
    pub rank_masks: Vec<Vec<f32>>,
}

/// The inputs on a tape.
pub(super) struct StepInputs {
    pub latents: Input,
    pub noise: Input,
    pub input_noise: Option<Input>,
    pub noise_factors: Input,
    pub target_factors: Input,
    pub timestep: Input,
    pub text: Input,
    pub weight: Input,
    pub threshold: Option<Input>,
    pub mask: Option<Input>,
    pub dropout_key: Option<Input>,
    pub rank_masks: Vec<Input>,
}

impl StepInputs {
    pub fn record(tape: &mut Tape, recorder: &Recorder<'_>, shape: StepShape, options: &StepOptions) -> Self {
        let StepShape { batch, size, tokens } = shape;
        let (config, objective, dropouts) = (&recorder.unet.config, &options.objective, options.dropouts);
        let latent = [batch, size.height, size.width, padded(config.in_channels)];
        let text = match recorder.text {
            None => [batch, tokens, config.cross_attention_dim],
            Some(trained) => {
                let text = &trained.model.config;
                [batch * text.chunks(tokens), text.positions, text.width]
            }
        };
        let ranks = recorder.adapters.plans().enumerate().filter(|_| dropouts.masks_ranks());
        Self {
            latents: tape.input("latents", &latent),
            noise: tape.input("noise", &latent),
            input_noise: objective.noise.perturbs_input().then(|| tape.input("input_noise", &latent)),
            noise_factors: tape.input("noise_factors", &[batch, 2]),
            target_factors: tape.input("target_factors", &[batch, 2]),
            timestep: tape.input("timestep", &[batch, config.block_out_channels[0]]),
            text: tape.input("text", &text),
            weight: tape.input("weight", &[batch]),
            threshold: objective.loss.has_threshold().then(|| tape.input("threshold", &[batch])),
            mask: objective.masked.then(|| tape.input("mask", &[batch, size.height, size.width])),
            dropout_key: (dropouts.network > 0.0).then(|| tape.input_of("dropout_key", &[2], DType::U32)),
            rank_masks: ranks
                .map(|(index, plan)| tape.input(&format!("rank_mask {index}"), &[batch, padded(plan.rank)]))
                .collect(),
        }
    }

    /// In the order of [`BatchWriter::micro_batch`].
    pub fn in_order(self) -> Vec<Input> {
        let always = [
            Some(self.latents),
            Some(self.noise),
            self.input_noise,
            Some(self.noise_factors),
            Some(self.target_factors),
            Some(self.timestep),
            Some(self.text),
            Some(self.weight),
            self.threshold,
            self.mask,
            self.dropout_key,
        ];
        always.into_iter().flatten().chain(self.rank_masks).collect()
    }
}

/// Makes the inputs of a pass out of a batch.
pub struct BatchWriter {
    objective: Objective,
    /// Of the timestep's embedding.
    embedding_width: usize,
}

impl BatchWriter {
    /// For the steps of `unet`.
    pub fn new(unet: &UNet, objective: Objective) -> Self {
        Self { objective, embedding_width: unet.config.block_out_channels[0] }
    }

    /// The inputs of [`Recorder::record`]'s passes.
    pub fn micro_batch(&self, batch: &Batch) -> MicroBatch {
        let schedule = self.objective.schedule();
        let factors: Vec<(f32, f32)> = batch.timesteps.iter().map(|&t| schedule.factors(t)).collect();
        let noisy: Vec<f32> = factors.iter().flat_map(|&(signal, sigma)| [signal, sigma]).collect();
        let target = factors.iter().flat_map(|&(signal, sigma)| match self.objective.prediction {
            Prediction::Epsilon => [0.0, 1.0],
            Prediction::VPrediction => [-sigma, signal],
        });
        let timesteps: Vec<f64> = batch.timesteps.iter().map(|&timestep| timestep as f64).collect();
        let mut inputs = MicroBatch::default();
        inputs.push(&batch.latents);
        inputs.push(&batch.noise);
        push_any(&mut inputs, &batch.input_noise);
        inputs.push(&noisy);
        inputs.push(&target.collect::<Vec<f32>>());
        inputs.push(&ops::timestep_embedding(&timesteps, self.embedding_width));
        inputs.push(&batch.text);
        inputs.push(&batch.weights);
        push_any(&mut inputs, &batch.thresholds);
        push_any(&mut inputs, &batch.masks);
        batch.dropout_key.iter().for_each(|key| inputs.push(key));
        batch.rank_masks.iter().for_each(|mask| inputs.push(mask));
        inputs
    }
}

fn push_any(inputs: &mut MicroBatch, values: &[f32]) {
    if !values.is_empty() {
        inputs.push(values);
    }
}
