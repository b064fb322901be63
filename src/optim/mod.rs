//! How trained parameters are updated: optimizers with their state, and the running average of what was trained.
//!
//! An optimizer is a file here, a shader, a row in `config::optimizers` and two lines below. Only this layer knows what
//! state it has. Its update is recorded once; what changes from one update to the next are [`SETTINGS`] numbers for each
//! parameter group, computed on the host in f64.

mod adafactor;
mod adamw;
mod came;
mod dadapt_adam;
mod distance;
mod elementwise;
mod ema;
mod factored;
mod lion;
mod prodigy;
mod schedule_free;
mod sgd_nesterov;
mod state;

use anyhow::Result;

use crate::{
    adapters::Store,
    config::{OptimizerKind, OptimizerSettings},
    gpu::Gpu,
    tape::{Tape, Value},
};

pub use adafactor::Adafactor;
pub use adamw::AdamW;
pub use came::Came;
pub use dadapt_adam::DAdaptAdam;
pub use ema::{Ema, EmaRule};
pub use lion::Lion;
pub use prodigy::Prodigy;
pub use schedule_free::ScheduleFree;
pub use sgd_nesterov::SgdNesterov;
pub use state::{State, TensorState};

use state::SlotRule;

/// Numbers of an update for each parameter group.
pub const SETTINGS: usize = 16;

/// An optimizer with its arguments.
#[derive(Clone, Debug)]
pub enum Optimizer {
    AdamW(AdamW),
    Prodigy(Prodigy),
    Adafactor(Adafactor),
    Lion(Lion),
    ScheduleFree(ScheduleFree),
    Came(Came),
    SgdNesterov(SgdNesterov),
    DAdaptAdam(DAdaptAdam),
}

/// What an update reads besides parameters, gradients and state.
#[derive(Clone, Copy, Debug)]
pub struct UpdateValues<'a> {
    /// (4), from [`crate::ops::grad_norm`].
    pub clip: Value,
    /// (SETTINGS) for each parameter group, from [`Optimizer::settings`].
    pub settings: &'a [Value],
}

impl Optimizer {
    pub fn new(settings: &OptimizerSettings) -> Self {
        match settings.kind {
            OptimizerKind::AdamW => Self::AdamW(AdamW::new(settings)),
            OptimizerKind::Prodigy => Self::Prodigy(Prodigy::new(settings)),
            OptimizerKind::Adafactor => Self::Adafactor(Adafactor::new(settings)),
            OptimizerKind::Lion => Self::Lion(Lion::new(settings)),
            OptimizerKind::AdamWScheduleFree => Self::ScheduleFree(ScheduleFree::adamw(settings)),
            OptimizerKind::RAdamScheduleFree => Self::ScheduleFree(ScheduleFree::radam(settings)),
            OptimizerKind::Came => Self::Came(Came::new(settings)),
            OptimizerKind::SgdNesterov => Self::SgdNesterov(SgdNesterov::new(settings)),
            OptimizerKind::DAdaptAdam => Self::DAdaptAdam(DAdaptAdam::new(settings)),
        }
    }

    fn rule(&self) -> &dyn Rule {
        match self {
            Self::AdamW(rule) => rule,
            Self::Prodigy(rule) => rule,
            Self::Adafactor(rule) => rule,
            Self::Lion(rule) => rule,
            Self::ScheduleFree(rule) => rule,
            Self::Came(rule) => rule,
            Self::SgdNesterov(rule) => rule,
            Self::DAdaptAdam(rule) => rule,
        }
    }

    /// The state that the trained shards of `store` need; nothing is allocated yet.
    pub fn state(&self, store: &Store) -> State {
        State::new(store, self.rule().slots(), self.rule().shared(), self.rule().by_tensor())
    }

