//! Which examples make which step: shuffled epochs, micro-batches, noise and timesteps.

use crate::{
    config::TrainConfig,
    diffusion::{
        Latent, LatentShape,
        random::{epoch_order, probe_noise, training_timestep},
    },
    train::engine::Update,
};

use super::{dropping::DropRules, inputs::Batch, latents::EncodedData, objective::Objective, recording::StepShape};

/// The examples of an epoch, each as often as it is repeated, and how they are cut into updates.
pub struct BatchPlan {
    /// Index of the example behind each entry of an epoch.
    entries: Vec<usize>,
    pub batch_size: usize,
    /// Micro-batches per update.
    pub accumulation: usize,
    pub seed: u64,
}

impl BatchPlan {
    /// `examples`: index and repeats of each example that is trained on.
    pub fn new(
        examples: impl Iterator<Item = (usize, usize)>,
        batch_size: usize,
        accumulation: usize,
        seed: u64,
    ) -> Self {
        let entries = examples.flat_map(|(index, repeats)| std::iter::repeat_n(index, repeats)).collect();
        Self { entries, batch_size, accumulation, seed }
    }

    pub fn batches_per_epoch(&self) -> usize {
        self.entries.len().div_ceil(self.batch_size)
    }

    pub fn updates_per_epoch(&self) -> usize {
        self.batches_per_epoch().div_ceil(self.accumulation)
    }

    /// The updates of epoch `epoch`, in a new order each time.
    pub fn epoch(&self, epoch: u32) -> Vec<Update> {
        let order: Vec<usize> =
            epoch_order(self.seed, epoch, self.entries.len()).into_iter().map(|entry| self.entries[entry]).collect();
        let batches: Vec<Vec<usize>> = order.chunks(self.batch_size).map(<[usize]>::to_vec).collect();
        batches.chunks(self.accumulation).map(<[_]>::to_vec).collect()
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_shows_every_entry_once_and_accumulates_in_groups() {
        let plan = BatchPlan::new([(0, 1), (3, 2), (5, 1), (6, 1)].into_iter(), 2, 2, 7);
        assert_eq!((plan.batches_per_epoch(), plan.updates_per_epoch()), (3, 2));
        let epoch = plan.epoch(1);
        assert_eq!(epoch.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        let mut shown: Vec<usize> = epoch.concat().concat();
        shown.sort_unstable();
        assert_eq!(shown, [0, 3, 3, 5, 6]);
        assert_ne!(epoch, plan.epoch(2), "epochs differ in their order");
    }
}
