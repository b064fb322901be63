//! OneTrainer's configuration, one JSON object.

use super::{
    Surroundings, concepts,
    findings::Fate,
    onetrainer_rows::{self, NO_EFFECT, NOT_THERE},
    optimizer, text,
    theirs::{Theirs, is_empty, is_off},
    translation::{Setting, Translation},
};
use anyhow::{Result, bail};
use serde_yaml::{Mapping, Value};

const DEFAULT: &str = "OneTrainer's default";

/// What is OneTrainer's default and not ours.
const DEFAULTS: &[(&str, &str)] = &[
    ("lora_rank", "16"),
    ("lora_alpha", "1.0"),
    ("lora_target", "transformer"),
    ("learning_rate", "3e-6"),
    ("epochs", "100"),
    ("lr_scheduler", "constant_with_warmup"),
    ("lr_warmup_steps", "200"),
    ("validation_split", "0"),
];

/// Whether a JSON object is OneTrainer's.
pub(super) fn is_one(map: &Mapping) -> bool {
    ["base_model_name", "training_method", "concept_file_name"].iter().any(|name| map.contains_key(*name))
}

/// Everything; `given` is a concepts file that wins over the one that is named.
///
/// # Errors
/// A training of something else than a LoRA; a concepts file that cannot be read.
pub(super) fn translate(
    mut theirs: Theirs,
    given: Option<&str>,
    around: &Surroundings,
    translation: &mut Translation,
) -> Result<()> {
    if let Some(method) = theirs.take_text("training_method").filter(|method| method != "LORA") {
        bail!("this is a configuration for `training_method: {method}`; only LoRAs can be trained here");
    }
    if let Some(entry) = theirs.take("base_model_name") {
        translation.put_base_model(entry, around.exists);
    }
    concepts::translate(&mut theirs, given, around, translation)?;
    network(&mut theirs, translation);
    optimizer(&mut theirs, translation);
    parts(&mut theirs, translation);
    schedule(&mut theirs, translation);
    onetrainer_rows::convert(&mut theirs, translation);
    rest(theirs, translation);
    for (ours, value) in DEFAULTS {
        translation.put(Setting::default(ours, text::python(value), DEFAULT));
    }
    Ok(())
}

fn network(theirs: &mut Theirs, translation: &mut Translation) {
    let kind = theirs.take_text("peft_type").unwrap_or_default().to_lowercase();
    let decomposed = theirs.take_flag("lora_decompose");
    let on_output = theirs.take_flag("lora_decompose_output_axis");
    let plain = "without it this file trains a plain LoRA";
    match kind.as_str() {
        "" | "lora" if decomposed => {
            translation.put(Setting::from("network_type", "dora", "lora_decompose").note(plain));
            let axis = if on_output { "output" } else { "input" };
            translation.put(Setting::from("dora_axis", axis, "lora_decompose_output_axis"));
        }
        "" | "lora" => {}
        kind => translation.put(Setting::from("network_type", kind, "peft_type").note(plain)),
    }
    let of_lokr = theirs.take_where(|entry| entry.name.starts_with("lokr_"));
    for entry in of_lokr.into_iter().filter(|_| kind == "lokr") {
        match entry.name.as_str() {
            "lokr_dim" => translation.put(Setting::from("lora_rank", entry.value, &entry.spelled)),
            "lokr_decompose_factor" => translation.put(Setting::from("lokr_factor", entry.value, &entry.spelled)),
            name if is_off(&entry.value) || matches!(name, "lokr_vec_trick" | "lokr_dora_on_output") => {}
            name => translation.leave_out(name, entry.value.clone(), "LoKr has no such part here"),
        }
    }
    let preset = theirs.take_text("layer_filter_preset").unwrap_or_default();
    translation.put(match preset.as_str() {
        "attn-only" => Setting::from("lora_target", "attention", "layer_filter_preset"),
        "attn-mlp" => Setting::from("lora_target", "transformer", "layer_filter_preset"),
        other => Setting::default(
            "lora_target",
            "transformer",
            &format!("theirs are all layers ({other}), convolutions too"),
        ),
    });
}

/// The optimizer, a map of its name and of the arguments of all optimizers, those that count not null.
fn optimizer(theirs: &mut Theirs, translation: &mut Translation) {
    let map = theirs.take("optimizer").and_then(|entry| entry.value.as_mapping().cloned()).unwrap_or_default();
    let Some(name) = map.get("optimizer").and_then(Value::as_str) else { return };
    let plain = name.replace('_', "");
    let known = [("SCHEDULEFREEADAMW", "AdamWScheduleFree"), ("ADAMW8BIT", "AdamW8bit"), ("ADAM", "AdamW")];
    let plain = known.iter().find(|(theirs, _)| *theirs == plain).map_or(plain.as_str(), |(_, ours)| *ours);
    let number = |name: &str| map.get(name).and_then(Value::as_f64);
    let mut arguments: Vec<(String, Value)> = Vec::new();
    if let (Some(first), Some(second)) = (number("beta1"), number("beta2")) {
        arguments.push(("betas".to_owned(), vec![Value::from(first), second.into()].into()));
    }
    for (name, value) in &map {
        let name = name.as_str().unwrap_or_default();
        let is_argument = !name.starts_with("__") && !matches!(name, "optimizer" | "beta1" | "beta2");
        if is_argument && !is_off(value) {
            arguments.push((name.to_owned(), value.clone()));
        }
    }
    optimizer::put("optimizer", plain, arguments, translation);
}

