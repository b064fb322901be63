//! The kinds of adapters, a file each: which tensors they have, how they begin, and how they stand on a tape.

mod dora;
mod factors;
mod loha;
mod lokr;
mod lora;

use anyhow::Result;

use crate::{
    nn,
    ops::DoraAxis,
    tape::{Tape, Value},
    weights::lora::Site,
};

use super::{
    scales::{Factor, Scales},
    store::TensorShape,
};

/// What is trained beside a frozen weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Lora,
    Dora {
        axis: DoraAxis,
        /// Whether the norm counts as a constant in backward, as PEFT has it.
        detached: bool,
    },
    Loha,
    Lokr {
        /// As LyCORIS takes it; −1: as even as can be.
        factor: i32,
    },
}

/// −1 and minus the strength, by which kinds that are not linear in it are blended in.
pub(super) const BLEND: [Factor; 2] = [Factor::fixed(-1.0), Factor::by_strength(-1.0)];

/// One of a module's tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// As files call it.
    pub name: &'static str,
    pub shape: TensorShape,
}

/// One module's tensors on a tape.
pub struct OnTape<'a> {
    pub site: &'a Site,
    /// In the order of [`Kind::tensors`].
    pub tensors: &'a [Value],
    /// (1): the kind's factor, times the strength where the change is linear in it.
    pub scale: Value,
    /// (1) each: −1 and minus the strength, where a strength other than 1 may be asked for.
    pub blend: Option<(Value, Value)>,
    /// What is dropped in training.
    pub dropped: Option<nn::Dropped>,
}

impl Kind {
    /// The tensors of a module.
    pub fn tensors(self, site: &Site, rank: usize) -> Vec<TensorSpec> {
        match self {
            Self::Lora => lora::tensors(site, rank),
            Self::Dora { axis, .. } => dora::tensors(site, rank, axis),
            Self::Loha => loha::tensors(site, rank),
            Self::Lokr { factor } => lokr::tensors(site, rank, factor),
        }
    }

    /// A module's first values, tensor by tensor; `index` counts the modules, so that each has its own. `weight` gives the
    /// frozen weight, (out, in · taps), for kinds that begin from it.
    ///
    /// # Errors
    /// What `weight` says.
    pub fn initial(
        self,
        (seed, index): (u64, usize),
        site: &Site,
        rank: usize,
        weight: &dyn Fn(&Site) -> Result<Vec<f32>>,
    ) -> Result<Vec<Vec<f32>>> {
        Ok(match self {
            Self::Lora => lora::initial(seed, index, site, rank),
            Self::Dora { axis, .. } => {
                let mut values = lora::initial(seed, index, site, rank);
                values.push(dora::norms(site, axis, &weight(site)?));
                values
            }
            Self::Loha => loha::initial(seed, index, site, rank),
            Self::Lokr { factor } => lokr::initial(seed, index, site, rank, factor),
        })
    }

    /// The factor of ΔW.
    pub fn factor(self, site: &Site, rank: usize, alpha: f32) -> Factor {
        match self {
            Self::Lora | Self::Loha => Factor::by_strength(alpha / rank as f32),
            Self::Dora { .. } => Factor::fixed(alpha / rank as f32),
            Self::Lokr { factor } => Factor::by_strength(lokr::factor_of_change(site, rank, alpha, factor)),
        }
    }

    /// The alpha that files state, by which readers come to the same factor.
    pub fn stated_alpha(self, site: &Site, rank: usize, alpha: f32) -> f32 {
        match self {
            Self::Lokr { factor } if lokr::is_whole_at(site, rank, factor) => rank as f32,
            _ => alpha,
        }
    }

    /// Whether the strength has to be blended in, since the change is not linear in it.
    pub fn blends(self) -> bool {
        matches!(self, Self::Dora { .. })
    }

    /// How a layer with this module is to be recorded.
    pub fn record(self, module: &OnTape<'_>) -> nn::Adapter {
        match self {
            Self::Lora => lora::record(module),
            Self::Dora { axis, detached } => dora::record(module, axis, detached),
            Self::Loha => loha::record(module),
            Self::Lokr { factor } => lokr::record(module, factor),
        }
    }
}

impl OnTape<'_> {
    /// −1 and minus the strength, on a tape.
    pub(super) fn blend(tape: &mut Tape, scales: &Scales) -> (Value, Value) {
        let [minus_one, minus_strength] = BLEND.map(|factor| scales.on(tape, factor));
        (minus_one, minus_strength)
    }
}
