//! A row of the table of keys: all that is known of one key.

use super::{
    choices::Word,
    kind::Kind,
    show,
    train_config::TrainConfig,
    value,
    words::{Language, Words},
};
use anyhow::{Result, anyhow, bail};
use serde_yaml::Value;
use std::path::Path;

/// A configuration being filled, and what the user should know about it.
pub(super) struct Draft {
    pub config: TrainConfig,
    pub notes: Vec<String>,
}

/// A row of the table, made by `setting`, `shorthand` or `unsupported` and the methods that add to it.
pub struct Key {
    pub name: &'static str,
    /// Other trainers' names for the same.
    pub aliases: &'static [&'static str],
    /// Other trainers' keys that mean the same but count differently.
    pub(super) translated: &'static [Translated],
    /// What it does and when to change it; the first sentence stands for all in lists.
    pub help: Words,
    meaning: Meaning,
    /// Said after the range: an example, or what 0 means.
    remark: Words,
    absent: Absent,
    /// Whether it is read after the keys that do not say so, since it depends on one of them.
    pub(super) after_others: bool,
    refuse: fn(&Value) -> Option<&'static str>,
    note: fn(&Value) -> Option<&'static str>,
}

enum Meaning {
    Setting(Kind),
    /// Stands for other keys.
    Shorthand(Shorthand),
    /// Known from other trainers, not built yet: only values that change nothing are accepted. `Key::help` says what to
    /// do instead.
    Unsupported(&'static [Accepted]),
}

/// What counts where a file leaves the key out.
enum Absent {
    /// The value in [`TrainConfig::unresolved`].
    Default,
    /// Nothing: the file must have it. Holds an example.
    Required(&'static str),
    /// What these words say: a value derived from others, or what `null` stands for.
    Said(Words),
}

/// A key that stands for others and has no field of its own.
pub(super) struct Shorthand {
    pub wanted: Words,
    /// The keys, by any of their names, with their values.
    pub expand: Expand,
    /// What the user should know about a value.
    pub notes: fn(&Value) -> Vec<&'static str>,
}

pub(super) type Expand = fn(&Value) -> Result<Vec<(String, Value)>>;

/// A key of another trainer whose values become those of the row.
pub(super) struct Translated {
    pub alias: &'static str,
    pub translate: Translate,
    /// How it counts.
    pub said: Words,
}

pub(super) type Translate = fn(&Value) -> Result<Value>;

/// A key that does something.
pub(super) const fn setting(name: &'static str, kind: Kind) -> Key {
    Key::new(name, Meaning::Setting(kind))
}

/// A key that stands for others.
pub(super) const fn shorthand(name: &'static str, shorthand: Shorthand) -> Key {
    Key::new(name, Meaning::Shorthand(shorthand))
}

/// A key that is known and not built: `accepted` are the values that change nothing.
pub(super) const fn unsupported(name: &'static str, accepted: &'static [Accepted]) -> Key {
    Key::new(name, Meaning::Unsupported(accepted))
}

/// What a row says of itself, in the order in which it is written.
impl Key {
    const fn new(name: &'static str, meaning: Meaning) -> Self {
        Self {
            name,
            aliases: &[],
            translated: &[],
            help: Words::NONE,
            meaning,
            remark: Words::NONE,
            absent: Absent::Default,
            after_others: false,
            refuse: |_| None,
            note: |_| None,
        }
    }

    /// Names in other trainers.
    pub(super) const fn also(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    /// Keys of other trainers that count differently.
    pub(super) const fn translated(self, translated: &'static [Translated]) -> Self {
        Self { translated, ..self }
    }

    /// An example, or what 0 means: said after the range.
    pub(super) const fn remark(self, en: &'static str, zh: &'static str) -> Self {
        Self { remark: Words::new(en, zh), ..self }
    }

    /// There is no default; `example` is proposed where the key is missing.
    pub(super) const fn required(self, example: &'static str) -> Self {
        Self { absent: Absent::Required(example), ..self }
    }

    /// The default in words: a derived value, or what `null` stands for.
    pub(super) const fn otherwise(self, en: &'static str, zh: &'static str) -> Self {
        Self { absent: Absent::Said(Words::new(en, zh)), ..self }
    }

    /// Read after other keys, wherever it stands.
    pub(super) const fn after_others(self) -> Self {
        Self { after_others: true, ..self }
    }

    /// Values that are refused with a text of their own, before anything else looks at them.
    pub(super) const fn refuse(self, refuse: fn(&Value) -> Option<&'static str>) -> Self {
        Self { refuse, ..self }
    }

    /// What the user should know about a value that is accepted.
    pub(super) const fn note(self, note: fn(&Value) -> Option<&'static str>) -> Self {
        Self { note, ..self }
    }

    /// What it does and when to change it, in plain words; the first sentence stands for all in lists.
    pub(super) const fn help(self, en: &'static str, zh: &'static str) -> Self {
        Self { help: Words::new(en, zh), ..self }
    }
}

impl Key {
    /// Reads `value` into the draft.
    ///
    /// # Errors
    /// A wrong type, a value out of range or one that is not built, in words without key and line.
    pub(super) fn apply(&self, draft: &mut Draft, value: &Value) -> Result<()> {
        if let Some(why) = (self.refuse)(value) {
            bail!(why);
        }
        match &self.meaning {
            Meaning::Setting(kind) => kind.set(&mut draft.config, value, &self.takes(Language::English))?,
            Meaning::Shorthand(shorthand) => {
                draft.notes.extend((shorthand.notes)(value).iter().map(|note| format!("{}: {note}", self.name)));
            }
            Meaning::Unsupported(accepted) => self.check_accepted(accepted, value)?,
        }
        draft.notes.extend((self.note)(value).map(|note| format!("{}: {note}", self.name)));
        Ok(())
    }