/// U-Net and text encoder, each a map; a rate that is null is `learning_rate`.
fn parts(theirs: &mut Theirs, translation: &mut Translation) {
    let mut take_map =
        |name: &str| theirs.take(name).and_then(|entry| entry.value.as_mapping().cloned()).unwrap_or_default();
    let (unet, text_encoder, vae) = (take_map("unet"), take_map("text_encoder"), take_map("vae"));
    let is_trained = |part: &Mapping, absent: bool| part.get("train").and_then(Value::as_bool).unwrap_or(absent);
    if let Some(entry) = theirs.take("learning_rate") {
        translation.put(Setting::from("learning_rate", entry.value, &entry.spelled));
    }
    if let Some(rate) = unet.get("learning_rate").filter(|rate| !rate.is_null()) {
        translation.put(Setting::from("unet_lr", rate.clone(), "unet.learning_rate"));
    }
    if !is_trained(&unet, true) {
        translation.put(Setting::from("network_train_text_encoder_only", true, "unet.train"));
    }
    let trains_text = is_trained(&text_encoder, false);
    translation.put(Setting::from("train_text_encoder", trains_text, "text_encoder.train"));
    if trains_text {
        let rate = text_encoder.get("learning_rate").filter(|rate| !rate.is_null()).cloned();
        let rate = rate.or_else(|| translation.value_of("learning_rate").cloned()).unwrap_or_else(|| 3e-6.into());
        translation.put(Setting::from("text_encoder_lr", rate, "text_encoder.learning_rate"));
    }
    if let Some(rate) = text_encoder.get("dropout_probability").filter(|rate| !is_off(rate)) {
        translation.put(Setting::from("caption_dropout_rate", rate.clone(), "text_encoder.dropout_probability"));
    }
    if let Some(name) = vae.get("model_name").filter(|name| !is_off(name)) {
        translation.put(Setting::from("vae", name.clone(), "vae.model_name"));
    }
}

/// The schedule's word, and its warm-up, which counts micro-steps; up to 1 it is a share.
fn schedule(theirs: &mut Theirs, translation: &mut Translation) {
    let word = theirs.take_text("learning_rate_scheduler").unwrap_or_else(|| "CONSTANT".to_owned());
    let floor = theirs.take("learning_rate_min_factor").filter(|entry| !is_off(&entry.value));
    let (ours, note) = match (word.as_str(), &floor) {
        ("CONSTANT", _) => ("constant_with_warmup", ""),
        ("COSINE", Some(_)) => ("cosine_with_min_lr", ""),
        ("COSINE", None) => ("cosine", ""),
        ("COSINE_WITH_HARD_RESTARTS", _) => ("cosine_with_restarts", ""),
        ("COSINE_WITH_RESTARTS", _) => ("cosine_with_restarts", "theirs rises as smoothly as it falls"),
        ("LINEAR", _) => ("linear", ""),
        ("REX", _) => ("rex", ""),
        _ => ("constant_with_warmup", "theirs has no counterpart"),
    };
    let said = joined_words(&word, note);
    translation.put(Setting::from("lr_scheduler", ours, "learning_rate_scheduler").note(said));
    if let Some(floor) = floor {
        translation.put(Setting::from("lr_scheduler_min_lr_ratio", floor.value, &floor.spelled));
    }
    if let Some(cycles) = theirs.take("learning_rate_cycles") {
        let whole = cycles.value.as_f64().map_or(1, |number| number.round().max(1.0) as u64);
        if word.contains("RESTARTS") {
            translation.put(Setting::from("lr_scheduler_num_cycles", whole, &cycles.spelled));
        }
    }
    let accumulation = theirs.get("gradient_accumulation_steps").and_then(Value::as_f64).unwrap_or(1.0).max(1.0);
    if let Some(entry) = theirs.take("learning_rate_warmup_steps") {
        let given = entry.value.as_f64().unwrap_or_default();
        let updates = if given < 1.0 { given } else { (given / accumulation).round() };
        let note = if accumulation > 1.0 { "theirs counts batches, ours updates" } else { "" };
        translation.put(Setting::from("lr_warmup_steps", text::short(updates), &entry.spelled).note(note));
    }
}

fn joined_words(first: &str, second: &str) -> String {
    if second.is_empty() { first.to_owned() } else { format!("{first}; {second}") }
}

/// What has a key of the same name, and what has none.
fn rest(theirs: Theirs, translation: &mut Translation) {
    for entry in theirs.into_entries() {
        if is_empty(&entry.value)
            || entry.name.starts_with("__")
            || NO_EFFECT.iter().any(|start| entry.name.starts_with(start))
        {
            continue;
        }
        let why = NOT_THERE.iter().find(|(name, ..)| *name == entry.name);
        if let Some((name, neutral, why)) = why {
            if !is_off(&entry.value) && entry.value.as_str() != Some(neutral) && text::python(neutral) != entry.value {
                translation.leave_out(name, entry.value, why);
            }
            continue;
        }
        let Some(entry) = translation.put_by_name(entry) else { continue };
        if !is_off(&entry.value) {
            translation.leave_out(&entry.spelled, entry.value, "not known here");
        }
    }
    let planned = "speed, memory, backups and other model families: planned or not needed here";
    translation.findings.add(Fate::NoEffect, "cache, device and part settings", planned);
}
