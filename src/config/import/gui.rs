//! The settings of kohya's GUI, one flat JSON object, in sd-scripts' names.

use super::{
    findings::Fate,
    theirs::{Theirs, is_off},
    translation::{Setting, Translation},
};
use serde_yaml::Value;

/// Other names for sd-scripts' settings.
const RENAMED: &[(&str, &str)] = &[
    ("max_resolution", "resolution"),
    ("optimizer", "optimizer_type"),
    ("lora_network_weights", "network_weights"),
    ("epoch", "max_train_epochs"),
];

/// Arguments of LyCORIS' networks: the GUI passes those on that its type of LoRA has, and no others.
const OF_LYCORIS: &[&str] = &[
    "factor",
    "decompose_both",
    "use_tucker",
    "use_cp",
    "use_scalar",
    "dora_wd",
    "bypass_mode",
    "train_norm",
    "rank_dropout_scale",
    "full_matrix",
];
const CONVOLUTIONS: &[&str] = &["conv_dim", "conv_alpha"];

/// Brings names, units and what is passed on into sd-scripts' terms.
pub(super) fn to_sd_scripts(theirs: &mut Theirs, translation: &mut Translation) {
    parts(theirs);
    noise(theirs, translation);
    network(theirs, translation);
    schedule(theirs, translation);
    prompts(theirs);
    drop_what_is_off(theirs, translation);
    for wins in ["max_train_epochs", "max_train_steps"] {
        if theirs.get(wins).is_some()
            && let Some(epochs) = theirs.take("epoch")
        {
            translation.findings.add(Fate::NoEffect, epochs.spelled, format!("`{wins}` wins there"));
        }
    }
    for (from, to) in RENAMED {
        theirs.rename(from, to);
    }
}

/// A part is left out where its rate is 0 and the other one's is not.
fn parts(theirs: &mut Theirs) {
    let is_zero = |name: &str| theirs.get(name).is_none_or(|value| is_off(value) || value.as_str() == Some("0"));
    match (is_zero("text_encoder_lr"), is_zero("unet_lr")) {
        (true, false) => theirs.set("network_train_unet_only", true.into()),
        (false, true) => theirs.set("network_train_text_encoder_only", true.into()),
        _ => {}
    }
}

/// Of the two kinds of noise only the chosen one is passed on.
fn noise(theirs: &mut Theirs, translation: &mut Translation) {
    let multires = theirs.take_text("noise_offset_type").is_some_and(|kind| kind == "Multires");
    let (unused, kind): (&[&str], _) = match multires {
        true => (&["noise_offset", "noise_offset_random_strength", "adaptive_noise_scale"], "Multires"),
        false => (&["multires_noise_iterations", "multires_noise_discount"], "Original"),
    };
    for name in unused {
        if theirs.take_flag(name) {
            translation.findings.add(Fate::NoEffect, *name, format!("the type of noise is {kind}"));
        }
    }
}

/// `LoRA_type` as sd-scripts' module with its algorithm.
fn network(theirs: &mut Theirs, translation: &mut Translation) {
    let kind = theirs.take_text("LoRA_type").unwrap_or_else(|| "Standard".to_owned());
    let preset = theirs.take_text("LyCORIS_preset");
    let algorithm = kind.strip_prefix("LyCORIS/");
    let module = match (kind.as_str(), algorithm) {
        (_, Some(_)) => "lycoris.kohya",
        ("Standard" | "Kohya LoCon", None) => "networks.lora",
        ("LoRA-FA", None) => "networks.lora_fa",
        ("Kohya DyLoRA", None) => "networks.dylora",
        (other, None) => other,
    };
    theirs.set("network_module", module.into());
    if let Some(algorithm) = algorithm {
        theirs.set("algo", algorithm.to_lowercase().into());
        theirs.set("preset", preset.as_deref().unwrap_or("full").into());
        theirs.rename("use_cp", "use_tucker");
    }
    let unused = OF_LYCORIS.iter().filter(|_| algorithm.is_none());
    let unused = unused.chain(CONVOLUTIONS.iter().filter(|_| kind == "Standard"));
    for name in unused {
        if theirs.take_flag(name) {
            translation.findings.add(Fate::NoEffect, *name, format!("the type of LoRA is {kind}"));
        }
    }
}

/// The warm-up is in percent, restarts are as many as epochs unless given, and `constant` has no warm-up.
fn schedule(theirs: &mut Theirs, translation: &mut Translation) {
    let scheduler = theirs.get("lr_scheduler").and_then(Value::as_str).unwrap_or_default().to_owned();
    let percent = theirs.take("lr_warmup").filter(|entry| !is_off(&entry.value));
    let steps = theirs.take("lr_warmup_steps").filter(|entry| !is_off(&entry.value));
    match (percent, steps) {
        (Some(entry), _) | (_, Some(entry)) if scheduler == "constant" => {
            translation.findings.add(Fate::NoEffect, entry.spelled, "`constant` has no warm-up there");
        }
        (_, Some(steps)) => theirs.set_entry(steps),
        (Some(entry), None) => {
            let percent =
                entry.value.as_f64().or_else(|| entry.value.as_str()?.trim().parse().ok()).unwrap_or_default();
            let note = format!("{percent} % of the steps");
            translation.put(Setting::from("lr_warmup_steps", percent / 100.0, &entry.spelled).note(note));
        }
        (None, None) => {}
    }
    let no_cycles = theirs.get("lr_scheduler_num_cycles").is_none_or(is_off);
    if let Some(epochs) = theirs.get("epoch").filter(|_| no_cycles && scheduler == "cosine_with_restarts") {
        let note = "the GUI restarts as often as there are epochs";
        translation.put(Setting::default("lr_scheduler_num_cycles", epochs.clone(), note));
    }
}

/// A field of the window with a prompt in each line.
fn prompts(theirs: &mut Theirs) {
    let Some(text) = theirs.get("sample_prompts").and_then(Value::as_str) else { return };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines: Vec<Value> = lines.map(Value::from).collect();
    if lines.len() > 1 {
        theirs.set("sample_prompts", lines.into());
    }
}

/// What is false, empty or 0 is not passed on, so that sd-scripts' default counts.
fn drop_what_is_off(theirs: &mut Theirs, translation: &mut Translation) {
    let off = theirs.take_where(|entry| is_off(&entry.value));
    if off.iter().any(|entry| entry.name == "max_grad_norm") {
        translation.findings.add(
            Fate::NoEffect,
            "max_grad_norm: 0",
            "the GUI does not pass 0 on, and sd-scripts clips at 1",
        );
    }
    if !off.is_empty() {
        let what = format!("{} settings that are off, empty or 0", off.len());
        translation.findings.add(Fate::NoEffect, what, "the GUI does not pass them on");
    }
}
