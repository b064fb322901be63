//! Configurations of other trainers become one of ours: text in, YAML and findings out.
//!
//! From the bottom: `text` reads and shows single values; `theirs` is a file's settings in order; `findings` is what is
//! told; `translation` gathers values for our keys, which it looks up at run time, so that a key that is added is used at
//! once. Rules: `families` refuses other models, `network` and `optimizer` are what the name says, `rows` is what has no
//! key, `sd_scripts` the rest of sd-scripts; `gui`, `lora_scripts`, `dataset` and `metadata` bring their forms into its
//! names; `onetrainer` with `onetrainer_rows` and `concepts` stands for itself. `write` offers each value to its key.

mod concepts;
mod dataset;
mod families;
mod findings;
mod gui;
mod lora_scripts;
mod metadata;
mod network;
mod onetrainer;
mod onetrainer_rows;
mod optimizer;
mod rows;
mod sd_scripts;
#[cfg(test)]
mod tests;
mod text;
mod theirs;
mod translation;
mod write;

use anyhow::{Result, ensure};
use serde_yaml::Mapping;
use std::collections::BTreeMap;

pub use findings::{Fate, Finding, Findings};
use theirs::{Theirs, flattened, parse};
use translation::Translation;

/// A configuration of ours that was made of another trainer's.
#[derive(Debug)]
pub struct Imported {
    /// What it was: "a configuration of kohya's GUI".
    pub kind: &'static str,
    /// It loads, with whatever our keys refuse commented out.
    pub yaml: String,
    pub findings: Findings,
}

/// What lies around the file.
pub struct Surroundings<'a> {
    /// The text of a file that the configuration names.
    pub read: &'a dyn Fn(&str) -> Result<String>,
    /// Whether a path leads somewhere.
    pub exists: &'a dyn Fn(&str) -> bool,
}

/// Imports the text of kohya's GUI's or OneTrainer's JSON, or of a TOML of sd-scripts or lora-scripts. `name` is what the
/// YAML calls it. `dataset` is the text of a data set configuration, or of concepts, that wins over the file it names.
///
/// # Errors
/// A text that is malformed or of no such trainer; a training of another model family, or of something else than a LoRA;
/// a data set configuration that cannot be read.
pub fn import_text(name: &str, text: &str, dataset: Option<&str>, around: &Surroundings) -> Result<Imported> {
    let is_json = text.trim_start_matches('\u{feff}').trim_start().starts_with('{');
    let map = parse(text)?;
    let mut translation = Translation::default();
    let kind = match is_json {
        true if onetrainer::is_one(&map) => {
            let mut theirs = Theirs::new(map);
            families::check(&mut theirs)?;
            onetrainer::translate(theirs, dataset, around, &mut translation)?;
            "a configuration of OneTrainer"
        }
        true if map.contains_key("LoRA_type") => {
            let mut theirs = Theirs::new(map);
            families::check(&mut theirs)?;
            gui::to_sd_scripts(&mut theirs, &mut translation);
            from_sd_scripts(theirs, dataset, around, &mut translation)?;
            "a configuration of kohya's GUI"
        }
        _ => from_toml(map, dataset, around, &mut translation)?,
    };
    Ok(finish(name, kind, translation))
}

/// sd-scripts' own form, with what lora-scripts adds to it.
fn from_toml(
    mut map: Mapping,
    dataset: Option<&str>,
    around: &Surroundings,
    translation: &mut Translation,
) -> Result<&'static str> {
    ensure!(
        !map.contains_key("datasets"),
        "it is a data set configuration, which says nothing of the training; import the training's own file, and give \
         this one as --dataset"
    );
    // lora-scripts' presets describe themselves there.
    map.remove("metadata");
    let mut theirs = Theirs::new(flattened(map));
    let known = ["pretrained_model_name_or_path", "network_module", "network_dim", "lycoris_algo", "train_data_dir"];
    ensure!(
        known.iter().any(|name| theirs.get(name).is_some()),
        "it is no configuration of kohya's GUI, sd-scripts, lora-scripts or OneTrainer: it has none of {}",
        known.map(|name| format!("`{name}`")).join(", ")
    );
    families::check(&mut theirs)?;
    lora_scripts::to_sd_scripts(&mut theirs, translation)?;
    from_sd_scripts(theirs, dataset, around, translation)?;
    Ok("a configuration of sd-scripts or lora-scripts")
}

fn from_sd_scripts(
    mut theirs: Theirs,
    dataset: Option<&str>,
    around: &Surroundings,
    translation: &mut Translation,
) -> Result<()> {
    sd_scripts::merge_dataset(&mut theirs, dataset, around, translation)?;
    sd_scripts::translate(theirs, around, translation);
    sd_scripts::write_defaults_out(true, translation);
    Ok(())
}

/// Imports what sd-scripts wrote into a LoRA file of how it was trained. `trains_text_encoder` where the file holds
/// tensors of the text encoder.
///
/// # Errors
/// Metadata of no such trainer, or of another model family.
pub fn import_metadata(name: &str, metadata: &BTreeMap<String, String>, trains_text_encoder: bool) -> Result<Imported> {
    let mut translation = Translation::default();
    let mut theirs = metadata::read(metadata, trains_text_encoder)?;
    families::check(&mut theirs)?;
    if let Some(datasets) = metadata::datasets(metadata) {
        dataset::merge(&mut theirs, datasets, &mut translation);
    }
    metadata::ask_for_paths(metadata, &mut theirs, &mut translation);
    let around = Surroundings { read: &|_| Ok(String::new()), exists: &|_| true };
    sd_scripts::translate(theirs, &around, &mut translation);
    sd_scripts::write_defaults_out(false, &mut translation);
    Ok(finish(name, "the metadata of a LoRA by sd-scripts", translation))
}

fn finish(name: &str, kind: &'static str, translation: Translation) -> Imported {
    let heading = format!(
        "From {name}, {kind}, by `lora-wgpu import-config`. Names after # are theirs. Paths count from the folder in \
         which the program runs."
    );
    let (yaml, findings) = write::write(&heading, translation);
    Imported { kind, yaml, findings }
}
