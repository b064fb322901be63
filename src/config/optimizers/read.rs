//! Reading and showing the arguments of optimizers.

use anyhow::{Result, bail};
use serde_yaml::Value;

use super::Argument;
use crate::config::{show, value};

/// What an argument takes, and its default.
#[derive(Clone, Copy, Debug)]
pub(super) enum ArgumentKind {
    Flag(bool),
    /// As many numbers as the default has.
    Numbers(Range, &'static [f64]),
    /// One number, or none.
    Optional(Range),
}

/// Which numbers an argument takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Range {
    Any,
    FromZero,
    AboveZero,
    /// Also infinity.
    FromOne,
    ZeroToBelowOne,
    BetweenZeroAndOne,
    Whole,
}

impl Range {
    fn wanted(self) -> &'static str {
        match self {
            Range::Any => "a number",
            Range::FromZero => "a number from 0",
            Range::AboveZero => "a number above 0",
            Range::FromOne => "a number from 1, or inf",
            Range::ZeroToBelowOne => "a number from 0 to below 1",
            Range::BetweenZeroAndOne => "a number above 0 and below 1",
            Range::Whole => "a whole number from 0",
        }
    }

    fn holds(self, number: f64) -> bool {
        match self {
            Range::Any => true,
            Range::FromZero => number >= 0.0,
            Range::AboveZero => number > 0.0,
            Range::FromOne => number >= 1.0,
            Range::ZeroToBelowOne => (0.0..1.0).contains(&number),
            Range::BetweenZeroAndOne => number > 0.0 && number < 1.0,
            Range::Whole => number >= 0.0 && number.fract() == 0.0,
        }
    }

    fn read(self, value: &Value) -> Result<f64> {
        let infinite = value.as_f64() == Some(f64::INFINITY) || value.as_str().is_some_and(|text| text.trim() == "inf");
        if matches!(self, Range::FromOne) && infinite {
            return Ok(f64::INFINITY);
        }
        let number = value::any_number(value).filter(|number| self.holds(*number));
        number.ok_or_else(|| value::expected(self.wanted(), value))
    }
}

impl ArgumentKind {
    pub(super) fn default(self) -> Argument {
        match self {
            ArgumentKind::Flag(flag) => Argument::Flag(flag),
            ArgumentKind::Numbers(_, numbers) => Argument::Numbers(numbers.to_vec()),
            ArgumentKind::Optional(_) => Argument::Numbers(Vec::new()),
        }
    }

    pub(super) fn read(self, value: &Value) -> Result<Argument> {
        Ok(match self {
            ArgumentKind::Flag(_) => Argument::Flag(flag(value)?),
            ArgumentKind::Optional(_) if is_none(value) => Argument::Numbers(Vec::new()),
            ArgumentKind::Optional(range) => Argument::Numbers(vec![range.read(value)?]),
            ArgumentKind::Numbers(range, [_]) => Argument::Numbers(vec![range.read(value)?]),
            ArgumentKind::Numbers(range, default) => Argument::Numbers(several(value, range, default.len())?),
        })
    }
}

impl Argument {
    /// A Python literal.
    pub(super) fn python(&self) -> String {
        match self {
            Argument::Flag(true) => "True".to_owned(),
            Argument::Flag(false) => "False".to_owned(),
            Argument::Numbers(numbers) => match &numbers[..] {
                [] => "None".to_owned(),
                [number] => number.to_string(),
                several => format!("({})", several.iter().map(f64::to_string).collect::<Vec<_>>().join(",")),
            },
        }
    }

    /// A YAML scalar or list.
    pub(super) fn yaml(&self) -> String {
        let shown = |number: &f64| if number.is_infinite() { ".inf".to_owned() } else { show::number(*number) };
        match self {
            Argument::Flag(flag) => flag.to_string(),
            Argument::Numbers(numbers) => match &numbers[..] {
                [] => "null".to_owned(),
                [number] => shown(number),
                several => format!("[{}]", several.iter().map(shown).collect::<Vec<_>>().join(", ")),
            },
        }
    }
}

/// Accepts an argument that changes nothing here: any value, or the only one that does so.
pub(super) fn without_effect(name: &str, only: Option<&str>, value: &Value) -> Result<String> {
    let given = match value {
        Value::Null => "None".to_owned(),
        Value::String(text) => text.trim().to_owned(),
        other => value::describe(other),
    };
    match only {
        Some(only) if !only.eq_ignore_ascii_case(&given) => {
            bail!("{} is not implemented, only {only}; leave it out", value::describe(value))
        }
        _ => Ok(format!("`{name}` has no effect here")),
    }
}

/// A YAML or a Python flag.
fn flag(value: &Value) -> Result<bool> {
    match value.as_str().map(|text| text.trim().to_lowercase()).as_deref() {
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        _ => value::expect_flag(value),
    }
}

fn is_none(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim() == "None")
}

/// A list, or numbers between commas, with or without brackets.
fn several(value: &Value, range: Range, count: usize) -> Result<Vec<f64>> {
    let parts: Vec<Value> = match value {
        Value::Sequence(list) => list.clone(),
        Value::String(text) => text.trim_matches(['(', ')', '[', ']']).split(',').map(Value::from).collect(),
        _ => Vec::new(),
    };
    if parts.len() != count {
        return Err(value::expected(&format!("{count} numbers, each {}", range.wanted()), value));
    }
    parts.iter().map(|part| range.read(part)).collect()
}
