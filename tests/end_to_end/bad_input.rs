//! What can be wrong with what a user hands over: each is refused with a text that names it, and nothing is left behind.

mod checkpoints;
mod configuration;
mod data;

use crate::support::workspace::Workspace;

/// Trains, expects a refusal whose text holds `parts`, and an output folder without a single file.
#[track_caller]
fn refused(workspace: &Workspace, overrides: &[&str], parts: &[&str]) {
    workspace.train(overrides).expect_refusal(parts);
    assert_eq!(workspace.written(), [""; 0]);
}
