//! From file and overrides to a resolved configuration.

use super::{
    key::{Draft, Key},
    keys,
    mistakes::Mistakes,
    print, resolve,
    source::{self, SourceLine},
    suggest,
    train_config::TrainConfig,
};
use anyhow::{Context, Result, anyhow, ensure};
use serde_yaml::Value;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
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
    /// The comment of each key that has one.
    origins: Origins,
}

/// Where the values of keys come from; nothing for one written in the file.
type Origins = HashMap<&'static str, String>;

impl Loaded {
    /// The YAML of what became of this configuration: a value that is no longer the one loaded is marked as chosen for the
    /// run.
    pub fn yaml_of(&self, config: &TrainConfig) -> String {
        print::to_yaml(config, |key| match key.show(config) == key.show(&self.config) {
            true => self.origins.get(key.name).cloned(),
            false => Some(format!("chosen for this run, instead of {}", key.show(&self.config))),
        })
    }
}

/// Reads the YAML file at `path`, applies `overrides` (`key=value`, the value in YAML) and fills in the rest.
///
/// A key without a value, or with `null`, counts as left out. Relative paths stay as written: they count from the
/// folder in which the program runs.
///
/// # Errors
/// An unreadable or malformed file; else all of: an unknown key, with the nearest valid one; a key given twice, be it
/// under two names; a wrong type or a value out of range; a key that is not implemented yet with a value that would
/// matter; a missing required key. Each text names key and line, or `--set`.
pub fn load(path: &Path, overrides: &[String]) -> Result<Loaded> {
    refuse_other_trainers(path)?;
    load_text(path, &source::read(path)?, overrides, |_| ())
}

/// # Errors
/// A file of a kind that other trainers have and YAML files are not, with the command that makes YAML of it.
fn refuse_other_trainers(path: &Path) -> Result<()> {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    ensure!(
        !["toml", "json", "safetensors"].iter().any(|other| extension == *other),
        "{0} is no YAML file; if another trainer wrote it, this makes a configuration of it:\n  lora-wgpu import-config \
         {0} --out {1}",
        path.display(),
        path.with_extension("yaml").display()
    );
    Ok(())
}

impl TrainConfig {
    /// The configuration that the YAML `text` describes, for who has no file. Relative paths count from `base_folder`,
    /// the default ones of `output_dir` and `logging_dir` included.
    ///
    /// # Errors
    /// Those of [`load`]; the texts call the file `configuration`.
    pub fn from_yaml(text: &str, base_folder: &Path) -> Result<Self> {
        let anchor = |config: &mut TrainConfig| keys::anchor(config, base_folder);
        Ok(load_text(Path::new("configuration"), text, &[], anchor)?.config)
    }
}

/// `path` is what errors call the text; `anchor` changes paths once all keys are read.
fn load_text(path: &Path, text: &str, overrides: &[String], anchor: impl Fn(&mut TrainConfig)) -> Result<Loaded> {
    let mut mistakes = Mistakes::default();
    let in_file = source::entries(path, text)?.into_iter();
    let mut claims = Claims::default();
    claims.claim(in_file.map(|entry| Entry::new(entry.key, entry.value, Place::file(path, entry.line))), &mut mistakes);
    claims.claim_overrides(overrides, &mut mistakes);
    let settings = claims.settings;

    let mut draft = Draft { config: TrainConfig::unresolved(), notes: Vec::new() };
    let mut in_order: Vec<&Setting> = settings.values().collect();
    in_order.sort_by_key(|setting| (setting.key.after_others, setting.entry.place.line_number()));
    for setting in in_order {
        setting.apply(&mut draft).unwrap_or_else(|error| mistakes.add(setting.entry.place.line_number(), error));
    }
    let cannot_run = || format!("{}: the configuration cannot run", path.display());
    for missing in resolve::missing(|key| settings.contains_key(key) || claims.meant.contains(key)) {
        mistakes.add(None, missing.context(cannot_run()));
    }
    mistakes.into_result(path)?;

    anchor(&mut draft.config);
    let derived = resolve::resolve(&mut draft, |key| settings.contains_key(key)).with_context(cannot_run)?;
    let origins = origins(&settings, derived);
    let yaml = print::to_yaml(&draft.config, |key| origins.get(key.name).cloned());
    Ok(Loaded { config: draft.config, yaml, notes: draft.notes, origins })
}

fn origins(settings: &Settings, derived: Vec<resolve::Derived>) -> Origins {
    let derived: HashMap<_, _> = derived.into_iter().collect();
    let origin = |key: &'static str| match (settings.get(key), derived.get(key)) {
        (Some(setting), _) => setting.origin(),
        (None, Some(how)) => Some((*how).to_owned()),
        (None, None) => Some("default".to_owned()),
    };
    keys::settings().filter_map(|key| Some((key.name, origin(key.name)?))).collect()
}

/// Where a setting was written.
#[derive(Clone)]
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

/// A name that was given a value.
struct Entry {
    /// As it was written.
    spelled: String,
    value: Value,
    place: Place,
    /// The shorthand within which it stands.
    within: Option<&'static str>,
}

impl Entry {
    fn new(spelled: String, value: Value, place: Place) -> Self {
        Self { spelled, value, place, within: None }
    }

