//! How the values of single keys are read, where that takes more than a [`Kind`](super::kind::Kind). `wanted` is the
//! row's description of what is taken.

use super::{
    range::from,
    train_config::{PreviewPrompts, Warmup},
    value,
};
use crate::{families::SD_V1, size::Size};
use anyhow::{Result, bail};
use serde_yaml::Value;
use std::ops::RangeInclusive;

/// Pixels that the VAE makes one place of a latent of, along each side.
const LATENT_CELL: u32 = SD_V1.latent.cell as u32;
const SIDES: RangeInclusive<u32> = 1..=1 << 16;

pub(super) fn resolution(value: &Value, wanted: &str) -> Result<Size> {
    let (width, height) = value::pair(value, &SIDES).ok_or_else(|| value::expected(wanted, value))?;
    for side in [width, height] {
        if side % LATENT_CELL != 0 {
            let below = (side / LATENT_CELL * LATENT_CELL).max(LATENT_CELL);
            let above = below.max(side).next_multiple_of(LATENT_CELL);
            bail!(
                "{side} is not divisible by {LATENT_CELL}, the pixels of one latent; the nearest sizes are {below} and {above}"
            );
        }
    }
    Ok(Size::from((width, height)))
}

pub(super) fn warmup(value: &Value, wanted: &str) -> Result<Warmup> {
    let number = value::number(value, &from(0.0).to(f64::from(u32::MAX)));
    match number {
        Some(share) if share > 0.0 && share < 1.0 => Ok(Warmup::Share(share)),
        Some(steps) if steps.fract() == 0.0 => Ok(Warmup::Steps(steps as u32)),
        _ => Err(value::expected(wanted, value)),
    }
}

/// `true` means the 5 that the paper and sd-scripts advise; `false` and 0 turn it off.
pub(super) fn min_snr_gamma(value: &Value, wanted: &str) -> Result<Option<f64>> {
    if let Value::Bool(on) = value {
        return Ok(on.then_some(5.0));
    }
    let gamma = value::number(value, &from(0.0)).ok_or_else(|| value::expected(wanted, value))?;
    Ok((gamma > 0.0).then_some(gamma))
}

/// OneTrainer's `ema` as a flag.
pub(super) fn one_trainers_ema(value: &Value) -> Result<Value> {
    match value.as_str().map(str::to_uppercase).as_deref() {
        Some("OFF") => Ok(false.into()),
        Some("CPU" | "GPU") => Ok(true.into()),
        _ if value.is_bool() => Ok(value.clone()),
        _ => Err(value::expected("OFF, CPU, GPU, true or false", value)),
    }
}

/// A list of prompts, one prompt, or a file of them, which ends in `.txt` as sd-scripts' does.
pub(super) fn preview_prompts(value: &Value) -> Result<PreviewPrompts> {
    if let Value::Sequence(list) = value {
        return Ok(PreviewPrompts::Lines(list.iter().map(value::non_empty_text).collect::<Result<_>>()?));
    }
    let text = value::text(value)?;
    Ok(match text.trim() {
        "" => PreviewPrompts::Lines(Vec::new()),
        text if text.to_lowercase().ends_with(".txt") => PreviewPrompts::File(text.into()),
        text => PreviewPrompts::Lines(vec![text.to_owned()]),
    })
}

/// A name that every file system and every WebUI prompt takes.
pub(super) fn output_name(name: &str) -> Result<String> {
    let forbidden = |c: char| c.is_control() || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|');
    if let Some(character) = name.chars().find(|&c| forbidden(c)) {
        bail!("`{name}` holds {character:?}, which a file name cannot; put the folder into `output_dir`");
    }
    if name.trim_matches('.').is_empty() {
        bail!("`{name}` is no file name");
    }
    Ok(name.to_owned())
}
