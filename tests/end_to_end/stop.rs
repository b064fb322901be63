//! Ctrl-C during training.

use std::{
    fs,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use crate::support::workspace::{NAME, Workspace, start};

const PATIENCE: Duration = Duration::from_secs(300);

/// Waits until the run has written a line about a step.
fn await_first_step(workspace: &Workspace, run: &mut Child) {
    let metrics = workspace.output().join(format!("{NAME}.metrics.jsonl"));
    let started = Instant::now();
    while !fs::read_to_string(&metrics).is_ok_and(|lines| lines.contains("grad_norm")) {
        assert!(run.try_wait().expect("a child of ours").is_none(), "the run ended before it was interrupted");
        assert!(started.elapsed() < PATIENCE, "no step in {PATIENCE:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn an_interrupted_run_saves_what_it_has_learned() {
    let workspace = Workspace::new();
    workspace.configure("max_train_steps: 1000");
    let mut run = start(&["train".to_owned(), workspace.path("config.yaml").display().to_string()]);
    await_first_step(&workspace, &mut run);
    let signal = Command::new("kill").args(["-INT", &run.id().to_string()]).status();
    assert!(signal.is_ok_and(|status| status.success()));
    let output = run.wait_with_output().expect("a child of ours");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stdout.contains("stopped after ") && stderr.contains("stopping after this step"), "{stdout}{stderr}");

    let steps = workspace.metrics("grad_norm").len();
    let written = workspace.written();
    assert!(written.contains(&format!("{NAME}-step{steps:08}.safetensors")), "{steps} steps: {written:?}");
    assert!(written.contains(&format!("{NAME}-step{steps:08}.json")), "its card: {written:?}");
    assert!(!written.contains(&format!("{NAME}.safetensors")), "{written:?}");
}
