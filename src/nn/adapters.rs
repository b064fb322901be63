//! Layers as they are recorded: the tape, and what adapts some of them.

use std::{collections::HashMap, fmt, rc::Rc};

use crate::{
    ops,
    tape::{Tape, Value},
};

/// A tape on which layers are recorded, with the adapters that stand on it.
pub struct Recording<'a> {
    pub tape: &'a mut Tape,
    adapters: Option<&'a Adapters>,
}

impl<'a> Recording<'a> {
    /// For layers of which none is adapted.
    pub fn frozen(tape: &'a mut Tape) -> Self {
        Self { tape, adapters: None }
    }

    pub fn adapted(tape: &'a mut Tape, adapters: &'a Adapters) -> Self {
        Self { tape, adapters: Some(adapters) }
    }

    /// What adapts the layer at `path`.
    pub fn adapter(&self, path: &str) -> Option<&'a Adapter> {
        self.adapters?.0.get(path)
    }

    /// Marks what `record` records as one unit of gradient checkpointing.
    pub fn block<T>(&mut self, record: impl FnOnce(&mut Recording<'_>) -> T) -> T {
        let adapters = self.adapters;
        self.tape.block(|tape| record(&mut Recording { tape, adapters }))
    }
}

/// Records a weight from another.
type Reweigh = dyn Fn(&mut Tape, Value) -> Value;

/// How one layer is adapted on a tape.
#[derive(Clone)]
pub enum Adapter {
    /// Beside the layer: ΔW = scale · up · down.
    LowRank(LowRank),
    /// In the layer's weight: from the frozen one, as the layer has it, to the one that it is to use, in F32.
    Weight(Rc<Reweigh>),
}

impl fmt::Debug for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LowRank(low_rank) => low_rank.fmt(f),
            Self::Weight(_) => f.write_str("Weight"),
        }
    }
}

/// A LoRA on a tape.
#[derive(Clone, Copy, Debug)]
pub struct LowRank {
    /// (rank, in), for a 3×3 convolution (rank, in · 9).
    pub down: Value,
    /// (out, rank)
    pub up: Value,
    /// (1): alpha / rank, times the strength where there is one.
    pub scale: Value,
    pub dropped: Option<Dropped>,
}

/// What a LoRA leaves out in a step.
#[derive(Clone, Copy, Debug)]
pub struct Dropped {
    /// (B, rank): what each picture's ranks are multiplied by, 0 or a number that makes up for the others.
    pub ranks: Value,
    /// Element by element, as [`ops::dropout`] does it.
    pub elements: Option<ElementDropout>,
}

/// The arguments of [`ops::dropout`].
#[derive(Clone, Copy, Debug)]
pub struct ElementDropout {
    /// (2)
    pub key: Value,
    pub site: u32,
    pub rate: f32,
}

impl LowRank {
    /// What is added to a layer's result: scale · hidden · upᵀ, `hidden` (B, …, rank) being what `down` makes of its input.
    pub(super) fn update(&self, tape: &mut Tape, mut hidden: Value) -> Value {
        if let Some(Dropped { ranks, elements }) = self.dropped {
            hidden = ops::scale_rows(tape, hidden, ranks);
            if let Some(ElementDropout { key, site, rate }) = elements {
                hidden = ops::dropout(tape, hidden, key, site, rate);
            }
        }
        let up = ops::scale_by(tape, self.up, self.scale);
        ops::linear(tape, hidden, up, None)
    }
}

/// The adapter of each adapted layer, by diffusers path.
#[derive(Clone, Debug, Default)]
pub struct Adapters(HashMap<String, Adapter>);

impl FromIterator<(String, Adapter)> for Adapters {
    fn from_iter<T: IntoIterator<Item = (String, Adapter)>>(adapters: T) -> Self {
        Self(adapters.into_iter().collect())
    }
}

impl Extend<(String, Adapter)> for Adapters {
    fn extend<T: IntoIterator<Item = (String, Adapter)>>(&mut self, adapters: T) {
        self.0.extend(adapters);
    }
}
