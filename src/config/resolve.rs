//! What the file leaves out: values derived from other values, required keys, and notes about odd combinations.

use super::{
    key::Draft,
    keys, loss_checks, network_checks,
    optimizers::rates,
    readers,
    train_config::{LrScheduler, POLYNOMIAL_END_RATE, TrainConfig, Warmup},
};
use anyhow::{Context, Error, Result, anyhow, bail};
use std::path::Path;

/// A key that was derived, and how.
pub(super) type Derived = (&'static str, &'static str);

/// What is to be said of each required key that `given` does not name.
pub(super) fn missing(given: impl Fn(&str) -> bool) -> Vec<Error> {
    let required = keys::settings().filter_map(|key| Some((key.name, key.required_example()?)));
    let missing = required.filter(|(key, _)| !given(key));
    missing.map(|(key, example)| anyhow!("`{key}` is missing; add a line such as `{key}: {example}`")).collect()
}

/// Fills the fields that `given` does not name, and returns which.
///
/// # Errors
/// The data folder gives no output name, or values contradict each other.
pub(super) fn resolve(draft: &mut Draft, given: impl Fn(&str) -> bool) -> Result<Vec<Derived>> {
    let derived = derive(&mut draft.config, &given)?;
    check(&draft.config)?;
    add_notes(draft, given);
    Ok(derived)
}

fn derive(config: &mut TrainConfig, given: impl Fn(&str) -> bool) -> Result<Vec<Derived>> {
    let mut derived = rates::derive(config, &given);
    if !given("lora_alpha") {
        config.lora_alpha = 2.0 * f64::from(config.lora_rank);
        derived.push(as_its_row_says("lora_alpha"));
    }
    if !given("unet_lr") {
        config.unet_lr = config.learning_rate;
        derived.push(as_its_row_says("unet_lr"));
    }
    derived.extend(network_checks::derive(config, &given));
    if !given("lr_warmup_steps") && config.lr_scheduler == LrScheduler::Constant {
        config.lr_warmup_steps = Warmup::Steps(0);
        derived.push(("lr_warmup_steps", "lr_scheduler constant has no warm-up"));
    }
    if !given("output_name") {
        config.output_name = folder_name(&config.train_data_dir)?;
        derived.push(as_its_row_says("output_name"));
    }
    Ok(derived)
}

fn as_its_row_says(key: &'static str) -> Derived {
    let row = keys::settings().find(|row| row.name == key);
    let words = row.and_then(|row| row.default_in_words()).expect("a derived key's row says how it is derived");
    (key, words.en)
}

/// The last part of a folder's path; `.` and `..` are looked up on disk.
fn folder_name(folder: &Path) -> Result<String> {
    let absolute = folder.canonicalize();
    let name = folder.file_name().or_else(|| absolute.as_ref().ok()?.file_name());
    let advice = || format!("the folder {} gives no name for the LoRA; add `output_name: my_lora`", folder.display());
    let name = name.with_context(advice)?.to_string_lossy();
    readers::output_name(&name).with_context(advice)
}

fn check(config: &TrainConfig) -> Result<()> {
    if config.lr_scheduler == LrScheduler::Polynomial && config.unet_lr <= POLYNOMIAL_END_RATE {
        bail!(
            "`lr_scheduler: polynomial` ends at {POLYNOMIAL_END_RATE:e}, but the learning rate {:e} is not above it",
            config.unet_lr
        );
    }
    rates::check(config)?;
    network_checks::check(config)?;
    loss_checks::check(config)
}

fn add_notes(draft: &mut Draft, given: impl Fn(&str) -> bool) {
    let Draft { config, notes } = draft;
    if config.lr_scheduler == LrScheduler::Constant && config.lr_warmup_steps != Warmup::Steps(0) {
        notes.push("lr_warmup_steps: `constant` has no warm-up; use `lr_scheduler: constant_with_warmup`".into());
    }
    notes.extend(rates::notes(config, given));
    notes.extend(network_checks::notes(config));
    notes.extend(loss_checks::notes(config));
}
