//! A diffusion training from configuration to files.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    config::TrainConfig,
    gpu::Gpu,
    models::encode::BuiltDecoder,
    train::{
        engine::{Engine, Programs, RunEnd, StopRequest},
        events::{Event, Tell, Watch, say},
        records::{
            Records, Report, card,
            output::{Output, SavedFiles, save_config},
        },
    },
    weights::{check_writable, lora::AdapterModule},
};

use super::{
    assembly::Trained,
    latents::EncodedData,
    material::{Material, Networks, read_initial, say_adapters},
    plan::Fitted,
    previews::{PreviewSet, Previews},
    task::{Batching, DiffusionTask},
};

/// What a run is given besides its configuration.
pub struct RunOptions<'a> {
    /// The text of a configuration, stored beside the run; it is asked for that of the fitted one.
    pub yaml_of: &'a dyn Fn(&TrainConfig) -> String,
    /// Print the memory plan and stop before anything is allocated.
    pub plan_only: bool,
    /// Ends the run after a step, with what it has learned saved.
    pub stop: StopRequest,
}

/// How a run ended.
pub struct RunSummary {
    pub files: SavedFiles,
    pub end: RunEnd,
    /// A caption of the training set, for a prompt to try.
    pub example_caption: String,
    /// The page about the run; `None` where it could not be written.
    pub report: Option<PathBuf>,
    /// The last grid of previews.
    pub previews: Option<PathBuf>,
}

/// Trains as `config` says, and tells `watch` of it. `None` where only the plan was wanted.
///
/// # Errors
/// Everything that is wrong with the data, the checkpoint, the folder or the device, found as early as possible; a
/// loss or gradient that is not finite, named, before it touches the LoRA.
pub fn run(
    gpu: &Gpu,
    config: &TrainConfig,
    options: &RunOptions<'_>,
    watch: &mut Watch<'_>,
) -> Result<Option<RunSummary>> {
    let mut tell = |event: &Event<'_>| forward(watch, event, &options.stop);
    let material = Material::open(config, &mut tell)?;
    let opened = Opened::new(config, &material, &mut tell)?;
    let wanted = opened.previews.as_ref().zip(opened.decoder.as_ref());
    let fitted = Fitted::new(gpu, config, &opened.networks, wanted, &mut tell)?;
    opened.initial.as_deref().map(|modules| fitted.trained.adapters.matching(modules)).transpose()?;
    say_adapters(&fitted.trained, &fitted.config, &mut tell);
    say(&mut tell, &format!("memory plan: {}", fitted.memory));
    if options.plan_only {
        return Ok(None);
    }
    check_writable(&config.output_dir).context("output_dir")?;
    carry_out(gpu, options, opened, fitted, &mut tell).map(Some)
}

/// What is known before memory is planned.
struct Opened<'a> {
    material: &'a Material,
    networks: Networks<'a>,
    /// What the adapters begin with, where a file says so.
    initial: Option<Vec<AdapterModule>>,
    previews: Option<PreviewSet>,
    /// Of the previews.
    decoder: Option<BuiltDecoder<'a>>,
}

impl<'a> Opened<'a> {
    fn new(config: &TrainConfig, material: &'a Material, tell: &mut Tell<'_>) -> Result<Self> {
        let checkpoint = &material.checkpoint;
        let networks = Networks::build(config, checkpoint)?;
        let weights = config.network_weights.as_deref();
        let initial = weights.map(|path| read_initial(path, &networks, checkpoint, tell)).transpose()?;
        let previews = PreviewSet::new(config, &material.tokenizer, tell)?;
        let decoder = previews.is_some().then(|| BuiltDecoder::new(&checkpoint.vae)).transpose()?;
        Ok(Self { material, networks, initial, previews, decoder })
    }
}

/// Computes what training reads, compiles, and trains.
fn carry_out(
    gpu: &Gpu,
    options: &RunOptions<'_>,
    opened: Opened<'_>,
    fitted: Fitted,
    tell: &mut Tell<'_>,
) -> Result<RunSummary> {
    let Opened { material, networks, initial, previews, decoder } = opened;
    let Fitted { config, trained, plans, previews: planned, .. } = fitted;
    let (data, guides) = gpu.compile_during(&plans.kernels(), || -> Result<_> {
        let data = EncodedData::new(gpu, material, &networks, &config, tell)?;
        networks.upload(gpu, tell)?;
        let set = previews.as_ref().zip(planned.as_ref());
        let guides = set.map(|(set, planned)| planned.guides(gpu, (set, &trained.adapters), &networks, material));
        let guides = guides.transpose()?;
        decoder.iter().try_for_each(|decoder| decoder.upload(gpu))?;
        Ok((data, guides))
    })?;
    let (programs, guests) = plans.compile(gpu)?;
    let previews = previews.zip(planned).zip(guides);
    let previews = previews.map(|(set, guides)| Previews::new(set, guides, guests, &networks.unet, &config));
    let initial = match initial {
        Some(modules) => modules,
        None => trained.adapters.initial(config.seed, &|site| material.checkpoint.part(site.part).matrix(site))?,
    };
    trained.load(gpu, &initial)?;
    let yaml = (options.yaml_of)(&config);
    save_config(&config.output_dir, &config.output_name, &yaml)?;
    let batching = Batching::new(&config, &networks, &trained, &data, material);
    let (config, trained, programs, stop) = (&config, &trained, &programs, &options.stop);
    ReadyRun { gpu, config, material, trained, programs, yaml, stop }.train(&data, batching, previews, tell)
}

