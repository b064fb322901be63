//! What a run needs before its first step: data, split, checkpoint, LoRA and plan, checked as early as possible.

use anyhow::{Context, Result};

use crate::{
    config::{GradientCheckpointing, MixedPrecision, PredictionType, TrainConfig},
    data::{
        dataset::{Dataset, DatasetOptions, Example},
        sheet::DataSheet,
        split::Split,
        tokenizer::ClipTokenizer,
    },
    gpu::Gpu,
    models::{ClipText, ClipTextConfig, VaeConfig, VaeEncoder},
    nn::{Builder, Built, Module},
    sample::loras::KnownModules,
    tape::{Checkpointing, DType},
    weights::{
        Checkpoint,
        lora::{self, LoraModule, Part},
    },
};

use super::{
    counter::Counter,
    lora::{Lora, is_target},
    objective::Objective,
    step::{StepOptions, StepShape, first_loss_scale},
};

/// Where the configuration has its pictures and captions.
pub fn dataset_options(config: &TrainConfig) -> DatasetOptions {
    DatasetOptions {
        train_data_dir: config.train_data_dir.clone(),
        metadata_path: config.metadata_path.clone(),
        caption_extension: config.caption_extension.clone(),
        allow_missing_captions: config.allow_missing_captions,
        num_repeats: config.num_repeats as usize,
    }
}

/// Lists and checks the training set, and says what is in it.
pub(super) fn open_dataset(
    config: &TrainConfig,
    tokenizer: &ClipTokenizer,
    say: &mut dyn FnMut(&str),
) -> Result<(Vec<Example>, DataSheet)> {
    let dataset = Dataset::open(&dataset_options(config), tokenizer)?;
    let mut say_all = |notes: &[String], warnings: &[String]| {
        notes.iter().for_each(|note| say(&format!("note: {note}")));
        warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    };
    say_all(&dataset.notes, &dataset.warnings);
    let size = (config.resolution.width as usize, config.resolution.height as usize);
    let sheet = DataSheet::new(&dataset.examples, size)?;
    let (notes, warnings) = sheet.notices();
    say_all(&notes, &warnings);
    say(&sheet.to_string());
    Ok((dataset.examples, sheet))
}

/// Sets pictures apart for validation, and says which.
pub(super) fn choose_split(config: &TrainConfig, examples: &[Example], say: &mut dyn FnMut(&str)) -> Result<Split> {
    let name = |example: &Example| example.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names: Vec<String> = examples.iter().map(name).collect();
    let split = Split::choose(&names, config.validation_split.map(|share| share as f32), config.seed)?;
    if !split.validation.is_empty() {
        let held_out: Vec<&str> = split.validation.iter().map(|&index| names[index].as_str()).collect();
        say(&format!("held out for validation, never trained on: {}", held_out.join(", ")));
    }
    Ok(split)
}

/// Says what is odd about the checkpoint.
pub(super) fn warn_about_checkpoint(config: &TrainConfig, checkpoint: &Checkpoint, say: &mut dyn FnMut(&str)) {
    checkpoint.warnings().iter().for_each(|warning| say(&format!("warning: {warning}")));
    let ours = match config.prediction_type {
        PredictionType::Epsilon => "epsilon",
        PredictionType::VPrediction => "v_prediction",
    };
    if let Some(theirs) = checkpoint.prediction_type().filter(|theirs| *theirs != ours) {
        say(&format!(
            "warning: the base model predicts {theirs}, but the configuration says {ours}; set prediction_type"
        ));
    }
}

/// Builds the encoders without uploading them, so that whatever they lack is said before anything is computed.
pub(super) fn check_encoders(checkpoint: &Checkpoint) -> Result<()> {
    let builder = Builder::new(&checkpoint.text_encoder);
    ClipText::new(&builder, ClipTextConfig::of(&checkpoint.text_encoder)?);
    builder.finish("text encoder")?;
    let builder = Builder::new(&checkpoint.vae);
    VaeEncoder::new(&builder, VaeConfig::of(&checkpoint.vae)?);
    builder.finish("VAE")?;
    Ok(())
}

/// The LoRA that the configuration asks for, on the modules it targets.
pub(super) fn new_lora(gpu: &Gpu, config: &TrainConfig, modules: &[Module]) -> Lora {
    let targets = modules.iter().filter(|module| is_target(config.lora_target, &module.path)).cloned().collect();
    let accumulate = config.gradient_accumulation_steps > 1;
    Lora::new(targets, config.lora_rank as usize, config.lora_alpha as f32, gpu.caps().max_binding, accumulate)
        .with_loss_scale(first_loss_scale(activations(config)))
}

/// Reads `network_weights`; all modules of the base model count as known, so that a text encoder's part is recognized.
pub(super) fn read_initial(
    path: &std::path::Path,
    checkpoint: &Checkpoint,
    say: &mut dyn FnMut(&str),
) -> Result<Vec<LoraModule>> {
    let contents = lora::read(path, &KnownModules::of(checkpoint)?.modules).context("network_weights")?;
    contents.warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    let (unet, text): (Vec<_>, Vec<_>) = contents.modules.into_iter().partition(|module| module.part == Part::Unet);
    if !text.is_empty() {
        say(&format!(
            "warning: network_weights: {} text encoder modules are left out: only the U-Net is trained",
            text.len()
        ));
    }
    Ok(unet)
}

/// Sizes of a training step.
pub(super) fn step_shape(config: &TrainConfig, tokens: usize) -> StepShape {
    StepShape {
        batch: config.batch_size as usize,
        height: config.resolution.height as usize / 8,
        width: config.resolution.width as usize / 8,
        tokens,
    }
}

/// What a training step records.
pub(super) fn step_options(config: &TrainConfig) -> StepOptions {
    StepOptions {
        objective: Objective::of(config),
        checkpointing: checkpointing(config),
        activations: activations(config),
        accumulate: config.gradient_accumulation_steps > 1,
        observed: Vec::new(),
    }
}

/// Which activations the configuration keeps.
pub fn checkpointing(config: &TrainConfig) -> Checkpointing {
    match config.gradient_checkpointing {
        GradientCheckpointing::On => Checkpointing::Blocks,
        GradientCheckpointing::Cheap => Checkpointing::Cheap,
        GradientCheckpointing::Off | GradientCheckpointing::Auto => Checkpointing::Off,
    }
}

/// How the configuration stores activations.
pub fn activations(config: &TrainConfig) -> DType {
    match config.mixed_precision {
        MixedPrecision::Fp16 => DType::F16,
        MixedPrecision::No | MixedPrecision::Auto => DType::F32,
    }
}

/// Says how large the LoRA is.
pub(super) fn say_lora(lora: &Lora, say: &mut dyn FnMut(&str)) {
    say(&format!(
        "LoRA: {} modules, {} parameters, rank {}, alpha {} (strength alpha/rank = {})",
        lora.module_count(),
        lora.parameter_count(),
        lora.rank,
        lora.alpha,
        lora.alpha / lora.rank as f32,
    ));
}

/// Uploads the U-Net, counting megabytes.
pub(super) fn upload_unet(gpu: &Gpu, built: &Built<'_>) -> Result<()> {
    let megabytes = |bytes: u64| (bytes / 1_000_000) as usize;
    let mut counter = Counter::new("MB of the U-Net loaded", megabytes(built.bytes()));
    let mut uploaded = 0;
    let result = built.upload(gpu, |bytes| {
        counter.add(megabytes(uploaded + bytes) - megabytes(uploaded));
        uploaded += bytes;
    });
    counter.finish();
    result
}
