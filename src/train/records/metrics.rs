//! The numbers of a run: TensorBoard curves under sd-scripts' tags, and `metrics.jsonl`, one JSON object a line.
//!
//! Each line and event is with the operating system before the call returns: a crash of the program loses none.

use super::tensorboard::EventWriter;
use crate::{size::Size, train::events::StepRecord};
use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;
use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

/// What a run has recorded so far.
#[derive(Debug, Default)]
pub struct History {
    /// Each with the moving average of the loss after it.
    pub steps: Vec<(StepRecord, f64)>,
    /// (steps done, loss) on fixed pictures and noise.
    pub probe: Vec<(u32, f64)>,
    /// (steps done, loss) on the pictures held out.
    pub validation: Vec<(u32, f64)>,
}

/// Writes a run's metrics.
#[derive(Debug)]
pub struct Metrics {
    history: History,
    path: PathBuf,
    lines: File,
    events: Option<EventWriter>,
}

impl Metrics {
    /// Appends to the file `jsonl`; writes TensorBoard events into the folder `tensorboard` if given.
    ///
    /// # Errors
    /// A folder or file cannot be written.
    pub fn create(jsonl: &Path, tensorboard: Option<&Path>) -> Result<Self> {
        if let Some(folder) = jsonl.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
        }
        let lines = OpenOptions::new()
            .create(true)
            .append(true)
            .open(jsonl)
            .with_context(|| format!("cannot open {}", jsonl.display()))?;
        let events = tensorboard.map(EventWriter::create).transpose()?;
        Ok(Self { history: History::default(), path: jsonl.to_owned(), lines, events })
    }

    /// What was recorded since the run began.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// A text for TensorBoard, such as the configuration; Markdown.
    ///
    /// # Errors
    /// The event file cannot be written.
    pub fn text(&mut self, tag: &str, markdown: &str) -> Result<()> {
        self.events.as_mut().map_or(Ok(()), |events| events.text(tag, markdown, 0))
    }

    /// A PNG file of `size` pixels, for TensorBoard, after `step` steps.
    ///
    /// # Errors
    /// The event file cannot be written.
    pub fn picture(&mut self, tag: &str, png: &[u8], size: Size, step: u32) -> Result<()> {
        self.events.as_mut().map_or(Ok(()), |events| events.picture(tag, png, size, step))
    }

    /// Records a step, with the moving average of the loss after it. A loss that is not finite is written as `null`.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn step(&mut self, record: &StepRecord, average: f64) -> Result<()> {
        self.history.steps.push((*record, average));
        self.write_line(record)?;
        self.write_scalars(
            record.step,
            &[("loss/current", record.loss), ("loss/average", average), ("lr/unet", record.lr)],
        )
    }

    /// The end of an epoch, after `step` steps. As in sd-scripts, the curve counts epochs.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn epoch(&mut self, epoch: u32, step: u32, average: f64) -> Result<()> {
        self.write_line(&json!({"step": step, "epoch": epoch, "epoch_average": average}))?;
        self.write_scalars(epoch, &[("loss/epoch_average", average)])
    }

    /// The loss on the pictures held out, after `step` steps.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn validation(&mut self, step: u32, loss: f64) -> Result<()> {
        self.history.validation.push((step, loss));
        self.write_line(&json!({"step": step, "validation_loss": loss}))?;
        self.write_scalars(step, &[("loss/validation/step_average", loss)])
    }

    /// The loss on a fixed subset of the training pictures with fixed noise, after `step` steps.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn probe(&mut self, step: u32, loss: f64) -> Result<()> {
        self.history.probe.push((step, loss));
        self.write_line(&json!({"step": step, "probe_loss": loss}))?;
        self.write_scalars(step, &[("loss/probe", loss)])
    }

    fn write_line(&mut self, record: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_string(record).expect("plain numbers are JSON");
        line.push('\n');
        self.lines.write_all(line.as_bytes()).with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn write_scalars(&mut self, step: u32, scalars: &[(&str, f64)]) -> Result<()> {
        let Some(events) = &mut self.events else { return Ok(()) };
        scalars.iter().try_for_each(|&(tag, value)| events.scalar(tag, value, step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn record(step: u32, loss: f64) -> StepRecord {
        StepRecord { step, epoch: step.div_ceil(2), loss, lr: 1e-4, grad_norm: 0.5, seconds: 2.0, images: 4 }
    }

    fn lines(path: &Path) -> Vec<Value> {
        fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn lines_are_on_disk_at_once_and_survive_a_second_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/metrics.jsonl");
        let mut metrics = Metrics::create(&path, None).unwrap();
        metrics.step(&record(1, 0.25), 0.25).unwrap();
        let expected =
            json!({"step": 1, "epoch": 1, "loss": 0.25, "lr": 1e-4, "grad_norm": 0.5, "seconds": 2.0, "images": 4});
        assert_eq!(lines(&path), [expected]);
        metrics.validation(1, 0.5).unwrap();
        metrics.probe(1, 0.75).unwrap();
        drop(metrics);
        Metrics::create(&path, None).unwrap().epoch(1, 2, 0.25).unwrap();
        let lines = lines(&path);
        assert_eq!(lines.len(), 4);
        assert_eq!((&lines[1]["validation_loss"], &lines[2]["probe_loss"]), (&json!(0.5), &json!(0.75)));
    }

    #[test]
    fn curves_have_the_tags_of_sd_scripts() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut metrics = Metrics::create(&folder.path().join("m.jsonl"), Some(&log)).unwrap();
        metrics.text("config", "seed: 42").unwrap();
        metrics.step(&record(1, 1.0), 1.0).unwrap();
        metrics.epoch(1, 1, 1.0).unwrap();
        metrics.validation(1, 1.0).unwrap();
        metrics.probe(1, 1.0).unwrap();
        let file = fs::read_dir(&log).unwrap().next().unwrap().unwrap().path();
        let bytes = fs::read(file).unwrap();
        for tag in [
            "loss/current",
            "loss/average",
            "lr/unet",
            "loss/epoch_average",
            "loss/validation/step_average",
            "loss/probe",
            "config/text_summary",
        ] {
            assert!(bytes.windows(tag.len()).any(|window| window == tag.as_bytes()), "{tag}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = format!("{:#}", Metrics::create(folder.path(), None).unwrap_err());
        assert!(error.contains(&folder.path().display().to_string()), "{error}");
    }
}
