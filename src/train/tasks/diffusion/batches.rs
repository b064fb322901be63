//! The micro-batches of a step: noise, timesteps and weights of its examples.

use crate::{
    config::TrainConfig,
    diffusion::{
        Latent, LatentShape,
        random::{probe_noise, training_timestep},
    },
    train::engine::Update,
};

use super::{dropping::DropRules, inputs::Batch, latents::EncodedData, objective::Objective, step::StepShape};

/// How samples are noised and weighted.
pub struct SampleRules {
    pub objective: Objective,
    pub seed: u64,
    pub latent: LatentShape,
    /// Rows of a compiled batch; short ones are padded with samples of weight 0.
    pub batch_size: usize,
    pub dropped: DropRules,
}

impl SampleRules {
    pub fn new(config: &TrainConfig, objective: Objective, shape: StepShape, dropped: DropRules) -> Self {
        Self { objective, seed: config.seed, latent: shape.latent(), batch_size: shape.batch, dropped }
    }

    /// The micro-batches of optimizer step `step` (from 1). The loss is the mean over all samples of the update.
    pub fn update(&self, data: &EncodedData, step: u32, update: &Update) -> Vec<Batch> {
        let latent = |&example: &usize| Latent { values: &data.latents[example], shape: self.latent };
        let latents: Vec<Latent<'_>> = update.iter().flatten().map(latent).collect();
        let drawn = self.objective.noise.draw(self.seed, step, &latents);
        let mut sample = 0;
        let mut batches = Vec::with_capacity(update.len());
        for examples in update {
            let mut batch = Batch::default();
            for &example in examples {
                let timestep = training_timestep(self.seed, step, sample as u32, self.objective.timesteps.clone());
                batch.timesteps.push(timestep);
                let weight = self.objective.weight(timestep) as f32 / latents.len() as f32;
                push(&mut batch, data, example, &drawn.noise[sample], weight);
                batch.masks.extend(data.mask(example));
                batch.input_noise.extend(drawn.input_noise.iter().flat_map(|noise| &noise[sample]));
                sample += 1;
            }
            batch.thresholds = self.objective.thresholds(&batch.timesteps);
            let first = sample - examples.len();
            batch.rank_masks = self.dropped.rank_masks(self.seed, step, first..sample);
            batch.dropout_key = self.dropped.key(self.seed, step, first);
            self.pad(&mut batch);
            batches.push(batch);
        }
        batches
    }

    /// Batches over `examples` at fixed noise and evenly spread timesteps; their losses sum to the mean.
    pub fn probes(&self, data: &EncodedData, examples: &[usize]) -> Vec<Batch> {
        let count = examples.len();
        let mut batches = Vec::new();
        for (chunk_index, chunk) in examples.chunks(self.batch_size).enumerate() {
            let mut batch = Batch::default();
            for (row, &example) in chunk.iter().enumerate() {
                let sample = chunk_index * self.batch_size + row;
                let mut noise = vec![0.0; data.latents[example].len()];
                probe_noise(self.seed, sample as u32, &mut noise);
                batch.timesteps.push((2 * sample + 1) * self.objective.schedule().timesteps() / (2 * count));
                push(&mut batch, data, example, &noise, 1.0 / count as f32);
            }
            self.pad(&mut batch);
            batches.push(batch);
        }
        batches
    }

    /// Repeats the first sample with weight 0 until the batch is full.
    fn pad(&self, batch: &mut Batch) {
        let rows = batch.timesteps.len();
        let repeat = |values: &mut Vec<f32>| {
            let row = values[..values.len() / rows].to_vec();
            (rows..self.batch_size).for_each(|_| values.extend(&row));
        };
        repeat(&mut batch.latents);
        repeat(&mut batch.noise);
        repeat(&mut batch.input_noise);
        repeat(&mut batch.thresholds);
        repeat(&mut batch.masks);
        repeat(&mut batch.text);
        batch.rank_masks.iter_mut().for_each(repeat);
        batch.timesteps.resize(self.batch_size, batch.timesteps[0]);
        batch.weights.resize(self.batch_size, 0.0);
    }
}

fn push(batch: &mut Batch, data: &EncodedData, example: usize, noise: &[f32], weight: f32) {
    batch.latents.extend(&data.latents[example]);
    batch.noise.extend(noise);
    batch.text.extend(data.text(example));
    batch.weights.push(weight);
}
