//! Settings of sd-scripts and of the programs around it that no key of ours stands for. A key that is added wins over
//! its row here.

use super::{
    findings::Fate,
    text,
    theirs::{Entry, is_off},
    translation::Translation,
};
use serde_yaml::Value;

struct Row {
    fate: Fate,
    why: &'static str,
    /// `name`, or `start*`; `name=value` where that value means off.
    names: &'static [&'static str],
}

const fn no_effect(why: &'static str, names: &'static [&'static str]) -> Row {
    Row { fate: Fate::NoEffect, why, names }
}

const fn missing(why: &'static str, names: &'static [&'static str]) -> Row {
    Row { fate: Fate::NotTakenOver, why, names }
}

const fn by_hand(why: &'static str, names: &'static [&'static str]) -> Row {
    Row { fate: Fate::ByHand, why, names }
}

const ROWS: &[Row] = &[
    no_effect(
        "speed and memory, which are planned here",
        &[
            "xformers",
            "sdpa",
            "mem_eff_attn",
            "diffusers_xformers",
            "lowram",
            "lowvram",
            "highvram",
            "max_data_loader_n_workers",
            "persistent_data_loader_workers",
            "vae_batch_size",
            "text_encoder_batch_size",
            "torch_compile",
            "dynamo_*",
            "deepspeed",
            "zero_stage",
            "zero3_*",
            "offload_*",
            "cpu_offload_checkpointing",
            "fused_backward_pass",
            "ddp_*",
            "num_processes",
            "num_machines",
            "num_cpu_threads_per_process",
            "multi_gpu",
            "gpu_ids",
            "main_process_port",
            "extra_accelerate_launch_args",
            "blocks_to_swap",
            "disable_mmap_load_safetensors",
            "skip_cache_check",
            "cache_info",
            "full_fp16",
            "full_bf16",
            "fp16_master_weights_and_gradients",
            "fp8_base",
            "fp8_base_unet",
            "no_half_vae",
        ],
    ),
    no_effect(
        "uploads, messages and file keeping",
        &[
            "huggingface_*",
            "async_upload",
            "save_state_to_huggingface",
            "resume_from_huggingface",
            "wandb_*",
            "use_wandb",
            "log_tracker_*",
            "log_config",
            "console_log_*",
            "no_metadata",
            "training_comment",
            "tokenizer_cache_dir",
            "output_config",
            "config_file",
            "save_state_on_train_end",
            "save_last_n_epochs_state",
            "save_last_n_steps",
            "save_last_n_steps_state",
            "save_n_epoch_ratio",
            "metadata_title",
            "logging_*",
            "model_list",
            "headless",
            "dim_from_weights",
        ],
    ),
    no_effect("nothing reads it there either", &["lr_restart_cycles", "enable_preview", "network_train_on"]),
    no_effect(
        "it belongs to other model families",
        &[
            "sdxl_*",
            "flux*",
            "sd3_*",
            "lumina_*",
            "hunyuan_*",
            "anima_*",
            "chroma_*",
            "t5xxl*",
            "clip_l*",
            "clip_g*",
            "ae",
            "apply_*_attn_mask",
            "guidance_scale",
            "discrete_flow_shift",
            "timestep_sampling",
            "sigmoid_scale",
            "model_prediction_type",
            "weighting_scheme",
            "logit_mean",
            "logit_std",
            "mode_scale",
            "training_shift",
            "split_mode",
            "split_qkv",
            "train_blocks",
            "train_*_block_indices",
            "double_blocks_*",
            "single_*",
            "img_*_dim",
            "txt_*_dim",
            "in_dims",
            "text_encoder_lr2",
        ],
    ),
    no_effect(
        "only for other kinds of networks",
        &["constrain", "constraint", "rescaled", "unit", "dylora_unit", "train_on_input"],
    ),
    missing("pictures are cropped in the middle", &["random_crop", "face_crop_aug_range"]),
    missing("colours are never changed", &["color_aug"]),
    missing(
        "captions are not read that way",
        &[
            "weighted_captions",
            "enable_wildcard",
            "caption_separator=,",
            "secondary_separator",
            "keep_tokens_separator",
            "caption_dropout_every_n_epochs",
            "token_warmup_min=1",
            "token_warmup_step",
            "no_token_padding",
        ],
    ),
    missing("there is no such part of a network", &["train_norm", "use_scalar", "use_tucker", "use_cp"]),
    missing(
        "a network is computed in one way",
        &["bypass_mode", "rank_dropout_scale", "network_multiplier=1", "base_weights", "base_weights_multiplier"],
    ),
    missing("all of a run trains the same parts", &["stop_text_encoder_training", "stop_text_encoder_training_pct"]),
    missing("the schedule is one of `lr_scheduler`'s", &["lr_scheduler_type", "lr_scheduler_args"]),
    missing("there is no such loss", &["custom_attributes", "conditioning_data_dir", "enable_contrastive"]),
    missing(
        "validation is by `validation_split`",
        &["validate_every_n_steps", "validate_every_n_epochs", "max_validation_steps", "validation_seed"],
    ),
    missing("a run begins at its first step", &["initial_epoch", "initial_step", "skip_until_initial_step"]),
    missing("there is one kind of data set", &["dataset_class"]),
    missing("a picture without a caption has none; it took this text there", &["class_tokens"]),
    missing(
        "there is no such setting here yet",
        &[
            "loraplus_*",
            "scale_weight_norms",
            "block_*",
            "conv_block_*",
            "down_lr_weight",
            "mid_lr_weight",
            "up_lr_weight",
        ],
    ),
    by_hand("a command line that is not read: see whether it matters", &["additional_parameters"]),
];

const UNKNOWN: &str = "not known here; sd-scripts passes over names that it does not know";

/// Says what becomes of a setting without a key.
pub(super) fn tell(entry: Entry, translation: &mut Translation) {
    let Entry { name, spelled, value } = entry;
    let row = ROWS.iter().find_map(|row| Some((row, row.names.iter().find_map(|pattern| matches(pattern, &name))?)));
    match row {
        _ if is_off(&value) => translation.findings.add(Fate::NoEffect, spelled, "as it is here anyway"),
        Some((_, Some(neutral))) if is_neutral(&value, neutral) => {}
        Some((row, _)) if row.fate == Fate::NotTakenOver => translation.leave_out(&spelled, value, row.why),
        Some((row, _)) if row.fate == Fate::ByHand => {
            translation.findings.add(Fate::ByHand, format!("{spelled} {}", text::yaml(&value)), row.why);
        }
        Some((row, _)) => translation.findings.add(row.fate, spelled, row.why),
        None => translation.leave_out(&spelled, value, UNKNOWN),
    }
}

fn is_neutral(value: &Value, neutral: &str) -> bool {
    let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
    value.as_str() == Some(neutral) || number.is_some_and(|number| Some(number) == neutral.parse().ok())
}

/// Whether the name is meant; then the value that means off, if there is one.
fn matches<'a>(pattern: &'a str, name: &str) -> Option<Option<&'a str>> {
    let (pattern, neutral) = match pattern.split_once('=') {
        Some((pattern, neutral)) => (pattern, Some(neutral)),
        None => (pattern, None),
    };
    let meant = match pattern.split_once('*') {
        Some((start, end)) => name.starts_with(start) && name.ends_with(end),
        None => name == pattern,
    };
    meant.then_some(neutral)
}
