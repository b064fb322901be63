//! Prodigy (Mishchenko and Defazio 2023, <https://arxiv.org/abs/2306.06101>), as prodigyopt.

use crate::{config::OptimizerSettings, tape::Tape};

use super::{
    Parts, Rule, SETTINGS, SlotRule, UpdateValues,
    distance::{self, Distance, Settings},
};

const UPDATE: Distance = Distance { name: "prodigy", file: "prodigy.wgsl", own_slots: 1 };

/// Its arguments.
#[derive(Clone, Copy, Debug)]
pub struct Prodigy {
    betas: [f64; 2],
    beta3: f64,
    eps: f64,
    weight_decay: f64,
    decouple: bool,
    use_bias_correction: bool,
    safeguard_warmup: bool,
    d0: f64,
    d_coef: f64,
    growth_rate: f64,
}

impl Prodigy {
    pub(super) fn new(settings: &OptimizerSettings) -> Self {
        let betas = settings.numbers("betas");
        let [eps, weight_decay, d0, d_coef, growth_rate] =
            ["eps", "weight_decay", "d0", "d_coef", "growth_rate"].map(|name| settings.number(name));
        let [decouple, use_bias_correction, safeguard_warmup] =
            ["decouple", "use_bias_correction", "safeguard_warmup"].map(|name| settings.flag(name));
        let beta3 = settings.optional_number("beta3").unwrap_or(betas[1].sqrt());
        Self {
            betas,
            beta3,
            eps,
            weight_decay,
            decouple,
            use_bias_correction,
            safeguard_warmup,
            d0,
            d_coef,
            growth_rate,
        }
    }
}

impl Rule for Prodigy {
    fn slots(&self) -> Vec<SlotRule> {
        vec![SlotRule::zero("exp_avg"), SlotRule::zero("exp_avg_sq"), SlotRule::zero("s"), SlotRule::copy("p0")]
    }

    fn shared(&self) -> Vec<f32> {
        distance::shared(self.d0)
    }

    fn record(&self, tape: &mut Tape, parts: &Parts, update: UpdateValues<'_>) {
        UPDATE.record(tape, parts, update);
    }

    fn numbers(&self, _update: u32, rate: f64, shared: f64) -> [f64; SETTINGS] {
        let Self { betas, beta3, eps, weight_decay, decouple, use_bias_correction, growth_rate, .. } = *self;
        let own = [self.d0, self.d_coef, f64::from(u8::from(self.safeguard_warmup))];
        let settings = Settings {
            rate,
            largest_rate: shared,
            betas,
            beta3,
            eps,
            weight_decay,
            decouple,
            use_bias_correction,
            growth_rate,
            own,
        };
        settings.numbers()
    }
}
