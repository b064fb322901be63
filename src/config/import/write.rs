//! The YAML of an import: each value is offered to its key, and what is refused is commented out with the reason.

use super::{
    super::{
        key::{Draft, Key},
        keys::{self, GROUPS, UNSUPPORTED},
        resolve,
        train_config::TrainConfig,
        words::Language,
        wrap::wrap,
    },
    findings::{Fate, Findings},
    text,
    theirs::is_off,
    translation::{Origin, Placed, Translation, example_of},
};
use anyhow::Result;
use serde_yaml::Value;
use std::collections::{HashMap, HashSet};

/// Columns of a line with its comment; longer comments stand above their line.
const WIDTH: usize = 80;
/// Where comments begin.
const COMMENT_COLUMN: usize = 34;

/// What is settled before the rest, in this order: values that contradict it give way, and not the other way round.
const FIRST: [&str; 4] = ["base_model", "train_data_dir", "optimizer_type", "optimizer_args"];
/// What suits one optimizer and no other.
const OF_THE_OPTIMIZER: [&str; 4] = ["optimizer_args", "learning_rate", "unet_lr", "text_encoder_lr"];

/// The file that trains what was imported, and what is to be told. `heading` opens it.
pub(super) fn write(heading: &str, translation: Translation) -> (String, Findings) {
    let Translation { placed, left_out, findings } = translation;
    let mut writer = Writer::new(findings);
    writer.settle(placed);
    let mut yaml = commented(heading);
    for group in GROUPS {
        yaml += &writer.section(group.title.of(Language::English), group.keys);
    }
    yaml += &writer.section("Known here, and not built yet", UNSUPPORTED);
    if !left_out.is_empty() {
        yaml += "\n# Without a counterpart here\n";
    }
    for setting in left_out {
        yaml += &format!("# {}: {}\n", setting.name, text::yaml(&setting.value));
    }
    (yaml, writer.findings)
}

struct Writer {
    /// What the lines so far amount to.
    config: TrainConfig,
    given: HashSet<&'static str>,
    /// Whether a name for the LoRA is to come, which else is the data folder's.
    is_named: bool,
    /// Why the optimizer is not taken, which takes what [`OF_THE_OPTIMIZER`] names along.
    without_optimizer: Option<&'static str>,
    /// By key: its line, with what is said above it.
    lines: HashMap<&'static str, String>,
    findings: Findings,
}

impl Writer {
    fn new(findings: Findings) -> Self {
        let mut config = TrainConfig::unresolved();
        // The name of the LoRA is derived from it, which fails while there is none.
        config.train_data_dir = example_of("train_data_dir").into();
        let (given, lines) = (HashSet::new(), HashMap::new());
        Self { config, given, is_named: false, without_optimizer: None, lines, findings }
    }

    /// Offers every value to its key.
    fn settle(&mut self, mut placed: Vec<Placed>) {
        self.is_named = placed.iter().any(|placed| placed.key.name == "output_name");
        let (first, rest): (Vec<&Key>, Vec<&Key>) = keys::all().partition(|key| FIRST.contains(&key.name));
        let place = |key: &&Key| FIRST.iter().position(|name| *name == key.name);
        let mut first = first;
        first.sort_by_key(place);
        for key in first.into_iter().chain(rest) {
            if let Some(at) = placed.iter().position(|placed| placed.key.name == key.name) {
                self.setting(placed.swap_remove(at));
            }
            if key.required_example().is_some() && !self.given.contains(key.name) {
                self.missing(key);
            }
        }
    }

    /// The lines of the keys under their title; nothing where there are none.
    fn section(&self, title: &str, keys: &'static [Key]) -> String {
        let lines: String = keys.iter().filter_map(|key| self.lines.get(key.name)).map(String::as_str).collect();
        if lines.is_empty() { lines } else { format!("\n# {title}\n{lines}") }
    }

    /// A key that a file must have and theirs does not, or not so that it can be used.
    fn missing(&mut self, key: &'static Key) {
        let example = key.required_example().unwrap_or_default();
        self.setting(Placed {
            key,
            value: example.into(),
            origin: Origin::ByHand,
            note: "fill in".to_owned(),
            otherwise: None,
            refused: None,
        });
    }

