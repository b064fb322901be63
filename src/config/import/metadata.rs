//! What sd-scripts writes into a LoRA file of how it was trained, in sd-scripts' names.

use super::{
    findings::Fate,
    optimizer, text,
    theirs::{Entry, Theirs, is_empty, parse},
    translation::{Setting, Translation, example_of},
};
use anyhow::{Result, bail};
use serde_yaml::{Mapping, Value};
use std::collections::BTreeMap;

const RENAMED: &[(&str, &str)] = &[
    ("num_epochs", "max_train_epochs"),
    ("batch_size_per_device", "train_batch_size"),
    ("debiased_estimation", "debiased_estimation_loss"),
];

/// What a file says of the run and of itself, and not of how to train.
const RECORDS: &[&str] = &[
    "session_id",
    "training_started_at",
    "training_finished_at",
    "steps",
    "epoch",
    "num_train_images",
    "num_reg_images",
    "num_validation_images",
    "num_batches_per_epoch",
    "total_batch_size",
    "bucket_info",
    "tag_frequency",
    "dataset_dirs",
    "reg_dataset_dirs",
    "base_model_version",
    "sd_model_hash",
    "new_sd_model_hash",
    "sd_scripts_commit_hash",
    "vae_name",
    "vae_hash",
    "new_vae_hash",
    "sd_model_name",
    "datasets",
    "is_dreambooth",
    "img_count",
    "optimizer",
    "training_comment",
];

/// The settings in a LoRA's metadata; `trains_text_encoder` where it holds tensors of the text encoder.
///
/// # Errors
/// Metadata of no trainer of this kind.
pub(super) fn read(metadata: &BTreeMap<String, String>, trains_text_encoder: bool) -> Result<Theirs> {
    let mut theirs = Theirs::default();
    for (key, value) in metadata {
        let Some(name) = key.strip_prefix("ss_") else { continue };
        if !RECORDS.contains(&name) {
            theirs.set_entry(Entry { name: name.to_owned(), spelled: key.clone(), value: literal(name, value) });
        }
    }
    if theirs.get("network_dim").is_none() && theirs.get("network_module").is_none() {
        bail!("its metadata do not say how it was trained: there are no `ss_` entries as sd-scripts writes them");
    }
    for name in ["base_model_version", "modelspec.architecture"] {
        let value = metadata.get(&format!("ss_{name}")).or_else(|| metadata.get(name));
        theirs.set(name, value.map_or(Value::Null, |value| value.as_str().into()));
    }
    for (from, to) in RENAMED {
        theirs.rename(from, to);
    }
    theirs.set("network_train_unet_only", (!trains_text_encoder).into());
    if metadata.get("modelspec.prediction_type").is_some_and(|kind| kind.starts_with('v')) {
        theirs.set("v_parameterization", true.into());
    }
    if let Some(call) = metadata.get("ss_optimizer") {
        let (optimizer, arguments) = optimizer::from_call(call);
        theirs.set_entry(optimizer);
        theirs.set("optimizer_args", arguments.into_iter().map(Value::from).collect::<Vec<_>>().into());
    }
    Ok(theirs)
}

/// A value of the metadata; names stay text.
fn literal(name: &str, value: &str) -> Value {
    match name {
        "output_name" => value.into(),
        "network_args" => serde_json::from_str(value).unwrap_or_default(),
        _ => text::python(value),
    }
}

/// The data set configuration that the run had, if it had one.
pub(super) fn datasets(metadata: &BTreeMap<String, String>) -> Option<Mapping> {
    let list = metadata.get("ss_datasets").filter(|text| !is_empty(&text::python(text)))?;
    parse(&format!("{{\"datasets\": {list}}}")).ok()
}

/// What only a person knows: where checkpoint and pictures lie, of which there are the names.
pub(super) fn ask_for_paths(metadata: &BTreeMap<String, String>, theirs: &mut Theirs, translation: &mut Translation) {
    theirs.take_where(|entry| RECORDS.contains(&entry.name.as_str()) && !entry.spelled.starts_with("ss_"));
    let name = metadata.get("ss_sd_model_name").map_or("an unnamed checkpoint", String::as_str);
    let note = format!("put the path here: it was trained on {name}");
    translation.put(Setting::by_hand("base_model", example_of("base_model"), &note));
    let folders = folders(metadata, "ss_dataset_dirs");
    let of_subset = theirs.take_text("train_data_dir").map(|name| vec![name]);
    let note = match of_subset.unwrap_or(folders) {
        folders if folders.is_empty() => "put the folder of the pictures here".to_owned(),
        folders => format!("put the folder of the pictures here: it was {}", folders.join(", ")),
    };
    translation.put(Setting::by_hand("train_data_dir", example_of("train_data_dir"), &note));
    let mut regularization = folders_of_regularization(metadata);
    regularization.extend(theirs.take_text("reg_data_dir"));
    for folder in regularization {
        translation.findings.add(Fate::ByHand, "reg_data_dir", format!("it had regularization pictures in {folder}"));
    }
    if theirs.get("max_train_epochs").is_some()
        && let Some(steps) = theirs.take("max_train_steps")
    {
        let why =
            format!("it ran for {} steps; with other pictures the epochs are what counts", text::yaml(&steps.value));
        translation.findings.add(Fate::NoEffect, steps.spelled, why);
    }
}

fn folders_of_regularization(metadata: &BTreeMap<String, String>) -> Vec<String> {
    folders(metadata, "ss_reg_dataset_dirs")
}

/// Folders with what the metadata say of them: "5_flower (5 repeats, 20 pictures)".
fn folders(metadata: &BTreeMap<String, String>, key: &str) -> Vec<String> {
    let map: Option<Mapping> = metadata.get(key).and_then(|text| serde_json::from_str(text).ok());
    let described = |(name, about): (Value, Value)| {
        let number = |key: &str| about.get(key).map_or_else(|| "?".to_owned(), text::yaml);
        let name = name.as_str().unwrap_or_default();
        format!("{name} ({} repeats, {} pictures)", number("n_repeats"), number("img_count"))
    };
    map.into_iter().flatten().map(described).collect()
}
