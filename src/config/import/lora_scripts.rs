//! What lora-scripts adds to sd-scripts' TOML, in sd-scripts' names.

use super::{
    findings::Fate,
    text,
    theirs::{Theirs, is_off},
    translation::Translation,
};
use anyhow::{Result, bail};
use serde_yaml::Value;

/// Its fields for one preview prompt, and the options of a prompt that they become.
const PROMPT_OPTIONS: &[(&str, &str)] = &[
    ("negative_prompts", "n"),
    ("sample_width", "w"),
    ("sample_height", "h"),
    ("sample_seed", "d"),
    ("sample_steps", "s"),
    ("sample_cfg", "l"),
];
const BLOCK_WEIGHTS: &[&str] = &["down_lr_weight", "mid_lr_weight", "up_lr_weight", "block_lr_zero_threshold"];

/// Brings its own settings into sd-scripts' terms; files without any stay as they are.
///
/// # Errors
/// A training of something else than a LoRA.
pub(super) fn to_sd_scripts(theirs: &mut Theirs, translation: &mut Translation) -> Result<()> {
    if let Some(kind) = theirs.take_text("model_train_type").filter(|kind| !kind.contains("lora")) {
        bail!("this is a configuration for `model_train_type: {kind}`; only LoRAs can be trained here");
    }
    theirs.rename("lycoris_algo", "algo");
    theirs.rename("lokr_factor", "factor");
    if theirs.take("enable_block_weights").is_some_and(|entry| is_off(&entry.value)) {
        for name in BLOCK_WEIGHTS {
            if theirs.take(name).is_some() {
                translation.findings.add(Fate::NoEffect, *name, "`enable_block_weights` is off");
            }
        }
    }
    prompt(theirs);
    Ok(())
}

/// Fields of one prompt become a line with options.
fn prompt(theirs: &mut Theirs) {
    let off = theirs.take("enable_preview").is_some_and(|entry| is_off(&entry.value));
    let positive = theirs.take_text("positive_prompts");
    let options: Vec<String> = PROMPT_OPTIONS
        .iter()
        .filter_map(|(name, option)| {
            let value = theirs.take(name)?.value;
            Some(format!(" --{option} {}", text::plain(&value)))
        })
        .collect();
    if off {
        theirs.take_where(|entry| entry.name.starts_with("sample_") || entry.name == "prompt_file");
        return;
    }
    theirs.rename("prompt_file", "sample_prompts");
    if let Some(positive) = positive.filter(|_| theirs.get("sample_prompts").is_none()) {
        theirs.set("sample_prompts", Value::from(vec![Value::from(positive + &options.concat())]));
    }
}
