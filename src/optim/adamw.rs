//! AdamW (Loshchilov and Hutter 2019), as `torch.optim.AdamW`.

use crate::{config::OptimizerSettings, tape::Tape};

use super::{Parts, Rule, SETTINGS, SlotRule, UpdateValues, elementwise::Elementwise, padded_settings};

const UPDATE: Elementwise = Elementwise { name: "adamw", file: "adamw.wgsl", flops: 15 };

/// Its arguments.
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    betas: [f64; 2],
    weight_decay: f64,
    eps: f64,
}

impl AdamW {
    pub(super) fn new(settings: &OptimizerSettings) -> Self {
        let [weight_decay, eps] = ["weight_decay", "eps"].map(|name| settings.number(name));
        Self { betas: settings.numbers("betas"), weight_decay, eps }
    }
}

impl Rule for AdamW {
    fn slots(&self) -> Vec<SlotRule> {
        vec![SlotRule::zero("exp_avg"), SlotRule::zero("exp_avg_sq")]
    }

    fn record(&self, tape: &mut Tape, parts: &Parts, update: UpdateValues<'_>) {
        UPDATE.record(tape, parts, update);
    }

    fn numbers(&self, update: u32, rate: f64, _shared: f64) -> [f64; SETTINGS] {
        let Self { betas: [beta1, beta2], weight_decay, eps } = *self;
        let update = f64::from(update);
        let step_size = rate / (1.0 - beta1.powf(update));
        let correction = (1.0 - beta2.powf(update)).sqrt();
        padded_settings([1.0 - rate * weight_decay, 1.0 - beta1, beta2, 1.0 - beta2, step_size, correction, eps])
    }
}
