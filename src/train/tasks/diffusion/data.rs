//! The data set of a run: opened and checked, split, and cut into updates.

use anyhow::Result;

use crate::{
    config::TrainConfig,
    data::{
        dataset::{Dataset, DatasetOptions, Example},
        masks::MaskOptions,
        names::file_name,
        sheet::DataSheet,
        split::Split,
        tokenizer::ClipTokenizer,
    },
    train::{
        engine::Length,
        events::{Tell, say},
        lr_schedule::LrSchedule,
    },
};

use super::epochs::BatchPlan;

/// Where the configuration has its pictures and captions.
pub fn dataset_options(config: &TrainConfig) -> DatasetOptions {
    DatasetOptions {
        train_data_dir: config.train_data_dir.clone(),
        metadata_path: config.metadata_path.clone(),
        caption_extension: config.caption_extension.clone(),
        allow_missing_captions: config.allow_missing_captions,
        num_repeats: config.num_repeats as usize,
        max_token_length: config.network.max_token_length as usize,
        masks: MaskOptions {
            files: config.loss.masked_loss,
            folder: config.conditioning_data_dir.clone(),
            alpha: config.loss.alpha_mask,
        },
    }
}

/// Lists and checks the training set, and says what is in it.
pub(super) fn open_dataset(
    config: &TrainConfig,
    tokenizer: &ClipTokenizer,
    tell: &mut Tell<'_>,
) -> Result<(Vec<Example>, DataSheet)> {
    let dataset = Dataset::open(&dataset_options(config), tokenizer)?;
    let mut say_all = |notes: &[String], warnings: &[String]| {
        notes.iter().for_each(|note| say(tell, &format!("note: {note}")));
        warnings.iter().for_each(|warning| say(tell, &format!("warning: {warning}")));
    };
    say_all(&dataset.notes, &dataset.warnings);
    let sheet = DataSheet::new(&dataset.examples, config.resolution)?;
    let (notes, warnings) = sheet.notices();
    say_all(&notes, &warnings);
    say(tell, &sheet.to_string());
    Ok((dataset.examples, sheet))
}

/// Sets pictures apart for validation.
///
/// # Errors
/// A share of held-out pictures that leaves none to train on.
pub(super) fn choose_split(config: &TrainConfig, examples: &[Example]) -> Result<Split> {
    let names: Vec<String> = examples.iter().map(|example| file_name(&example.path)).collect();
    Split::choose(&names, config.validation_split.map(|share| share as f32), config.seed)
}

/// Says which pictures are held out.
pub(super) fn say_split(split: &Split, examples: &[Example], tell: &mut Tell<'_>) {
    if !split.validation.is_empty() {
        let held_out: Vec<String> = split.validation.iter().map(|&index| file_name(&examples[index].path)).collect();
        say(tell, &format!("held out for validation, never trained on: {}", held_out.join(", ")));
    }
}

/// How many updates the configuration makes of these examples.
///
/// # Errors
/// A share of held-out pictures that leaves none to train on.
pub fn planned_steps(config: &TrainConfig, examples: &[Example]) -> Result<u32> {
    let split = choose_split(config, examples)?;
    Ok(run_length(config, &batch_plan(config, examples, &split)).0.steps)
}

/// The examples that are trained on, cut into micro-batches and updates.
pub(super) fn batch_plan(config: &TrainConfig, examples: &[Example], split: &Split) -> BatchPlan {
    let trained = split.train.iter().map(|&index| (index, examples[index].repeats));
    let (batch, accumulation) = (config.batch_size as usize, config.gradient_accumulation_steps as usize);
    BatchPlan::new(trained, batch, accumulation, config.seed)
}

/// Epochs, steps and the learning-rate schedule; `max_train_steps` wins over `epochs`.
pub(super) fn run_length(config: &TrainConfig, batches: &BatchPlan) -> (Length, LrSchedule) {
    let steps_per_epoch = batches.updates_per_epoch() as u32;
    let steps = config.max_train_steps.unwrap_or(config.epochs * steps_per_epoch);
    let length = Length { epochs: steps.div_ceil(steps_per_epoch), steps, steps_per_epoch };
    (length, LrSchedule::new(config, steps))
}