    fn check_accepted(&self, accepted: &[Accepted], value: &Value) -> Result<()> {
        if accepted.iter().any(|accepted| accepted.matches(value)) {
            return Ok(());
        }
        let cure = match accepted.first() {
            Some(first) => format!("set `{}: {}` or leave it out", self.name, first.as_yaml()),
            None => "leave it out".into(),
        };
        let hint = if self.help.en.is_empty() { String::new() } else { format!(" ({})", self.help.en) };
        Err(anyhow!("{} is not implemented yet{hint}; {cure}", value::describe(value)))
    }

    /// The keys that a shorthand stands for, with their values; nothing for other rows.
    ///
    /// # Errors
    /// A wrong type or an unknown key, in words without key and line.
    pub(super) fn expand(&self, value: &Value) -> Result<Vec<(String, Value)>> {
        match &self.meaning {
            Meaning::Shorthand(shorthand) if !value.is_null() => (shorthand.expand)(value),
            _ => Ok(Vec::new()),
        }
    }

    /// The value in `config` as YAML; nothing for a key without a field.
    pub(super) fn show(&self, config: &TrainConfig) -> String {
        self.kind().map_or_else(String::new, |kind| kind.show(config))
    }

    /// Makes a relative path one below `base_folder`; other kinds stay.
    pub(super) fn anchor(&self, config: &mut TrainConfig, base_folder: &Path) {
        if let Some(kind) = self.kind() {
            kind.anchor(config, base_folder);
        }
    }

    /// The example of a key that a file must have.
    pub(super) fn required_example(&self) -> Option<&'static str> {
        match self.absent {
            Absent::Required(example) => Some(example),
            _ => None,
        }
    }

    /// The default in words, where it has some.
    pub(super) fn default_in_words(&self) -> Option<&Words> {
        match &self.absent {
            Absent::Said(words) => Some(words),
            _ => None,
        }
    }

    /// Type and range, or the accepted values of a key that is not built, with the remark.
    pub fn takes(&self, language: Language) -> String {
        let said = match &self.meaning {
            Meaning::Setting(kind) => kind.said(language),
            Meaning::Shorthand(shorthand) => shorthand.wanted.of(language).to_owned(),
            Meaning::Unsupported(accepted) => {
                accepted.iter().map(|accepted| format!("`{}`", accepted.as_yaml())).collect::<Vec<_>>().join(", ")
            }
        };
        match (self.remark.of(language), language) {
            ("", _) => said,
            (remark, Language::English) => format!("{said} ({remark})"),
            (remark, Language::Chinese) => format!("{said}（{remark}）"),
        }
    }

    /// What counts where a file leaves the key out: a value as YAML, or words.
    pub fn default(&self, language: Language) -> DefaultText {
        match &self.absent {
            Absent::Default => DefaultText::Value(self.show(&TrainConfig::unresolved())),
            Absent::Required(_) => DefaultText::Words(Words::new("required", "必填").of(language)),
            Absent::Said(words) => DefaultText::Words(words.of(language)),
        }
    }

    /// The words of a choice; nothing for other kinds.
    pub(super) fn words(&self) -> Vec<Word> {
        self.kind().map_or_else(Vec::new, Kind::words)
    }

    /// The names in other trainers as a list, with how those count that count differently.
    pub fn other_names(&self, language: Language) -> String {
        let plain = self.aliases.iter().map(|alias| format!("`{alias}`"));
        let translated = self.translated.iter().map(|row| match language {
            Language::English => format!("`{}` ({})", row.alias, row.said.en),
            Language::Chinese => format!("`{}`（{}）", row.alias, row.said.zh),
        });
        let between = if language == Language::English { ", " } else { "、" };
        plain.chain(translated).collect::<Vec<_>>().join(between)
    }

    /// Whether it does something yet.
    pub fn is_built(&self) -> bool {
        !matches!(self.meaning, Meaning::Unsupported(_))
    }

    /// What it takes; nothing for a key without a field.
    pub(super) fn kind(&self) -> Option<&Kind> {
        match &self.meaning {
            Meaning::Setting(kind) => Some(kind),
            Meaning::Shorthand(_) | Meaning::Unsupported(_) => None,
        }
    }

    /// Every name that a file may use for it.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        let translated = self.translated.iter().map(|row| row.alias);
        std::iter::once(self.name).chain(self.aliases.iter().copied()).chain(translated)
    }
}

/// A default as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultText {
    /// YAML.
    Value(String),
    Words(&'static str),
}

/// A value of a key that is not built which changes nothing.
#[derive(Clone, Copy, Debug)]
pub(super) enum Accepted {
    Flag(bool),
    Number(f64),
    /// Compared without regard to case.
    Text(&'static str),
}

impl Accepted {
    fn matches(self, value: &Value) -> bool {
        match self {
            Accepted::Flag(flag) => value.as_bool() == Some(flag),
            Accepted::Number(number) => value::any_number(value) == Some(number),
            Accepted::Text(text) => value.as_str().is_some_and(|given| given.eq_ignore_ascii_case(text)),
        }
    }

    fn as_yaml(self) -> String {
        match self {
            Accepted::Flag(flag) => flag.to_string(),
            Accepted::Number(number) => show::number(number),
            Accepted::Text("") => "\"\"".into(),
            Accepted::Text(text) => text.into(),
        }
    }
}
