//! OneTrainer's settings that have another word or unit here, and those that have none.

use super::{
    findings::Fate,
    text,
    theirs::{Entry, Theirs, is_off, maps_of},
    translation::{Setting, Translation},
};
use serde_yaml::{Mapping, Value};

/// Beginnings of names that say how OneTrainer works, or belong to other families.
pub(super) const NO_EFFECT: &[&str] = &[
    "model_type",
    "debug_",
    "workspace_dir",
    "cache_dir",
    "tensorboard",
    "continue_last_backup",
    "prevent_overwrites",
    "include_train_config",
    "multi_gpu",
    "device_indexes",
    "gradient_reduce_precision",
    "fused_gradient_reduce",
    "async_",
    "enable_async_offloading",
    "enable_activation_offloading",
    "layer_offload_fraction",
    "compile",
    "image_caching",
    "text_caching",
    "clear_cache_before_training",
    "caching_threads",
    "dataloader_threads",
    "prefetch_next_batch",
    "train_device",
    "temp_device",
    "fallback_train_dtype",
    "enable_autocast_cache",
    "only_cache",
    "frames",
    "attention_mechanism",
    "huber_delta",
    "vb_loss_strength",
    "loss_scaler",
    "prior",
    "transformer",
    "unconditional_transformer",
    "quantization",
    "text_encoder_2",
    "text_encoder_3",
    "text_encoder_4",
    "text_encoder_sequence_length",
    "effnet_encoder",
    "decoder",
    "embedding",
    "preserve_embedding_norm",
    "bundle_additional_embeddings",
    "cloud",
    "secrets",
    "oft_",
    "dora_oft",
    "lora_decompose_norm_epsilon",
    "lora_weight_dtype",
    "optimizer_defaults",
    "scheduler_params",
    "sample_definition_file_name",
    "sample_skip_first",
    "sample_image_format",
    "sample_video_format",
    "sample_audio_format",
    "samples_to_tensorboard",
    "non_ema_sampling",
    "validate_after",
    "backup_",
    "rolling_backup",
    "save_skip_first",
    "save_filename_prefix",
    "force_epsilon_prediction",
    "dynamic_timestep_shifting",
];

/// Name, the value that means off besides 0 and false, and why there is none.
pub(super) const NOT_THERE: &[(&str, &str, &str)] = &[
    ("force_circular_padding", "", "pictures are not tiled"),
    ("custom_learning_rate_scheduler", "", "the schedule is one of `lr_scheduler`'s"),
    ("learning_rate_scaler", "NONE", "rates are taken as they are written"),
    ("log_cosh_strength", "", "there is no such loss"),
    ("huber_strength", "", "theirs is another function than `loss_type: huber`"),
    ("dropout_probability", "", "theirs drops what a LoRA reads, `network_dropout` what it passes on"),
    ("generalized_offset_noise", "", "the offset is the same at all noise levels"),
    ("perturbation_noise_weight", "", "theirs changes the target too, `ip_noise_gamma` does not"),
    ("timestep_distribution", "UNIFORM", "noise levels are drawn evenly"),
    ("noising_weight", "", "noise levels are drawn evenly"),
    ("noising_bias", "", "noise levels are drawn evenly"),
    ("timestep_shift", "1.0", "noise levels are drawn evenly"),
    ("cep_gamma", "", "there is no such loss"),
    ("unmasked_probability", "0.1", "a mask counts in every step"),
    ("unmasked_weight", "0.1", "a mask is a picture's own"),
    ("normalize_masked_area_loss", "", "the loss is a mean over the whole picture"),
    ("masked_prior_preservation_weight", "", "there is no such loss"),
    ("custom_conditioning_image", "", "there are no conditioning pictures"),
    ("layer_filter", "", "layers are named by `lora_target`"),
    ("layer_filter_regex", "", "layers are named by `lora_target`"),
    ("additional_embeddings", "", "embeddings are not trained"),
    ("validation", "", "set `validation_split` to the share that is held out"),
];

/// Words and units.
pub(super) fn convert(theirs: &mut Theirs, translation: &mut Translation) {
    resolution(theirs, translation);
    loss(theirs, translation);
    timesteps(theirs, translation);
    average(theirs, translation);
    files(theirs, translation);
    previews(theirs, translation);
    if let Some(entry) = theirs.take("train_dtype") {
        translation.put(Setting::from("mixed_precision", lower(&entry), &entry.spelled).otherwise("fp16"));
    }
    if let Some(entry) = theirs.take("output_dtype") {
        translation.put(Setting::from("save_precision", lower(&entry), &entry.spelled).otherwise("fp16"));
    }
    if let Some(entry) = theirs.take("gradient_checkpointing") {
        let on = entry.value.as_bool().unwrap_or(entry.value.as_str() != Some("OFF"));
        translation.put(Setting::from("gradient_checkpointing", on, &entry.spelled));
    }
    if theirs.take_flag("force_v_prediction") {
        translation.put(Setting::from("prediction_type", "v_prediction", "force_v_prediction"));
    }
}

fn lower(entry: &Entry) -> Value {
    entry.value.as_str().unwrap_or_default().to_lowercase().into()
}

/// `512`, `512x768` for one size, or `512,768` for several, of which one is drawn for each picture.
fn resolution(theirs: &mut Theirs, translation: &mut Translation) {
    let Some(entry) = theirs.take("resolution") else { return };
    let said = text::plain(&entry.value);
    let mut sizes = said.split(',').map(str::trim);
    let first = sizes.next().unwrap_or_default();
    let sides: Vec<Value> = first.split('x').filter_map(text::number).collect();
    let value = match &sides[..] {
        [side] => side.clone(),
        _ => sides.into(),
    };
    translation.put(Setting::from("resolution", value, &entry.spelled));
    if sizes.next().is_some() {
        translation.findings.add(
            Fate::NotTakenOver,
            format!("resolution: {said}"),
            "a run has one resolution, the first",
        );
    }
}

