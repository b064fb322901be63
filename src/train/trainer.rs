//! A training run from configuration to files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    config::TrainConfig,
    data::{sheet::DataSheet, tokenizer::ClipTokenizer},
    gpu::Gpu,
    models::{ClipTextConfig, UNet, UNetConfig, encode::BuiltDecoder},
    nn::Builder,
    weights::Checkpoint,
};

use super::{
    card,
    fit_memory::Fitted,
    lora::Lora,
    output::{Output, SavedFiles, save_config},
    prepare::{PreparedData, check_writable},
    previews::{self, PreviewSet, Previews},
    report::Report,
    run_loop::{Run, RunEnd},
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
    /// In which the host made batches of noise and latents: the device waited for no more than that.
    pub batching_seconds: f64,
    /// A caption of the training set, for a prompt to try.
    pub example_caption: String,
    /// The page about the run; `None` where it could not be written.
    pub report: Option<PathBuf>,
    /// The last grid of previews.
    pub previews: Option<PathBuf>,
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
    check_encoders(&checkpoint)?;
    let builder = Builder::new(&checkpoint.unet);
    let unet = UNet::new(&builder, UNetConfig::of(&checkpoint.unet)?);
    let built = builder.finish("U-Net")?;
    let initial = config.network_weights.as_deref().map(|path| read_initial(path, &checkpoint, say));
    let initial = initial.transpose()?;
    let tokens = ClipTextConfig::of(&checkpoint.text_encoder)?.positions;
    let previews = PreviewSet::new(config, &tokenizer, say)?;
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

    check_writable(&config.output_dir).context("output_dir")?;
    let (data, guides) = gpu.compile_during(&plans.kernels(), || -> Result<_> {
        let data = PreparedData::new(gpu, &checkpoint, config, &examples, &tokenizer)?;
        let guides = previews.as_ref().map(|set| previews::encode(gpu, &checkpoint, &tokenizer, set)).transpose()?;
        upload_unet(gpu, &built)?;
        decoder.iter().try_for_each(|decoder| decoder.upload(gpu))?;
        Ok((data, guides))
    })?;
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
    let example_caption = examples[split.train[0]].caption.clone();
    let report = report(&run, &end, config, &lora, &sheet, options.resolved_yaml, &example_caption);
    if let Err(error) = &report {
        say(&format!("warning: there is no report of this run: {error:#}"));
    }
    Ok(Some(RunSummary {
        files: end.files,
        first_probe: end.first_probe,
        last_probe: end.last_probe,
        steps: end.steps,
        planned_steps: run.length.steps,
        seconds: run.started.elapsed().as_secs_f64(),
        batching_seconds: run.batching.as_secs_f64(),
        example_caption,
        report: report.ok(),
        previews: run.drawn.pop().map(|(_, path)| path),
    }))
}

/// Writes the page about the run beside its LoRA, `<name>.report.html`.
fn report(
    run: &Run<'_>,
    end: &RunEnd,
    config: &TrainConfig,
    lora: &Lora,
    sheet: &DataSheet,
    yaml: &str,
    caption: &str,
) -> Result<PathBuf> {
    let name = end.files.kohya.file_stem().unwrap_or_default().to_string_lossy();
    let bytes = fs::metadata(&end.files.kohya)?.len();
    let minutes = run.started.elapsed().as_secs_f64() / 60.0;
    let RunEnd { first_probe, last_probe, steps, .. } = end;
    let report = Report {
        name: &name,
        outcome: format!(
            "{steps} of {} steps in {minutes:.1} minutes; loss on fixed pictures and noise {first_probe:.5} before, \
             {last_probe:.5} after",
            run.length.steps
        ),
        prompt: format!("{caption}, <lora:{name}:{}>", card::PREFERRED_WEIGHT),
        previews: &run.drawn,
        history: run.metrics.history(),
        facts: vec![
            ("file", "文件", end.files.kohya.display().to_string()),
            ("size", "大小", format!("{:.1} MB", bytes as f64 * 1e-6)),
            ("base model", "底模", config.base_model.display().to_string()),
            ("rank, alpha", "秩、alpha", format!("{}, {}", lora.rank, lora.alpha)),
            ("modules", "模块数", lora.module_count().to_string()),
            ("parameters", "参数量", lora.parameter_count().to_string()),
        ],
        sheet: sheet.to_string(),
        configuration: yaml,
    };
    let path = end.files.kohya.with_extension("report.html");
    report.write(&path)?;
    Ok(path)
}
