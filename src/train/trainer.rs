//! A training run from configuration to files.

use std::time::{Instant, SystemTime};

use anyhow::{Context, Result, bail};

use crate::{
    config::{GradientCheckpointing, LogWith, PredictionType, TrainConfig},
    data::{
        dataset::{Dataset, DatasetOptions, Example},
        sheet::DataSheet,
        split::Split,
        tokenizer::ClipTokenizer,
    },
    diffusion::{NoiseSchedule, Prediction},
    gpu::Gpu,
    models::{ClipText, ClipTextConfig, UNet, UNetConfig, VaeConfig, VaeEncoder},
    nn::{Builder, Built, Module, upload},
    tape::Checkpointing,
    weights::{
        Checkpoint,
        lora::{self, LoraModule, ModuleRef, Part},
    },
};

use super::{
    batches::{BatchPlan, SampleRules},
    counter::Counter,
    lora::{Lora, is_target},
    lr_schedule::LrSchedule,
    metrics::{Metrics, StepRecord},
    output::{Output, RunLength, SavedFiles, save_config},
    prepare::{PreparedData, check_writable},
    progress::Progress,
    step::{Batch, StepOptions, StepPlans, StepPrograms, StepShape, UpdateSettings},
    tensorboard::run_folder,
};

/// What a run is given besides its configuration.
pub struct RunOptions<'a> {
    /// The resolved configuration as text, stored beside the run.
    pub resolved_yaml: &'a str,
    /// Print the memory plan and stop before anything is allocated.
    pub plan_only: bool,
}

/// How a run ended.
pub struct RunSummary {
    pub files: SavedFiles,
    /// Loss on the probes (or the held-out pictures) before and after.
    pub first_probe: f64,
    pub last_probe: f64,
    pub steps: u32,
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
    check_encoders(&checkpoint)?;
    let builder = Builder::new(&checkpoint.unet);
    let unet = UNet::new(&builder, UNetConfig::of(&checkpoint.unet)?);
    let built = builder.finish("U-Net")?;
    let lora = new_lora(gpu, config, &built.modules);
    let initial = config.network_weights.as_deref().map(|path| read_initial(path, &checkpoint, &built.modules, say));
    let initial = initial.transpose()?;
    initial.as_deref().map(|modules| lora.matching(modules)).transpose()?;
    let tokens = ClipTextConfig::of(&checkpoint.text_encoder)?.positions;
    let plans = StepPlans::new(gpu, &unet, &lora, step_shape(config, tokens), step_options(config))?;
    say_plan(&built, &lora, &plans, say);
    if options.plan_only {
        return Ok(None);
    }

    check_writable(&config.output_dir)?;
    let data = PreparedData::new(gpu, &checkpoint, config, &examples, &tokenizer)?;
    upload_unet(gpu, &built)?;
    let programs = plans.compile(gpu)?;
    match initial {
        Some(modules) => lora.load(gpu, &modules)?,
        None => lora.initialize(gpu, config.seed),
    }
    save_config(&config.output_dir, &config.output_name, options.resolved_yaml)?;
    let mut run = Run::new(gpu, config, &lora, &programs, &data, &examples, &split, options.resolved_yaml)?;
    let mut output = Output::new(config, &checkpoint, &sheet, &run.length);
    let (files, probes) = run.train(&mut output)?;
    Ok(Some(RunSummary {
        files,
        first_probe: probes.0,
        last_probe: probes.1,
        steps: run.length.steps,
        seconds: run.started.elapsed().as_secs_f64(),
        example_caption: examples[split.train[0]].caption.clone(),
    }))
}

fn open_dataset(
    config: &TrainConfig,
    tokenizer: &ClipTokenizer,
    say: &mut dyn FnMut(&str),
) -> Result<(Vec<Example>, DataSheet)> {
    let dataset = Dataset::open(
        &DatasetOptions {
            train_data_dir: config.train_data_dir.clone(),
            metadata_path: config.metadata_path.clone(),
            caption_extension: config.caption_extension.clone(),
            allow_missing_captions: config.allow_missing_captions,
            num_repeats: config.num_repeats as usize,
        },
        tokenizer,
    )?;
    dataset.notes.iter().for_each(|note| say(&format!("note: {note}")));
    dataset.warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    let size = (config.resolution.width as usize, config.resolution.height as usize);
    let sheet = DataSheet::new(&dataset.examples, size)?;
    say(&sheet.to_string());
    Ok((dataset.examples, sheet))
}

