//! The moving average of the loss.

use std::collections::VecDeque;

/// The losses of the last epoch's length of steps; fewer in the first epoch.
#[derive(Debug)]
pub(super) struct RecentLosses {
    losses: VecDeque<f64>,
    most: usize,
}

impl RecentLosses {
    pub fn new(most: usize) -> Self {
        Self { losses: VecDeque::with_capacity(most), most: most.max(1) }
    }

    pub fn push(&mut self, loss: f64) {
        if self.losses.len() == self.most {
            self.losses.pop_front();
        }
        self.losses.push_back(loss);
    }

    /// 0 before the first loss, as in sd-scripts.
    pub fn mean(&self) -> f64 {
        self.losses.iter().sum::<f64>() / self.losses.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_moves_over_one_epoch() {
        let mut recent = RecentLosses::new(2);
        let averages = [1.0, 3.0, 5.0].map(|loss| {
            recent.push(loss);
            recent.mean()
        });
        assert_eq!(averages, [1.0, 2.0, 4.0]);
    }
}
