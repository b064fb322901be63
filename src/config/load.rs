//! From file and overrides to a resolved configuration.

use super::{
    keys::{self, Draft, Key},
    print, resolve,
    source::{self, SourceLine},
    suggest,
    train_config::TrainConfig,
};
use anyhow::{Context, Result, anyhow, bail};
use serde_yaml::Value;
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

/// A configuration, ready to run and to show.
#[derive(Debug)]
pub struct Loaded {
    pub config: TrainConfig,
    /// The resolved configuration, every key; loading it again gives the same `config`. A comment marks each value that
    /// is a default, derived, from an alias or from `--set`.
    pub yaml: String,
    /// What the user should know before the run: accepted but odd settings.
    pub notes: Vec<String>,
}

/// Reads the YAML file at `path`, applies `overrides` (`key=value`, the value in YAML) and fills in the rest.
///
/// A key without a value, or with `null`, counts as left out. Relative paths stay as written.
///
/// # Errors
/// The first of: an unreadable or malformed file; an unknown key, with the nearest valid one; a key given twice, be it
/// under two names; a wrong type or a value out of range; a key that is not implemented yet with a value that would
/// matter; a missing required key. The text names key and line, or `--set`.
pub fn load(path: &Path, overrides: &[String]) -> Result<Loaded> {
    let text = source::read(path)?;
    let file_entries = source::entries(path, &text)?.into_iter();
    let mut settings = claim(file_entries.map(|entry| (entry.key, entry.value, Place::file(path, entry.line))))?;
    settings.extend(claim(parse_overrides(overrides)?)?);
    settings.retain(|_, setting| !setting.value.is_null());

    let mut draft = Draft { config: TrainConfig::unresolved(), notes: Vec::new() };
    let mut in_order: Vec<&Setting> = settings.values().collect();
    in_order.sort_by_key(|setting| setting.place.line_number());
    for setting in in_order {
        setting.apply(&mut draft)?;
    }
    let derived = resolve::resolve(&mut draft, |key| settings.contains_key(key))
        .with_context(|| format!("{}: the configuration cannot run", path.display()))?;

    let derived: HashMap<_, _> = derived.into_iter().collect();
    let yaml = print::to_yaml(&draft.config, |key| match (settings.get(key), derived.get(key)) {
        (Some(setting), _) => setting.origin(),
        (None, Some(how)) => Some((*how).to_owned()),
        (None, None) => Some("default".to_owned()),
    });
    Ok(Loaded { config: draft.config, yaml, notes: draft.notes })
}

/// Where a setting was written.
enum Place {
    File { path: String, line: Option<SourceLine> },
    Override,
}

impl Place {
    fn file(path: &Path, line: Option<SourceLine>) -> Self {
        Place::File { path: path.display().to_string(), line }
    }

    fn line_number(&self) -> Option<usize> {
        match self {
            Place::File { line: Some(line), .. } => Some(line.number),
            _ => None,
        }
    }

    /// `message` with the place before it and the source line below.
    fn error(&self, key: &str, message: impl std::fmt::Display) -> anyhow::Error {
        match self {
            Place::File { path, line: Some(line) } => anyhow!("{path}:{}: `{key}`: {message}\n{line}", line.number),
            Place::File { path, line: None } => anyhow!("{path}: `{key}`: {message}"),
            Place::Override => anyhow!("--set {key}: {message}"),
        }
    }
}

/// One key that was given a value.
struct Setting {
    key: &'static Key,
    /// The name it was given by.
    spelled: String,
    value: Value,
    place: Place,
}

impl Setting {
    fn apply(&self, draft: &mut Draft) -> Result<()> {
        self.key.apply(draft, &self.value).map_err(|error| self.place.error(&self.full_name(), format!("{error:#}")))
    }

    fn full_name(&self) -> String {
        if self.spelled == self.key.name {
            return self.spelled.clone();
        }
        format!("{} (here {})", self.spelled, self.key.name)
    }

    /// The comment of the resolved YAML.
    fn origin(&self) -> Option<String> {
        match self.place {
            Place::Override => Some(format!("--set {}", self.spelled)),
            Place::File { .. } => (self.spelled != self.key.name).then(|| format!("{} in the file", self.spelled)),
        }
    }
}

type Settings = BTreeMap<&'static str, Setting>;

/// Finds each entry's key, and refuses what is unknown or given twice.
fn claim(entries: impl IntoIterator<Item = (String, Value, Place)>) -> Result<Settings> {
    let mut settings = Settings::new();
    for (spelled, value, place) in entries {
        let Some((key, translate)) = keys::find(&spelled) else {
            return Err(place.error(&spelled, unknown_key(&spelled)));
        };
        if let Some(first) = settings.get(key.name) {
            return Err(place.error(&spelled, given_twice(first)));
        }
        let value = match translate.filter(|_| !value.is_null()) {
            Some(translate) => translate(&value).map_err(|error| place.error(&spelled, error))?,
            None => value,
        };
        settings.insert(key.name, Setting { key, spelled, value, place });
    }
    Ok(settings)
}

fn unknown_key(spelled: &str) -> String {
    match suggest::nearest(spelled, keys::names()) {
        Some(name) => format!("unknown key; did you mean `{name}`?"),
        None => {
            let keys: Vec<_> = keys::SETTINGS.iter().map(|key| key.name).collect();
            format!("unknown key; the keys are {}", keys.join(", "))
        }
    }
}

fn given_twice(first: &Setting) -> String {
    let place = first.place.line_number().map(|line| format!(" on line {line}")).unwrap_or_default();
    format!("given twice: `{}` already stands{place}; keep one of them", first.full_name())
}

fn parse_overrides(overrides: &[String]) -> Result<Vec<(String, Value, Place)>> {
    overrides.iter().map(|text| parse_override(text)).collect()
}

fn parse_override(text: &str) -> Result<(String, Value, Place)> {
    let Some((key, value)) = text.split_once('=') else {
        bail!("--set {text}: expected key=value, such as --set epochs=20");
    };
    let value = serde_yaml::from_str(value).map_err(|error| Place::Override.error(key, error))?;
    Ok((key.trim().to_owned(), value, Place::Override))
}
