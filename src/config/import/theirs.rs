//! Another trainer's settings: names with values, in the order of its file, whatever the file's format.

use anyhow::{Context, Result};
use serde_yaml::{Mapping, Value};

/// One setting.
pub(super) struct Entry {
    /// The name by which rules look for it: sd-scripts', where another program renames it.
    pub name: String,
    /// The name in the file.
    pub spelled: String,
    pub value: Value,
}

/// Settings that are taken out one by one as they are understood.
#[derive(Default)]
pub(super) struct Theirs(Vec<Entry>);

impl Theirs {
    pub(super) fn new(map: Mapping) -> Self {
        let mut theirs = Self::default();
        for (name, value) in map {
            theirs.set(&key_text(&name), value);
        }
        theirs
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|entry| entry.name == name).map(|entry| &entry.value)
    }

    /// Takes a setting out; nothing where it is missing or empty.
    pub(super) fn take(&mut self, name: &str) -> Option<Entry> {
        let at = self.0.iter().position(|entry| entry.name == name)?;
        Some(self.0.remove(at)).filter(|entry| !is_empty(&entry.value))
    }

    /// Takes a setting out and says whether it is on.
    pub(super) fn take_flag(&mut self, name: &str) -> bool {
        self.take(name).is_some_and(|entry| !is_off(&entry.value))
    }

    /// Takes a setting out and gives its text, if it is one.
    pub(super) fn take_text(&mut self, name: &str) -> Option<String> {
        self.take(name)?.value.as_str().map(str::to_owned)
    }

    /// Puts a setting in, in place of an earlier one of its name.
    pub(super) fn set(&mut self, name: &str, value: Value) {
        self.set_entry(Entry { name: name.to_owned(), spelled: name.to_owned(), value });
    }

    pub(super) fn set_entry(&mut self, entry: Entry) {
        self.0.retain(|earlier| earlier.name != entry.name);
        self.0.push(entry);
    }

    /// Calls a setting by the name that the rules know.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        if let Some(entry) = self.take(from) {
            self.set_entry(Entry { name: to.to_owned(), ..entry });
        }
    }

    /// Takes out all that `is_meant`.
    pub(super) fn take_where(&mut self, is_meant: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let (taken, left) = self.0.drain(..).partition(is_meant);
        self.0 = left;
        taken
    }

    /// All that is left.
    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.0
    }
}

/// A value that stands for "not set".
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Sequence(list) => list.is_empty(),
        _ => false,
    }
}

/// A value that is not set, false or 0.
pub(super) fn is_off(value: &Value) -> bool {
    is_empty(value) || value.as_bool() == Some(false) || value.as_f64() == Some(0.0)
}

/// The settings of a JSON or TOML text: an object, or tables.
///
/// # Errors
/// A syntax error, with its line; a text that is neither.
pub(super) fn parse(text: &str) -> Result<Mapping> {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).context("the JSON is malformed");
    }
    toml::from_str(text).context("it is neither JSON nor TOML")
}

/// All settings of a file whose sections are only for order, as sd-scripts reads it: later ones win.
pub(super) fn flattened(map: Mapping) -> Mapping {
    let mut flat = Mapping::new();
    for (name, value) in map {
        match value {
            Value::Mapping(section) => flat.extend(section),
            value => drop(flat.insert(name, value)),
        }
    }
    flat
}

/// The map under a name, or an empty one.
pub(super) fn map_of(map: &Mapping, name: &str) -> Mapping {
    map.get(name).and_then(Value::as_mapping).cloned().unwrap_or_default()
}

/// The maps in the list under a name.
pub(super) fn maps_of(map: &Mapping, name: &str) -> Vec<Mapping> {
    let list = map.get(name).and_then(Value::as_sequence);
    list.into_iter().flatten().filter_map(|value| value.as_mapping().cloned()).collect()
}

fn key_text(key: &Value) -> String {
    key.as_str().map_or_else(|| super::text::yaml(key), str::to_owned)
}
