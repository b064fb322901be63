//! CAME (Luo et al. 2023, <https://arxiv.org/abs/2307.02047>), as came-pytorch.

use crate::{
    config::OptimizerSettings,
    gpu::Access::{Read, Write},
    tape::Tape,
};

use super::{
    Parts, Rule, SETTINGS, SlotRule, UpdateValues,
    factored::{TensorKernel, estimate},
    padded_settings,
    state::Holds,
};

/// Its arguments.
#[derive(Clone, Copy, Debug)]
pub struct Came {
    betas: [f64; 3],
    /// Added to squares of gradients, and to squares of what an update differs from the mean by.
    eps: [f64; 2],
    clip_threshold: f64,
    weight_decay: f64,
}

impl Came {
    pub(super) fn new(settings: &OptimizerSettings) -> Self {
        let [clip_threshold, weight_decay] = ["clip_threshold", "weight_decay"].map(|name| settings.number(name));
        Self { betas: settings.numbers("betas"), eps: settings.numbers("eps"), clip_threshold, weight_decay }
    }
}

impl Rule for Came {
    fn slots(&self) -> Vec<SlotRule> {
        let [rows, columns] = SlotRule::second_moments();
        let residuals = [("exp_avg_res_row", Holds::RowMeans), ("exp_avg_res_col", Holds::ColumnMeans)];
        let [residual_rows, residual_columns] = residuals.map(|(name, holds)| SlotRule::means(name, holds));
        vec![rows, columns, SlotRule::zero("exp_avg"), residual_rows, residual_columns]
    }

    fn by_tensor(&self) -> bool {
        true
    }

    fn record(&self, tape: &mut Tape, parts: &Parts, update: UpdateValues<'_>) {
        for part in &parts.shards {
            let estimate = estimate(tape, part, update);
            let tensors = part.tensors.expect("asked for by `by_tensor`");
            let [m, rows, columns] = [2, 3, 4].map(|slot| (part.slots[slot], Write));
            let given = [(update.clip, Read), (part.settings, Read), rows, columns, m];
            let kernel = |entry, flops| TensorKernel { name: "came", file: "came.wgsl", entry, flops };
            kernel("confide", 10).record(tape, tensors, &[&given[..], &[(estimate, Read)]].concat());
            kernel("apply", 20).record(tape, tensors, &[&given[..], &[(part.parameters, Write)]].concat());
        }
    }

    fn numbers(&self, _update: u32, rate: f64, _shared: f64) -> [f64; SETTINGS] {
        let Self { betas: [beta1, beta2, beta3], eps: [eps, confidence_eps], clip_threshold, weight_decay } = *self;
        padded_settings([
            beta2,
            1.0 - beta2,
            eps,
            clip_threshold,
            rate,
            beta1,
            1.0 - beta1,
            beta3,
            1.0 - beta3,
            confidence_eps,
            weight_decay,
        ])
    }
}