    /// Records the update of all trained shards in place, by their accumulated gradients times the factor in `clip`.
    /// Nothing is touched where `clip` says that gradients are not finite.
    ///
    /// # Panics
    /// Where a shard's group has no settings.
    pub fn record(&self, tape: &mut Tape, store: &Store, state: &State, update: UpdateValues<'_>) {
        let groups = update.settings.len();
        for (_, shard) in store.trained() {
            assert!(shard.group.is_some_and(|group| group < groups), "a shard's group is none of {groups}");
        }
        assert_eq!(tape.elements(update.clip), 4, "size of clip");
        let sized = |&settings: &Value| tape.elements(settings) == SETTINGS;
        assert!(update.settings.iter().all(sized), "settings hold {SETTINGS} numbers for each group");
        let parts = state.parts(tape, store, update.settings);
        self.rule().record(tape, &parts, update);
    }

    /// The numbers of update `update` (from 1) for each group, whose learning rates are `rates`. Differences are taken in
    /// f64: 1 − beta2 is 1e-5 off where it is computed in f32.
    pub fn settings(&self, update: u32, rates: &[f64]) -> Vec<[f32; SETTINGS]> {
        let shared = rates.iter().copied().fold(0.0, f64::max);
        rates.iter().map(|&rate| self.rule().numbers(update, rate, shared).map(|number| number as f32)).collect()
    }

    /// The rate at which update `update` (from 1) runs where the schedule gives `rate`: some optimizers have a warm-up or
    /// a schedule of their own. Where the step size is found on the device, this is the factor of [`State::distance`].
    pub fn rate(&self, update: u32, rate: f64) -> f64 {
        self.rule().rate(update, rate)
    }

    /// The values to save, preview and evaluate with, for each tensor in its order in files: the parameters, but for
    /// optimizers that train another point than the one they find.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn evaluated(&self, gpu: &Gpu, store: &Store, state: &State) -> Result<Vec<Vec<f32>>> {
        let mut values = store.read(gpu, |shard| &shard.parameters)?;
        let Some(beyond) = self.rule().beyond() else { return Ok(values) };
        let slot = state.read(gpu, store)?;
        for TensorState { tensor, values: target, .. } in slot.into_iter().filter(|state| state.slot == beyond.slot) {
            for (value, target) in values[tensor].iter_mut().zip(target) {
                let (from, to) = (f64::from(*value), f64::from(target));
                *value = (from + beyond.weight * (to - from)) as f32;
            }
        }
        Ok(values)
    }
}

/// What an optimizer's file says of it.
trait Rule {
    /// The state of each parameter.
    fn slots(&self) -> Vec<SlotRule>;

    /// Numbers that all parameters share on the device, as they begin; the first one is the distance that the optimizer
    /// estimates, where it does.
    fn shared(&self) -> Vec<f32> {
        Vec::new()
    }

    /// Whether the update works tensor by tensor, on the shapes that files have.
    fn by_tensor(&self) -> bool {
        false
    }

    fn record(&self, tape: &mut Tape, parts: &Parts, update: UpdateValues<'_>);

    /// The settings of update `update` (from 1) for a group of this `rate`; `shared` is the largest of all groups'.
    fn numbers(&self, update: u32, rate: f64, shared: f64) -> [f64; SETTINGS];

    fn rate(&self, _update: u32, rate: f64) -> f64 {
        rate
    }

    /// Where what is found lies, if not at the parameters.
    fn beyond(&self) -> Option<Beyond> {
        None
    }
}

/// A point at parameters + weight·(slot − parameters).
struct Beyond {
    slot: &'static str,
    weight: f64,
}

/// What is updated, on a tape.
struct Parts {
    shards: Vec<Part>,
    shared: Option<Value>,
}

/// One trained shard on a tape.
struct Part {
    parameters: Value, // (elements)
    gradients: Value,  // (elements)
    slots: Vec<Value>, // (elements) each
    /// Rows of [`factored::Extent`], where the update works tensor by tensor.
    tensors: Option<Value>,
    settings: Value, // (SETTINGS) of its group
    group: usize,
}

/// Puts the first of `SETTINGS` numbers; the others are not read.
fn padded_settings<const N: usize>(numbers: [f64; N]) -> [f64; SETTINGS] {
    let mut settings = [0.0; SETTINGS];
    settings[..N].copy_from_slice(&numbers);
    settings
}