    fn setting(&mut self, setting: Placed) {
        let of_another = self.without_optimizer.filter(|_| OF_THE_OPTIMIZER.contains(&setting.key.name));
        let attempt = match (&setting.refused, of_another) {
            (Some(why), _) => Err(why.clone()),
            (None, Some(why)) => Err(why.to_owned()),
            (None, None) => self.accept(setting.key, &setting.value).map_err(|error| format!("{error:#}")),
        };
        match attempt {
            Ok((config, notes)) => self.accepted(setting, config, &notes),
            Err(why) => self.refused(setting, &why),
        }
    }

    /// The configuration with this value besides the others, and what its key says about it.
    ///
    /// # Errors
    /// The key refuses the value, or it contradicts the others.
    fn accept(&self, key: &'static Key, value: &Value) -> Result<(TrainConfig, Vec<String>)> {
        let mut draft = Draft { config: self.config.clone(), notes: Vec::new() };
        key.apply(&mut draft, value)?;
        let (config, notes) = (draft.config.clone(), std::mem::take(&mut draft.notes));
        let is_given =
            |name: &str| name == key.name || self.given.contains(name) || self.is_named && name == "output_name";
        resolve::resolve(&mut draft, is_given)?;
        Ok((config, notes))
    }

    fn accepted(&mut self, setting: Placed, config: TrainConfig, notes: &[String]) {
        let Placed { key, value, origin, note, .. } = setting;
        let said = joined(&note, &notes.join("; "));
        let without_effect = is_off(&value) && config == self.config;
        match &origin {
            Origin::Theirs(spelled) if without_effect => {
                return self.findings.add(Fate::NoEffect, spelled, "as it is here anyway");
            }
            Origin::Default if without_effect => return,
            Origin::Theirs(spelled) if spelled != key.name => {
                self.findings.add(Fate::Renamed, format!("{spelled} → {}", key.name), said.clone());
            }
            Origin::Theirs(_) if said.is_empty() => {}
            Origin::Theirs(_) => self.findings.add(Fate::Renamed, key.name, said.clone()),
            Origin::Default => self.findings.add(Fate::WrittenOut, key.name, said.clone()),
            Origin::ByHand => self.findings.add(Fate::ByHand, key.name, said.clone()),
        }
        self.config = config;
        self.given.insert(key.name);
        let comment = match origin {
            Origin::Theirs(spelled) if spelled != key.name => joined(&spelled, &said),
            _ => said,
        };
        self.lines.insert(key.name, line(&format!("{}: {}", key.name, text::yaml(&value)), &comment));
    }

    fn refused(&mut self, setting: Placed, why: &str) {
        let Placed { key, value, otherwise, note, .. } = setting;
        // An error proposes what to write instead; here it is left out.
        let why = if key.is_built() { why.to_owned() } else { format!("not built yet: {}", key.help.en) };
        let why = joined(&note, &why);
        let otherwise = otherwise.and_then(|value| self.accept(key, &value).ok().map(|(config, _)| (value, config)));
        let Some((instead, config)) = otherwise else {
            let line = format!("{}: {}", key.name, text::yaml(&value));
            if key.name == "optimizer_type" {
                self.without_optimizer = Some("it suits its optimizer and no other");
            }
            self.findings.add(Fate::NotTakenOver, line.clone(), why.clone());
            self.lines.insert(key.name, format!("{}# {line}\n", commented(&why)));
            return;
        };
        let instead = format!("{}: {}", key.name, text::yaml(&instead));
        let why = format!("theirs is {}: {why}", text::yaml(&value));
        self.findings.add(Fate::NotTakenOver, instead.clone(), why.clone());
        self.config = config;
        self.given.insert(key.name);
        self.lines.insert(key.name, line(&instead, &why));
    }
}

/// A line with its comment behind it, or above it where that is too wide.
fn line(line: &str, comment: &str) -> String {
    let with_comment = format!("{line:<COMMENT_COLUMN$}  # {comment}\n");
    if comment.is_empty() {
        format!("{line}\n")
    } else if with_comment.chars().count() <= WIDTH + 1 {
        with_comment
    } else {
        format!("{}{line}\n", commented(comment))
    }
}

fn commented(text: &str) -> String {
    wrap(text, WIDTH - 2).iter().map(|line| format!("# {line}\n")).collect()
}

fn joined(first: &str, second: &str) -> String {
    let parts = [first, second].into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("; ")
}
