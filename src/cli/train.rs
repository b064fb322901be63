//! `lora-wgpu train`: from one YAML file to a LoRA.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Result;
use clap::Args;

use crate::{
    config,
    gpu::GpuOptions,
    train::trainer::{RunOptions, RunSummary, run},
};

use super::{Outcome, device};

/// Train a LoRA as a YAML file describes.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// The configuration
    config: PathBuf,
    /// Override a key of the configuration; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Device by index or part of its name, as `lora-wgpu devices` lists it
    #[arg(long)]
    device: Option<String>,
    /// Print the resolved configuration and the memory plan, and stop
    #[arg(long)]
    plan: bool,
}

/// Trains, or prints the plan of it.
///
/// # Errors
/// Trouble with the configuration, the data, the checkpoint, the disk or the device.
pub fn train(args: &TrainArgs, out: &mut dyn Write) -> Result<Outcome> {
    let mut overrides = args.set.clone();
    if let Some(device) = &args.device {
        overrides.push(format!("device={device}"));
    }
    let loaded = config::load(&args.config, &overrides)?;
    let say = &mut |line: &str| eprintln!("{line}");
    loaded.notes.iter().for_each(|note| say(&format!("note: {note}")));
    loaded.config.summary().iter().for_each(|line| say(line));
    if !args.plan {
        say(&format!("\nthe whole configuration, as it is stored beside the LoRA:\n{}", loaded.yaml));
    }
    let gpu = device::open(&GpuOptions { device: loaded.config.device.clone(), ..Default::default() }, say)?;
    let options = RunOptions { resolved_yaml: &loaded.yaml, plan_only: args.plan };
    match run(&gpu, &loaded.config, &options, say)? {
        Some(summary) => report(&summary, &loaded.config.output_name, out)?,
        None => write!(out, "{}", loaded.yaml)?,
    }
    Ok(Outcome::Success)
}

/// The last lines: how it went, which file goes where, and what to try.
fn report(summary: &RunSummary, name: &str, out: &mut dyn Write) -> io::Result<()> {
    let RunSummary { files, first_probe, last_probe, steps, seconds, example_caption } = summary;
    writeln!(out, "{steps} steps in {seconds:.0} s; probe loss {first_probe:.5} before, {last_probe:.5} after")?;
    writeln!(out, "for a Stable Diffusion WebUI, copy into its models/Lora folder:\n  {}", files.kohya.display())?;
    writeln!(out, "for diffusers (not for a WebUI):\n  {}", files.diffusers.display())?;
    writeln!(out, "a prompt to paste:\n  {example_caption}, <lora:{name}:0.8>")
}
