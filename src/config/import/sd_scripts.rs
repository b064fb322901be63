//! sd-scripts' settings into ours. The programs around it (kohya's GUI, lora-scripts) and its metadata are brought into
//! its names first, so that this is where its rules and defaults stand.

use super::{
    Surroundings, dataset,
    findings::Fate,
    network, optimizer, rows, text,
    theirs::{Entry, Theirs, is_empty, is_off, parse},
    translation::{Setting, Translation, refusal},
};
use anyhow::{Context, Result};
use serde_yaml::Value;

/// The learning rate of sd-scripts where none is set.
const LEARNING_RATE: f64 = 2e-6;
const DEFAULT: &str = "sd-scripts' default";

/// What is sd-scripts' default and not ours. Files say nothing of it, so metadata that lacks it does so for another
/// reason.
const DEFAULTS: &[(&str, &str, &str)] = &[
    ("lr_scheduler", "constant", DEFAULT),
    ("lr_warmup_steps", "0", DEFAULT),
    ("validation_split", "0", "sd-scripts trains on all pictures; without this line some are held out to test on"),
    ("enable_bucket", "false", DEFAULT),
    ("caption_extension", ".caption", DEFAULT),
];

/// Puts the data set of the file that `dataset_config` names, or of `given`, in the place of the folders.
pub(super) fn merge_dataset(
    theirs: &mut Theirs,
    given: Option<&str>,
    around: &Surroundings,
    translation: &mut Translation,
) -> Result<()> {
    let named = theirs.take_text("dataset_config");
    let text = match (given, &named) {
        (Some(text), _) => text.to_owned(),
        (None, Some(name)) => (around.read)(name).with_context(|| {
            format!("`dataset_config` is {name}; name the file with --dataset if it lies elsewhere")
        })?,
        (None, None) => return Ok(()),
    };
    let map = parse(&text).with_context(|| format!("data set {}", named.unwrap_or_default()))?;
    dataset::merge(theirs, map, translation);
    Ok(())
}

/// Everything but the family, which is checked, and the data set, which is merged.
pub(super) fn translate(mut theirs: Theirs, around: &Surroundings, translation: &mut Translation) {
    if let Some(entry) = theirs.take("pretrained_model_name_or_path") {
        translation.put_base_model(entry, around.exists);
    }
    network::translate(&mut theirs, translation);
    optimizer::translate(&mut theirs, translation);
    rates(&mut theirs, translation);
    length(&mut theirs, translation);
    words(&mut theirs, translation);
    folders(&mut theirs, translation);
    for entry in theirs.into_entries() {
        if is_empty(&entry.value) {
            continue;
        }
        if let Some(entry) = translation.put_by_name(entry) {
            rows::tell(entry, translation);
        }
    }
}

/// Writes the defaults of sd-scripts out that are not ours; `and_captions` where a missing extension is the default.
pub(super) fn write_defaults_out(and_captions: bool, translation: &mut Translation) {
    for (ours, value, note) in DEFAULTS {
        if *ours != "caption_extension" || and_captions {
            translation.put(Setting::default(ours, text::python(value), note));
        }
    }
    if translation.value_of("enable_bucket").is_some_and(|value| !is_off(value)) {
        translation.put(Setting::default("bucket_no_upscale", false, DEFAULT));
    }
    if translation.has("sample_prompts") {
        translation.put(Setting::default("sample_sampler", "ddim", DEFAULT));
    }
}

/// What is trained, and at which rates. The text encoder is, unless something says no; a rate of 0 leaves a part out,
/// and one that is missing is `learning_rate`.
fn rates(theirs: &mut Theirs, translation: &mut Translation) {
    let first = |entry: Entry| match entry.value {
        Value::Sequence(list) => Entry { value: list.into_iter().next().unwrap_or_default(), ..entry },
        _ => entry,
    };
    let text_rate = theirs.take("text_encoder_lr").map(first);
    let unet_rate = theirs.take("unet_lr");
    let unet_only = theirs.take("network_train_unet_only").filter(|entry| !is_off(&entry.value));
    let text_only = theirs.take_flag("network_train_text_encoder_only");
    let is_zero = |entry: &Option<Entry>| entry.as_ref().is_some_and(|entry| is_off(&entry.value));
    let trains_text = unet_only.is_none() && !is_zero(&text_rate);

    if text_only || is_zero(&unet_rate) {
        translation.put(Setting::from("network_train_text_encoder_only", true, "network_train_text_encoder_only"));
    }
    let learning_rate = match theirs.take("learning_rate") {
        Some(entry) => Some(Setting::from("learning_rate", entry.value, &entry.spelled)),
        None if unet_rate.is_none() => Some(Setting::default("learning_rate", LEARNING_RATE, DEFAULT)),
        None => None,
    };
    if let Some(setting) = learning_rate {
        translation.put(setting);
    }
    if let Some(entry) = unet_rate.filter(|entry| !is_off(&entry.value)) {
        translation.put(Setting::from("unet_lr", entry.value, &entry.spelled));
    }
    text_encoder(trains_text, unet_only, text_rate, translation);
}

