//! The training configuration: a YAML file and `--set key=value` become one resolved [`TrainConfig`].
//!
//! Strict: an unknown key, a wrong type, a value out of range and a key that is known but not built yet are errors that
//! name key and line, all of them at once. Nothing in a file is ignored. A leaf: imports no other module of the crate.
//!
//! From the bottom: `train_config` is the result; `value` reads single values and `show` writes them; `kind` is what a
//! key takes, with its range and field, and `key` a row of all that is known of one key; `keys` is the table, a file for
//! each group; `optimizers` the table of theirs; `source` maps keys to lines; `resolve` derives what was left out; `load`
//! walks file and overrides through the table, which says what a key such as `network_args` stands for; `loss_checks` and
//! `network_checks` say what goes together; `print` shows the result as YAML, `summary` in a few lines, `reference` all
//! keys as a page. `import` makes a file of another trainer's.

mod choices;
pub mod import;
mod key;
mod keys;
mod kind;
mod load;
mod loss_checks;
mod loss_config;
#[cfg(test)]
mod loss_tests;
#[cfg(test)]
mod mistake_tests;
mod mistakes;
mod network_args;
mod network_checks;
mod network_config;
mod network_readers;
#[cfg(test)]
mod network_tests;
mod optimizers;
mod print;
mod range;
mod readers;
mod reference;
mod resolve;
#[cfg(test)]
mod row_tests;
mod show;
mod source;
mod suggest;
mod summary;
#[cfg(test)]
mod tests;
mod train_config;
mod value;
mod words;
mod wrap;

pub use choices::PREVIEW_SAMPLERS;
pub use key::{DefaultText, Key};
pub use keys::{GROUPS, Group, all as all_keys, names as key_names};
pub use load::{Loaded, load};
pub use loss_config::{HuberSchedule, LossConfig, LossType, NoiseConfig};
pub use network_config::{DoraAxis, NETWORK_BLOCKS, NetworkConfig, NetworkType};
pub use optimizers::{OptimizerKind, OptimizerSettings, RateRule};
pub use reference::reference_page;
pub use source::read as read_text;
pub use suggest::nearest;
pub use train_config::{
    GradientCheckpointing, LogWith, LoraTarget, LrScheduler, MixedPrecision, POLYNOMIAL_END_RATE, PreviewPrompts,
    Previews, Provenance, SavePrecision, TrainConfig, Warmup,
};
pub use value::bytes_as_text;
pub use words::{Language, Words};
pub use wrap::wrap;
