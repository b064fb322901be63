//! Adafactor (Shazeer and Stern 2018, <https://arxiv.org/abs/1804.04235>), as transformers' Adafactor without momentum.

use crate::{
    config::OptimizerSettings,
    gpu::Access::{Read, Write},
    tape::Tape,
};

use super::{
    Parts, Rule, SETTINGS, SlotRule, UpdateValues,
    factored::{TensorKernel, estimate},
    padded_settings,
};

/// The largest rate of its own.
const LARGEST_OWN_RATE: f64 = 1e-2;
/// What its own rate rises by each update while it warms up.
const WARMUP_RATE: f64 = 1e-6;

/// Its arguments.
#[derive(Clone, Copy, Debug)]
pub struct Adafactor {
    /// Added to squares of gradients; the least scale of a tensor's rate.
    eps: [f64; 2],
    clip_threshold: f64,
    decay_rate: f64,
    weight_decay: f64,
    scale_parameter: bool,
    relative_step: bool,
    warmup_init: bool,
}

impl Adafactor {
    pub(super) fn new(settings: &OptimizerSettings) -> Self {
        let [clip_threshold, decay_rate, weight_decay] =
            ["clip_threshold", "decay_rate", "weight_decay"].map(|name| settings.number(name));
        let [scale_parameter, relative_step, warmup_init] =
            ["scale_parameter", "relative_step", "warmup_init"].map(|name| settings.flag(name));
        let eps = settings.numbers("eps");
        Self { eps, clip_threshold, decay_rate, weight_decay, scale_parameter, relative_step, warmup_init }
    }
}

impl Rule for Adafactor {
    fn slots(&self) -> Vec<SlotRule> {
        SlotRule::second_moments().to_vec()
    }

    fn by_tensor(&self) -> bool {
        true
    }

    fn record(&self, tape: &mut Tape, parts: &Parts, update: UpdateValues<'_>) {
        for part in &parts.shards {
            let estimate = estimate(tape, part, update);
            let tensors = part.tensors.expect("asked for by `by_tensor`");
            let values = [(part.parameters, Write), (estimate, Read), (update.clip, Read), (part.settings, Read)];
            let apply = TensorKernel { name: "adafactor", file: "adafactor.wgsl", entry: "apply", flops: 15 };
            apply.record(tape, tensors, &values);
        }
    }

    fn numbers(&self, update: u32, rate: f64, _shared: f64) -> [f64; SETTINGS] {
        let one_minus_beta = f64::from(update).powf(self.decay_rate);
        let scales = f64::from(u8::from(self.scale_parameter));
        let [eps, smallest] = self.eps;
        let (beta, threshold, rate) = (1.0 - one_minus_beta, self.clip_threshold, self.rate(update, rate));
        padded_settings([beta, one_minus_beta, eps, threshold, rate, scales, smallest, self.weight_decay])
    }

    fn rate(&self, update: u32, rate: f64) -> f64 {
        let update = f64::from(update);
        let most = if self.warmup_init { WARMUP_RATE * update } else { LARGEST_OWN_RATE };
        if self.relative_step { most.min(1.0 / update.sqrt()) } else { rate }
    }
}
