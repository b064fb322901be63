//! The loop of a run: epochs, steps, probes, saved files.

use std::{
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Result, bail};

use crate::{
    config::{LogWith, MixedPrecision, TrainConfig},
    data::{dataset::Example, split::Split},
    gpu::{Gpu, Pending},
};

use super::{
    batches::{BatchPlan, SampleRules, Update},
    lora::Lora,
    lr_schedule::LrSchedule,
    metrics::{Metrics, StepRecord},
    objective::Objective,
    output::{Output, RunLength, SavedFiles},
    prepare::PreparedData,
    previews::{Drawn, Previews},
    progress::Progress,
    setup::choose_split,
    step::{Batch, PendingUpdate, StepPrograms, UpdateSettings},
    stop::StopRequest,
    tensorboard::run_folder,
};

/// A run whose programs are compiled.
pub(super) struct Run<'a> {
    gpu: &'a Gpu,
    config: &'a TrainConfig,
    lora: &'a Lora,
    programs: &'a StepPrograms,
    previews: Option<Previews>,
    /// Steps done, and the grid drawn then.
    pub drawn: Vec<(u32, PathBuf)>,
    data: &'a PreparedData,
    rules: SampleRules,
    batches: BatchPlan,
    probes: Vec<Batch>,
    /// Whether the probes are held out from training.
    held_out: bool,
    schedule: LrSchedule,
    pub metrics: Metrics,
    progress: Progress,
    /// Steps whose gradients were too large for fp16, and which updated nothing.
    left_out: u32,
    /// When the last step ended, or the first began.
    clock: Instant,
    /// Time in which the host made batches; the device may have waited for them.
    pub batching: Duration,
    pub length: RunLength,
    pub started: Instant,
}

/// A step that the device has in hand: its numbers are on their way.
struct StepInFlight {
    step: u32,
    epoch: u32,
    images: u32,
    lr: f64,
    micro_batches: Vec<Batch>,
    losses: Vec<Pending>,
    update: PendingUpdate,
}

/// How a run's loop ended.
pub(super) struct RunEnd {
    pub files: SavedFiles,
    /// Loss on the probes before and after.
    pub first_probe: f64,
    pub last_probe: f64,
    /// Steps done.
    pub steps: u32,
}

