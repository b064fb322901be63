//! `events.jsonl`: everything a run tells, one JSON object a line, for programs that watch it.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::train::events::Event;

/// Appends events to a file; each is with the operating system before the call returns.
pub struct EventsFile {
    path: PathBuf,
    file: File,
    began: Instant,
}

impl EventsFile {
    /// Begins the file anew: its events are those of one run.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).write(true).truncate(true).open(path);
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file, began: Instant::now() })
    }

    /// Appends an event, with the seconds since the file was begun.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn hear(&mut self, event: &Event<'_>) -> Result<()> {
        let mut object = as_json(event);
        object["seconds"] = json!(self.began.elapsed().as_secs_f64());
        let line = format!("{object}\n");
        self.file.write_all(line.as_bytes()).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

fn as_json(event: &Event<'_>) -> Value {
    match *event {
        Event::Line(text) => json!({"event": "note", "text": text}),
        Event::Phase { items, done, of } => json!({"event": "phase", "items": items, "done": done, "of": of}),
        Event::Started { steps, epochs } => json!({"event": "started", "steps": steps, "epochs": epochs}),
        Event::Step { record, average } => {
            let mut object = json!({"event": "step", "average": average});
            let fields = serde_json::to_value(record).expect("plain numbers are JSON");
            let fields = fields.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone()));
            object.as_object_mut().expect("an object").extend(fields);
            object
        }
        Event::Held { step, loss, kind } => json!({"event": "held", "step": step, "loss": loss, "kind": kind}),
        Event::Epoch { epoch, step, average } => {
            json!({"event": "epoch", "epoch": epoch, "step": step, "average": average})
        }
        Event::Saved { epoch, step, file } => json!({"event": "saved", "epoch": epoch, "step": step, "file": file}),
        Event::Drawing => json!({"event": "drawing"}),
        Event::Preview { step, file, .. } => json!({"event": "preview", "step": step, "file": file}),
        Event::Ended { step, stopped } => {
            json!({"event": "ended", "how": if stopped { "stopped" } else { "done" }, "step": step})
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::train::events::{Held, StepRecord};

    #[test]
    fn every_line_is_one_event() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("events.jsonl");
        let mut file = EventsFile::create(&path).expect("a file");
        let record = StepRecord { step: 3, epoch: 1, loss: 0.5, lr: 1e-4, grad_norm: 1.0, seconds: 2.0, images: 4 };
        for event in [
            Event::Phase { items: "pictures encoded", done: 1, of: 4 },
            Event::Step { record: &record, average: 0.25 },
            Event::Held { step: 3, loss: 0.125, kind: Held::Validation },
            Event::Saved { epoch: Some(1), step: 3, file: Path::new("a.safetensors") },
        ] {
            file.hear(&event).expect("a written line");
        }
        let text = fs::read_to_string(&path).expect("the file");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let names: Vec<&str> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
        assert_eq!(names, ["phase", "step", "held", "saved"]);
        assert_eq!((&lines[1]["loss"], &lines[1]["average"]), (&json!(0.5), &json!(0.25)));
        assert_eq!(lines[2]["kind"], "validation");
        assert!(lines.iter().all(|line| line["seconds"].is_number()));
    }
}
