//! The configuration file, the device, and the folder to write into.

use std::fs;

use super::refused;
use crate::support::workspace::Workspace;

/// Refused with the line of the file on which the fault stands.
#[track_caller]
fn refused_line(line: &str, parts: &[&str]) {
    let workspace = Workspace::new();
    workspace.configure(line);
    refused(&workspace, &[], &[&["config.yaml:1", line], parts].concat());
}

#[test]
fn an_unknown_key() {
    refused_line("learning_rat: 1e-4", &["unknown key", "did you mean `learning_rate`"]);
}

#[test]
fn a_wrong_type() {
    refused_line("epochs: many", &["`epochs`", "many"]);
}

#[test]
fn a_key_that_is_not_implemented() {
    refused_line("flip_aug: true", &["not implemented yet", "set `flip_aug: false` or leave it out"]);
}

#[test]
fn a_rank_of_zero() {
    refused_line("lora_rank: 0", &["`lora_rank`", "0"]);
}

#[test]
fn a_memory_limit_that_no_setting_meets() {
    refused(&Workspace::new(), &["vram_limit=1MB"], &["vram_limit 1MB cannot be met", "at least"]);
    refused_line("vram_limit: 4", &["`vram_limit`", "with its unit, such as 4GB"]);
}

#[test]
fn a_resolution_off_the_grid() {
    refused_line("resolution: 500", &["`resolution`", "not divisible by 8", "496 and 504"]);
}

#[test]
fn no_configuration_at_all() {
    let workspace = Workspace::new();
    workspace.write("config.yaml", "");
    refused(&workspace, &[], &["`base_model` is missing"]);
    workspace.write("config.yaml", "epochs: [1\n");
    refused(&workspace, &[], &["config.yaml"]);
}

#[test]
fn an_unknown_device() {
    refused(&Workspace::new(), &["device=Voodoo 2"], &["no adapter matches device `Voodoo 2`", "lists: 0: "]);
}

#[test]
fn an_output_folder_that_cannot_be() {
    let workspace = Workspace::new();
    workspace.write("file", "");
    let below = format!("output_dir={}", workspace.path("file/output").display());
    refused(&workspace, &[&below], &["output_dir", "cannot be written"]);
}

/// `/dev/full` as the metrics: a disk that is full.
#[cfg(target_os = "linux")]
#[test]
fn a_record_that_cannot_be_written_is_said_and_ends_nothing() {
    let workspace = Workspace::new();
    fs::create_dir(workspace.output()).expect("a new folder");
    let metrics = workspace.output().join("silk.metrics.jsonl");
    std::os::unix::fs::symlink("/dev/full", metrics).expect("a link");
    let said = workspace.train(&[]).expect_success().stderr;
    let warnings: Vec<&str> = said.lines().filter(|line| line.contains("silk.metrics.jsonl")).collect();
    assert!(matches!(warnings[..], [one] if one.contains("No space left")), "said once: {said}");
    assert!(workspace.lora().exists(), "what was learned is not lost for want of a record");
}
