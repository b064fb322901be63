//! LoRA layers as they stand on one tape.

use std::collections::HashMap;

use crate::tape::Value;

/// One module's LoRA on a tape: ΔW = scale · up · down.
#[derive(Clone, Copy, Debug)]
pub struct Adapter {
    /// (rank, in_features)
    pub down: Value,
    /// (out_features, rank)
    pub up: Value,
    /// (1): alpha / rank, times the strength where there is one.
    pub scale: Value,
}

/// The LoRA of each adapted module, by diffusers path. Empty for a frozen model.
#[derive(Clone, Debug, Default)]
pub struct Adapters(HashMap<String, Adapter>);

impl Adapters {
    pub fn none() -> Self {
        Self::default()
    }

    pub fn get(&self, path: &str) -> Option<Adapter> {
        self.0.get(path).copied()
    }
}

impl FromIterator<(String, Adapter)> for Adapters {
    fn from_iter<T: IntoIterator<Item = (String, Adapter)>>(adapters: T) -> Self {
        Self(adapters.into_iter().collect())
    }
}
