//! The loop of a run: epochs, updates, losses that are measured without training.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{
    adapters::Store,
    gpu::{Gpu, Pending},
    train::events::{Event, Held, StepRecord, Tell},
};

use super::{
    programs::{MicroBatch, Programs},
    recent::RecentLosses,
    stop::StopRequest,
    update::{PendingUpdate, UpdateNumbers},
};

/// Examples of one update, in micro-batches; the last ones of an epoch may be short.
pub type Update = Vec<Vec<usize>>;

/// How long a run is planned to be.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    pub epochs: u32,
    pub steps: u32,
    pub steps_per_epoch: u32,
}

/// A joint of a run, at which a task may save and draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the first step.
    Begin,
    /// After a step for which [`Task::pauses_after`] is true.
    Step(u32),
    /// After an epoch; the last one is the run's end.
    Epoch { epoch: u32, step: u32, last: bool },
    /// Stopped before its end.
    Stopped { epoch: u32, step: u32 },
}

/// What is trained, in the engine's terms.
pub trait Task {
    /// The updates of epoch `epoch`, from 1.
    fn updates(&self, epoch: u32) -> Vec<Update>;

    /// The micro-batches of update number `step`, from 1.
    fn micro_batches(&self, step: u32, update: &Update) -> Vec<MicroBatch>;

    /// What the loss is measured on before training and after each epoch, and what that is.
    fn held(&self) -> (&[MicroBatch], Held);

    /// The numbers of an update, and the learning rate to show: `step` counts the steps of the run, `update` those that
    /// were not left out.
    fn numbers(&self, step: u32, update: u32) -> (UpdateNumbers, f64);

    /// Whether [`Task::at`] is to be called after this step.
    fn pauses_after(&self, step: u32) -> bool;

    /// Does what is due at a joint.
    ///
    /// # Errors
    /// What ends the run.
    fn at(&mut self, moment: Moment, tell: &mut Tell<'_>) -> Result<()>;

    /// What usually helps where values are not finite at `step`.
    fn advice(&self, step: u32) -> &'static str;
}

/// A run whose programs are compiled.
pub struct Engine<'a> {
    pub gpu: &'a Gpu,
    pub programs: &'a Programs,
    pub store: &'a Store,
    pub length: Length,
    pub stop: &'a StopRequest,
}

/// How a run's loop ended.
#[derive(Clone, Copy, Debug)]
pub struct RunEnd {
    /// Loss on what is held before and after.
    pub first_held: f64,
    pub last_held: f64,
    /// Steps done; fewer than planned where the run was stopped.
    pub steps: u32,
    pub planned_steps: u32,
    pub seconds: f64,
    /// In which the host made micro-batches: the device waited for no more than that.
    pub batching_seconds: f64,
}

/// A step that the device has in hand: its numbers are on their way.
struct StepInFlight {
    step: u32,
    epoch: u32,
    images: u32,
    lr: f64,
    micro_batches: Vec<MicroBatch>,
    losses: Vec<Pending>,
    update: PendingUpdate,
}

/// The state of a loop.
struct Loop<'a, 'w> {
    engine: &'a Engine<'a>,
    task: &'a mut dyn Task,
    tell: &'a mut Tell<'w>,
    recent: RecentLosses,
    /// Steps whose gradients were too large for fp16, and which updated nothing.
    left_out: u32,
    /// When the last step ended, or the first began.
    clock: Instant,
    batching: Duration,
    last_held: f64,
}

impl Engine<'_> {
    /// Trains to the end, or to the step after which it is asked to stop.
    ///
    /// # Errors
    /// A failure of the device; a loss or gradient that is not finite, named, before it touches a parameter; what the task
    /// says.
    pub fn run(&self, task: &mut dyn Task, tell: &mut Tell<'_>) -> Result<RunEnd> {
        let started = Instant::now();
        let mut running = Loop {
            engine: self,
            task,
            tell,
            recent: RecentLosses::new(self.length.steps_per_epoch as usize),
            left_out: 0,
            clock: started,
            batching: Duration::ZERO,
            last_held: f64::NAN,
        };
        let first_held = running.begin()?;
        let steps = running.epochs()?;
        let (last_held, batching) = (running.last_held, running.batching);
        Ok(RunEnd {
            first_held,
            last_held,
            steps,
            planned_steps: self.length.steps,
            seconds: started.elapsed().as_secs_f64(),
            batching_seconds: batching.as_secs_f64(),
        })
    }
}

impl Loop<'_, '_> {
    fn begin(&mut self) -> Result<f64> {
        let Length { steps, epochs, .. } = self.engine.length;
        (self.tell)(&Event::Started { steps, epochs });
        let held = self.measure(0)?;
        self.engine.stop.training_begins();
        self.task.at(Moment::Begin, self.tell)?;
        Ok(held)
    }