fn choose_split(config: &TrainConfig, examples: &[Example], say: &mut dyn FnMut(&str)) -> Result<Split> {
    let name = |example: &Example| example.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names: Vec<String> = examples.iter().map(name).collect();
    let split = Split::choose(&names, config.validation_split.map(|share| share as f32), config.seed)?;
    if !split.validation.is_empty() {
        let held_out: Vec<&str> = split.validation.iter().map(|&index| names[index].as_str()).collect();
        say(&format!("held out for validation, never trained on: {}", held_out.join(", ")));
    }
    Ok(split)
}

fn warn_about_checkpoint(config: &TrainConfig, checkpoint: &Checkpoint, say: &mut dyn FnMut(&str)) {
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
fn check_encoders(checkpoint: &Checkpoint) -> Result<()> {
    let builder = Builder::new(&checkpoint.text_encoder);
    ClipText::new(&builder, ClipTextConfig::of(&checkpoint.text_encoder)?);
    builder.finish("text encoder")?;
    let builder = Builder::new(&checkpoint.vae);
    VaeEncoder::new(&builder, VaeConfig::of(&checkpoint.vae)?);
    builder.finish("VAE")?;
    Ok(())
}

fn new_lora(gpu: &Gpu, config: &TrainConfig, modules: &[Module]) -> Lora {
    let targets = modules.iter().filter(|module| is_target(config.lora_target, &module.path)).cloned().collect();
    let accumulate = config.gradient_accumulation_steps > 1;
    Lora::new(targets, config.lora_rank as usize, config.lora_alpha as f32, gpu.caps().max_binding, accumulate)
}

/// Reads `network_weights`; all modules of the base model count as known, so that a text encoder's part is recognized.
fn read_initial(
    path: &std::path::Path,
    checkpoint: &Checkpoint,
    unet_modules: &[Module],
    say: &mut dyn FnMut(&str),
) -> Result<Vec<LoraModule>> {
    let builder = Builder::new(&checkpoint.text_encoder);
    ClipText::new(&builder, ClipTextConfig::of(&checkpoint.text_encoder)?);
    let text_modules = builder.finish("text encoder")?.modules;
    let known = |part: Part, modules: &[Module]| -> Vec<ModuleRef> {
        let of = |module: &Module| ModuleRef {
            part,
            path: module.path.clone(),
            conv: module.conv,
            in_features: module.in_features,
            out_features: module.out_features,
        };
        modules.iter().map(of).collect()
    };
    let all = [known(Part::Unet, unet_modules), known(Part::TextEncoder, &text_modules)].concat();
    let contents = lora::read(path, &all).context("network_weights")?;
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

fn step_shape(config: &TrainConfig, tokens: usize) -> StepShape {
    StepShape {
        batch: config.batch_size as usize,
        height: config.resolution.height as usize / 8,
        width: config.resolution.width as usize / 8,
        tokens,
    }
}

fn step_options(config: &TrainConfig) -> StepOptions {
    StepOptions {
        prediction: prediction(config),
        checkpointing: match config.gradient_checkpointing {
            GradientCheckpointing::On => Checkpointing::Blocks,
            GradientCheckpointing::Off | GradientCheckpointing::Auto => Checkpointing::Off,
        },
        accumulate: config.gradient_accumulation_steps > 1,
        observed: Vec::new(),
    }
}

fn prediction(config: &TrainConfig) -> Prediction {
    match config.prediction_type {
        PredictionType::Epsilon => Prediction::Epsilon,
        PredictionType::VPrediction => Prediction::VPrediction,
    }
}

fn say_plan(built: &Built<'_>, lora: &Lora, plans: &StepPlans, say: &mut dyn FnMut(&str)) {
    let gigabytes = |bytes: u64| bytes as f64 * 1e-9;
    let state: u64 = lora.shards.iter().map(|shard| shard.bytes()).sum();
    let (weights, activations) = (built.bytes(), plans.bytes());
    say(&format!(
        "LoRA: {} modules, {} parameters, rank {}, alpha {} (strength alpha/rank = {})",
        lora.module_count(),
        lora.parameter_count(),
        lora.rank,
        lora.alpha,
        lora.alpha / lora.rank as f32,
    ));
    say(&format!(
        "memory plan: {:.2} GB = U-Net weights {:.2} + LoRA and optimizer {:.2} + activations and scratch {:.2}",
        gigabytes(weights + state + activations),
        gigabytes(weights),
        gigabytes(state),
        gigabytes(activations),
    ));
}

fn upload_unet(gpu: &Gpu, built: &Built<'_>) -> Result<()> {
    let megabytes = |bytes: u64| (bytes / 1_000_000) as usize;
    let mut counter = Counter::new("MB of the U-Net loaded", megabytes(built.bytes()));
    let mut uploaded = 0;
    let result = upload(gpu, &built.uploads, |bytes| {
        counter.add(megabytes(uploaded + bytes) - megabytes(uploaded));
        uploaded += bytes;
    });
    counter.finish();
    result
}

/// A run whose programs are compiled.
struct Run<'a> {
    gpu: &'a Gpu,
    config: &'a TrainConfig,
    lora: &'a Lora,
    programs: &'a StepPrograms,
    data: &'a PreparedData,
    rules: SampleRules,
    batches: BatchPlan,
    probes: Vec<Batch>,
    /// Whether the probes are held out from training.
    held_out: bool,
    schedule: LrSchedule,
    metrics: Metrics,
    progress: Progress,
    length: RunLength,
    started: Instant,
}

impl<'a> Run<'a> {
    #[expect(clippy::too_many_arguments, reason = "each is a different thing that the run reads")]
    fn new(
        gpu: &'a Gpu,
        config: &'a TrainConfig,
        lora: &'a Lora,
        programs: &'a StepPrograms,
        data: &'a PreparedData,
        examples: &[Example],
        split: &Split,
        resolved_yaml: &str,
    ) -> Result<Self> {
        let rules = SampleRules {
            schedule: NoiseSchedule::stable_diffusion(),
            prediction: prediction(config),
            min_snr_gamma: config.min_snr_gamma,
            seed: config.seed,
            batch_size: config.batch_size as usize,
        };
        let trained = split.train.iter().map(|&index| (index, examples[index].repeats));
        let accumulation = config.gradient_accumulation_steps as usize;
        let batches = BatchPlan::new(trained, rules.batch_size, accumulation, config.seed);
        let held_out = !split.validation.is_empty();
        let probes = rules.probes(data, if held_out { &split.validation } else { &split.probes });
        let (length, schedule) = run_length(config, &batches);
        let logs = run_folder(&config.logging_dir, &config.log_prefix, SystemTime::now());
        let logs = (config.log_with == LogWith::TensorBoard).then_some(logs);
        let lines = config.output_dir.join(format!("{}.metrics.jsonl", config.output_name));
        let mut metrics = Metrics::create(&lines, logs.as_deref(), batches.updates_per_epoch() as u32)?;
        metrics.text("config", &format!("```yaml\n{resolved_yaml}\n```"))?;
        let progress = Progress::new(length.steps, length.epochs, 0);
        let started = Instant::now();
        Ok(Self {
            gpu,
            config,
            lora,
            programs,
            data,
            rules,
            batches,
            probes,
            held_out,
            schedule,
            metrics,
            progress,
            length,
            started,
        })
    }

    /// Trains to the end. Gives the final files, and the probe loss before and after.
    fn train(&mut self, output: &mut Output) -> Result<(SavedFiles, (f64, f64))> {
        let first_probe = self.probe(0)?;
        let mut last_probe = first_probe;
        let mut step = 0;
        for epoch in 1..=self.length.epochs {
            for update in self.batches.epoch(epoch) {
                if step == self.length.steps {
                    break;
                }
                step += 1;
                let micro_batches = self.rules.update(self.data, step, &update);
                let images = update.iter().map(Vec::len).sum::<usize>() as u32;
                self.step(epoch, step, &micro_batches, images)?;
            }
            self.metrics.epoch(epoch, step)?;
            last_probe = self.probe(step)?;
            let last = epoch == self.length.epochs;
            if !last && epoch.is_multiple_of(self.config.save_every_n_epochs) {
                let files = output.save_epoch(&self.lora.read(self.gpu)?, epoch, step)?;
                self.progress.line(&format!("epoch {epoch}: saved {}", files.kohya.display()));
            }
        }
        let files = output.save_final(&self.lora.read(self.gpu)?, self.length.epochs, step)?;
        Ok((files, (first_probe, last_probe)))
    }

    fn step(&mut self, epoch: u32, step: u32, micro_batches: &[Batch], images: u32) -> Result<()> {
        let start = Instant::now();
        let settings = UpdateSettings {
            adamw: self.config.optimizer,
            learning_rate: self.schedule.rate(step - 1),
            max_grad_norm: self.config.max_grad_norm,
            step,
        };
        let mut losses = Vec::with_capacity(micro_batches.len());
        for batch in micro_batches {
            self.programs.run(self.gpu, batch)?;
            losses.push(self.programs.loss(self.gpu));
        }
        let update = self.programs.update(self.gpu, &settings).wait(self.gpu)?;
        let mut loss = 0.0;
        for part in losses {
            loss += f64::from(bytemuck::pod_collect_to_vec::<u8, f32>(&part.wait(self.gpu)?)[0]);
        }
        if !update.finite || !loss.is_finite() {
            return self.stop_at_non_finite(step, loss, micro_batches);
        }
        if self.programs.accumulates() {
            self.lora.clear_accumulated(self.gpu);
        }
        let record = StepRecord {
            step,
            epoch,
            loss,
            lr: settings.learning_rate,
            grad_norm: update.grad_norm,
            seconds: start.elapsed().as_secs_f64(),
            images,
        };
        let average = self.metrics.step(&record)?;
        self.progress.step(&record, average);
        Ok(())
    }

    /// Names the first tensor of the step that is not finite. The optimizer has not touched the LoRA.
    fn stop_at_non_finite(&self, step: u32, loss: f64, micro_batches: &[Batch]) -> Result<()> {
        let advice = match step {
            0 => "the base model or `network_weights` is damaged",
            _ => "a lower `learning_rate` usually helps",
        };
        for batch in micro_batches {
            if let Some(tensor) = self.programs.first_non_finite(self.gpu, batch)? {
                bail!(
                    "step {step}: `{tensor}` holds a value that is not finite (loss {loss}). Nothing was updated, and \
                     no file was written for this step; {advice}"
                );
            }
        }
        bail!("step {step}: the gradients are not finite (loss {loss}); nothing was updated; {advice}")
    }

    fn probe(&mut self, step: u32) -> Result<f64> {
        let mut loss = 0.0;
        for batch in &self.probes {
            loss += self.programs.probe(self.gpu, batch)?;
        }
        if !loss.is_finite() {
            self.stop_at_non_finite(step, loss, &self.probes)?;
        }
        let name = if self.held_out { "validation" } else { "probe" };
        match self.held_out {
            true => self.metrics.validation(step, loss)?,
            false => self.metrics.probe(step, loss)?,
        }
        self.progress.line(&format!("{name} loss after {step} steps: {loss:.5}"));
        Ok(loss)
    }
}

/// Epochs, steps and the learning-rate schedule; `max_train_steps` wins over `epochs`.
fn run_length(config: &TrainConfig, batches: &BatchPlan) -> (RunLength, LrSchedule) {
    let per_epoch = batches.updates_per_epoch() as u32;
    let steps = config.max_train_steps.unwrap_or(config.epochs * per_epoch);
    let schedule = LrSchedule::new(config, steps);
    let length = RunLength {
        epochs: steps.div_ceil(per_epoch),
        steps,
        batches_per_epoch: batches.batches_per_epoch(),
        warmup_steps: schedule.warmup_steps(),
    };
    (length, schedule)
}
