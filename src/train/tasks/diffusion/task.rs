//! The diffusion training as the engine runs it.

use anyhow::Result;

use crate::{
    config::{MixedPrecision, TrainConfig},
    gpu::Gpu,
    train::{
        engine::{Length, MicroBatch, Moment, StopRequest, Task, Update, UpdateNumbers},
        events::{Event, Held, Tell, say},
        lr_schedule::LrSchedule,
        records::output::{Output, RunLength, SavedFiles},
    },
    weights::lora::{AdapterModule, Part},
};

use super::{
    assembly::Trained,
    batches::SampleRules,
    data::{batch_plan, run_length},
    dropping::DropRules,
    epochs::BatchPlan,
    inputs::BatchWriter,
    latents::EncodedData,
    material::{Material, Networks},
    previews::{PreviewGrid, Previews},
    settings::{step_options, step_shape},
    step::StepOptions,
};

/// A training of adapters on pictures.
pub(super) struct DiffusionTask<'a> {
    pub gpu: &'a Gpu,
    pub config: &'a TrainConfig,
    pub trained: &'a Trained,
    pub data: &'a EncodedData,
    pub batching: Batching,
    pub previews: Option<Previews<'a>>,
    pub output: Output,
    pub stop: &'a StopRequest,
    /// Of the run's end.
    pub files: Option<SavedFiles>,
}

/// What the micro-batches of a run are made of.
pub(super) struct Batching {
    rules: SampleRules,
    writer: BatchWriter,
    batches: BatchPlan,
    held: Vec<MicroBatch>,
    kind: Held,
    /// Of each parameter group.
    schedules: Vec<LrSchedule>,
    /// The group whose learning rate is shown: the first of the U-Net, where that is trained.
    shown_group: usize,
    pub length: Length,
}

impl Batching {
    pub fn new(
        config: &TrainConfig,
        networks: &Networks<'_>,
        trained: &Trained,
        data: &EncodedData,
        material: &Material,
    ) -> Self {
        let Material { examples, split, .. } = material;
        let StepOptions { objective, dropouts, .. } = step_options(config);
        let dropped = DropRules::new(dropouts, &trained.adapters);
        let writer = BatchWriter::new(&networks.unet, objective.clone());
        let rules = SampleRules::new(config, objective, step_shape(config, networks.tokens(config)), dropped);
        let kind = if split.validation.is_empty() { Held::Probe } else { Held::Validation };
        let held = if kind == Held::Validation { &split.validation } else { &split.probes };
        let held = rules.probes(data, held).iter().map(|batch| writer.micro_batch(batch)).collect();
        let batches = batch_plan(config, examples, split);
        let (length, schedule) = run_length(config, &batches);
        let shown_group = trained.groups.iter().position(|group| group.part == Part::Unet).unwrap_or(0);
        let schedules = trained.groups.iter().map(|group| schedule.at_rate(group.rate)).collect();
        Self { rules, writer, batches, held, kind, schedules, shown_group, length }
    }

    /// As kohya's metadata have it.
    pub fn run_length(&self) -> RunLength {
        RunLength {
            epochs: self.length.epochs,
            steps: self.length.steps,
            batches_per_epoch: self.batches.batches_per_epoch(),
            warmup_steps: self.schedules[0].warmup_steps(),
        }
    }
}

