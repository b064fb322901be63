//! How the values of single keys are read, where that takes more than [`super::value`].

use super::{
    keys::{CHECKPOINTING_MODES, Draft, LORA_TARGETS, MIXED_PRECISIONS, OPTIMIZERS},
    train_config::{GradientCheckpointing, LoraTarget, MixedPrecision, PreviewPrompts, Resolution, Warmup},
    value,
};
use anyhow::{Result, bail};
use serde_yaml::Value;

/// An extension with its dot: one without would match no file.
pub(super) fn extension(value: &Value) -> Result<String> {
    let text = value::non_empty_text(value)?;
    Ok(if text.starts_with('.') { text } else { format!(".{text}") })
}

/// Pixels that the VAE makes one latent of, along each side.
const LATENT_CELL: u32 = 8;

pub(super) fn resolution(value: &Value) -> Result<Resolution> {
    let (width, height) = value::pair(value)?;
    for side in [width, height] {
        if side % LATENT_CELL != 0 {
            let below = (side / LATENT_CELL * LATENT_CELL).max(LATENT_CELL);
            let above = below.max(side).next_multiple_of(LATENT_CELL);
            bail!(
                "{side} is not divisible by {LATENT_CELL}, the pixels of one latent; the nearest sizes are {below} and {above}"
            );
        }
    }
    Ok(Resolution { width, height })
}

pub(super) fn lora_target(value: &Value) -> Result<LoraTarget> {
    if value.is_sequence() {
        bail!("a list of module names is not implemented yet; use `attention` or `transformer`");
    }
    value::choice(value, LORA_TARGETS)
}

pub(super) fn rate(value: &Value) -> Result<f64> {
    value::number(value, "a learning rate above 0 and at most 1, such as 1e-4", |x| x > 0.0 && x <= 1.0)
}

pub(super) fn optimizer_type(draft: &mut Draft, value: &Value) -> Result<()> {
    if value::choice(value, OPTIMIZERS)? {
        draft.notes.push("optimizer_type: AdamW8bit runs as AdamW, with 32-bit state".into());
    }
    Ok(())
}

pub(super) fn optimizer_args(draft: &mut Draft, value: &Value) -> Result<()> {
    let optimizer = &mut draft.config.optimizer;
    let not_negative = |v: &Value| value::number(v, "a number from 0", |x| x >= 0.0);
    for (name, value) in value::arguments(value)? {
        let set = match name.as_str() {
            "betas" => value::two_numbers(&value, "a number from 0 to below 1", |x| (0.0..1.0).contains(&x))
                .map(|betas| optimizer.betas = betas),
            "weight_decay" => not_negative(&value).map(|decay| optimizer.weight_decay = decay),
            "eps" => value::number(&value, "a number above 0", |x| x > 0.0).map(|eps| optimizer.eps = eps),
            _ => bail!("unknown argument `{name}`; AdamW takes `betas`, `weight_decay` and `eps`"),
        };
        set.map_err(|error| error.context(format!("`{name}`")))?;
    }
    Ok(())
}

pub(super) fn warmup(value: &Value) -> Result<Warmup> {
    let wanted = "a number of steps, or a share of them below 1 such as 0.05";
    let number = value::number(value, wanted, |x| x >= 0.0 && x <= f64::from(u32::MAX))?;
    if number > 0.0 && number < 1.0 {
        return Ok(Warmup::Share(number));
    }
    if number.fract() != 0.0 {
        return Err(value::expected(wanted, value));
    }
    Ok(Warmup::Steps(number as u32))
}

pub(super) fn checkpointing(value: &Value) -> Result<GradientCheckpointing> {
    match value {
        Value::Bool(on) => value::choice(&on.to_string().into(), CHECKPOINTING_MODES),
        _ => value::choice(value, CHECKPOINTING_MODES),
    }
}

pub(super) fn mixed_precision(value: &Value) -> Result<MixedPrecision> {
    match value {
        Value::Bool(false) => Ok(MixedPrecision::No),
        Value::String(word) if word.to_lowercase().starts_with("bf") => {
            bail!("bf16 is not implemented yet; fp16 takes as little memory: set `mixed_precision: fp16`, or `no`")
        }
        _ => value::choice(value, MIXED_PRECISIONS),
    }
}

/// `true` means the 5 that the paper and sd-scripts advise; `false` and 0 turn it off.
pub(super) fn min_snr_gamma(value: &Value) -> Result<Option<f64>> {
    if let Value::Bool(on) = value {
        return Ok(on.then_some(5.0));
    }
    let gamma = value::number(value, "true, false, or a number from 0 such as 5", |x| x >= 0.0)?;
    Ok((gamma > 0.0).then_some(gamma))
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
