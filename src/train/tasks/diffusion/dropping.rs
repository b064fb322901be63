//! What LoRAs drop in a step, drawn by seed, step and picture.

use std::ops::Range;

use crate::{
    adapters::AdapterSet,
    diffusion::random::{Purpose, Stream},
    nn::padded,
};

use super::step::Dropouts;

/// Shares, and the ranks of the modules that they apply to.
pub(super) struct DropRules {
    dropouts: Dropouts,
    ranks: Vec<usize>,
}

impl DropRules {
    pub fn new(dropouts: Dropouts, adapters: &AdapterSet) -> Self {
        Self { dropouts, ranks: adapters.plans().map(|plan| plan.rank).collect() }
    }

    /// For each module what the ranks of each of a micro-batch's `samples` are multiplied by, (B, padded rank): 0 where they
    /// are dropped, else what makes up for that on average. Samples count through the whole update, so that it does not
    /// matter how it is cut.
    pub fn rank_masks(&self, seed: u64, step: u32, samples: Range<usize>) -> Vec<Vec<f32>> {
        if !self.dropouts.masks_ranks() {
            return Vec::new();
        }
        let kept_modules = uniform(Stream::new(seed, Purpose::ModuleDropout, step, 0), self.ranks.len());
        let kept = 1.0 / (1.0 - self.dropouts.rank);
        let mut masks = vec![Vec::new(); self.ranks.len()];
        for sample in samples {
            let drawn = uniform(Stream::new(seed, Purpose::RankDropout, step, sample as u32), self.ranks.iter().sum());
            let mut drawn = drawn.into_iter();
            for ((mask, &rank), module) in masks.iter_mut().zip(&self.ranks).zip(&kept_modules) {
                let module = if *module < self.dropouts.module { 0.0 } else { kept };
                let of_rank = |drawn: f32| if drawn < self.dropouts.rank { 0.0 } else { module };
                mask.extend(drawn.by_ref().take(rank).map(of_rank));
                mask.resize(mask.len() + padded(rank) - rank, 0.0);
            }
        }
        masks
    }

    /// The key of [`ops::dropout`](crate::ops::dropout) for a micro-batch that begins with sample `first` of its update.
    pub fn key(&self, seed: u64, step: u32, first: usize) -> Option<[u32; 2]> {
        let key = [seed as u32 ^ step, (seed >> 32) as u32 ^ first as u32];
        (self.dropouts.network > 0.0).then_some(key)
    }
}

/// Numbers in (0, 1).
fn uniform(stream: Stream, count: usize) -> Vec<f32> {
    let mut drawn = vec![0.0; count];
    stream.fill_uniform(0.5, &mut drawn);
    drawn.iter_mut().for_each(|value| *value += 0.5);
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(dropouts: Dropouts) -> DropRules {
        DropRules { dropouts, ranks: vec![6; 200] }
    }

    #[test]
    fn ranks_are_dropped_at_their_rate_and_padding_stays_out() {
        let masks = rules(Dropouts { rank: 0.25, ..Dropouts::default() }).rank_masks(42, 1, 0..4);
        let rows: Vec<&[f32]> = masks.iter().flat_map(|mask| mask.chunks_exact(8)).collect();
        assert!(rows.iter().all(|row| row[6..] == [0.0; 2]));
        let kept = rows.iter().flat_map(|row| &row[..6]).filter(|value| **value > 0.0).count();
        // 4800 draws: six standard deviations are 180.
        assert!(kept.abs_diff(3600) < 180, "{kept}");
        assert!(rows.iter().flat_map(|row| &row[..6]).all(|value| *value == 0.0 || (value - 4.0 / 3.0).abs() < 1e-6));
    }

    #[test]
    fn a_dropped_module_is_out_for_all_pictures_of_a_step() {
        let rules = rules(Dropouts { module: 0.5, ..Dropouts::default() });
        let masks = rules.rank_masks(42, 1, 0..3);
        let out = masks.iter().filter(|mask| mask.iter().all(|value| *value == 0.0)).count();
        assert!(out.abs_diff(100) < 43, "{out}");
        assert!(masks.iter().all(|mask| mask.chunks_exact(8).all(|row| row[..8] == mask[..8])));
        assert_ne!(masks, rules.rank_masks(42, 2, 0..3));
    }

    #[test]
    fn masks_do_not_depend_on_how_an_update_is_cut() {
        let rules = rules(Dropouts { rank: 0.5, ..Dropouts::default() });
        let (whole, second) = (rules.rank_masks(7, 3, 0..2), rules.rank_masks(7, 3, 1..2));
        assert!(whole.iter().zip(&second).all(|(whole, second)| whole[8..] == second[..]));
        assert_eq!(
            DropRules { dropouts: Dropouts::default(), ranks: vec![4] }.rank_masks(1, 1, 0..1),
            Vec::<Vec<f32>>::new()
        );
    }
}
