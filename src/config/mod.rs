//! The training configuration: a YAML file and `--set key=value` become one resolved [`TrainConfig`].
//!
//! Strict: an unknown key, a wrong type, a value out of range and a key that is known but not built yet are errors that
//! name key and line. Nothing in a file is ignored. A leaf: imports no other module of the crate.
//!
//! `keys` is the table of all keys, one row each; `value` and `readers` read and check single values; `source` maps
//! keys to lines; `load` walks file and overrides through the table; `resolve` derives what was left out; `print` shows
//! the result.

mod keys;
mod load;
mod optimizers;
mod print;
mod readers;
mod resolve;
mod source;
mod suggest;
#[cfg(test)]
mod tests;
mod train_config;
mod unsupported;
mod value;

pub use keys::PREVIEW_SAMPLERS;
pub use load::{Loaded, load};
pub use optimizers::{OptimizerKind, OptimizerSettings, RateRule};
pub use suggest::nearest;
pub use train_config::{
    AdamW, GradientCheckpointing, LogWith, LoraTarget, LrScheduler, MixedPrecision, POLYNOMIAL_END_RATE,
    PredictionType, PreviewPrompts, Previews, Provenance, Resolution, SavePrecision, TrainConfig, Warmup,
};
pub use value::bytes_as_text;