    /// The number of steps done.
    fn epochs(&mut self) -> Result<u32> {
        let length = self.engine.length;
        let mut step = 0;
        for epoch in 1..=length.epochs {
            let updates = self.task.updates(epoch);
            let stopped = self.epoch(epoch, &mut step, &updates)?;
            if !stopped {
                let average = self.recent.mean();
                (self.tell)(&Event::Epoch { epoch, step, average });
            }
            self.measure(step)?;
            let moment = if stopped {
                Moment::Stopped { epoch, step }
            } else {
                Moment::Epoch { epoch, step, last: epoch == length.epochs }
            };
            self.task.at(moment, self.tell)?;
            if stopped {
                (self.tell)(&Event::Ended { step, stopped });
                return Ok(step);
            }
        }
        (self.tell)(&Event::Ended { step, stopped: false });
        Ok(step)
    }

    /// Whether the run was stopped within the epoch.
    fn epoch(&mut self, epoch: u32, step: &mut u32, updates: &[Update]) -> Result<bool> {
        let (total, stop) = (self.engine.length.steps, self.engine.stop);
        let mut in_flight = None;
        self.clock = Instant::now();
        for update in updates {
            if *step == total {
                break;
            }
            *step += 1;
            in_flight = Some(self.step(epoch, *step, update, in_flight)?);
            if stop.is_requested() && *step < total {
                self.finish(in_flight)?;
                return Ok(true);
            }
            if self.task.pauses_after(*step) {
                self.finish(in_flight.take())?;
                self.task.at(Moment::Step(*step), self.tell)?;
                self.clock = Instant::now();
            }
        }
        self.finish(in_flight)?;
        Ok(false)
    }

    /// Hands a step to the device. The one before, if there is one, still runs while this one is written; its numbers
    /// are waited for once the device has this one's gradients to compute, and before anything is updated with them.
    fn step(&mut self, epoch: u32, step: u32, update: &Update, before: Option<StepInFlight>) -> Result<StepInFlight> {
        let Engine { gpu, programs, store, .. } = *self.engine;
        let start = Instant::now();
        let micro_batches = self.task.micro_batches(step, update);
        self.batching += start.elapsed();
        let mut losses = Vec::with_capacity(micro_batches.len());
        for batch in &micro_batches {
            programs.run(gpu, batch)?;
            losses.push(programs.loss(gpu, batch.shape));
        }
        self.finish(before)?;
        let (numbers, lr) = self.task.numbers(step, step - self.left_out);
        let pending = programs.update(gpu, store, &numbers);
        let images = update.iter().map(Vec::len).sum::<usize>() as u32;
        Ok(StepInFlight { step, epoch, images, lr, micro_batches, losses, update: pending })
    }

    /// Waits for a step's numbers, and tells them.
    fn finish(&mut self, step: Option<StepInFlight>) -> Result<()> {
        let Some(StepInFlight { step, epoch, images, lr, micro_batches, losses, update }) = step else {
            return Ok(());
        };
        let gpu = self.engine.gpu;
        let update = update.wait(gpu)?;
        let mut loss = 0.0;
        for part in losses {
            loss += f64::from(bytemuck::pod_collect_to_vec::<u8, f32>(&part.wait(gpu)?)[0]);
        }
        if !loss.is_finite() || !update.finite && update.loss_scale <= 1.0 {
            return self.stop_at_non_finite(step, loss, &micro_batches);
        }
        if !update.finite {
            self.left_out += 1;
            (self.tell)(&Event::Line(&format!(
                "step {step}: gradients too large for fp16, so nothing was updated; loss scale {} from now on",
                update.loss_scale / 2.0
            )));
        }
        let seconds = self.clock.elapsed().as_secs_f64();
        self.clock = Instant::now();
        let record = StepRecord { step, epoch, loss, lr, grad_norm: update.grad_norm, seconds, images };
        self.recent.push(loss);
        let average = self.recent.mean();
        (self.tell)(&Event::Step { record: &record, average });
        Ok(())
    }

    /// Names the first tensor of the step that is not finite. The update has not touched a parameter.
    fn stop_at_non_finite(&self, step: u32, loss: f64, micro_batches: &[MicroBatch]) -> Result<()> {
        let advice = self.task.advice(step);
        for batch in micro_batches {
            if let Some(tensor) = self.engine.programs.first_non_finite(self.engine.gpu, batch)? {
                bail!(
                    "step {step}: `{tensor}` holds a value that is not finite (loss {loss}). Nothing was updated, and \
                     no file was written for this step; {advice}"
                );
            }
        }
        bail!("step {step}: the gradients are not finite (loss {loss}); nothing was updated; {advice}")
    }

    /// The loss on what is held.
    fn measure(&mut self, step: u32) -> Result<f64> {
        let (held, kind) = self.task.held();
        let mut loss = 0.0;
        for batch in held {
            loss += self.engine.programs.probe(self.engine.gpu, batch)?;
        }
        if !loss.is_finite() {
            self.stop_at_non_finite(step, loss, held)?;
        }
        self.last_held = loss;
        (self.tell)(&Event::Held { step, loss, kind });
        Ok(loss)
    }
}
