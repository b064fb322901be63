//! Lion (Chen et al. 2023, <https://arxiv.org/abs/2302.06675>), as lion-pytorch.

use crate::{config::OptimizerSettings, tape::Tape};

use super::{Parts, Rule, SETTINGS, SlotRule, UpdateValues, elementwise::Elementwise, padded_settings};

const UPDATE: Elementwise = Elementwise { name: "lion", file: "lion.wgsl", flops: 10 };

/// Its arguments.
#[derive(Clone, Copy, Debug)]
pub struct Lion {
    betas: [f64; 2],
    weight_decay: f64,
}

impl Lion {
    pub(super) fn new(settings: &OptimizerSettings) -> Self {
        Self { betas: settings.numbers("betas"), weight_decay: settings.number("weight_decay") }
    }
}

impl Rule for Lion {
    fn slots(&self) -> Vec<SlotRule> {
        vec![SlotRule::zero("exp_avg")]
    }

    fn record(&self, tape: &mut Tape, parts: &Parts, update: UpdateValues<'_>) {
        UPDATE.record(tape, parts, update);
    }

    fn numbers(&self, _update: u32, rate: f64, _shared: f64) -> [f64; SETTINGS] {
        let Self { betas: [beta1, beta2], weight_decay } = *self;
        padded_settings([1.0 - rate * weight_decay, rate, beta1, 1.0 - beta1, beta2, 1.0 - beta2])
    }
}
