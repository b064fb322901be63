//! The table of optimizers: names in other trainers, the class that is followed, its arguments with their defaults.

use anyhow::{Error, anyhow};

use super::{
    OptimizerKind, RateRule,
    read::{
        ArgumentKind::{self, Flag, Numbers, Optional},
        Range::{AboveZero, Any, BetweenZeroAndOne, FromOne, FromZero, Whole, ZeroToBelowOne},
    },
};
use crate::config::suggest;

pub(super) struct Row {
    pub kind: OptimizerKind,
    /// sd-scripts' name.
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    /// Relatives that run as this one, which the user is told.
    pub stand_ins: &'static [&'static str],
    /// The implementation that is followed, as sd-scripts names it.
    pub class: &'static str,
    pub rates: RateRule,
    pub arguments: &'static [ArgumentRow],
    /// Arguments of the class that change nothing here, with the only value that does so; `None`: any.
    pub without_effect: &'static [(&'static str, Option<&'static str>)],
}

pub(super) struct ArgumentRow {
    pub name: &'static str,
    pub kind: ArgumentKind,
}

impl Row {
    pub(super) fn of(kind: OptimizerKind) -> &'static Self {
        ROWS.iter().find(|row| row.kind == kind).expect("every kind has a row")
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().chain(self.stand_ins).copied())
    }

    /// What to say about an argument that there is none of.
    pub(super) fn unknown(&self, name: &str) -> Error {
        let known = self.arguments.iter().map(|argument| argument.name);
        match suggest::nearest(name, known.clone()) {
            Some(near) => anyhow!("unknown argument `{name}`; did you mean `{near}`?"),
            None => {
                let list = known.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                anyhow!("unknown argument `{name}`; {} takes {list}", self.name)
            }
        }
    }
}

const fn argument(name: &'static str, kind: ArgumentKind) -> ArgumentRow {
    ArgumentRow { name, kind }
}

const BETAS: ArgumentRow = argument("betas", Numbers(ZeroToBelowOne, &[0.9, 0.999]));
/// Schedule-free divides by the first.
const POSITIVE_BETAS: ArgumentRow = argument("betas", Numbers(BetweenZeroAndOne, &[0.9, 0.999]));
const NO_DECAY: ArgumentRow = argument("weight_decay", Numbers(FromZero, &[0.0]));
const EPS: ArgumentRow = argument("eps", Numbers(AboveZero, &[1e-8]));
/// Differences of two learning rates, infinite where it never limits anything.
const GROWTH: ArgumentRow = argument("growth_rate", Numbers(FromOne, &[f64::INFINITY]));

