//! A user's folder: pictures with captions, a configuration, and the program run on them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use image::{Rgb, RgbImage};
use serde_json::Value;
use tempfile::TempDir;

use super::synthetic::checkpoint;

pub const PICTURES: u32 = 6;
/// Stem of the LoRA files.
pub const NAME: &str = "silk";

/// A folder that goes away with the test.
pub struct Workspace {
    root: TempDir,
}

/// How the program ended.
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Workspace {
    /// Six pictures with captions in `data/`.
    pub fn new() -> Self {
        let workspace = Self { root: tempfile::tempdir().expect("a temporary folder") };
        fs::create_dir(workspace.data()).expect("a new folder");
        for index in 0..PICTURES {
            workspace.add_picture(index);
            workspace.write(&format!("data/p{index}.txt"), format!("silk pattern, motif {index}"));
        }
        workspace
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Where a run writes.
    pub fn output(&self) -> PathBuf {
        self.path("output")
    }

    /// The LoRA for WebUIs.
    pub fn lora(&self) -> PathBuf {
        self.output().join(format!("{NAME}.safetensors"))
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("the test's folder can be written");
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).expect("a file of the test");
    }

    /// Rings around a point and stripes, in colours of their own.
    fn add_picture(&self, index: u32) {
        let picture = RgbImage::from_fn(96 + 8 * index, 96, |x, y| {
            let (dx, dy) = (f64::from(x) - 40.0, f64::from(y) - 12.0 * f64::from(index));
            let ring = ((dx * dx + dy * dy).sqrt() / 6.0).sin() > 0.0;
            let stripe = ((x + index * y) / 12).is_multiple_of(2);
            Rgb([if ring { 220 } else { 60 }, if stripe { 200 } else { 30 * index as u8 }, 40 * index as u8])
        });
        picture.save(self.data().join(format!("p{index}.png"))).expect("a small picture");
    }

    /// Writes `config.yaml`: `lines`, then what a short run on small pictures needs besides.
    pub fn configure(&self, lines: &str) {
        let paths = [
            ("base_model", checkpoint().to_owned()),
            ("train_data_dir", self.data()),
            ("output_dir", self.output()),
            ("logging_dir", self.path("logs")),
        ];
        let paths = paths.map(|(key, path)| format!("{key}: {path:?}"));
        let settings = ["resolution: 64", "max_train_steps: 1", "lora_rank: 4", "log_with: none"];
        let name = format!("output_name: {NAME}");
        let all = paths.iter().map(String::as_str).chain(settings).chain([name.as_str()]);
        let key = |line: &str| line.split_once(':').map(|(key, _)| key.to_owned());
        let left: Vec<&str> = all.filter(|line| lines.lines().all(|given| key(given) != key(line))).collect();
        self.write("config.yaml", format!("{lines}\n{}\n", left.join("\n")));
    }

    /// Trains with `config.yaml`, which [`Workspace::configure`] writes where there is none.
    pub fn train(&self, overrides: &[&str]) -> Finished {
        run(&self.arguments(overrides))
    }

    /// As [`Workspace::train`], but stops after the memory plan.
    pub fn plan(&self, overrides: &[&str]) -> Finished {
        run(&[self.arguments(overrides), vec!["--plan".to_owned()]].concat())
    }

    fn arguments(&self, overrides: &[&str]) -> Vec<String> {
        let config = self.path("config.yaml");
        if !config.exists() {
            self.configure("");
        }
        let mut arguments = vec!["train".to_owned(), config.display().to_string()];
        arguments.extend(overrides.iter().flat_map(|setting| ["--set".to_owned(), (*setting).to_owned()]));
        arguments
    }

    /// Lines of the metrics that have the key `key`, in order.
    pub fn metrics(&self, key: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.output().join(format!("{NAME}.metrics.jsonl"))).expect("metrics");
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a JSON object in each line"));
        lines.filter(|line| line.get(key).is_some()).collect()
    }

    /// The loss on the fixed pictures and noise before training and after each epoch.
    pub fn probe_losses(&self) -> Vec<f64> {
        self.metrics("probe_loss").iter().map(|line| line["probe_loss"].as_f64().expect("a number")).collect()
    }

    /// Files below the output folder, relative to it and sorted; none where there is no such folder.
    pub fn written(&self) -> Vec<String> {
        let mut files = Vec::new();
        list_files(&self.output(), "", &mut files);
        files.sort();
        files
    }
}

fn list_files(folder: &Path, prefix: &str, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.expect("a readable folder");
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        match entry.path().is_dir() {
            true => list_files(&entry.path(), &format!("{name}/"), files),
            false => files.push(name),
        }
    }
}

/// Runs the program.
pub fn run(arguments: &[String]) -> Finished {
    let output = start(arguments).wait_with_output().expect("a child of ours");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Finished { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// Starts the program, whose output is to be collected.
pub fn start(arguments: &[String]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_lora-wgpu"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program that this test was built with")
}

impl Finished {
    /// Fails the test unless the program did what it was asked for.
    #[track_caller]
    pub fn expect_success(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }

    /// Fails the test unless the program refused with exit code 2 and a text that holds all of `parts`.
    #[track_caller]
    pub fn expect_refusal(self, parts: &[&str]) -> Self {
        assert_eq!(self.code, Some(2), "{}{}", self.stdout, self.stderr);
        let message = self.stderr.split("error:").last().unwrap_or_default();
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in: {}", self.stderr);
        }
        self
    }
}
