//! Which examples make which step: epochs in a new order each, cut into updates and micro-batches.

use crate::{diffusion::random::epoch_order, train::engine::Update};

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
