//! The network of sd-scripts and LyCORIS: `network_module`, `network_args`, and what goes by other names in the programs
//! around them.

use super::{
    findings::Fate,
    text,
    theirs::{Theirs, is_off},
    translation::{Setting, Translation},
};
use serde_yaml::Value;

/// Of sd-scripts, where none is set.
const RANK: u32 = 4;
const ALPHA: f64 = 1.0;

/// Takes everything out that says what kind of network it is, of which size, and where it stands; dropouts and what is
/// by block have the same names here.
pub(super) fn translate(theirs: &mut Theirs, translation: &mut Translation) {
    spread_arguments(theirs);
    let module = theirs.take_text("network_module").unwrap_or_default();
    let lycoris = module.starts_with("lycoris");
    let algorithm = theirs.take_text("algo").map(|algorithm| algorithm.to_lowercase());
    let kind = match (lycoris, algorithm) {
        (true, Some(algorithm)) if algorithm != "locon" => algorithm,
        (true, _) => "lora".to_owned(),
        (false, _) => module.rsplit('.').next().filter(|name| !name.is_empty()).unwrap_or("lora").to_owned(),
    };
    put_kind(&kind, theirs, translation);
    put_size(theirs, translation);
    put_place(lycoris, theirs, translation);
    put_lora_plus(theirs, translation);
    theirs.rename("dropout", "network_dropout");
}

/// One ratio for both networks, unless one has its own.
fn put_lora_plus(theirs: &mut Theirs, translation: &mut Translation) {
    let Some(both) = theirs.take("loraplus_lr_ratio") else { return };
    for ours in ["loraplus_unet_lr_ratio", "loraplus_text_encoder_lr_ratio"] {
        if theirs.get(ours).is_none() {
            translation.put(Setting::from(ours, both.value.clone(), &both.spelled));
        }
    }
}

/// Arguments of the network become settings beside the others.
fn spread_arguments(theirs: &mut Theirs) {
    for list in ["network_args", "network_args_custom"] {
        let Some(entry) = theirs.take(list) else { continue };
        for (name, value) in text::arguments(&entry.value) {
            theirs.set(&name, value);
        }
    }
}

fn put_kind(kind: &str, theirs: &mut Theirs, translation: &mut Translation) {
    let decomposed = theirs.take_flag("dora_wd");
    let on_output = theirs.take("wd_on_output").is_none_or(|entry| !is_off(&entry.value));
    let factor = theirs.take("factor");
    let plain = "without it this file trains a plain LoRA";
    match kind {
        "lora" if decomposed => {
            translation.put(Setting::from("network_type", "dora", "dora_wd").note(plain));
            let axis = if on_output { "output" } else { "input" };
            translation.put(Setting::default(
                "dora_axis",
                axis,
                "LyCORIS norms over each output unless told otherwise",
            ));
        }
        "lora" => {}
        _ => translation.put(Setting::from("network_type", kind, "network_module").note(plain)),
    }
    if decomposed && kind != "lora" {
        translation.leave_out("dora_wd", true.into(), "only a plain LoRA has it here");
    }
    for (name, ours) in [("decompose_both", "lokr_decompose_both"), ("full_matrix", "lokr_full_matrix")] {
        if let Some(entry) = theirs.take(name).filter(|entry| kind == "lokr" && !is_off(&entry.value)) {
            translation.put(Setting::from(ours, entry.value, &entry.spelled));
        }
    }
    if let Some(factor) = factor.filter(|_| kind == "lokr") {
        translation.put(Setting::from("lokr_factor", factor.value, &factor.spelled));
    }
}

fn put_size(theirs: &mut Theirs, translation: &mut Translation) {
    translation.put(match theirs.take("network_dim") {
        Some(entry) => Setting::from("lora_rank", entry.value, &entry.spelled),
        None => Setting::default("lora_rank", RANK, "sd-scripts' default"),
    });
    translation.put(match theirs.take("network_alpha") {
        Some(entry) => Setting::from("lora_alpha", entry.value, &entry.spelled),
        None => Setting::default("lora_alpha", ALPHA, "sd-scripts' default; ours is 2 × the rank"),
    });
}

/// The layers: sd-scripts adapts the transformer blocks, and convolutions where `conv_dim` is set; LyCORIS has presets,
/// and convolutions unless a preset leaves them out.
fn put_place(lycoris: bool, theirs: &mut Theirs, translation: &mut Translation) {
    let preset = theirs.take_text("preset").filter(|_| lycoris);
    let name = preset.as_deref().unwrap_or(if lycoris { "full" } else { "" });
    let all_blocks = "sd-scripts adapts all layers of the transformer blocks";
    translation.put(match name {
        "" => Setting::default("lora_target", "transformer", all_blocks),
        "attn-only" => Setting::from("lora_target", "attention", "preset"),
        "full" | "full-lin" | "attn-mlp" | "unet-only" | "unet-transformer-only" => {
            Setting::from("lora_target", "transformer", "preset")
        }
        _ => Setting::from("lora_target", name, "preset").otherwise("transformer"),
    });
    if name.starts_with("unet-") {
        translation.put(Setting::from("train_text_encoder", false, "preset"));
    }
    let convolutions = matches!(name, "full" | "unet-only" | "unet-convblock-only");
    put_convolutions(lycoris, convolutions, theirs, translation);
}

fn put_convolutions(lycoris: bool, by_preset: bool, theirs: &mut Theirs, translation: &mut Translation) {
    let given = theirs.take("conv_dim").filter(|entry| !is_off(&entry.value));
    let alpha = theirs.take("conv_alpha").filter(|entry| !is_off(&entry.value));
    if lycoris && !by_preset {
        if given.is_some() {
            translation.findings.add(Fate::NoEffect, "conv_dim", "the preset has no convolutions");
        }
        return;
    }
    let of_linear = |ours: &str| translation.value_of(ours).cloned().filter(|_| lycoris);
    let (rank_of_linear, alpha_of_linear) = (of_linear("lora_rank"), of_linear("lora_alpha"));
    let as_linear = "LyCORIS takes that of the linear layers";
    match (given, rank_of_linear) {
        (Some(entry), _) => translation.put(Setting::from("conv_dim", entry.value, &entry.spelled)),
        (None, Some(rank)) => translation.put(Setting::default("conv_dim", rank, as_linear)),
        (None, None) => return,
    }
    match (alpha, alpha_of_linear) {
        (Some(entry), _) => translation.put(Setting::from("conv_alpha", entry.value, &entry.spelled)),
        (None, Some(alpha)) => translation.put(Setting::default("conv_alpha", alpha, as_linear)),
        (None, None) => translation.put(Setting::default("conv_alpha", Value::from(ALPHA), "sd-scripts' default")),
    }
}
