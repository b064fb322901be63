//! `lora-wgpu import-config`: another trainer's configuration becomes one of ours.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::{
    config::{
        import::{Fate, Findings, Imported, Surroundings, import_metadata, import_text},
        read_text, wrap,
    },
    weights::{SafetensorsFile, write_atomically},
};

use super::Outcome;

/// Make a configuration from another trainer's: kohya's GUI, sd-scripts, lora-scripts, OneTrainer, or a LoRA file
#[derive(Debug, Args)]
pub struct ImportConfigArgs {
    /// A .json of kohya's GUI or OneTrainer, a .toml of sd-scripts or lora-scripts, or a .safetensors with sd-scripts'
    /// metadata
    file: PathBuf,
    /// Write the YAML there instead of printing it
    #[arg(long, value_name = "FILE.yaml")]
    out: Option<PathBuf>,
    /// The data set configuration (TOML) or the concepts (JSON) that belong to it, where it does not name them
    #[arg(long, value_name = "FILE")]
    dataset: Option<PathBuf>,
    /// Replace the file that --out names
    #[arg(long, requires = "out")]
    overwrite: bool,
}

/// Columns of a terminal.
const WIDTH: usize = 80;

/// Writes the YAML, and tells on stderr what became of every setting.
///
/// # Errors
/// A file that cannot be read or is of no known trainer, another model family, an existing file, trouble with the disk.
pub fn import_config(args: &ImportConfigArgs, out: &mut dyn Write) -> Result<Outcome> {
    if let Some(path) = args.out.as_deref().filter(|_| !args.overwrite) {
        ensure!(!path.exists(), "{} exists; --overwrite replaces it", path.display());
    }
    let imported = import(args).with_context(|| format!("cannot import {}", args.file.display()))?;
    tell(&imported.findings);
    match &args.out {
        Some(path) => {
            write_atomically(path, |file| file.write_all(imported.yaml.as_bytes()))?;
            eprintln!("\nwrote {0}; see what it would do: lora-wgpu train {0} --plan", path.display());
        }
        None => write!(out, "{}", imported.yaml)?,
    }
    Ok(Outcome::Success)
}

fn import(args: &ImportConfigArgs) -> Result<Imported> {
    let name = args.file.file_name().unwrap_or_default().to_string_lossy();
    if args.file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("safetensors")) {
        let file = SafetensorsFile::open(&args.file)?;
        let trains_text_encoder = file.tensors().any(|tensor| tensor.name.starts_with("lora_te"));
        return import_metadata(&name, file.metadata(), trains_text_encoder);
    }
    let folder = args.file.parent().unwrap_or(Path::new(""));
    let around = Surroundings { read: &|name| read_beside(folder, name), exists: &|name| Path::new(name).exists() };
    let dataset = args.dataset.as_deref().map(read_text).transpose()?;
    import_text(&name, &read_text(&args.file)?, dataset.as_deref(), &around)
}

/// A file that a configuration names, from the present folder or from the configuration's.
fn read_beside(folder: &Path, name: &str) -> Result<String> {
    let beside = folder.join(name);
    read_text(if fs::exists(name).unwrap_or(false) { Path::new(name) } else { &beside })
}

/// The findings in groups, in lines of a terminal's width.
fn tell(findings: &Findings) {
    for fate in Fate::ALL {
        let mut found = findings.of(fate).peekable();
        if found.peek().is_some() {
            eprintln!("\n{}", fate.title());
        }
        for finding in found {
            for (index, line) in wrap(&finding.line(), WIDTH - 4).iter().enumerate() {
                eprintln!("  {}{line}", if index == 0 { "" } else { "  " });
            }
        }
    }
}
