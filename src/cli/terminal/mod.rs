//! The terminal: the only place that knows stderr and progress bars.

mod counter;
mod progress;

use std::ops::ControlFlow;

use crate::train::events::{Event, Held};

pub use counter::Counter;
use progress::Progress;

/// Listens to a training: a bar and lines where stderr is a terminal, else lines now and then.
#[derive(Default)]
pub struct Terminal {
    phase: Option<(&'static str, Counter)>,
    progress: Option<Progress>,
}

impl Terminal {
    pub fn hear(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        match *event {
            Event::Phase { items, done, of } => self.phase(items, done, of),
            Event::Started { steps, epochs } => self.progress = Some(Progress::new(steps, epochs)),
            Event::Step { record, average } => self.progress.iter_mut().for_each(|bar| bar.step(record, average)),
            Event::Ended { .. } => self.progress.take().into_iter().for_each(Progress::finish),
            _ => self.lines_of(event),
        }
        ControlFlow::Continue(())
    }

    /// A line that stays.
    pub fn line(&mut self, text: &str) {
        match (&mut self.progress, &self.phase) {
            (Some(progress), _) => progress.line(text),
            (None, Some((_, counter))) => counter.line(text),
            (None, None) => eprintln!("{text}"),
        }
    }

    fn phase(&mut self, items: &'static str, done: usize, of: usize) {
        if self.phase.as_ref().is_none_or(|(known, _)| *known != items) {
            self.end_phase();
            self.phase = Some((items, Counter::new(items, of)));
        }
        if let Some((_, counter)) = &mut self.phase {
            counter.set(done);
        }
        if done >= of {
            self.end_phase();
        }
    }

    fn end_phase(&mut self) {
        if let Some((_, counter)) = self.phase.take() {
            counter.finish();
        }
    }

    fn lines_of(&mut self, event: &Event<'_>) {
        match *event {
            Event::Line(text) => self.line(text),
            Event::Held { step, loss, kind } => {
                let name = if kind == Held::Validation { "validation" } else { "probe" };
                self.line(&format!("{name} loss after {step} steps: {loss:.5}"));
            }
            Event::Saved { epoch: Some(epoch), file, .. } => {
                self.line(&format!("epoch {epoch}: saved {}", file.display()));
            }
            Event::Drawing => self.line("drawing previews"),
            Event::Preview { step, file, .. } => {
                self.line(&format!("previews after {step} steps: {}", file.display()));
            }
            _ => {}
        }
    }
}
