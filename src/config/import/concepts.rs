//! OneTrainer's concepts: folders of pictures with what is done to them, in the configuration or in a file of their own.

use super::{
    Surroundings,
    findings::Fate,
    text,
    theirs::{Theirs, is_off, map_of, maps_of},
    translation::{Setting, Translation},
};
use anyhow::{Context, Result};
use serde_yaml::{Mapping, Value};

/// Puts the first concept that is on; the others are told.
///
/// # Errors
/// A concepts file that cannot be read.
pub(super) fn translate(
    theirs: &mut Theirs,
    given: Option<&str>,
    around: &Surroundings,
    translation: &mut Translation,
) -> Result<()> {
    let Some(list) = list(theirs, given, around, translation)? else { return Ok(()) };
    let list = Mapping::from_iter([(Value::from("concepts"), list)]);
    let is_on = |concept: &Mapping| concept.get("enabled").is_none_or(|value| !is_off(value));
    let concepts = maps_of(&list, "concepts").into_iter().filter(is_on);
    let (standard, others): (Vec<_>, Vec<_>) = concepts.partition(|concept| kind(concept) == "STANDARD");
    for concept in others {
        let why = format!("there are no {} concepts", kind(&concept));
        translation.findings.add(Fate::NotTakenOver, format!("concept {}", path(&concept)), why);
    }
    let mut standard = standard.into_iter();
    if let Some(first) = standard.next() {
        put(&first, translation);
    }
    for other in standard {
        let why = "a run has one `train_data_dir`: put the folders into one, each as `N_name` with its repeats as N";
        translation.findings.add(Fate::ByHand, format!("concept {}", path(&other)), why);
    }
    Ok(())
}

/// The list of the concepts, wherever it stands; `None` where there is none, which is said where one is named.
fn list(
    theirs: &mut Theirs,
    given: Option<&str>,
    around: &Surroundings,
    translation: &mut Translation,
) -> Result<Option<Value>> {
    let inline = theirs.take("concepts").map(|entry| entry.value);
    let named = theirs.take_text("concept_file_name");
    let name = match (given, inline, named) {
        (Some(text), ..) => return parse(text).map(Some),
        (None, Some(list), _) => return Ok(Some(list)),
        (None, None, Some(name)) => name,
        (None, None, None) => return Ok(None),
    };
    match (around.read)(&name) {
        Ok(text) => parse(&text).with_context(|| name).map(Some),
        Err(error) => {
            let why = format!("the file of the concepts: {error:#}; --dataset names it, or fill in `train_data_dir`");
            translation.findings.add(Fate::ByHand, format!("concept_file_name {name}"), why);
            Ok(None)
        }
    }
}

fn parse(text: &str) -> Result<Value> {
    serde_json::from_str(text).context("the JSON of the concepts is malformed")
}

fn kind(concept: &Mapping) -> &str {
    let is_validation = concept.get("validation_concept").is_some_and(|value| !is_off(value));
    let kind = concept.get("type").and_then(Value::as_str).unwrap_or("STANDARD");
    if is_validation { "VALIDATION" } else { kind }
}

fn path(concept: &Mapping) -> String {
    concept.get("path").map(text::plain).unwrap_or_default()
}

fn put(concept: &Mapping, translation: &mut Translation) {
    translation.put(Setting::from("train_data_dir", path(concept), "path"));
    let repeats = concept.get("balancing").and_then(Value::as_f64).unwrap_or(1.0);
    let by_repeats = concept.get("balancing_strategy").and_then(Value::as_str).unwrap_or("REPEATS") == "REPEATS";
    if by_repeats && repeats.fract() == 0.0 {
        translation.put(Setting::from("num_repeats", text::short(repeats), "balancing"));
    } else {
        translation.leave_out("balancing", text::short(repeats), "pictures are repeated a whole number of times");
    }
    if concept.get("loss_weight").and_then(Value::as_f64).is_some_and(|weight| weight != 1.0) {
        translation.leave_out("loss_weight", concept["loss_weight"].clone(), "all pictures weigh the same");
    }
    if concept.get("include_subdirectories").is_some_and(|value| !is_off(value)) {
        let why = "inner folders are read as `N_name`, or where a table names their pictures";
        translation.findings.add(Fate::ByHand, "include_subdirectories", why);
    }
    pictures(&map_of(concept, "image"), translation);
    captions(&map_of(concept, "text"), translation);
}

fn pictures(image: &Mapping, translation: &mut Translation) {
    for (name, value) in image {
        let name = name.as_str().unwrap_or_default();
        match name {
            _ if is_off(value) || !name.starts_with("enable_") => {}
            "enable_random_flip" => translation.put(Setting::from("flip_aug", true, name)),
            "enable_crop_jitter" => translation.put(Setting::from("random_crop", true, name)),
            _ => translation.leave_out(name, value.clone(), "pictures are not varied that way"),
        }
    }
}

fn captions(captions: &Mapping, translation: &mut Translation) {
    let is_on = |name: &str| captions.get(name).is_some_and(|value| !is_off(value));
    match captions.get("prompt_source").and_then(Value::as_str).unwrap_or("sample") {
        "sample" => translation.put(Setting::default(
            "caption_extension",
            ".txt",
            "OneTrainer reads text files beside pictures",
        )),
        source => {
            let why = "captions are a table, or text files beside the pictures";
            translation.findings.add(Fate::ByHand, format!("prompt_source: {source}"), why);
        }
    }
    if is_on("enable_tag_shuffling") {
        translation.put(Setting::from("shuffle_caption", true, "enable_tag_shuffling"));
        if let Some(count) = captions.get("keep_tags_count") {
            translation.put(Setting::from("keep_tokens", count.clone(), "keep_tags_count"));
        }
    }
    if is_on("tag_dropout_enable") {
        let rate = captions.get("tag_dropout_probability").cloned().unwrap_or_default();
        match captions.get("tag_dropout_mode").and_then(Value::as_str).unwrap_or("FULL") {
            "RANDOM" => translation.put(Setting::from("caption_tag_dropout_rate", rate, "tag_dropout_probability")),
            "FULL" => translation.put(Setting::from("caption_dropout_rate", rate, "tag_dropout_probability")),
            mode => translation.leave_out("tag_dropout_mode", mode.into(), "tags are dropped alike"),
        }
    }
    if is_on("caps_randomize_enable") {
        translation.leave_out("caps_randomize_enable", true.into(), "letters stay as they are");
    }
}
