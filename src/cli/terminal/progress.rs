//! Progress of a run on stderr: a bar where stderr is a terminal, plain lines every half minute where it is not.

use crate::train::events::StepRecord;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// Time between two plain lines.
pub(super) const LINE_INTERVAL: Duration = Duration::from_secs(30);

/// Shows how far a run has come.
pub struct Progress {
    total_steps: u32,
    epochs: u32,
    step_time: StepTime,
    display: Display,
}

enum Display {
    Bar(ProgressBar),
    Lines { out: Box<dyn Write + Send>, last: Option<Instant> },
}

impl Progress {
    /// For a run of `total_steps` steps over `epochs` epochs.
    pub fn new(total_steps: u32, epochs: u32) -> Self {
        let stderr = io::stderr();
        let display = if stderr.is_terminal() {
            Display::Bar(bar(total_steps))
        } else {
            Display::Lines { out: Box::new(stderr), last: None }
        };
        Self { total_steps, epochs, step_time: StepTime::default(), display }
    }

    /// A step is done; `average` is the moving average of the loss.
    pub fn step(&mut self, record: &StepRecord, average: f64) {
        self.step_time.add(record.seconds);
        let text = self.describe(record, average);
        match &mut self.display {
            Display::Bar(bar) => {
                bar.set_position(u64::from(record.step));
                bar.set_message(text);
            }
            Display::Lines { out, last } => {
                let at_an_end = record.step == self.total_steps || last.is_none();
                if at_an_end || last.is_some_and(|last| last.elapsed() >= LINE_INTERVAL) {
                    write_line(out, &format!("step {}/{}  {text}", record.step, self.total_steps));
                    *last = Some(Instant::now());
                }
            }
        }
    }

    /// A line that stays: an epoch's end, a file that was saved, a note.
    pub fn line(&mut self, text: &str) {
        match &mut self.display {
            Display::Bar(bar) => bar.suspend(|| write_line(&mut io::stderr(), text)),
            Display::Lines { out, .. } => write_line(out, text),
        }
    }

    /// Leaves the last state standing.
    pub fn finish(self) {
        if let Display::Bar(bar) = self.display {
            bar.abandon();
        }
    }

    fn describe(&self, record: &StepRecord, average: f64) -> String {
        let seconds = self.step_time.seconds;
        let left = seconds * f64::from(self.total_steps.saturating_sub(record.step));
        format!(
            "epoch {}/{}  {} left  loss {:.4} (mean {average:.4})  lr {:.2e}  {seconds:.2} s/it  {:.2} images/s",
            record.epoch,
            self.epochs,
            duration(left),
            record.loss,
            record.lr,
            f64::from(record.images) / seconds.max(1e-9),
        )
    }
}

fn bar(total_steps: u32) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:12} {pos}/{len}  {wide_msg}").expect("a valid template");
    let bar = ProgressBar::with_draw_target(Some(u64::from(total_steps)), ProgressDrawTarget::stderr());
    bar.set_style(style);
    bar
}

/// A terminal that has gone away must not end the run.
fn write_line(out: &mut impl Write, text: &str) {
    let _ = writeln!(out, "{text}");
}

/// Seconds per step: the mean of the first steps, then a moving one that forgets over about twenty.
#[derive(Debug, Default)]
struct StepTime {
    steps: u32,
    seconds: f64,
}

impl StepTime {
    fn add(&mut self, seconds: f64) {
        self.steps += 1;
        let weight = (1.0 / f64::from(self.steps)).max(0.05);
        self.seconds += weight * (seconds - self.seconds);
    }
}

/// `45 s`, `3 min 20 s`, `1 h 02 min`.
fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, min, s) => format!("{min} min {s:02} s"),
        (h, min, _) => format!("{h} h {min:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn record(step: u32) -> StepRecord {
        StepRecord { step, epoch: 1, loss: 0.125, lr: 1e-4, grad_norm: 1.0, seconds: 2.0, images: 4 }
    }

    /// Quick steps: only the first and the last are worth a line.
    #[test]
    fn without_a_terminal_lines_are_few() {
        let sink = Sink::default();
        let display = Display::Lines { out: Box::new(sink.clone()), last: None };
        let mut progress = Progress { total_steps: 100, epochs: 10, step_time: StepTime::default(), display };
        for step in 1..=100 {
            progress.step(&record(step), 0.25);
        }
        progress.line("saved a.safetensors");
        progress.finish();
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let expected = "step 1/100  epoch 1/10  3 min 18 s left  loss 0.1250 (mean 0.2500)  lr 1.00e-4  2.00 s/it  \
                        2.00 images/s";
        assert_eq!(lines.len(), 3, "{text}");
        assert_eq!(lines[0], expected);
        assert!(lines[1].starts_with("step 100/100") && lines[1].contains(" 0 s left "), "{}", lines[1]);
        assert_eq!(lines[2], "saved a.safetensors");
    }

    /// The first step compiles pipelines: its weight must fade.
    #[test]
    fn the_pace_forgets() {
        let mut step_time = StepTime::default();
        step_time.add(60.0);
        assert_eq!(step_time.seconds, 60.0);
        (0..200).for_each(|_| step_time.add(1.0));
        assert!((step_time.seconds - 1.0).abs() < 0.01, "{}", step_time.seconds);
    }

    #[test]
    fn durations() {
        for (seconds, text) in [(0.4, "0 s"), (59.6, "1 min 00 s"), (200.0, "3 min 20 s"), (3725.0, "1 h 02 min")] {
            assert_eq!(duration(seconds), text);
        }
    }
}
