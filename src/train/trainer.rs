//! A training run from configuration to files.

use std::path::Path;

use anyhow::Result;

use crate::{
    config::TrainConfig,
    data::tokenizer::ClipTokenizer,
    gpu::Gpu,
    models::{ClipTextConfig, UNet, UNetConfig, encode::BuiltDecoder},
    nn::Builder,
    weights::Checkpoint,
};

use super::{
    card,
    fit_memory::Fitted,
    output::{Output, SavedFiles, save_config},
    prepare::{PreparedData, check_writable},
    previews::{self, PreviewSet, Previews},
    run_loop::Run,
    setup::{check_encoders, choose_split, open_dataset, read_initial, say_lora, upload_unet, warn_about_checkpoint},
    stop::StopRequest,
};

/// What a run is given besides its configuration.
pub struct RunOptions<'a> {
    /// The resolved configuration as text, stored beside the run.
    pub resolved_yaml: &'a str,
    /// Print the memory plan and stop before anything is allocated.
    pub plan_only: bool,
    /// Ends the run after a step, with what it has learned saved.
    pub stop: StopRequest,
}

/// How a run ended.
pub struct RunSummary {
    pub files: SavedFiles,
    /// Loss on the probes (or the held-out pictures) before and after.
    pub first_probe: f64,
    pub last_probe: f64,
    /// Steps done; fewer than planned where the run was stopped.
    pub steps: u32,
    pub planned_steps: u32,
    pub seconds: f64,
    /// A caption of the training set, for a prompt to try.
    pub example_caption: String,
}

/// Trains as `config` says. `say` gets lines for the user; progress goes to stderr. `None` where only the plan was
/// wanted.
///
/// # Errors
/// Everything that is wrong with the data, the checkpoint, the folder or the device, found as early as possible; a
/// loss or gradient that is not finite, named, before it touches the LoRA.
pub fn run(
    gpu: &Gpu,
    config: &TrainConfig,
    options: &RunOptions<'_>,
    say: &mut dyn FnMut(&str),
) -> Result<Option<RunSummary>> {
    let tokenizer = ClipTokenizer::new()?;
    let (examples, sheet) = open_dataset(config, &tokenizer, say)?;
    let split = choose_split(config, &examples, say)?;
    let checkpoint = Checkpoint::open(&config.base_model, config.vae.as_deref())?;
    warn_about_checkpoint(config, &checkpoint, say);
    let text_modules = check_encoders(&checkpoint)?;
    let builder = Builder::new(&checkpoint.unet);
    let unet = UNet::new(&builder, UNetConfig::of(&checkpoint.unet)?);
    let built = builder.finish("U-Net")?;
    let initial = config.network_weights.as_deref().map(|path| read_initial(path, &built.modules, &text_modules, say));
    let initial = initial.transpose()?;
    let tokens = ClipTextConfig::of(&checkpoint.text_encoder)?.positions;
    let previews = PreviewSet::new(config, &tokenizer)?;
    let decoder = previews.is_some().then(|| BuiltDecoder::new(&checkpoint.vae)).transpose()?;
    let wanted = previews.as_ref().zip(decoder.as_ref());
    let Fitted { config, lora, plans, memory } = Fitted::new(gpu, config, &unet, &built, tokens, wanted, say)?;
    let config = &config;
    initial.as_deref().map(|modules| lora.matching(modules)).transpose()?;
    say_lora(&lora, say);
    say(&format!("memory plan: {memory}"));
    if options.plan_only {
        return Ok(None);
    }

    check_writable(&config.output_dir)?;
    let data = PreparedData::new(gpu, &checkpoint, config, &examples, &tokenizer)?;
    let guides = previews.as_ref().map(|set| previews::encode(gpu, &checkpoint, set)).transpose()?;
    upload_unet(gpu, &built)?;
    decoder.iter().try_for_each(|decoder| decoder.upload(gpu))?;
    let (programs, preview_programs) = plans.compile_with_guests(gpu)?;
    let previews =
        previews.zip(guides).map(|(set, guides)| Previews::new(set, guides, preview_programs, &unet, config));
    match initial {
        Some(modules) => lora.load(gpu, &modules)?,
        None => lora.initialize(gpu, config.seed),
    }
    save_config(&config.output_dir, &config.output_name, options.resolved_yaml)?;
    let mut run = Run::new(gpu, config, &lora, &programs, previews, &data, &examples, &split, options.resolved_yaml)?;
    let mut output = Output::new(config, &checkpoint, &sheet, &run.length);
    let end = run.train(&mut output, &options.stop)?;
    let pictures: Vec<&Path> = split.train.iter().map(|&index| examples[index].path.as_path()).collect();
    if let Err(error) = card::write(&end.files.kohya, &config.provenance, &pictures, config.resolution) {
        say(&format!("warning: the LoRA has no complete card for WebUIs: {error:#}"));
    }
    Ok(Some(RunSummary {
        files: end.files,
        first_probe: end.first_probe,
        last_probe: end.last_probe,
        steps: end.steps,
        planned_steps: run.length.steps,
        seconds: run.started.elapsed().as_secs_f64(),
        example_caption: examples[split.train[0]].caption.clone(),
    }))
}
