//! Reading a model's widths off a checkpoint.

use serde_json::Value;
use thiserror::Error;

use crate::weights::PartTensors;

/// Head size of the usual transformers (768 wide: 12 heads).
const HEAD_SIZE: usize = 64;
/// Heads of networks too narrow for that.
const SMALL_HEADS: usize = 4;

/// Channels of the largest head that attention is built for.
const LARGEST_HEAD: usize = 512;

/// A checkpoint of which no network can be built.
#[derive(Debug, Error)]
pub enum ShapeError {
    #[error("the checkpoint's {part} lacks `{name}`, whose shape tells its width; is this the right kind of model?")]
    Missing { part: &'static str, name: String },
    #[error("the {part}'s config.json states {heads} attention heads, which do not fit its width of {width}")]
    Heads { part: &'static str, heads: usize, width: usize },
    #[error("the {part} cuts pictures into patches of {patch} pixels; their sides must be even")]
    Patch { part: &'static str, patch: usize },
    #[error("the {part}'s config.json names the activation `{name}`; gelu and quick_gelu are understood")]
    Activation { part: &'static str, name: String },
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
        size.ok_or_else(|| ShapeError::Missing { part: self.part, name: name.to_owned() })
    }

    /// How many consecutive numbers from 0 complete `name` to an existing tensor.
    pub fn count(&self, name: impl Fn(usize) -> String) -> usize {
        (0..).take_while(|&index| self.tensors.get(&name(index)).is_some()).count()
    }

    /// Heads of attention over `width` channels, from `config.json`, else of the usual size; narrower networks than
    /// any real one, as tests have them, have four.
    ///
    /// # Errors
    /// Heads that are no whole vectors of four channels.
    pub fn heads(&self, width: usize) -> Result<usize, ShapeError> {
        let guess = if width >= SMALL_HEADS * HEAD_SIZE { width / HEAD_SIZE } else { SMALL_HEADS };
        let heads = self.configured("num_attention_heads").unwrap_or(guess);
        let fits = heads > 0 && width.is_multiple_of(4 * heads) && width / heads <= LARGEST_HEAD;
        if fits { Ok(heads) } else { Err(ShapeError::Heads { part: self.part, heads, width }) }
    }

    /// A whole number of the part's `config.json`.
    pub fn configured(&self, key: &str) -> Option<usize> {
        self.value(key)?.as_u64().map(|number| number as usize)
    }

    /// A setting of the part's `config.json`.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.tensors.config()?.get(key)
    }
}
