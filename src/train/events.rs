//! What a run tells while it goes on. Whoever listens may answer that it is to stop.

use std::{ops::ControlFlow, path::Path};

use serde::Serialize;

use crate::size::Size;

/// One finished optimizer step.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StepRecord {
    /// From 1.
    pub step: u32,
    /// From 1.
    pub epoch: u32,
    /// Mean over the step's examples, as trained on (weighted).
    pub loss: f64,
    /// The learning rate the step used.
    pub lr: f64,
    /// Norm of the gradient over all parameters, before clipping.
    pub grad_norm: f64,
    /// Wall-clock time of the step.
    pub seconds: f64,
    /// Examples of the step, over all micro-batches.
    pub images: u32,
}

/// What a loss without training is measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Held {
    /// Training examples with noise fixed at the start.
    Probe,
    /// Examples held out from training.
    Validation,
}

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A line for the user.
    Line(&'a str),
    /// `done` of `of` `items` of a phase before the first step.
    Phase { items: &'static str, done: usize, of: usize },
    /// The loop begins.
    Started { steps: u32, epochs: u32 },
    /// A step is done; `average` is the moving average of the loss.
    Step { record: &'a StepRecord, average: f64 },
    /// A loss measured after `step` steps.
    Held { step: u32, loss: f64, kind: Held },
    /// An epoch is done; `average` is the moving average of the loss.
    Epoch { epoch: u32, step: u32, average: f64 },
    /// Files of an adapter were written; `epoch` where it is not the run's last.
    Saved { epoch: Option<u32>, step: u32, file: &'a Path },
    /// Previews begin to be drawn.
    Drawing,
    /// Previews were drawn after `step` steps: a PNG of `size` pixels.
    Preview { step: u32, file: &'a Path, png: &'a [u8], size: Size },
    /// The run is over after `step` steps.
    Ended { step: u32, stopped: bool },
}

/// Hears of events; breaks where the run is to stop, which it does after its step.
pub type Watch<'a> = dyn FnMut(&Event<'_>) -> ControlFlow<()> + 'a;

/// What the parts of a run are handed to tell events.
pub type Tell<'a> = dyn FnMut(&Event<'_>) + 'a;

/// Tells a line.
pub fn say(tell: &mut Tell<'_>, text: &str) {
    tell(&Event::Line(text));
}
