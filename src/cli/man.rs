//! `lora-wgpu man`: manual pages.

use std::{io::Write, path::PathBuf};

use anyhow::{Context, Result};
use clap::{Args, CommandFactory};

use super::{Cli, Outcome};

/// Write manual pages, one for each subcommand, into a folder
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder, which must exist
    folder: PathBuf,
}

/// Writes `lora-wgpu.1`, `lora-wgpu-train.1` and so on.
///
/// # Errors
/// Trouble with the disk, or output that cannot be written.
pub fn man(args: &ManArgs, out: &mut dyn Write) -> Result<Outcome> {
    clap_mangen::generate_to(Cli::command(), &args.folder)
        .with_context(|| format!("cannot write manual pages into {}", args.folder.display()))?;
    writeln!(out, "wrote the manual into {}", args.folder.display())?;
    Ok(Outcome::Success)
}