fn text_encoder(trains: bool, unet_only: Option<Entry>, rate: Option<Entry>, translation: &mut Translation) {
    if !trains {
        let spelled = unet_only.map_or_else(|| "text_encoder_lr".to_owned(), |entry| entry.spelled);
        translation.put(Setting::from("train_text_encoder", false, &spelled));
        if let Some(entry) = rate.filter(|entry| !is_off(&entry.value)) {
            translation.findings.add(Fate::NoEffect, entry.spelled, "the text encoder is not trained");
        }
        return;
    }
    let note = "sd-scripts trains the text encoder unless `network_train_unet_only` says no";
    translation.put(Setting::default("train_text_encoder", true, note));
    let learning_rate = translation.value_of("learning_rate").cloned().unwrap_or_else(|| LEARNING_RATE.into());
    let setting = match rate {
        Some(entry) => Setting::from("text_encoder_lr", entry.value, &entry.spelled),
        None => Setting::default("text_encoder_lr", learning_rate, "sd-scripts takes `learning_rate`"),
    };
    translation.put(setting);
}

/// Epochs win over steps there, steps over epochs here.
fn length(theirs: &mut Theirs, translation: &mut Translation) {
    let steps = theirs.take("max_train_steps");
    match (theirs.take("max_train_epochs"), steps) {
        (Some(epochs), steps) => {
            translation.put(Setting::from("epochs", epochs.value, &epochs.spelled));
            if let Some(steps) = steps {
                translation.findings.add(Fate::NoEffect, steps.spelled, "the number of epochs wins there");
            }
        }
        (None, Some(steps)) => translation.put(Setting::from("max_train_steps", steps.value, &steps.spelled)),
        (None, None) => translation.put(Setting::default("max_train_steps", 1600, DEFAULT)),
    }
}

/// Single values that have another word or meaning here.
fn words(theirs: &mut Theirs, translation: &mut Translation) {
    if let Some(entry) = theirs.take("max_token_length") {
        let given = entry.value.as_u64().or_else(|| entry.value.as_str()?.trim().parse().ok());
        // Only whole chunks of 75 are taken; lora-scripts has 255 as its default.
        let setting = match given {
            Some(length) if length > 75 && length % 75 != 0 => {
                let whole = (length - length % 75).min(225);
                Setting::from("max_token_length", whole, &entry.spelled)
                    .note(format!("{length} has {} whole chunks of 75 tokens", whole / 75))
            }
            _ => Setting::from("max_token_length", entry.value, &entry.spelled),
        };
        translation.put(setting);
    }
    if let Some(entry) = theirs.take("mixed_precision") {
        translation.put(Setting::from("mixed_precision", entry.value, &entry.spelled).otherwise("fp16"));
    }
    if let Some(entry) = theirs.take("lr_scheduler") {
        translation.put(Setting::from("lr_scheduler", entry.value, &entry.spelled).otherwise("constant"));
    }
    if let Some(entry) = theirs.take("log_with") {
        match refusal("log_with", &entry.value) {
            None => translation.put(Setting::from("log_with", entry.value, &entry.spelled)),
            Some(_) => translation.findings.add(Fate::NoEffect, entry.spelled, "curves are for TensorBoard"),
        }
    }
    sample_prompts(theirs, translation);
}

/// A file of prompts that is no `.txt` would be taken for a prompt.
fn sample_prompts(theirs: &mut Theirs, translation: &mut Translation) {
    let Some(entry) = theirs.take("sample_prompts") else { return };
    let lower = entry.value.as_str().unwrap_or_default().to_lowercase();
    let unreadable = [".json", ".toml"].iter().any(|extension| lower.ends_with(extension));
    let why = unreadable.then_some("prompts are a list here, or a .txt file with a prompt in each line");
    translation.put(Setting::from("sample_prompts", entry.value, &entry.spelled).refused(why));
}

/// Where the pictures are, and their captions.
fn folders(theirs: &mut Theirs, translation: &mut Translation) {
    if let Some(entry) = theirs.take("train_data_dir") {
        let from_dataset = entry.spelled == "image_dir";
        let note =
            if from_dataset { "" } else { "only its `N_name` folders counted there; pictures beside them win here" };
        translation.put(Setting::from("train_data_dir", entry.value, &entry.spelled).note(note));
    }
    if let Some(entry) = theirs.take("in_json") {
        let is_json = entry.value.as_str().is_some_and(|path| path.to_lowercase().ends_with(".json"));
        let why = is_json.then_some("a table of captions is csv or jsonl here");
        translation.put(Setting::from("metadata_path", entry.value, &entry.spelled).refused(why));
    }
    if let Some(entry) = theirs.take("resume") {
        translation.leave_out(&entry.spelled, entry.value, "the saved states of other trainers cannot be read");
    }
}
