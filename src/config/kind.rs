//! What kind of value a key takes, within which range, and the field that it fills: data, from which the parser, the
//! errors, the resolved YAML and the reference page are made.

use super::{
    choices::Word,
    range::{NumberRange, whole_said},
    show,
    train_config::TrainConfig,
    value,
    words::{Language, Words},
};
use anyhow::Result;
use serde_yaml::Value;
use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

/// A place of the configuration that holds a `V`, or nothing.
pub(super) struct Field<V> {
    pub put: fn(&mut TrainConfig, V),
    pub get: fn(&TrainConfig) -> Option<V>,
}

/// The [`Field`] of a field that always has a value: `field!(lora_rank)`, `field!(previews.at_first)`.
macro_rules! field {
    ($($path:ident).+) => {
        $crate::config::kind::Field {
            put: |config, value| config.$($path).+ = value,
            get: |config| Some(Clone::clone(&config.$($path).+)),
        }
    };
}

/// The [`Field`] of an `Option`.
macro_rules! optional_field {
    ($($path:ident).+) => {
        $crate::config::kind::Field {
            put: |config, value| config.$($path).+ = Some(value),
            get: |config| config.$($path).+.clone(),
        }
    };
}

/// [`Kind::Choice`] of a field, from its table of words: `choice!(LR_SCHEDULERS, lr_scheduler)`.
macro_rules! choice {
    ($choices:ident, $($path:ident).+) => {
        $crate::config::kind::Kind::Choice(
            || $crate::config::choices::words($choices),
            $crate::config::kind::Field {
                put: |config, index| config.$($path).+ = $choices[index].1,
                get: |config| Some($crate::config::choices::position($choices, &config.$($path).+)),
            },
        )
    };
}

pub(super) use {choice, field, optional_field};

pub(super) enum Kind {
    Flag(Field<bool>),
    /// A largest number of `u32::MAX` is no bound.
    Whole(RangeInclusive<u32>, Field<u32>),
    /// Any whole number from 0.
    Seed(Field<u64>),
    Number(NumberRange, Field<f64>),
    /// One of some words; the field is an index into them.
    Choice(fn() -> Vec<Word>, Field<usize>),
    Path(Field<PathBuf>),
    /// A path, or a word that is none.
    PathOr(&'static str, Field<PathBuf>),
    /// Text that is not blank.
    Text(Field<String>),
    /// Text, where blank stands for none.
    Note(Field<String>),
    /// A list of texts.
    List(Field<Vec<String>>),
    /// Bytes.
    Memory(Field<u64>),
    /// What takes a reader of its own; `set` is given `wanted`, with the key's remark, for its errors.
    Special {
        wanted: Words,
        set: fn(&mut TrainConfig, &Value, &str) -> Result<()>,
        show: fn(&TrainConfig) -> String,
    },
}

impl Kind {
    /// What is taken, range included: "a whole number from 1 to 1024".
    pub(super) fn said(&self, language: Language) -> String {
        let words = match self {
            Kind::Flag(_) => Words::new("true or false", "true 或 false"),
            Kind::Whole(range, _) => return whole_said(range, language),
            Kind::Seed(_) => return whole_said(&(0..=u32::MAX), language),
            Kind::Number(range, _) => return range.said(language),
            Kind::Choice(words, _) => return choice_said(&words(), language),
            Kind::Path(_) => Words::new("a path", "路径"),
            Kind::PathOr(word, _) => return path_or_said(word, language),
            Kind::Text(_) | Kind::Note(_) => Words::new("text", "文字"),
            Kind::List(_) => Words::new("a list, or text with commas between", "列表，或用逗号隔开的文字"),
            Kind::Memory(_) => Words::new("an amount of memory with its unit, such as 4GB", "显存大小，带单位，如 4GB"),
            Kind::Special { wanted, .. } => *wanted,
        };
        words.of(language).to_owned()
    }

    /// The words of a choice; nothing for other kinds.
    pub(super) fn words(&self) -> Vec<Word> {
        match self {
            Kind::Choice(words, _) => words(),
            _ => Vec::new(),
        }
    }

    /// Reads `value` into the field; `wanted` describes what is taken.
    ///
    /// # Errors
    /// A wrong type or a value out of range, in words without key and line.
    pub(super) fn set(&self, config: &mut TrainConfig, value: &Value, wanted: &str) -> Result<()> {
        let unfit = || value::expected(wanted, value);
        match self {
            Kind::Flag(field) => (field.put)(config, value::flag(value).ok_or_else(unfit)?),
            Kind::Whole(range, field) => (field.put)(config, value::whole(value, range).ok_or_else(unfit)?),
            Kind::Seed(field) => (field.put)(config, value::whole_u64(value).ok_or_else(unfit)?),
            Kind::Number(range, field) => (field.put)(config, value::number(value, range).ok_or_else(unfit)?),
            Kind::Choice(words, field) => (field.put)(config, value::choice(value, &words(), wanted)?),
            Kind::Path(field) | Kind::PathOr(_, field) => (field.put)(config, value::non_empty_text(value)?.into()),
            Kind::Text(field) => (field.put)(config, value::non_empty_text(value)?),
            Kind::Note(field) => (field.put)(config, value::text(value)?),
            Kind::List(field) => (field.put)(config, value::list(value)?),
            Kind::Memory(field) => (field.put)(config, value::bytes(value).ok_or_else(unfit)?),
            Kind::Special { set, .. } => set(config, value, wanted)?,
        }
        Ok(())
    }

    /// The field's value as YAML, `null` where there is none.
    pub(super) fn show(&self, config: &TrainConfig) -> String {
        let shown = match self {
            Kind::Flag(field) => (field.get)(config).map(|flag| flag.to_string()),
            Kind::Whole(_, field) => (field.get)(config).map(|number| number.to_string()),
            Kind::Seed(field) => (field.get)(config).map(|number| number.to_string()),
            Kind::Number(_, field) => (field.get)(config).map(show::number),
            Kind::Choice(words, field) => (field.get)(config).map(|index| words()[index].shown.to_owned()),
            Kind::Path(field) | Kind::PathOr(_, field) => (field.get)(config).map(|path| show::path(&path)),
            Kind::Text(field) | Kind::Note(field) => (field.get)(config).map(|text| show::text(&text)),
            Kind::List(field) => (field.get)(config).map(|list| show::text(&list.join(", "))),
            Kind::Memory(field) => (field.get)(config).map(value::bytes_as_text),
            Kind::Special { show, .. } => Some(show(config)),
        };
        shown.unwrap_or_else(|| "null".to_owned())
    }

    /// Makes a relative path one below `base_folder`.
    pub(super) fn anchor(&self, config: &mut TrainConfig, base_folder: &Path) {
        let (field, word) = match self {
            Kind::Path(field) => (field, ""),
            Kind::PathOr(word, field) => (field, *word),
            _ => return,
        };
        if let Some(path) = (field.get)(config).filter(|path| path != Path::new(word)) {
            (field.put)(config, base_folder.join(path));
        }
    }
}

fn choice_said(words: &[Word], language: Language) -> String {
    match language {
        Language::English => format!("one of {}", value::shown_words(words, ", ")),
        Language::Chinese => format!("{} 之一", value::shown_words(words, "、")),
    }
}

fn path_or_said(word: &str, language: Language) -> String {
    match language {
        Language::English => format!("a path, or `{word}`"),
        Language::Chinese => format!("路径，或 `{word}`"),
    }
}
