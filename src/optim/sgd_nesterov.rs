//! Stochastic gradient descent with Nesterov's momentum, as `torch.optim.SGD(nesterov=True)`.

use crate::{config::OptimizerSettings, tape::Tape};

use super::{Parts, Rule, SETTINGS, SlotRule, UpdateValues, elementwise::Elementwise, padded_settings};

const UPDATE: Elementwise = Elementwise { name: "sgd_nesterov", file: "sgd_nesterov.wgsl", flops: 9 };

/// Its arguments.
#[derive(Clone, Copy, Debug)]
pub struct SgdNesterov {
    momentum: f64,
    weight_decay: f64,
}

impl SgdNesterov {
    pub(super) fn new(settings: &OptimizerSettings) -> Self {
        Self { momentum: settings.number("momentum"), weight_decay: settings.number("weight_decay") }
    }
}

impl Rule for SgdNesterov {
    fn slots(&self) -> Vec<SlotRule> {
        vec![SlotRule::zero("momentum_buffer")]
    }

    fn record(&self, tape: &mut Tape, parts: &Parts, update: UpdateValues<'_>) {
        UPDATE.record(tape, parts, update);
    }

    fn numbers(&self, _update: u32, rate: f64, _shared: f64) -> [f64; SETTINGS] {
        padded_settings([rate, self.momentum, self.weight_decay])
    }
}
