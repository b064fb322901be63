//! Schedule-free AdamW and RAdam (Defazio et al. 2024, <https://arxiv.org/abs/2405.15682>), as schedulefree.
//!
//! The parameters are its y, at which gradients are taken; what it finds is x = y + (1 − 1/beta1)(z − y).

use crate::{config::OptimizerSettings, tape::Tape};

use super::{Beyond, Parts, Rule, SETTINGS, SlotRule, UpdateValues, elementwise::Elementwise, padded_settings};

const UPDATE: Elementwise = Elementwise { name: "schedule_free", file: "schedule_free.wgsl", flops: 16 };

/// Its arguments.
#[derive(Clone, Copy, Debug)]
pub struct ScheduleFree {
    betas: [f64; 2],
    eps: f64,
    weight_decay: f64,
    warmup: Warmup,
    /// Exponents of the update and of the rate in an update's weight in the average.
    r: f64,
    weight_lr_power: f64,
}

/// How the rate rises.
#[derive(Clone, Copy, Debug)]
enum Warmup {
    /// Over so many updates, linearly.
    Linear(f64),
    /// As far as the second moment is known (Liu et al. 2020, <https://arxiv.org/abs/1908.03265>).
    Rectified,
}

impl ScheduleFree {
    pub(super) fn adamw(settings: &OptimizerSettings) -> Self {
        Self::new(settings, Warmup::Linear(settings.number("warmup_steps")))
    }

    pub(super) fn radam(settings: &OptimizerSettings) -> Self {
        Self::new(settings, Warmup::Rectified)
    }

    fn new(settings: &OptimizerSettings, warmup: Warmup) -> Self {
        let [eps, weight_decay, r, weight_lr_power] =
            ["eps", "weight_decay", "r", "weight_lr_power"].map(|name| settings.number(name));
        Self { betas: settings.numbers("betas"), eps, weight_decay, warmup, r, weight_lr_power }
    }

    /// The share of the full rate that update `update` (from 1) has.
    fn share(&self, update: f64) -> f64 {
        match self.warmup {
            Warmup::Linear(updates) => {
                if update < updates {
                    update / updates
                } else {
                    1.0
                }
            }
            Warmup::Rectified => {
                let beta2 = self.betas[1];
                let decayed = beta2.powf(update);
                let longest = 2.0 / (1.0 - beta2) - 1.0;
                let length = longest - 2.0 * update * decayed / (1.0 - decayed);
                if length <= 4.0 {
                    return 0.0;
                }
                let square = (length - 4.0) * (length - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * length);
                square.sqrt()
            }
        }
    }

    /// The weight of update `update` in the average of all up to it: c = w/Σw, w = k^r·max(rate)^power. The rate only
    /// rises, so that its own is the largest.
    fn weight(&self, update: u32, rate: f64) -> f64 {
        let weight = |update: f64| update.powf(self.r) * (rate * self.share(update)).powf(self.weight_lr_power);
        let total: f64 = (1..=update).map(|update| weight(f64::from(update))).sum();
        if total > 0.0 { weight(f64::from(update)) / total } else { 0.0 }
    }
}

impl Rule for ScheduleFree {
    fn slots(&self) -> Vec<SlotRule> {
        vec![SlotRule::zero("exp_avg_sq"), SlotRule::copy("z")]
    }

    fn record(&self, tape: &mut Tape, parts: &Parts, update: UpdateValues<'_>) {
        UPDATE.record(tape, parts, update);
    }

    fn numbers(&self, update: u32, rate: f64, _shared: f64) -> [f64; SETTINGS] {
        let Self { betas: [beta1, beta2], eps, weight_decay, .. } = *self;
        let (weight, rate) = (self.weight(update, rate), self.rate(update, rate));
        let correction = (1.0 - beta2.powf(f64::from(update))).sqrt();
        let y_rate = rate * (1.0 - beta1 * (1.0 - weight));
        padded_settings([weight, rate, y_rate, beta2, 1.0 - beta2, correction, eps, weight_decay])
    }

    fn rate(&self, update: u32, rate: f64) -> f64 {
        rate * self.share(f64::from(update))
    }

    fn beyond(&self) -> Option<Beyond> {
        Some(Beyond { slot: "z", weight: 1.0 - 1.0 / self.betas[0] })
    }
}
