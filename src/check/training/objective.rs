//! What a recorded training case learns, by its header.

use anyhow::{Context, Result};

use crate::{
    diffusion::{HuberSchedule, HuberThreshold, LossWeights},
    families::Prediction,
    ops::LossKind,
    train::tasks::diffusion::Objective,
    weights::SafetensorsFile,
};

/// Reads the header; a key that is absent means that its option is off. `mask` names the tensor of masks.
///
/// # Errors
/// A key that holds something else than expected.
pub(super) fn read(file: &SafetensorsFile, mask: &str) -> Result<Objective> {
    let predictions = Prediction::ALL.map(|prediction| (prediction.name(), prediction));
    let kinds =
        [("l2", LossKind::L2), ("l1", LossKind::L1), ("huber", LossKind::Huber), ("smooth_l1", LossKind::SmoothL1)];
    let gamma: f64 = file.header_number("snr_gamma")?;
    let weights = LossWeights {
        min_snr_gamma: (gamma > 0.0).then_some(gamma),
        scale_v_pred_loss_like_noise_pred: number(file, "scale_v_loss", 0.0)? != 0.0,
        debiased_estimation_loss: number(file, "debiased", 0.0)? != 0.0,
        ..LossWeights::default()
    };
    let mut objective = Objective::mse(word(file, "prediction", Prediction::Epsilon, &predictions)?);
    objective.loss = word(file, "loss_type", LossKind::L2, &kinds)?;
    objective.huber = huber(file)?;
    objective.weights = weights;
    objective.masked = file.get(mask).is_some();
    Ok(objective)
}

fn huber(file: &SafetensorsFile) -> Result<HuberThreshold> {
    let schedules = [
        ("constant", HuberSchedule::Constant),
        ("exponential", HuberSchedule::Exponential),
        ("snr", HuberSchedule::Snr),
    ];
    let HuberThreshold { schedule, c, scale } = HuberThreshold::default();
    Ok(HuberThreshold {
        schedule: word(file, "huber_schedule", schedule, &schedules)?,
        c: number(file, "huber_c", c)?,
        scale: number(file, "huber_scale", scale)?,
    })
}

fn number(file: &SafetensorsFile, key: &str, absent: f64) -> Result<f64> {
    if file.metadata().contains_key(key) { file.header_number(key) } else { Ok(absent) }
}

fn word<T: Copy>(file: &SafetensorsFile, key: &str, absent: T, words: &[(&str, T)]) -> Result<T> {
    let Some(text) = file.metadata().get(key) else { return Ok(absent) };
    let found = words.iter().find(|(word, _)| word == text);
    let known = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    found.map(|(_, value)| *value).with_context(|| format!("the header's `{key}` is {text:?}, none of {}", known()))
}