/// Arguments of bitsandbytes' 8-bit and paged optimizers come with their names.
pub(super) const ROWS: &[Row] = &[
    Row {
        kind: OptimizerKind::AdamW,
        name: "AdamW",
        aliases: &["AdamWFused"],
        stand_ins: &["AdamW8bit", "PagedAdamW", "PagedAdamW8bit", "PagedAdamW32bit"],
        class: "torch.optim.adamw.AdamW",
        rates: RateRule::Free,
        arguments: &[BETAS, argument("weight_decay", Numbers(FromZero, &[0.01])), EPS],
        without_effect: &[
            ("fused", None),
            ("foreach", None),
            ("capturable", None),
            ("amsgrad", Some("False")),
            ("maximize", Some("False")),
            ("optim_bits", None),
            ("min_8bit_size", None),
            ("block_wise", None),
            ("is_paged", None),
            ("percentile_clipping", Some("100")),
        ],
    },
    Row {
        kind: OptimizerKind::Prodigy,
        name: "Prodigy",
        aliases: &[],
        stand_ins: &[],
        class: "prodigyopt.prodigy.Prodigy",
        rates: RateRule::Shared,
        arguments: &[
            BETAS,
            argument("beta3", Optional(ZeroToBelowOne)),
            EPS,
            NO_DECAY,
            argument("decouple", Flag(true)),
            argument("use_bias_correction", Flag(false)),
            argument("safeguard_warmup", Flag(false)),
            argument("d0", Numbers(AboveZero, &[1e-6])),
            argument("d_coef", Numbers(AboveZero, &[1.0])),
            GROWTH,
        ],
        without_effect: &[("slice_p", Some("1")), ("fsdp_in_use", None)],
    },
    Row {
        kind: OptimizerKind::Adafactor,
        name: "Adafactor",
        aliases: &[],
        stand_ins: &[],
        class: "transformers.optimization.Adafactor",
        rates: RateRule::Free,
        arguments: &[
            argument("eps", Numbers(AboveZero, &[1e-30, 1e-3])),
            argument("clip_threshold", Numbers(AboveZero, &[1.0])),
            argument("decay_rate", Numbers(Any, &[-0.8])),
            NO_DECAY,
            argument("scale_parameter", Flag(true)),
            argument("relative_step", Flag(true)),
            argument("warmup_init", Flag(false)),
        ],
        without_effect: &[("beta1", Some("None"))],
    },
    Row {
        kind: OptimizerKind::Lion,
        name: "Lion",
        aliases: &[],
        stand_ins: &["Lion8bit", "PagedLion8bit"],
        class: "lion_pytorch.lion_pytorch.Lion",
        rates: RateRule::Free,
        arguments: &[argument("betas", Numbers(ZeroToBelowOne, &[0.9, 0.99])), NO_DECAY],
        without_effect: &[
            ("use_triton", None),
            ("decoupled_weight_decay", Some("False")),
            ("optim_bits", None),
            ("min_8bit_size", None),
            ("block_wise", None),
            ("is_paged", None),
            ("percentile_clipping", Some("100")),
        ],
    },
    Row {
        kind: OptimizerKind::AdamWScheduleFree,
        name: "AdamWScheduleFree",
        aliases: &[],
        stand_ins: &[],
        class: "schedulefree.adamw_schedulefree.AdamWScheduleFree",
        rates: RateRule::Unscheduled,
        arguments: &[
            POSITIVE_BETAS,
            EPS,
            NO_DECAY,
            argument("warmup_steps", Numbers(Whole, &[0.0])),
            argument("r", Numbers(FromZero, &[0.0])),
            argument("weight_lr_power", Numbers(FromZero, &[2.0])),
        ],
        without_effect: &[("foreach", None)],
    },
    Row {
        kind: OptimizerKind::RAdamScheduleFree,
        name: "RAdamScheduleFree",
        aliases: &[],
        stand_ins: &[],
        class: "schedulefree.radam_schedulefree.RAdamScheduleFree",
        rates: RateRule::Unscheduled,
        arguments: &[
            POSITIVE_BETAS,
            EPS,
            NO_DECAY,
            argument("r", Numbers(FromZero, &[0.0])),
            argument("weight_lr_power", Numbers(FromZero, &[2.0])),
        ],
        without_effect: &[("foreach", None), ("silent_sgd_phase", Some("True"))],
    },
    Row {
        kind: OptimizerKind::Came,
        name: "CAME",
        aliases: &[],
        stand_ins: &[],
        class: "came_pytorch.CAME.CAME",
        rates: RateRule::Free,
        arguments: &[
            argument("betas", Numbers(ZeroToBelowOne, &[0.9, 0.999, 0.9999])),
            argument("eps", Numbers(AboveZero, &[1e-30, 1e-16])),
            argument("clip_threshold", Numbers(AboveZero, &[1.0])),
            NO_DECAY,
        ],
        without_effect: &[],
    },
    Row {
        kind: OptimizerKind::SgdNesterov,
        name: "SGDNesterov",
        aliases: &[],
        stand_ins: &["SGDNesterov8bit"],
        class: "torch.optim.sgd.SGD",
        rates: RateRule::Free,
        arguments: &[argument("momentum", Numbers(ZeroToBelowOne, &[0.9])), NO_DECAY],
        without_effect: &[
            ("nesterov", Some("True")),
            ("dampening", Some("0")),
            ("maximize", Some("False")),
            ("foreach", None),
            ("fused", None),
            ("optim_bits", None),
            ("min_8bit_size", None),
            ("block_wise", None),
            ("percentile_clipping", Some("100")),
        ],
    },
    Row {
        kind: OptimizerKind::DAdaptAdam,
        name: "DAdaptAdam",
        aliases: &[],
        stand_ins: &["DAdaptation"],
        class: "dadaptation.dadapt_adam.DAdaptAdam",
        rates: RateRule::Shared,
        arguments: &[
            BETAS,
            EPS,
            NO_DECAY,
            argument("decouple", Flag(false)),
            argument("use_bias_correction", Flag(false)),
            argument("d0", Numbers(AboveZero, &[1e-6])),
            GROWTH,
        ],
        without_effect: &[("log_every", None), ("fsdp_in_use", None)],
    },
];