impl DiffusionTask<'_> {
    fn modules(&self) -> Result<Vec<AdapterModule>> {
        Ok(self.trained.adapters.modules_of(self.trained.evaluated(self.gpu)?))
    }

    /// Saves an epoch's adapter where the configuration wants one; the last epoch's is the run's result.
    fn save_epoch(&mut self, epoch: u32, step: u32, last: bool, tell: &mut Tell<'_>) -> Result<()> {
        if last {
            let files = self.output.save_final(&self.modules()?, epoch, step)?;
            self.end_with(files, step, tell);
        } else if epoch.is_multiple_of(self.config.save_every_n_epochs) {
            let files = self.output.save_epoch(&self.modules()?, epoch, step)?;
            tell(&Event::Saved { epoch: Some(epoch), step, file: &files.kohya });
        }
        Ok(())
    }

    /// Takes the files of the run's end.
    fn end_with(&mut self, files: SavedFiles, step: u32, tell: &mut Tell<'_>) {
        tell(&Event::Saved { epoch: None, step, file: &files.kohya });
        self.files = Some(files);
    }

    /// Draws the previews, if there are any, into a file named after `moment`. Whatever goes wrong with pictures is said,
    /// and the training goes on.
    fn preview(&mut self, step: u32, moment: &str, tell: &mut Tell<'_>) {
        match self.draw_previews(step, moment, tell) {
            Ok(()) => {}
            Err(_) if self.stop.is_requested() => say(tell, "previews left out"),
            Err(error) => say(tell, &format!("warning: no previews after {step} steps: {error:#}")),
        }
    }

    fn draw_previews(&mut self, step: u32, moment: &str, tell: &mut Tell<'_>) -> Result<()> {
        let Some(previews) = &mut self.previews else { return Ok(()) };
        tell(&Event::Drawing);
        let PreviewGrid { path, png, size, note } = previews.draw(self.gpu, self.trained, moment, self.stop)?;
        if let Some(note) = note {
            say(tell, &format!("note: {note}"));
        }
        tell(&Event::Preview { step, file: &path, png: &png, size });
        Ok(())
    }
}

impl Task for DiffusionTask<'_> {
    fn updates(&self, epoch: u32) -> Vec<Update> {
        self.batching.batches.epoch(epoch)
    }

    fn micro_batches(&self, step: u32, update: &Update) -> Vec<MicroBatch> {
        let Batching { rules, writer, .. } = &self.batching;
        rules.update(self.data, step, update).iter().map(|batch| writer.micro_batch(batch)).collect()
    }

    fn held(&self) -> (&[MicroBatch], Held) {
        (&self.batching.held, self.batching.kind)
    }

    fn numbers(&self, step: u32, update: u32) -> (UpdateNumbers, f64) {
        let rates: Vec<f64> = self.batching.schedules.iter().map(|schedule| schedule.rate(step - 1)).collect();
        let shown = self.trained.rate(update, rates[self.batching.shown_group]);
        (self.trained.update_numbers(update, &rates, self.config.max_grad_norm), shown)
    }

    fn pauses_after(&self, step: u32) -> bool {
        self.previews.is_some() && is_due(step, self.config.previews.every_n_steps)
    }

    fn at(&mut self, moment: Moment, tell: &mut Tell<'_>) -> Result<()> {
        match moment {
            Moment::Begin if self.config.previews.at_first => self.preview(0, "first", tell),
            Moment::Begin => {}
            Moment::Step(step) => self.preview(step, &format!("step{step:08}"), tell),
            Moment::Epoch { epoch, step, last } => {
                self.save_epoch(epoch, step, last, tell)?;
                if is_due(epoch, self.config.previews.every_n_epochs) {
                    self.preview(step, &format!("{epoch:06}"), tell);
                }
            }
            Moment::Stopped { epoch, step } => {
                let files = self.output.save_stopped(&self.modules()?, epoch, step)?;
                self.end_with(files, step, tell);
            }
        }
        Ok(())
    }

    fn advice(&self, step: u32) -> &'static str {
        match step {
            0 => "the base model or `network_weights` is damaged",
            _ if self.config.mixed_precision == MixedPrecision::Fp16 => {
                "`mixed_precision: no` helps where fp16 is too narrow"
            }
            _ => "a lower `learning_rate` usually helps",
        }
    }
}

/// Whether the `count`th of something is one of every `n`; with 0 none is.
fn is_due(count: u32, n: u32) -> bool {
    n > 0 && count.is_multiple_of(n)
}