fn loss(theirs: &mut Theirs, translation: &mut Translation) {
    let mut strength = |name: &str| theirs.take(name).map_or(0.0, |entry| entry.value.as_f64().unwrap_or_default());
    match (strength("mse_strength"), strength("mae_strength")) {
        (_, 0.0) => {}
        (0.0, _) => translation.put(Setting::from("loss_type", "l1", "mae_strength")),
        (_, mae) => translation.leave_out("mae_strength", mae.into(), "there is one loss at a time"),
    }
    let weight = theirs.take("loss_weight_strength").map(|entry| entry.value);
    match theirs.take_text("loss_weight_fn").as_deref() {
        None | Some("CONSTANT") => {}
        Some("MIN_SNR_GAMMA") => {
            let gamma = weight.unwrap_or_else(|| 5.into());
            translation.put(Setting::from("min_snr_gamma", gamma, "loss_weight_strength"));
        }
        Some("DEBIASED_ESTIMATION") => {
            translation.put(Setting::from("debiased_estimation_loss", true, "loss_weight_fn"));
        }
        Some(other) => translation.leave_out("loss_weight_fn", other.into(), "there is no such weight"),
    }
}

/// Noise is a share of 1000 timesteps there.
fn timesteps(theirs: &mut Theirs, translation: &mut Translation) {
    for (name, ours, whole) in
        [("min_noising_strength", "min_timestep", 0.0), ("max_noising_strength", "max_timestep", 1.0)]
    {
        let Some(entry) = theirs.take(name) else { continue };
        let share = entry.value.as_f64().unwrap_or(whole);
        if share != whole {
            translation.put(Setting::from(ours, text::short((share * 1000.0).floor()), &entry.spelled));
        }
    }
}

/// The running average of the LoRA: OFF, GPU or CPU.
fn average(theirs: &mut Theirs, translation: &mut Translation) {
    let on = theirs.take_text("ema").is_some_and(|mode| mode != "OFF");
    let (decay, interval) = (theirs.take("ema_decay"), theirs.take("ema_update_step_interval"));
    if !on {
        return;
    }
    translation.put(Setting::from("use_ema", true, "ema"));
    if let Some(entry) = decay {
        translation.put(Setting::from("ema_decay", entry.value, &entry.spelled));
    }
    if let Some(entry) = interval {
        translation.put(Setting::from("ema_update_step_interval", entry.value, &entry.spelled));
    }
}

/// The LoRA's path as folder and name, and how often it is saved.
fn files(theirs: &mut Theirs, translation: &mut Translation) {
    if let Some(entry) = theirs.take("output_model_destination") {
        let path = text::plain(&entry.value).replace('\\', "/");
        let (folder, file) = path.rsplit_once('/').unwrap_or((".", &path));
        let name = file.strip_suffix(".safetensors").unwrap_or(file);
        translation.put(Setting::from("output_dir", folder, &entry.spelled));
        if !name.is_empty() {
            translation.put(Setting::from("output_name", name, &entry.spelled));
        }
    }
    every(["save_every", "save_every_unit"], ["save_every_n_epochs", "save_every_n_steps"], theirs, translation);
}

fn previews(theirs: &mut Theirs, translation: &mut Translation) {
    let ours = ["sample_every_n_epochs", "sample_every_n_steps"];
    let prompts = prompts(theirs);
    if prompts.is_empty() {
        let unused = theirs.take_where(|entry| entry.name.starts_with("sample_after"));
        return drop(unused);
    }
    translation.put(Setting::from("sample_prompts", prompts, "samples"));
    every(["sample_after", "sample_after_unit"], ours, theirs, translation);
}

/// A number and its unit, of which epochs and steps have keys: `ours` in that order.
fn every(names: [&str; 2], ours: [&'static str; 2], theirs: &mut Theirs, translation: &mut Translation) {
    let (number, unit) = (theirs.take(names[0]), theirs.take_text(names[1]).unwrap_or_default());
    let Some(number) = number.filter(|entry| !is_off(&entry.value)) else { return };
    match unit.as_str() {
        "EPOCH" => translation.put(Setting::from(ours[0], number.value, &number.spelled)),
        "STEP" => translation.put(Setting::from(ours[1], number.value, &number.spelled)),
        "NEVER" | "ALWAYS" => {}
        unit => {
            let what = format!("{}: {} {}", names[0], text::yaml(&number.value), unit.to_lowercase());
            translation.findings.add(Fate::NoEffect, what, format!("`{}` counts epochs", ours[0]));
        }
    }
}

/// The samples of a configuration that holds them, as prompts with sd-scripts' options.
fn prompts(theirs: &mut Theirs) -> Vec<Value> {
    const OPTIONS: [(&str, &str); 6] = [
        ("negative_prompt", "n"),
        ("width", "w"),
        ("height", "h"),
        ("seed", "d"),
        ("diffusion_steps", "s"),
        ("cfg_scale", "l"),
    ];
    let Some(entry) = theirs.take("samples") else { return Vec::new() };
    let list = Mapping::from_iter([(Value::from("samples"), entry.value)]);
    let enabled = maps_of(&list, "samples").into_iter().filter(|sample| sample.get("enabled") != Some(&false.into()));
    let line = |sample: Mapping| {
        let given = |name: &str| sample.get(name).filter(|value| !is_off(value)).map(text::plain);
        let options = OPTIONS.iter().filter_map(|(name, option)| Some(format!(" --{option} {}", given(name)?)));
        Value::from(given("prompt").unwrap_or_default() + &options.collect::<String>())
    };
    enabled.map(line).collect()
}
