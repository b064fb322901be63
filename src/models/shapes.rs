//! Reading a model's widths off a checkpoint.

use thiserror::Error;

use crate::weights::PartTensors;

/// A checkpoint that lacks a tensor whose shape tells a width.
#[derive(Debug, Error)]
#[error(
    "the checkpoint's {part} lacks `{name}`, whose shape tells its width; is this a Stable Diffusion v1 checkpoint?"
)]
pub struct ShapeError {
    pub part: &'static str,
    pub name: String,
}

/// A part whose shapes are asked for by name.
pub(super) struct Shapes<'a> {
    pub part: &'static str,
    pub tensors: &'a PartTensors,
}

impl Shapes<'_> {
    /// Size of dimension `axis` of the tensor `name`.
    pub fn size(&self, name: &str, axis: usize) -> Result<usize, ShapeError> {
        let size = self.tensors.get(name).and_then(|tensor| tensor.shape.get(axis).copied());
        size.ok_or_else(|| ShapeError { part: self.part, name: name.to_owned() })
    }

    /// How many consecutive numbers from 0 complete `name` to an existing tensor.
    pub fn count(&self, name: impl Fn(usize) -> String) -> usize {
        (0..).take_while(|&index| self.tensors.get(&name(index)).is_some()).count()
    }

    /// A whole number of the part's `config.json`.
    pub fn configured(&self, key: &str) -> Option<usize> {
        let value = self.tensors.config()?.get(key)?;
        value.as_u64().map(|number| number as usize)
    }
}