impl<'a> Run<'a> {
    #[expect(clippy::too_many_arguments, reason = "each is a different thing that the run reads")]
    pub fn new(
        gpu: &'a Gpu,
        config: &'a TrainConfig,
        lora: &'a Lora,
        programs: &'a StepPrograms,
        previews: Option<Previews>,
        data: &'a PreparedData,
        examples: &[Example],
        split: &Split,
        resolved_yaml: &str,
    ) -> Result<Self> {
        let rules = SampleRules {
            objective: Objective::of(config),
            seed: config.seed,
            latent_size: programs.shape().latent(),
            batch_size: config.batch_size as usize,
        };
        let batches = batch_plan(config, examples, split);
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
            previews,
            drawn: Vec::new(),
            data,
            rules,
            batches,
            probes,
            held_out,
            schedule,
            metrics,
            progress,
            left_out: 0,
            clock: started,
            batching: Duration::ZERO,
            length,
            started,
        })
    }

    /// Trains to the end, or to the step after which `stop` is requested.
    pub fn train(&mut self, output: &mut Output, stop: &StopRequest) -> Result<RunEnd> {
        let first_probe = self.probe(0)?;
        stop.training_begins();
        if self.config.previews.at_first {
            self.preview(0, "first", stop);
        }
        let mut last_probe = first_probe;
        let mut step = 0;
        for epoch in 1..=self.length.epochs {
            let mut in_flight = None;
            self.clock = Instant::now();
            for update in self.batches.epoch(epoch) {
                if step == self.length.steps {
                    break;
                }
                step += 1;
                in_flight = Some(self.step(epoch, step, &update, in_flight)?);
                if stop.is_requested() && step < self.length.steps {
                    self.finish(in_flight)?;
                    let files = output.save_stopped(&self.lora.read(self.gpu)?, epoch, step)?;
                    return Ok(RunEnd { files, first_probe, last_probe: self.probe(step)?, steps: step });
                }
                if is_due(step, self.config.previews.every_n_steps) {
                    self.finish(in_flight.take())?;
                    self.preview(step, &format!("step{step:08}"), stop);
                }
            }
            self.finish(in_flight)?;
            self.metrics.epoch(epoch, step)?;
            last_probe = self.probe(step)?;
            self.save_epoch(output, epoch, step)?;
            if epoch < self.length.epochs {
                self.preview_epoch(epoch, step, stop);
            }
        }
        let files = output.save_final(&self.lora.read(self.gpu)?, self.length.epochs, step)?;
        self.preview_epoch(self.length.epochs, step, stop);
        Ok(RunEnd { files, first_probe, last_probe, steps: step })
    }

    fn preview_epoch(&mut self, epoch: u32, step: u32, stop: &StopRequest) {
        if is_due(epoch, self.config.previews.every_n_epochs) {
            self.preview(step, &format!("{epoch:06}"), stop);
        }
    }

    /// Draws the previews, if there are any, into a file named after `moment`. Whatever goes wrong with pictures is said,
    /// and the training goes on.
    fn preview(&mut self, step: u32, moment: &str, stop: &StopRequest) {
        match self.draw_previews(step, moment, stop) {
            Ok(()) => {}
            Err(_) if stop.is_requested() => self.progress.line("previews left out"),
            Err(error) => self.progress.line(&format!("warning: no previews after {step} steps: {error:#}")),
        }
        self.clock = Instant::now();
    }

    fn draw_previews(&mut self, step: u32, moment: &str, stop: &StopRequest) -> Result<()> {
        let Some(previews) = &mut self.previews else { return Ok(()) };
        self.progress.line("drawing previews");
        let Drawn { path, png, size, note } = previews.draw(self.gpu, self.lora, moment, stop)?;
        if let Some(note) = note.filter(|_| self.drawn.is_empty()) {
            self.progress.line(&format!("note: {note}"));
        }
        self.metrics.picture("samples", &png, size, step)?;
        self.progress.line(&format!("previews after {step} steps: {}", path.display()));
        self.drawn.push((step, path));
        Ok(())
    }

    /// Saves an epoch's LoRA where the configuration wants one; the last epoch's is the run's result.
    fn save_epoch(&mut self, output: &mut Output, epoch: u32, step: u32) -> Result<()> {
        if epoch < self.length.epochs && epoch.is_multiple_of(self.config.save_every_n_epochs) {
            let files = output.save_epoch(&self.lora.read(self.gpu)?, epoch, step)?;
            self.progress.line(&format!("epoch {epoch}: saved {}", files.kohya.display()));
        }
        Ok(())
    }

    /// Hands a step to the device. The one before, if there is one, still runs while this one is prepared; its numbers
    /// are waited for once the device has this one's gradients to compute, and before anything is updated with them.
    fn step(&mut self, epoch: u32, step: u32, update: &Update, before: Option<StepInFlight>) -> Result<StepInFlight> {
        let start = Instant::now();
        let micro_batches = self.rules.update(self.data, step, update);
        self.batching += start.elapsed();
        let mut losses = Vec::with_capacity(micro_batches.len());
        for batch in &micro_batches {
            self.programs.run(self.gpu, batch)?;
            losses.push(self.programs.loss(self.gpu));
        }
        self.finish(before)?;
        let lr = self.schedule.rate(step - 1);
        let max_grad_norm = self.config.max_grad_norm;
        let updates = step - self.left_out;
        let settings = UpdateSettings { adamw: self.config.optimizer, learning_rate: lr, max_grad_norm, step: updates };
        let update_result = self.programs.update(self.gpu, &settings);
        if self.programs.accumulates() {
            self.lora.clear_accumulated(self.gpu);
        }
        let images = update.iter().map(Vec::len).sum::<usize>() as u32;
        Ok(StepInFlight { step, epoch, images, lr, micro_batches, losses, update: update_result })
    }

    /// Waits for a step's numbers, and records them.
    fn finish(&mut self, step: Option<StepInFlight>) -> Result<()> {
        let Some(StepInFlight { step, epoch, images, lr, micro_batches, losses, update }) = step else {
            return Ok(());
        };
        let update = update.wait(self.gpu)?;
        let mut loss = 0.0;
        for part in losses {
            loss += f64::from(bytemuck::pod_collect_to_vec::<u8, f32>(&part.wait(self.gpu)?)[0]);
        }
        if !loss.is_finite() || !update.finite && update.loss_scale <= 1.0 {
            return self.stop_at_non_finite(step, loss, &micro_batches);
        }
        if !update.finite {
            self.left_out += 1;
            self.progress.line(&format!(
                "step {step}: gradients too large for fp16, so nothing was updated; loss scale {} from now on",
                update.loss_scale / 2.0
            ));
        }
        let seconds = self.clock.elapsed().as_secs_f64();
        self.clock = Instant::now();
        let record = StepRecord { step, epoch, loss, lr, grad_norm: update.grad_norm, seconds, images };
        let average = self.metrics.step(&record)?;
        self.progress.step(&record, average);
        Ok(())
    }

    /// Names the first tensor of the step that is not finite. The optimizer has not touched the LoRA.
    fn stop_at_non_finite(&self, step: u32, loss: f64, micro_batches: &[Batch]) -> Result<()> {
        let advice = match step {
            0 => "the base model or `network_weights` is damaged",
            _ if self.config.mixed_precision == MixedPrecision::Fp16 => {
                "`mixed_precision: no` helps where fp16 is too narrow"
            }
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

/// Whether the `count`th of something is one of every `n`; with 0 none is.
fn is_due(count: u32, n: u32) -> bool {
    n > 0 && count.is_multiple_of(n)
}

/// How many updates the configuration makes of these examples.
///
/// # Errors
/// A share of held-out pictures that leaves none to train on.
pub fn planned_steps(config: &TrainConfig, examples: &[Example]) -> Result<u32> {
    let split = choose_split(config, examples, &mut |_| {})?;
    Ok(run_length(config, &batch_plan(config, examples, &split)).0.steps)
}

fn batch_plan(config: &TrainConfig, examples: &[Example], split: &Split) -> BatchPlan {
    let trained = split.train.iter().map(|&index| (index, examples[index].repeats));
    let (batch, accumulation) = (config.batch_size as usize, config.gradient_accumulation_steps as usize);
    BatchPlan::new(trained, batch, accumulation, config.seed)
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