    fn name(&self) -> String {
        match self.within {
            Some(shorthand) => format!("{shorthand}: {}", self.spelled),
            None => self.spelled.clone(),
        }
    }

    fn error(&self, message: impl std::fmt::Display) -> anyhow::Error {
        self.place.error(&self.name(), message)
    }
}

/// One key that was given a value.
struct Setting {
    key: &'static Key,
    /// With its value in the key's own terms.
    entry: Entry,
}

impl Setting {
    fn apply(&self, draft: &mut Draft) -> Result<()> {
        self.key.apply(draft, &self.entry.value).map_err(|error| self.error(&error))
    }

    fn error(&self, error: &anyhow::Error) -> anyhow::Error {
        self.entry.place.error(&self.full_name(), format!("{error:#}"))
    }

    fn full_name(&self) -> String {
        let name = self.entry.name();
        if self.entry.spelled == self.key.name {
            return name;
        }
        format!("{name} (here {})", self.key.name)
    }

    /// The comment of the resolved YAML.
    fn origin(&self) -> Option<String> {
        let written = self.entry.within.unwrap_or(&self.entry.spelled);
        match self.entry.place {
            Place::Override => Some(format!("--set {written}")),
            Place::File { .. } => (written != self.key.name).then(|| format!("{written} in the file")),
        }
    }

    /// What a shorthand stands for, as if it had been written there.
    fn expand(&self) -> Result<Vec<Entry>> {
        let entries = self.key.expand(&self.entry.value).map_err(|error| self.error(&error))?;
        let within = self.entry.within.or(Some(self.key.name));
        let place = &self.entry.place;
        let entry = |(spelled, value)| Entry { spelled, value, place: place.clone(), within };
        Ok(entries.into_iter().map(entry).collect())
    }
}

type Settings = BTreeMap<&'static str, Setting>;

/// Each entry's key.
#[derive(Default)]
struct Claims {
    /// Those with a value.
    settings: Settings,
    /// Keys that a mistaken entry most likely meant: they are not missing besides.
    meant: HashSet<&'static str>,
}

impl Claims {
    /// Takes entries in, which win over earlier ones, except for what is unknown or stands twice among them.
    fn claim(&mut self, entries: impl Iterator<Item = Entry>, mistakes: &mut Mistakes) {
        let mut settings = Settings::new();
        entries.for_each(|entry| self.claim_entry(entry, &mut settings, mistakes));
        let replaced = |setting: &Setting| setting.entry.within.is_some_and(|name| settings.contains_key(name));
        self.settings.retain(|_, setting| !replaced(setting));
        self.settings.extend(settings);
        self.settings.retain(|_, setting| !setting.entry.value.is_null());
    }

    fn claim_entry(&mut self, entry: Entry, settings: &mut Settings, mistakes: &mut Mistakes) {
        let line = entry.place.line_number();
        let claimed = self.find(entry, settings).and_then(|setting| {
            let entries = setting.expand();
            settings.insert(setting.key.name, setting);
            entries
        });
        match claimed {
            Ok(entries) => entries.into_iter().for_each(|entry| self.claim_entry(entry, settings, mistakes)),
            Err(mistake) => mistakes.add(line, mistake),
        }
    }

    fn find(&mut self, mut entry: Entry, earlier: &Settings) -> Result<Setting> {
        let Some((key, translate)) = keys::find(&entry.spelled) else {
            let nearest = suggest::nearest(&entry.spelled, keys::names());
            self.meant.extend(nearest.and_then(keys::find).map(|(key, _)| key.name));
            return Err(entry.error(unknown_key(nearest)));
        };
        if let Some(first) = earlier.get(key.name) {
            return Err(entry.error(given_twice(first)));
        }
        if let Some(translate) = translate.filter(|_| !entry.value.is_null()) {
            entry.value = translate(&entry.value).map_err(|error| {
                self.meant.insert(key.name);
                entry.error(error)
            })?;
        }
        Ok(Setting { key, entry })
    }

    fn claim_overrides(&mut self, overrides: &[String], mistakes: &mut Mistakes) {
        let mut parsed = Vec::new();
        for text in overrides {
            match parse_override(text) {
                Ok(entry) => parsed.push(entry),
                Err(mistake) => mistakes.add(None, mistake),
            }
        }
        self.claim(parsed.into_iter(), mistakes);
    }
}

fn unknown_key(nearest: Option<&str>) -> String {
    match nearest {
        Some(name) => format!("unknown key; did you mean `{name}`?"),
        None => "unknown key; `lora-wgpu keys` lists all there are".to_owned(),
    }
}

fn given_twice(first: &Setting) -> String {
    let place = first.entry.place.line_number().map(|line| format!(" on line {line}")).unwrap_or_default();
    format!("given twice: `{}` already stands{place}; keep one of them", first.full_name())
}

fn parse_override(text: &str) -> Result<Entry> {
    let Some((key, value)) = text.split_once('=') else {
        return Err(anyhow!("--set {text}: expected key=value, such as --set epochs=20"));
    };
    let value = serde_yaml::from_str(value).map_err(|error| Place::Override.error(key, error))?;
    Ok(Entry::new(key.trim().to_owned(), value, Place::Override))
}
