//! D-adapted Adam (Defazio and Mishchenko 2023, <https://arxiv.org/abs/2301.07733>), as dadaptation's DAdaptAdam.

use crate::{config::OptimizerSettings, tape::Tape};

use super::{
    Parts, Rule, SETTINGS, SlotRule, UpdateValues,
    distance::{self, Distance, Settings},
};

const UPDATE: Distance = Distance { name: "dadapt_adam", file: "dadapt_adam.wgsl", own_slots: 0 };

/// Its arguments.
#[derive(Clone, Copy, Debug)]
pub struct DAdaptAdam {
    betas: [f64; 2],
    eps: f64,
    weight_decay: f64,
    decouple: bool,
    use_bias_correction: bool,
    d0: f64,
    growth_rate: f64,
}

impl DAdaptAdam {
    pub(super) fn new(settings: &OptimizerSettings) -> Self {
        let [eps, weight_decay, d0, growth_rate] =
            ["eps", "weight_decay", "d0", "growth_rate"].map(|name| settings.number(name));
        let [decouple, use_bias_correction] = ["decouple", "use_bias_correction"].map(|name| settings.flag(name));
        Self { betas: settings.numbers("betas"), eps, weight_decay, decouple, use_bias_correction, d0, growth_rate }
    }
}

impl Rule for DAdaptAdam {
    fn slots(&self) -> Vec<SlotRule> {
        vec![SlotRule::zero("exp_avg"), SlotRule::zero("exp_avg_sq"), SlotRule::zero("s")]
    }

    fn shared(&self) -> Vec<f32> {
        distance::shared(self.d0)
    }

    fn record(&self, tape: &mut Tape, parts: &Parts, update: UpdateValues<'_>) {
        UPDATE.record(tape, parts, update);
    }

    fn numbers(&self, _update: u32, rate: f64, shared: f64) -> [f64; SETTINGS] {
        let Self { betas, eps, weight_decay, decouple, use_bias_correction, growth_rate, .. } = *self;
        let settings = Settings {
            rate,
            largest_rate: shared,
            betas,
            beta3: betas[1].sqrt(),
            eps,
            weight_decay,
            decouple,
            use_bias_correction,
            growth_rate,
            own: [0.0; 3],
        };
        settings.numbers()
    }
}
