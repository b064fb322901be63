//! What a run leaves behind besides its adapter: metrics, curves, the report, the card; and the adapter's files.

pub mod card;
pub mod events_file;
pub mod metrics;
pub mod output;
mod report;
pub mod tensorboard;

use std::{path::PathBuf, time::SystemTime};

use anyhow::Result;

use crate::{
    config::{LogWith, TrainConfig},
    train::events::{Event, Held, Tell, say},
};

pub(super) use report::Report;

use events_file::EventsFile;
use metrics::{History, Metrics};
use tensorboard::run_folder;

/// Everything that listens to a run and writes.
pub(super) struct Records {
    metrics: Metrics,
    events: EventsFile,
    /// Steps done, and the previews drawn then.
    pub drawn: Vec<(u32, PathBuf)>,
    /// Whether a record could not be written.
    failed: bool,
}

impl Records {
    /// Opens the files of a run.
    ///
    /// # Errors
    /// A folder or file that cannot be written.
    pub fn create(config: &TrainConfig, yaml: &str) -> Result<Self> {
        let logs = run_folder(&config.logging_dir, &config.log_prefix, SystemTime::now());
        let logs = (config.log_with == LogWith::TensorBoard).then_some(logs);
        let file = |end: &str| config.output_dir.join(format!("{}.{end}", config.output_name));
        let mut metrics = Metrics::create(&file("metrics.jsonl"), logs.as_deref())?;
        metrics.text("config", &format!("```yaml\n{yaml}\n```"))?;
        Ok(Self { metrics, events: EventsFile::create(&file("events.jsonl"))?, drawn: Vec::new(), failed: false })
    }

    pub fn history(&self) -> &History {
        self.metrics.history()
    }

    /// Writes what an event says, and hands it on to `tell`. A record that cannot be written is said, once, and does not
    /// end the run.
    pub fn record(&mut self, event: &Event<'_>, tell: &mut Tell<'_>) {
        if let Err(error) = self.write(event)
            && !std::mem::replace(&mut self.failed, true)
        {
            say(tell, &format!("warning: {error:#}; the run goes on without"));
        }
        tell(event);
    }

    fn write(&mut self, event: &Event<'_>) -> Result<()> {
        let heard = self.events.hear(event);
        let written = match *event {
            Event::Step { record, average } => self.metrics.step(record, average),
            Event::Epoch { epoch, step, average } => self.metrics.epoch(epoch, step, average),
            Event::Held { step, loss, kind: Held::Probe } => self.metrics.probe(step, loss),
            Event::Held { step, loss, kind: Held::Validation } => self.metrics.validation(step, loss),
            Event::Preview { step, file, png, size } => {
                self.drawn.push((step, file.to_owned()));
                self.metrics.picture("samples", png, size, step)
            }
            Event::Line(_)
            | Event::Phase { .. }
            | Event::Started { .. }
            | Event::Saved { .. }
            | Event::Drawing
            | Event::Ended { .. } => Ok(()),
        };
        heard.and(written)
    }
}
