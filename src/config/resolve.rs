//! What the file leaves out: values derived from other values, required keys, and notes about odd combinations.

use super::{
    key::Draft,
    keys,
    optimizers::{OptimizerKind, RateRule},
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
    let mut derived = for_optimizer(config, &given);
    if !given("lora_alpha") {
        config.lora_alpha = 2.0 * f64::from(config.lora_rank);
        derived.push(as_its_row_says("lora_alpha"));
    }
    if !given("unet_lr") {
        config.unet_lr = config.learning_rate;
        derived.push(as_its_row_says("unet_lr"));
    }
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

/// What follows from the optimizer's own rule for learning rates.
fn for_optimizer(config: &mut TrainConfig, given: impl Fn(&str) -> bool) -> Vec<Derived> {
    let mut derived = Vec::new();
    match config.optimizer.rate_rule() {
        RateRule::Shared => {
            if !given("learning_rate") {
                config.learning_rate = 1.0;
                derived.push(("learning_rate", "a factor of the step size that the optimizer finds"));
            }
            if !given("lr_warmup_steps") {
                config.lr_warmup_steps = Warmup::Steps(0);
                derived.push(("lr_warmup_steps", "the optimizer begins with small steps itself"));
            }
        }
        RateRule::Unscheduled if !given("lr_scheduler") => {
            config.lr_scheduler = LrScheduler::Constant;
            derived.push(("lr_scheduler", "schedule-free"));
        }
        RateRule::Unscheduled | RateRule::Free | RateRule::Own => {}
    }
    derived
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
    if config.optimizer.rate_rule() == RateRule::Unscheduled {
        check_unscheduled(config)?;
    }
    Ok(())
}

fn check_unscheduled(config: &TrainConfig) -> Result<()> {
    let name = config.optimizer.name();
    if config.lr_scheduler != LrScheduler::Constant {
        let schedule = config.lr_scheduler.name();
        bail!("`lr_scheduler: {schedule}`: {name} wants no schedule; set `lr_scheduler: constant`, or leave it out");
    }
    if config.lr_warmup_steps != Warmup::Steps(0) {
        let own = match config.optimizer.kind {
            OptimizerKind::AdamWScheduleFree => {
                "has a warm-up of its own: set `optimizer_args: [\"warmup_steps=100\"]`"
            }
            _ => "warms up by itself",
        };
        bail!("`lr_warmup_steps`: {name} {own}, and leave `lr_warmup_steps` out");
    }
    Ok(())
}

/// Below this, a rate was most likely meant for another optimizer.
const SMALL_FACTOR: f64 = 0.1;

fn add_notes(draft: &mut Draft, given: impl Fn(&str) -> bool) {
    let Draft { config, notes } = draft;
    let (name, rates) = (config.optimizer.name(), config.optimizer.rate_rule());
    if config.lr_scheduler == LrScheduler::Constant && config.lr_warmup_steps != Warmup::Steps(0) {
        notes.push("lr_warmup_steps: `constant` has no warm-up; use `lr_scheduler: constant_with_warmup`".into());
    }
    if rates == RateRule::Shared && config.unet_lr < SMALL_FACTOR {
        let rate = config.unet_lr;
        notes.push(format!("learning_rate: {name} finds its step size itself and multiplies it by {rate}; 1 is usual"));
    }
    if rates == RateRule::Own && ["learning_rate", "unet_lr", "lr_scheduler"].into_iter().any(given) {
        notes.push(format!("learning_rate and lr_scheduler have no effect: {name} has its own with `relative_step`"));
    }
}