/// Hands an event to whoever watches; a break is a request to stop.
fn forward(watch: &mut Watch<'_>, event: &Event<'_>, stop: &StopRequest) {
    if watch(event) == ControlFlow::Break(()) {
        stop.request();
    }
}

/// A run whose programs are compiled and whose adapters have their first values.
struct ReadyRun<'a> {
    gpu: &'a Gpu,
    config: &'a TrainConfig,
    material: &'a Material,
    trained: &'a Trained,
    programs: &'a Programs,
    /// The configuration as text.
    yaml: String,
    stop: &'a StopRequest,
}

impl ReadyRun<'_> {
    fn train(
        &self,
        data: &EncodedData,
        batching: Batching,
        previews: Option<Previews<'_>>,
        tell: &mut Tell<'_>,
    ) -> Result<RunSummary> {
        let &Self { gpu, config, material, trained, programs, stop, ref yaml } = self;
        let mut records = Records::create(config, yaml)?;
        let output = Output::new(config, &material.checkpoint, &material.sheet, &batching.run_length());
        let store = &trained.adapters.store;
        let engine = Engine { gpu, programs, store, length: batching.length, stop };
        let mut task = DiffusionTask { gpu, config, trained, data, batching, previews, output, stop, files: None };
        let end = engine.run(&mut task, &mut |event| records.record(event, tell))?;
        let files = task.files.expect("a run ends with saved files");
        self.write_card(&files, tell);
        let report = self.report(&records, &end, &files);
        if let Err(error) = &report {
            say(tell, &format!("warning: there is no report of this run: {error:#}"));
        }
        let (report, previews) = (report.ok(), records.drawn.pop().map(|(_, path)| path));
        Ok(RunSummary { files, end, example_caption: material.example_caption().to_owned(), report, previews })
    }

    /// Writes the card that WebUIs show.
    fn write_card(&self, files: &SavedFiles, tell: &mut Tell<'_>) {
        let Material { examples, split, .. } = self.material;
        let pictures: Vec<&Path> = split.train.iter().map(|&index| examples[index].path.as_path()).collect();
        let Self { config, .. } = self;
        if let Err(error) = card::write(&files.kohya, &config.provenance, &pictures, config.resolution) {
            say(tell, &format!("warning: the LoRA has no complete card for WebUIs: {error:#}"));
        }
    }

    /// Writes the page about the run beside its LoRA, `<name>.report.html`.
    fn report(&self, records: &Records, end: &RunEnd, files: &SavedFiles) -> Result<PathBuf> {
        let Self { config, material, trained, .. } = self;
        let name = files.kohya.file_stem().unwrap_or_default().to_string_lossy();
        let bytes = fs::metadata(&files.kohya)?.len();
        let RunEnd { first_held, last_held, steps, planned_steps, seconds, .. } = end;
        let report = Report {
            name: &name,
            outcome: format!(
                "{steps} of {planned_steps} steps in {:.1} minutes; loss on fixed pictures and noise {first_held:.5} \
                 before, {last_held:.5} after",
                seconds / 60.0
            ),
            prompt: format!("{}, <lora:{name}:{}>", material.example_caption(), card::PREFERRED_WEIGHT),
            previews: &records.drawn,
            history: records.history(),
            facts: vec![
                ("file", "文件", files.kohya.display().to_string()),
                ("size", "大小", format!("{:.1} MB", bytes as f64 * 1e-6)),
                ("base model", "底模", config.base_model.display().to_string()),
                ("rank, alpha", "秩、alpha", format!("{}, {}", config.lora_rank, config.lora_alpha)),
                ("modules", "模块数", trained.adapters.module_count().to_string()),
                ("parameters", "参数量", trained.adapters.store.parameter_count().to_string()),
            ],
            sheet: material.sheet.to_string(),
            configuration: &self.yaml,
        };
        let path = files.kohya.with_extension("report.html");
        report.write(&path)?;
        Ok(path)
    }
}
