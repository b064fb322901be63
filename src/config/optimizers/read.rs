//! Reading and showing the arguments of optimizers.

use anyhow::{Result, bail};
use serde_yaml::Value;

use super::super::{range::NumberRange, show, value};

/// A value of an argument.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Argument {
    /// None where an optional number is not given.
    Numbers(Vec<f64>),
    Flag(bool),
}

/// What an argument takes, and its default.
#[derive(Clone, Copy, Debug)]
pub(super) enum ArgumentKind {
    Flag(bool),
    /// As many numbers as the default has.
    Numbers(NumberRange, &'static [f64]),
    /// One number, or none.
    Optional(NumberRange),
    /// One number, or infinity, which is the default.
    Unlimited(NumberRange),
    /// A whole number from 0, which is the default.
    Whole,
}

impl ArgumentKind {
    pub(super) fn default(self) -> Argument {
        match self {
            Self::Flag(flag) => Argument::Flag(flag),
            Self::Numbers(_, numbers) => Argument::Numbers(numbers.to_vec()),
            Self::Optional(_) => Argument::Numbers(Vec::new()),
            Self::Unlimited(_) => Argument::Numbers(vec![f64::INFINITY]),
            Self::Whole => Argument::Numbers(vec![0.0]),
        }
    }

    /// # Errors
    /// A value of another kind or out of range, without the argument's name.
    pub(super) fn read(self, value: &Value) -> Result<Argument> {
        let numbers = match self {
            Self::Flag(_) => return flag(value).map(Argument::Flag),
            Self::Optional(_) if is_none(value) => Vec::new(),
            Self::Unlimited(_) if value::any_number(value) == Some(f64::INFINITY) => vec![f64::INFINITY],
            Self::Optional(range) | Self::Unlimited(range) | Self::Numbers(range, [_]) => {
                vec![value::expect_number(value, &range)?]
            }
            Self::Numbers(range, default) => value::numbers(value, &range, default.len())?,
            Self::Whole => {
                let number = value::whole(value, &(0..=u32::MAX));
                vec![f64::from(number.ok_or_else(|| value::expected("a whole number from 0", value))?)]
            }
        };
        Ok(Argument::Numbers(numbers))
    }
}

impl Argument {
    /// A Python literal.
    pub(super) fn python(&self) -> String {
        match self {
            Self::Flag(true) => "True".to_owned(),
            Self::Flag(false) => "False".to_owned(),
            Self::Numbers(numbers) => match &numbers[..] {
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
            Self::Flag(flag) => flag.to_string(),
            Self::Numbers(numbers) => match &numbers[..] {
                [] => "null".to_owned(),
                [number] => shown(number),
                several => format!("[{}]", several.iter().map(shown).collect::<Vec<_>>().join(", ")),
            },
        }
    }
}

/// Accepts an argument that changes nothing here: any value, or the only one that does so.
pub(super) fn without_effect(only: Option<&str>, value: &Value) -> Result<()> {
    let given = match value {
        Value::Null => "None".to_owned(),
        Value::String(text) => text.trim().to_owned(),
        other => value::describe(other),
    };
    let Some(only) = only else { return Ok(()) };
    let number: Option<f64> = only.parse().ok();
    if only.eq_ignore_ascii_case(&given) || number.is_some() && number == value::any_number(value) {
        return Ok(());
    }
    bail!("{} is not implemented, only {only}; leave it out", value::describe(value))
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
