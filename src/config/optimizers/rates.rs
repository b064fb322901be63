//! What an optimizer's own rule for learning rates makes of the configuration's.

use anyhow::{Result, bail};

use super::{
    super::{
        resolve::Derived,
        train_config::{LrScheduler, TrainConfig, Warmup},
    },
    OptimizerKind, RateRule,
};

/// Fills in rates and schedule where `given` does not name them, and returns which.
pub(in super::super) fn derive(config: &mut TrainConfig, given: impl Fn(&str) -> bool) -> Vec<Derived> {
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

/// # Errors
/// A schedule or warm-up for an optimizer that has none.
pub(in super::super) fn check(config: &TrainConfig) -> Result<()> {
    if config.optimizer.rate_rule() != RateRule::Unscheduled {
        return Ok(());
    }
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

/// What the user should know about rates that do something else than usual, or nothing.
pub(in super::super) fn notes(config: &TrainConfig, given: impl Fn(&str) -> bool) -> Option<String> {
    let (name, rate) = (config.optimizer.name(), config.unet_lr);
    match config.optimizer.rate_rule() {
        RateRule::Shared if rate < SMALL_FACTOR => {
            Some(format!("learning_rate: {name} finds its step size itself and multiplies it by {rate}; 1 is usual"))
        }
        RateRule::Own if ["learning_rate", "unet_lr", "text_encoder_lr", "lr_scheduler"].into_iter().any(given) => {
            Some(format!("learning_rate and lr_scheduler have no effect: {name} has its own with `relative_step`"))
        }
        _ => None,
    }
}
