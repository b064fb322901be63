//! The table of keys: name, names in other trainers, how a value is read, how it is shown. A new key is one row here and
//! a field in [`TrainConfig`].

use super::{
    print,
    readers::{
        checkpointing, extension, lora_target, min_snr_gamma, mixed_precision, optimizer_args, optimizer_type,
        output_name, preview_prompts, rate, resolution, warmup,
    },
    train_config::{
        GradientCheckpointing, LogWith, LoraTarget, LrScheduler, MixedPrecision, PredictionType, SavePrecision,
        TrainConfig,
    },
    unsupported::{self, Accepted, UNSUPPORTED},
    value::{self, Choices},
};
use anyhow::Result;
use serde_yaml::Value;

/// A configuration being filled, and what the user should know about it.
pub(super) struct Draft {
    pub config: TrainConfig,
    pub notes: Vec<String>,
}

/// A row of the table.
#[derive(Debug)]
pub(super) struct Key {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub meaning: Meaning,
}

#[derive(Debug)]
pub(super) enum Meaning {
    Setting {
        set: fn(&mut Draft, &Value) -> Result<()>,
        /// The value as YAML.
        show: fn(&TrainConfig) -> String,
    },
    /// Known from other trainers, not built yet: only values that change nothing are accepted.
    Unsupported { accepted: &'static [Accepted], hint: &'static str },
}

impl Key {
    pub(super) fn apply(&self, draft: &mut Draft, value: &Value) -> Result<()> {
        match self.meaning {
            Meaning::Setting { set, .. } => set(draft, value),
            Meaning::Unsupported { accepted, hint } => unsupported::check(self.name, accepted, hint, value),
        }
    }
}

/// The row of a canonical name or alias, and how the alias's value translates into the row's where the two differ.
pub(super) fn find(name: &str) -> Option<(&'static Key, Option<Translate>)> {
    if let Some(row) = TRANSLATED_ALIASES.iter().find(|row| row.alias == name) {
        return Some((find(row.canonical)?.0, Some(row.translate)));
    }
    all().find(|key| key.name == name || key.aliases.contains(&name)).map(|key| (key, None))
}

/// Every name that a file may use.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let plain = all().flat_map(|key| std::iter::once(key.name).chain(key.aliases.iter().copied()));
    plain.chain(TRANSLATED_ALIASES.iter().map(|row| row.alias))
}

fn all() -> impl Iterator<Item = &'static Key> {
    SETTINGS.iter().chain(UNSUPPORTED)
}

type Translate = fn(&Value) -> Result<Value>;

/// A key of another trainer that means a canonical key but counts differently.
struct TranslatedAlias {
    alias: &'static str,
    canonical: &'static str,
    translate: Translate,
}

const TRANSLATED_ALIASES: &[TranslatedAlias] = &[
    TranslatedAlias {
        alias: "v_parameterization",
        canonical: "prediction_type",
        translate: |v| Ok(if value::flag(v)? { "v_prediction" } else { "epsilon" }.into()),
    },
    TranslatedAlias {
        alias: "network_train_unet_only",
        canonical: "train_text_encoder",
        translate: |v| Ok((!value::flag(v)?).into()),
    },
    // OneTrainer counts the layers left out, the others the layer used
    TranslatedAlias {
        alias: "text_encoder_layer_skip",
        canonical: "clip_skip",
        translate: |v| Ok((value::whole(v, 0..=1)? + 1).into()),
    },
];

const PREDICTION_TYPES: &Choices<PredictionType> =
    &[("epsilon", PredictionType::Epsilon), ("v_prediction", PredictionType::VPrediction)];
pub(super) const LORA_TARGETS: &Choices<LoraTarget> = &[
    ("attention", LoraTarget::Attention),
    ("transformer", LoraTarget::Transformer),
    ("attn-only", LoraTarget::Attention),
    ("attn-mlp", LoraTarget::Transformer),
];
pub(super) const OPTIMIZERS: &Choices<bool> = &[("AdamW", false), ("AdamW8bit", true)];
pub(super) const LR_SCHEDULERS: &Choices<LrScheduler> = &[
    ("constant", LrScheduler::Constant),
    ("constant_with_warmup", LrScheduler::ConstantWithWarmup),
    ("linear", LrScheduler::Linear),
    ("cosine", LrScheduler::Cosine),
    ("cosine_with_restarts", LrScheduler::CosineWithRestarts),
    ("polynomial", LrScheduler::Polynomial),
];
pub(super) const SAVE_PRECISIONS: &Choices<SavePrecision> = &[
    ("fp16", SavePrecision::Fp16),
    ("float", SavePrecision::Float),
    ("bf16", SavePrecision::Bf16),
    ("fp32", SavePrecision::Float),
    ("float_16", SavePrecision::Fp16),
    ("float_32", SavePrecision::Float),
    ("bfloat_16", SavePrecision::Bf16),
];
pub(super) const CHECKPOINTING_MODES: &Choices<GradientCheckpointing> = &[
    ("auto", GradientCheckpointing::Auto),
    ("cheap", GradientCheckpointing::Cheap),
    ("true", GradientCheckpointing::On),
    ("false", GradientCheckpointing::Off),
];
pub(super) const MIXED_PRECISIONS: &Choices<MixedPrecision> = &[
    ("auto", MixedPrecision::Auto),
    ("no", MixedPrecision::No),
    ("fp16", MixedPrecision::Fp16),
    ("fp32", MixedPrecision::No),
    ("float_32", MixedPrecision::No),
    ("float_16", MixedPrecision::Fp16),
];
const LOGGERS: &Choices<LogWith> = &[("tensorboard", LogWith::TensorBoard), ("none", LogWith::None)];

