//! An import under way: settings that have found their key here, and what is to be told.

use super::{
    super::{
        key::{Draft, Key},
        keys,
        kind::Kind,
        train_config::TrainConfig,
    },
    findings::{Fate, Findings},
    text,
    theirs::Entry,
};
use serde_yaml::Value;

/// A value for a key of ours.
pub(super) struct Setting {
    /// Any name of the key.
    ours: &'static str,
    value: Value,
    origin: Origin,
    note: String,
    otherwise: Option<Value>,
    refused: Option<String>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// From a setting of this name.
    Theirs(String),
    /// From the default of the other trainer.
    Default,
    /// It must be looked at, whatever it is now.
    ByHand,
}

impl Setting {
    /// A value that was set under the name `spelled`.
    pub(super) fn from(ours: &'static str, value: impl Into<Value>, spelled: &str) -> Self {
        Self::new(ours, value.into(), Origin::Theirs(spelled.to_owned()))
    }

    /// What the other trainer takes where nothing is set; `note` says so.
    pub(super) fn default(ours: &'static str, value: impl Into<Value>, note: &str) -> Self {
        Self::new(ours, value.into(), Origin::Default).note(note)
    }

    /// A placeholder, or a value that is likely wrong; `note` says what to do.
    pub(super) fn by_hand(ours: &'static str, value: impl Into<Value>, note: &str) -> Self {
        Self::new(ours, value.into(), Origin::ByHand).note(note)
    }

    fn new(ours: &'static str, value: Value, origin: Origin) -> Self {
        Self { ours, value, origin, note: String::new(), otherwise: None, refused: None }
    }

    /// The comment of its line.
    pub(super) fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// The value where the key refuses the first.
    pub(super) fn otherwise(self, value: impl Into<Value>) -> Self {
        Self { otherwise: Some(value.into()), ..self }
    }

    /// It is commented out for this reason, whatever the key says.
    pub(super) fn refused(self, why: Option<&str>) -> Self {
        Self { refused: why.map(str::to_owned), ..self }
    }
}

/// A setting with its key.
pub(super) struct Placed {
    pub key: &'static Key,
    pub value: Value,
    pub origin: Origin,
    pub note: String,
    pub otherwise: Option<Value>,
    pub refused: Option<String>,
}

/// A setting without a key.
pub(super) struct LeftOut {
    pub name: String,
    pub value: Value,
}

#[derive(Default)]
pub(super) struct Translation {
    pub placed: Vec<Placed>,
    pub left_out: Vec<LeftOut>,
    pub findings: Findings,
}

impl Translation {
    /// Finds the key at run time: one that is not there yet leaves the setting out. Of two values for one key the first
    /// stays.
    pub(super) fn put(&mut self, setting: Setting) {
        let Setting { ours, value, origin, note, otherwise, refused } = setting;
        let Some((key, translate)) = keys::find(ours) else {
            let why = if note.is_empty() { "there is no such setting here yet".to_owned() } else { note };
            return self.leave_out(ours, value, &why);
        };
        if let Some(first) = self.placed.iter().find(|placed| placed.key.name == key.name) {
            let why = format!("`{}` is set already", first.key.name);
            if let Origin::Theirs(spelled) = origin {
                self.findings.add(Fate::NoEffect, spelled, why);
            }
            return;
        }
        let (value, refused) = match translate.map(|translate| translate(&value)) {
            Some(Ok(translated)) => (translated, refused),
            Some(Err(error)) => (value, refused.or(Some(format!("{error:#}")))),
            None => (tidied(key, value), refused),
        };
        self.placed.push(Placed { key, value, origin, note, otherwise, refused });
    }

    /// A setting whose name is one of our key's names.
    pub(super) fn put_by_name(&mut self, entry: Entry) -> Option<Entry> {
        let Some(name) = keys::find(&entry.name).and_then(|(key, _)| key.names().find(|name| *name == entry.name))
        else {
            return Some(entry);
        };
        self.put(Setting::from(name, entry.value, &entry.spelled));
        None
    }

    /// A setting that changes the result and that nothing here stands for.
    pub(super) fn leave_out(&mut self, name: &str, value: Value, why: &str) {
        self.findings.add(Fate::NotTakenOver, format!("{name}: {}", shortened(&text::yaml(&value))), why);
        self.left_out.push(LeftOut { name: name.to_owned(), value });
    }

    /// Whether the key of that name has a value.
    pub(super) fn has(&self, ours: &str) -> bool {
        self.value_of(ours).is_some()
    }

    pub(super) fn value_of(&self, ours: &str) -> Option<&Value> {
        self.placed.iter().find(|placed| placed.key.names().any(|name| name == ours)).map(|placed| &placed.value)
    }

    /// The checkpoint: a hub id is no file, and only `exists` tells it from a folder.
    pub(super) fn put_base_model(&mut self, entry: Entry, exists: &dyn Fn(&str) -> bool) {
        let name = entry.value.as_str().unwrap_or_default();
        if is_hub_id(name) && !exists(name) {
            let note = format!("put a file here: theirs was `{name}` on the Hugging Face hub");
            return self.put(Setting::by_hand("base_model", example_of("base_model"), &note));
        }
        self.put(Setting::from("base_model", entry.value, &entry.spelled));
    }
}

/// Why the key of that name does not take `value`; nothing where it does.
pub(super) fn refusal(ours: &str, value: &Value) -> Option<String> {
    let (key, _) = keys::find(ours)?;
    let mut draft = Draft { config: TrainConfig::unresolved(), notes: Vec::new() };
    key.apply(&mut draft, value).err().map(|error| format!("{error:#}"))
}

/// What a file would have in a key that it must have.
pub(super) fn example_of(ours: &str) -> &'static str {
    keys::find(ours).and_then(|(key, _)| key.required_example()).expect("a required key's row has an example")
}

/// Numbers in quotes lose them.
fn tidied(key: &Key, value: Value) -> Value {
    let takes_numbers = matches!(key.kind(), None | Some(Kind::Whole(..) | Kind::Number(..) | Kind::Seed(_)));
    value.as_str().filter(|_| takes_numbers).and_then(text::number).unwrap_or(value)
}

/// `owner/name`, which is how the hub calls a model; a relative folder looks alike.
pub(super) fn is_hub_id(name: &str) -> bool {
    let [owner, model] = &name.split('/').collect::<Vec<_>>()[..] else { return false };
    let is_file = [".safetensors", ".ckpt", ".pt", ".bin"].iter().any(|extension| model.ends_with(extension));
    let is_path = name.contains(['\\', ':']) || matches!(*owner, "" | "." | ".." | "~");
    !is_file && !is_path && !model.is_empty()
}

/// A value in a list of findings.
fn shortened(yaml: &str) -> String {
    const MOST: usize = 40;
    if yaml.chars().count() <= MOST { yaml.to_owned() } else { yaml.chars().take(MOST).chain(['…']).collect() }
}
