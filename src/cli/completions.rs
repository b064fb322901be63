//! `lora-wgpu completions`: what a shell needs to complete our arguments.

use std::io::Write;

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Outcome};

/// Print a script that completes this program's arguments in a shell
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// Output that cannot be written.
pub fn completions(args: &CompletionsArgs, out: &mut dyn Write) -> Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "lora-wgpu", &mut script);
    out.write_all(&script)?;
    Ok(Outcome::Success)
}
