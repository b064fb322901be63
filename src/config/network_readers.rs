//! How the values of the network's keys are read. `wanted` is the row's description of what is taken.

use super::{
    choices::Choices,
    network_config::NETWORK_BLOCKS,
    range::{NumberRange, from},
    suggest, value,
};
use anyhow::{Result, bail, ensure};
use serde_yaml::Value;
use std::f64::consts::PI;

/// Factors of learning rates.
pub(super) const LR_FACTORS: NumberRange = from(0.0).to(1000.0);
const RANKS: NumberRange = from(0.0).to(1024.0);
/// Blocks on the way down, and on the way up.
pub(super) const BLOCKS_EACH_WAY: usize = 12;

/// One number, or sd-scripts' list of one.
pub(super) fn single(value: &Value, range: &NumberRange, wanted: &str) -> Result<f64> {
    let number = match &value::parts(value)[..] {
        [only] => value::number(only, range),
        _ => None,
    };
    number.ok_or_else(|| value::expected(wanted, value))
}

/// Ranks of the 25 blocks, or nothing.
pub(super) fn block_ranks(value: &Value, wanted: &str) -> Result<Vec<f64>> {
    let ranks = block_numbers(value, &RANKS, wanted)?;
    match ranks.iter().find(|rank| rank.fract() != 0.0) {
        Some(&broken) => Err(value::expected(wanted, &broken.into())),
        None => Ok(ranks),
    }
}

/// Alphas of the 25 blocks, or nothing.
pub(super) fn block_alphas(value: &Value, wanted: &str) -> Result<Vec<f64>> {
    block_numbers(value, &from(0.0), wanted)
}

fn block_numbers(value: &Value, range: &NumberRange, wanted: &str) -> Result<Vec<f64>> {
    let parts = value::parts(value);
    match parts.len() {
        0 if value.is_sequence() => Ok(Vec::new()),
        NETWORK_BLOCKS => parts.iter().map(|part| value::expect_number(part, range)).collect(),
        0 => Err(value::expected(wanted, value)),
        count => bail!("expected {wanted}; these are {count}"),
    }
}

/// Factors of the learning rate for the 12 blocks of one way, or nothing: numbers, filled up with 1, or a preset
/// (sd-scripts' `get_block_lr_weight`).
pub(super) fn lr_factors(value: &Value, wanted: &str) -> Result<Vec<f64>> {
    let text = value.as_str().unwrap_or_default().trim();
    let factors = match value::parts(value) {
        _ if text.starts_with(|c: char| c.is_ascii_alphabetic()) => preset(text)?,
        parts if parts.is_empty() && !value.is_sequence() => return Err(value::expected(wanted, value)),
        parts => parts,
    };
    let count = factors.len();
    ensure!(count <= BLOCKS_EACH_WAY, "expected {wanted}; these are {count}");
    let mut factors = factors.iter().map(|part| value::expect_number(part, &LR_FACTORS)).collect::<Result<Vec<_>>>()?;
    if count > 0 {
        factors.resize(BLOCKS_EACH_WAY, 1.0);
    }
    Ok(factors)
}

/// A preset's name, and its factor for block i of 0..=11.
const PRESETS: &Choices<fn(f64) -> f64> = &[
    ("sine", |i| (PI * (i / LAST) / 2.0).sin()),
    ("cosine", |i| (PI * ((LAST - i) / LAST) / 2.0).sin()),
    ("linear", |i| i / LAST),
    ("reverse_linear", |i| (LAST - i) / LAST),
    ("zeros", |_| 0.0),
];
const LAST: f64 = (BLOCKS_EACH_WAY - 1) as f64;

/// `sine`, or `sine+0.5`.
fn preset(text: &str) -> Result<Vec<Value>> {
    let (name, more) = text.split_once('+').unwrap_or((text, "0"));
    let more = value::expect_number(&more.into(), &LR_FACTORS)?;
    let names = || PRESETS.iter().map(|(name, _)| *name);
    let Some((_, factor)) = PRESETS.iter().find(|(preset, _)| *preset == name.trim()) else {
        let meant = suggest::nearest(name, names()).map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
        let choices = names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        bail!("`{name}` is no preset; {meant}Choices: {choices}");
    };
    Ok((0..BLOCKS_EACH_WAY).map(|i| (factor(i as f64) + more).into()).collect())
}

/// What is said of a list that is shorter than it might be.
pub(super) fn filled_with_ones(value: &Value) -> Option<&'static str> {
    let is_preset = value.as_str().is_some_and(|text| text.trim().starts_with(|c: char| c.is_ascii_alphabetic()));
    let short = (1..BLOCKS_EACH_WAY).contains(&value::parts(value).len());
    (short && !is_preset).then_some("fewer than 12 numbers; the blocks after them have 1")
}

pub(super) fn lokr_factor(value: &Value, wanted: &str) -> Result<i32> {
    let factor = value::any_number(value)
        .filter(|&number| number.fract() == 0.0 && (number == -1.0 || (1.0..=f64::from(i32::MAX)).contains(&number)));
    factor.map(|factor| factor as i32).ok_or_else(|| value::expected(wanted, value))
}

/// What lora-scripts writes where it means the longest.
pub(super) const LORA_SCRIPTS_LENGTH: u32 = 255;

pub(super) fn token_length(value: &Value, wanted: &str) -> Result<u32> {
    match value::whole(value, &(0..=u32::MAX)) {
        Some(length @ (75 | 150 | 225)) => Ok(length),
        Some(LORA_SCRIPTS_LENGTH) => Ok(225),
        _ => Err(value::expected(wanted, value)),
    }
}
