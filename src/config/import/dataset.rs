//! sd-scripts' data set configuration: data sets of subsets, of which there is one here.

use super::{
    findings::Fate,
    text,
    theirs::{Entry, Theirs, is_off, maps_of},
    translation::Translation,
};
use serde_yaml::{Mapping, Value};

/// The names of a data set's settings on sd-scripts' command line, where they differ.
const ON_THE_COMMAND_LINE: &[(&str, &str)] = &[
    ("batch_size", "train_batch_size"),
    ("batch_size_per_device", "train_batch_size"),
    ("image_dir", "train_data_dir"),
    ("metadata_file", "in_json"),
];

/// Puts the first data set in the place of the folders of the command line. Its values win over those, a subset's over
/// its data set's, and these over the general ones.
pub(super) fn merge(theirs: &mut Theirs, map: Mapping, translation: &mut Translation) {
    for replaced in ["train_data_dir", "reg_data_dir", "in_json"] {
        if let Some(entry) = theirs.take(replaced) {
            translation.findings.add(Fate::NoEffect, entry.spelled, "the data set configuration replaces it");
        }
    }
    let mut datasets = maps_of(&map, "datasets").into_iter();
    if let Some(general) = map.get("general").and_then(Value::as_mapping) {
        apply(theirs, general);
    }
    let Some(dataset) = datasets.next() else { return };
    apply(theirs, &dataset);
    for other in datasets {
        let folders: Vec<String> = maps_of(&other, "subsets").iter().map(folder).collect();
        let what = format!("another data set ({})", folders.join(", "));
        translation.findings.add(Fate::NotTakenOver, what, "a run has one resolution and one batch size");
    }
    subsets(theirs, maps_of(&dataset, "subsets"), translation);
}

fn subsets(theirs: &mut Theirs, subsets: Vec<Mapping>, translation: &mut Translation) {
    let is_regularization = |subset: &Mapping| subset.get("is_reg").is_some_and(|value| !is_off(value));
    let (regularization, training): (Vec<_>, Vec<_>) = subsets.into_iter().partition(is_regularization);
    let mut training = training.into_iter();
    if let Some(first) = training.next() {
        apply(theirs, &first);
    }
    for other in training {
        let repeats = other.get("num_repeats").map_or_else(|| "1".to_owned(), text::yaml);
        let why = "a run has one `train_data_dir`: put the folders into one, each as `N_name` with its repeats as N";
        translation.findings.add(Fate::ByHand, format!("subset {} ({repeats} repeats)", folder(&other)), why);
    }
    let mut regularization = regularization.into_iter();
    if let Some(first) = regularization.next() {
        let value = first.get("image_dir").cloned().unwrap_or_default();
        theirs.set_entry(Entry { name: "reg_data_dir".to_owned(), spelled: "is_reg image_dir".to_owned(), value });
        if let Some(repeats) = first.get("num_repeats") {
            let why = "repeats of regularization pictures come from folders named `N_name`";
            translation.findings.add(Fate::ByHand, format!("is_reg num_repeats {}", text::yaml(repeats)), why);
        }
    }
    for other in regularization {
        let why = "a run has one `reg_data_dir`";
        translation.findings.add(Fate::ByHand, format!("subset {}", folder(&other)), why);
    }
}

fn apply(theirs: &mut Theirs, map: &Mapping) {
    for (name, value) in map {
        let Some(spelled) = name.as_str().filter(|name| !matches!(*name, "subsets" | "is_reg")) else { continue };
        let renamed = ON_THE_COMMAND_LINE.iter().find(|(name, _)| *name == spelled);
        let name = renamed.map_or(spelled, |(_, on_the_command_line)| on_the_command_line);
        theirs.set_entry(Entry { name: name.to_owned(), spelled: spelled.to_owned(), value: value.clone() });
    }
}

fn folder(subset: &Mapping) -> String {
    let named = subset.get("image_dir").or_else(|| subset.get("metadata_file")).and_then(Value::as_str);
    named.unwrap_or("without a folder").to_owned()
}
