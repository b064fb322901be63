//! Settings of loss, noise and learning rate that contradict each other, or that do nothing.

use super::{
    loss_config::{HuberSchedule, LossConfig, LossType, NoiseConfig},
    train_config::{LrScheduler, TrainConfig, Warmup},
};
use crate::families::Prediction;
use anyhow::{Result, ensure};

/// # Errors
/// Settings that cannot both hold, with what to do.
pub(super) fn check(config: &TrainConfig) -> Result<()> {
    let TrainConfig { loss, noise, .. } = config;
    let v = config.prediction_type == Prediction::VPrediction;
    ensure!(
        v || !loss.zero_terminal_snr,
        "`zero_terminal_snr` leaves nothing of the picture at the last timestep, from which no noise can be told; it needs \
         a base model with `prediction_type: v_prediction`"
    );
    ensure!(
        v || !loss.scale_v_pred_loss_like_noise_pred,
        "`scale_v_pred_loss_like_noise_pred` scales the loss of v; set `prediction_type: v_prediction`, or leave it out"
    );
    ensure!(
        !v || loss.v_pred_like_loss == 0.0,
        "`v_pred_like_loss` adds to the loss of noise prediction; leave it out with `prediction_type: v_prediction`"
    );
    ensure!(
        loss.min_timestep < loss.max_timestep,
        "`min_timestep` {} is not below `max_timestep` {}; no timestep is left to train on",
        loss.min_timestep,
        loss.max_timestep
    );
    ensure!(
        config.noise_offset > 0.0 || noise.adaptive_noise_scale == 0.0,
        "`adaptive_noise_scale` changes `noise_offset`, which is 0; set `noise_offset` too, such as 0.05"
    );
    Ok(())
}

/// Settings that have no effect beside the others.
pub(super) fn notes(config: &TrainConfig) -> Vec<String> {
    let TrainConfig { loss, noise, .. } = config;
    let decays = config.lr_decay_steps != Warmup::Steps(0);
    let stable_decay = config.lr_scheduler == LrScheduler::WarmupStableDecay;
    let rows = [
        (
            config.conditioning_data_dir.is_some() && !loss.masked_loss,
            "conditioning_data_dir: does nothing while `masked_loss` is false",
        ),
        (
            noise.noise_offset_random_strength && config.noise_offset == 0.0,
            "noise_offset_random_strength: does nothing while `noise_offset` is 0",
        ),
        (
            noise.ip_noise_gamma_random_strength && noise.ip_noise_gamma == 0.0,
            "ip_noise_gamma_random_strength: does nothing while `ip_noise_gamma` is 0",
        ),
        (
            noise.multires_noise_iterations == 0
                && noise.multires_noise_discount != NoiseConfig::default().multires_noise_discount,
            "multires_noise_discount: does nothing while `multires_noise_iterations` is 0; 6 to 10 are usual",
        ),
        (
            stable_decay && !decays,
            "lr_decay_steps: is 0, so that `warmup_stable_decay` never falls; 0.2 is a fifth of the run",
        ),
        (decays && !stable_decay, "lr_decay_steps: only `lr_scheduler: warmup_stable_decay` reads it"),
    ];
    rows.into_iter().chain(threshold_rows(loss)).filter(|(holds, _)| *holds).map(|(_, note)| note.to_owned()).collect()
}

fn threshold_rows(loss: &LossConfig) -> [(bool, &'static str); 2] {
    let default = LossConfig::default();
    let has_threshold = matches!(loss.loss_type, LossType::Huber | LossType::SmoothL1);
    let scaled = loss.huber_scale != default.huber_scale;
    let set = scaled || loss.huber_c != default.huber_c || loss.huber_schedule != default.huber_schedule;
    [
        (
            !has_threshold && set,
            "huber_c, huber_schedule, huber_scale: only `loss_type: huber` and `smooth_l1` have a threshold",
        ),
        (
            has_threshold && scaled && loss.huber_schedule == HuberSchedule::Snr,
            "huber_scale: `huber_schedule: snr` has no scale, in sd-scripts too",
        ),
    ]
}
