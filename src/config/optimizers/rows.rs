//! The table of optimizers: names in other trainers, the class that is followed, its arguments with their defaults.

use anyhow::{Error, anyhow};

use super::{
    super::{
        choices::Word,
        range::{NumberRange, above, from},
        suggest,
    },
    OptimizerKind, RateRule,
    read::ArgumentKind::{self, Flag, Numbers, Optional, Unlimited, Whole},
};

pub(super) struct Row {
    pub kind: OptimizerKind,
    /// sd-scripts' name.
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    /// Relatives that run as this one, and what the user is told of them.
    pub stand_ins: &'static [&'static str],
    pub stand_in_note: &'static str,
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

    /// The row of a name, whatever its case and the module before it.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        let bare = name.trim().rsplit('.').next().unwrap_or_default();
        ROWS.iter().find(|row| row.names().any(|known| known.eq_ignore_ascii_case(bare)))
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

const FROM_ZERO: NumberRange = from(0.0);
const ABOVE_ZERO: NumberRange = above(0.0);
const SHARE: NumberRange = from(0.0).below(1.0);
const POSITIVE_SHARE: NumberRange = above(0.0).below(1.0);

const BETAS: ArgumentRow = argument("betas", Numbers(SHARE, &[0.9, 0.999]));
/// Schedule-free divides by the first.
const POSITIVE_BETAS: ArgumentRow = argument("betas", Numbers(POSITIVE_SHARE, &[0.9, 0.999]));
const NO_DECAY: ArgumentRow = argument("weight_decay", Numbers(FROM_ZERO, &[0.0]));
const EPS: ArgumentRow = argument("eps", Numbers(ABOVE_ZERO, &[1e-8]));
/// How many times as large an update may make the estimated distance.
const GROWTH: ArgumentRow = argument("growth_rate", Unlimited(from(1.0)));

/// Every name with the one that is shown for it.
pub(super) fn words() -> Vec<Word> {
    ROWS.iter().flat_map(|row| row.names().map(|word| Word { word, shown: row.name })).collect()
}

/// Arguments of bitsandbytes' 8-bit and paged optimizers come with their names.
pub(super) const ROWS: &[Row] = &[
    Row {
        kind: OptimizerKind::AdamW,
        name: "AdamW",
        aliases: &["AdamWFused"],
        stand_ins: &["AdamW8bit", "PagedAdamW", "PagedAdamW8bit", "PagedAdamW32bit"],
        stand_in_note: "8-bit and paged kinds run as AdamW, with 32-bit state",
        class: "torch.optim.adamw.AdamW",
        rates: RateRule::Free,
        arguments: &[BETAS, argument("weight_decay", Numbers(FROM_ZERO, &[0.01])), EPS],
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
        stand_in_note: "",
        class: "prodigyopt.prodigy.Prodigy",
        rates: RateRule::Shared,
        arguments: &[
            BETAS,
            argument("beta3", Optional(SHARE)),
            EPS,
            NO_DECAY,
            argument("decouple", Flag(true)),
            argument("use_bias_correction", Flag(false)),
            argument("safeguard_warmup", Flag(false)),
            argument("d0", Numbers(ABOVE_ZERO, &[1e-6])),
            argument("d_coef", Numbers(ABOVE_ZERO, &[1.0])),
            GROWTH,
        ],
        without_effect: &[("slice_p", Some("1")), ("fsdp_in_use", None)],
    },
    Row {
        kind: OptimizerKind::Adafactor,
        name: "Adafactor",
        aliases: &[],
        stand_ins: &[],
        stand_in_note: "",
        class: "transformers.optimization.Adafactor",
        rates: RateRule::Free,
        arguments: &[
            argument("eps", Numbers(ABOVE_ZERO, &[1e-30, 1e-3])),
            argument("clip_threshold", Numbers(ABOVE_ZERO, &[1.0])),
            argument("decay_rate", Numbers(from(-1.0).to(0.0), &[-0.8])),
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
        stand_in_note: "8-bit and paged kinds run as Lion, with 32-bit state",
        class: "lion_pytorch.lion_pytorch.Lion",
        rates: RateRule::Free,
        arguments: &[argument("betas", Numbers(SHARE, &[0.9, 0.99])), NO_DECAY],
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
        stand_in_note: "",
        class: "schedulefree.adamw_schedulefree.AdamWScheduleFree",
        rates: RateRule::Unscheduled,
        arguments: &[
            POSITIVE_BETAS,
            EPS,
            NO_DECAY,
            argument("warmup_steps", Whole),
            argument("r", Numbers(FROM_ZERO, &[0.0])),
            argument("weight_lr_power", Numbers(FROM_ZERO, &[2.0])),
        ],
        without_effect: &[("foreach", None)],
    },
    Row {
        kind: OptimizerKind::RAdamScheduleFree,
        name: "RAdamScheduleFree",
        aliases: &[],
        stand_ins: &[],
        stand_in_note: "",
        class: "schedulefree.radam_schedulefree.RAdamScheduleFree",
        rates: RateRule::Unscheduled,
        arguments: &[
            POSITIVE_BETAS,
            EPS,
            NO_DECAY,
            argument("r", Numbers(FROM_ZERO, &[0.0])),
            argument("weight_lr_power", Numbers(FROM_ZERO, &[2.0])),
        ],
        without_effect: &[("foreach", None), ("silent_sgd_phase", Some("True"))],
    },
    Row {
        kind: OptimizerKind::Came,
        name: "CAME",
        aliases: &[],
        stand_ins: &[],
        stand_in_note: "",
        class: "came_pytorch.CAME.CAME",
        rates: RateRule::Free,
        arguments: &[
            argument("betas", Numbers(SHARE, &[0.9, 0.999, 0.9999])),
            argument("eps", Numbers(ABOVE_ZERO, &[1e-30, 1e-16])),
            argument("clip_threshold", Numbers(ABOVE_ZERO, &[1.0])),
            NO_DECAY,
        ],
        without_effect: &[],
    },
    Row {
        kind: OptimizerKind::SgdNesterov,
        name: "SGDNesterov",
        aliases: &[],
        stand_ins: &["SGDNesterov8bit"],
        stand_in_note: "SGDNesterov8bit runs as SGDNesterov, with 32-bit state",
        class: "torch.optim.sgd.SGD",
        rates: RateRule::Free,
        arguments: &[argument("momentum", Numbers(SHARE, &[0.9])), NO_DECAY],
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
        stand_in_note: "DAdaptation runs as DAdaptAdam",
        class: "dadaptation.dadapt_adam.DAdaptAdam",
        rates: RateRule::Shared,
        arguments: &[
            BETAS,
            EPS,
            NO_DECAY,
            argument("decouple", Flag(false)),
            argument("use_bias_correction", Flag(false)),
            argument("d0", Numbers(ABOVE_ZERO, &[1e-6])),
            GROWTH,
        ],
        without_effect: &[("log_every", None), ("fsdp_in_use", None)],
    },
];