/// The words for `sample_sampler`, sd-scripts' among them, and what `lora-wgpu sample` calls them.
pub const PREVIEW_SAMPLERS: &Choices<&str> = &[
    ("euler_a", "euler_a"),
    ("euler", "euler"),
    ("ddim", "ddim"),
    ("heun", "heun"),
    ("dpmpp_2m", "dpmpp_2m"),
    ("dpmpp_2m_karras", "dpmpp_2m_karras"),
    ("dpmpp_sde", "dpmpp_sde"),
    ("lcm", "lcm"),
    ("k_euler_a", "euler_a"),
    ("k_euler", "euler"),
    ("dpmsolver++", "dpmpp_2m"),
];

const fn setting(
    name: &'static str,
    aliases: &'static [&'static str],
    set: fn(&mut Draft, &Value) -> Result<()>,
    show: fn(&TrainConfig) -> String,
) -> Key {
    Key { name, aliases, meaning: Meaning::Setting { set, show } }
}

/// Latents are computed once whatever is set: with nothing random in a picture, that changes nothing.
fn note_uncached(draft: &mut Draft, cached: bool) {
    if !cached {
        let note = "cache_latents: latents are computed once all the same, since pictures are never varied";
        draft.notes.push(note.into());
    }
}

/// All keys that do something, in the order in which they are printed.
#[rustfmt::skip]
pub(super) const SETTINGS: &[Key] = &[
    setting("base_model", &["pretrained_model_name_or_path", "base_model_name", "ckpt"],
        |d, v| { d.config.base_model = value::path(v)?; Ok(()) },
        |c| print::path(&c.base_model)),
    setting("vae", &[],
        |d, v| { d.config.vae = Some(value::path(v)?); Ok(()) },
        |c| print::optional(&c.vae, |path| print::path(path))),
    setting("prediction_type", &[],
        |d, v| { d.config.prediction_type = value::choice(v, PREDICTION_TYPES)?; Ok(()) },
        |c| value::word_for(PREDICTION_TYPES, &c.prediction_type).into()),
    setting("clip_skip", &[],
        |d, v| { d.config.clip_skip = value::count(v, 2)?; Ok(()) },
        |c| c.clip_skip.to_string()),

    setting("train_data_dir", &["instance_data_dir", "image_dir", "folder_path"],
        |d, v| { d.config.train_data_dir = value::path(v)?; Ok(()) },
        |c| print::path(&c.train_data_dir)),
    setting("metadata_path", &["in_json", "metadata_file"],
        |d, v| { d.config.metadata_path = Some(value::path(v)?); Ok(()) },
        |c| print::optional(&c.metadata_path, |path| print::path(path))),
    setting("caption_extension", &["caption_ext"],
        |d, v| { d.config.caption_extension = Some(extension(v)?); Ok(()) },
        |c| print::optional(&c.caption_extension, |text| print::text(text))),
    setting("allow_missing_captions", &[],
        |d, v| { d.config.allow_missing_captions = value::flag(v)?; Ok(()) },
        |c| c.allow_missing_captions.to_string()),
    setting("resolution", &[],
        |d, v| { d.config.resolution = resolution(v)?; Ok(()) },
        |c| format!("[{}, {}]", c.resolution.width, c.resolution.height)),
    setting("num_repeats", &["dataset_repeats", "repeats"],
        |d, v| { d.config.num_repeats = value::count(v, u32::MAX)?; Ok(()) },
        |c| c.num_repeats.to_string()),
    setting("cache_latents", &["latent_caching"],
        |d, v| { value::flag(v).map(|flag| note_uncached(d, flag)) },
        |_| "true".into()),
    setting("cache_latents_to_disk", &[],
        |d, v| { d.config.cache_latents_to_disk = value::flag(v)?; Ok(()) },
        |c| c.cache_latents_to_disk.to_string()),
    setting("validation_split", &[],
        |d, v| { d.config.validation_split = Some(value::number(v, "a number from 0 to below 1", |x| (0.0..1.0).contains(&x))?); Ok(()) },
        |c| print::optional(&c.validation_split, |share| print::number(*share))),

    setting("lora_rank", &["network_dim", "rank", "linear"],
        |d, v| { d.config.lora_rank = value::count(v, 1024)?; Ok(()) },
        |c| c.lora_rank.to_string()),
    setting("lora_alpha", &["network_alpha", "linear_alpha"],
        |d, v| { d.config.lora_alpha = value::number(v, "a number above 0", |x| x > 0.0)?; Ok(()) },
        |c| print::number(c.lora_alpha)),
    setting("lora_target", &["layer_filter_preset"],
        |d, v| { d.config.lora_target = lora_target(v)?; Ok(()) },
        |c| value::word_for(LORA_TARGETS, &c.lora_target).into()),
    setting("network_weights", &["lora_model_name", "init_lora", "pretrained_lora_path"],
        |d, v| { d.config.network_weights = Some(value::path(v)?); Ok(()) },
        |c| print::optional(&c.network_weights, |path| print::path(path))),

    setting("epochs", &["max_train_epochs", "num_train_epochs"],
        |d, v| { d.config.epochs = value::count(v, u32::MAX)?; Ok(()) },
        |c| c.epochs.to_string()),
    setting("max_train_steps", &["steps"],
        |d, v| { d.config.max_train_steps = Some(value::count(v, u32::MAX)?); Ok(()) },
        |c| print::optional(&c.max_train_steps, |steps| steps.to_string())),
    setting("batch_size", &["train_batch_size"],
        |d, v| { d.config.batch_size = value::count(v, 1024)?; Ok(()) },
        |c| c.batch_size.to_string()),
    setting("gradient_accumulation_steps", &["gradient_accumulation"],
        |d, v| { d.config.gradient_accumulation_steps = value::count(v, 65_536)?; Ok(()) },
        |c| c.gradient_accumulation_steps.to_string()),
    setting("learning_rate", &["lr"],
        |d, v| { d.config.learning_rate = rate(v)?; Ok(()) },
        |c| print::number(c.learning_rate)),
    setting("unet_lr", &[],
        |d, v| { d.config.unet_lr = rate(v)?; Ok(()) },
        |c| print::number(c.unet_lr)),
    setting("optimizer_type", &["optimizer"], optimizer_type,
        |_| value::word_for(OPTIMIZERS, &false).into()),
    setting("optimizer_args", &[], optimizer_args,
        |c| print::adamw(&c.optimizer)),
    setting("lr_scheduler", &[],
        |d, v| { d.config.lr_scheduler = value::choice(v, LR_SCHEDULERS)?; Ok(()) },
        |c| value::word_for(LR_SCHEDULERS, &c.lr_scheduler).into()),
    setting("lr_warmup_steps", &[],
        |d, v| { d.config.lr_warmup_steps = warmup(v)?; Ok(()) },
        |c| print::warmup(c.lr_warmup_steps)),
    setting("lr_scheduler_num_cycles", &["lr_num_cycles"],
        |d, v| { d.config.lr_scheduler_num_cycles = value::count(v, u32::MAX)?; Ok(()) },
        |c| c.lr_scheduler_num_cycles.to_string()),
    setting("lr_scheduler_power", &["lr_power"],
        |d, v| { d.config.lr_scheduler_power = value::number(v, "a number above 0", |x| x > 0.0)?; Ok(()) },
        |c| print::number(c.lr_scheduler_power)),
    setting("max_grad_norm", &["clip_grad_norm"],
        |d, v| { d.config.max_grad_norm = value::number(v, "a number from 0 (0 = no clipping)", |x| x >= 0.0)?; Ok(()) },
        |c| print::number(c.max_grad_norm)),
    setting("gradient_checkpointing", &[],
        |d, v| { d.config.gradient_checkpointing = checkpointing(v)?; Ok(()) },
        |c| value::word_for(CHECKPOINTING_MODES, &c.gradient_checkpointing).into()),
    setting("mixed_precision", &["train_dtype"],
        |d, v| { d.config.mixed_precision = mixed_precision(v)?; Ok(()) },
        |c| value::word_for(MIXED_PRECISIONS, &c.mixed_precision).into()),
    setting("min_snr_gamma", &["snr_gamma"],
        |d, v| { d.config.min_snr_gamma = min_snr_gamma(v)?; Ok(()) },
        |c| c.min_snr_gamma.map_or_else(|| "false".into(), print::number)),
    setting("noise_offset", &["offset_noise_weight"],
        |d, v| { d.config.noise_offset = value::number(v, "a number from 0 to 1, such as 0.05", |x| (0.0..=1.0).contains(&x))?; Ok(()) },
        |c| print::number(c.noise_offset)),
    setting("seed", &[],
        |d, v| { d.config.seed = value::whole(v, 0..=u64::MAX)?; Ok(()) },
        |c| c.seed.to_string()),
    setting("device", &[],
        |d, v| { d.config.device = Some(value::non_empty_text(v)?); Ok(()) },
        |c| print::optional(&c.device, |text| print::text(text))),
    setting("vram_limit", &[],
        |d, v| { d.config.vram_limit = Some(value::bytes(v)?); Ok(()) },
        |c| print::optional(&c.vram_limit, |&bytes| value::bytes_as_text(bytes))),

    setting("output_dir", &[],
        |d, v| { d.config.output_dir = value::path(v)?; Ok(()) },
        |c| print::path(&c.output_dir)),
    setting("output_name", &[],
        |d, v| { d.config.output_name = output_name(&value::non_empty_text(v)?)?; Ok(()) },
        |c| print::text(&c.output_name)),
    setting("save_every_n_epochs", &[],
        |d, v| { d.config.save_every_n_epochs = value::count(v, u32::MAX)?; Ok(()) },
        |c| c.save_every_n_epochs.to_string()),
    setting("save_precision", &["output_dtype"],
        |d, v| { d.config.save_precision = value::choice(v, SAVE_PRECISIONS)?; Ok(()) },
        |c| value::word_for(SAVE_PRECISIONS, &c.save_precision).into()),
    setting("logging_dir", &[],
        |d, v| { d.config.logging_dir = value::path(v)?; Ok(()) },
        |c| print::path(&c.logging_dir)),
    setting("log_with", &["report_to"],
        |d, v| { d.config.log_with = value::choice(v, LOGGERS)?; Ok(()) },
        |c| value::word_for(LOGGERS, &c.log_with).into()),
    setting("log_prefix", &[],
        |d, v| { d.config.log_prefix = value::text(v)?; Ok(()) },
        |c| print::text(&c.log_prefix)),
    setting("sample_prompts", &["validation_prompt"],
        |d, v| { d.config.previews.prompts = preview_prompts(v)?; Ok(()) },
        |c| print::preview_prompts(&c.previews.prompts)),
    setting("sample_every_n_epochs", &["validation_epochs"],
        |d, v| { d.config.previews.every_n_epochs = value::whole(v, 0..=u64::from(u32::MAX))? as u32; Ok(()) },
        |c| c.previews.every_n_epochs.to_string()),
    setting("sample_every_n_steps", &[],
        |d, v| { d.config.previews.every_n_steps = value::whole(v, 0..=u64::from(u32::MAX))? as u32; Ok(()) },
        |c| c.previews.every_n_steps.to_string()),
    setting("sample_at_first", &[],
        |d, v| { d.config.previews.at_first = value::flag(v)?; Ok(()) },
        |c| c.previews.at_first.to_string()),
    setting("sample_sampler", &[],
        |d, v| { d.config.previews.sampler = value::choice(v, PREVIEW_SAMPLERS)?; Ok(()) },
        |c| c.previews.sampler.to_owned()),
    setting("metadata_author", &[],
        |d, v| { d.config.provenance.author = value::optional_text(v)?; Ok(()) },
        |c| print::optional(&c.provenance.author, |text| print::text(text))),
    setting("metadata_license", &[],
        |d, v| { d.config.provenance.license = value::optional_text(v)?; Ok(()) },
        |c| print::optional(&c.provenance.license, |text| print::text(text))),
    setting("metadata_description", &[],
        |d, v| { d.config.provenance.description = value::optional_text(v)?; Ok(()) },
        |c| print::optional(&c.provenance.description, |text| print::text(text))),
    setting("metadata_tags", &[],
        |d, v| { d.config.provenance.tags = value::words(v)?; Ok(()) },
        |c| print::text(&c.provenance.tags.join(", "))),
    setting("trigger_phrase", &[],
        |d, v| { d.config.provenance.trigger_phrase = value::optional_text(v)?; Ok(()) },
        |c| print::optional(&c.provenance.trigger_phrase, |text| print::text(text))),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_name_stands_twice() {
        let mut seen = HashSet::new();
        for name in names() {
            assert!(seen.insert(name), "{name}");
        }
    }

    #[test]
    fn every_translated_alias_leads_to_a_key() {
        for row in TRANSLATED_ALIASES {
            assert_eq!(find(row.alias).expect("a key").0.name, row.canonical);
        }
    }
}
