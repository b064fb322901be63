//! `lora-wgpu train`: from one YAML file to a LoRA.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::{Context, Result};
use clap::Args;

use crate::{
    config::{self, TrainConfig},
    gpu::GpuOptions,
    train::{
        engine::{Interruption, RunEnd, StopRequest},
        records::card::PREFERRED_WEIGHT,
        tasks::diffusion::{RunOptions, RunSummary, run},
    },
};

use super::{INTERRUPTED, Outcome, device, terminal::Terminal};

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
    /// Memory of the device that the plan must stay within, such as 4GB
    #[arg(long, value_name = "SIZE")]
    vram_limit: Option<String>,
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
    if let Some(limit) = &args.vram_limit {
        overrides.push(format!("vram_limit={limit}"));
    }
    let loaded = config::load(&args.config, &overrides)?;
    let say = &mut |line: &str| eprintln!("{line}");
    loaded.notes.iter().for_each(|note| say(&format!("note: {note}")));
    loaded.config.summary().iter().for_each(|line| say(line));
    if !args.plan {
        say(&format!("\nthe whole configuration, as it is stored beside the LoRA:\n{}", loaded.yaml));
    }
    let gpu = device::open(&GpuOptions { device: loaded.config.device.clone(), ..Default::default() }, say)?;
    let yaml_of = |config: &TrainConfig| loaded.yaml_of(config);
    let options = RunOptions { yaml_of: &yaml_of, plan_only: args.plan, stop: stop_on_interruption()? };
    let mut terminal = Terminal::default();
    let Some(summary) = run(&gpu, &loaded.config, &options, &mut |event| terminal.hear(event))? else {
        write!(out, "{}", loaded.yaml)?;
        return Ok(Outcome::Success);
    };
    report(&summary, out)?;
    Ok(if summary.end.steps < summary.end.planned_steps { Outcome::Interrupted } else { Outcome::Success })
}

/// Ctrl-C, and what else asks a program to end, stops the training after its step; a second time, or before training
/// has begun, the program at once.
fn stop_on_interruption() -> Result<StopRequest> {
    let stop = StopRequest::default();
    let of_handler = stop.clone();
    ctrlc::set_handler(move || match of_handler.interrupt() {
        Interruption::AfterStep => eprintln!("\nstopping after this step, and saving; once more to stop at once"),
        Interruption::Now => std::process::exit(INTERRUPTED.into()),
    })
    .context("cannot watch for Ctrl-C")?;
    Ok(stop)
}

/// The last lines: how it went, which file goes where, and what to try.
fn report(summary: &RunSummary, out: &mut dyn Write) -> io::Result<()> {
    let RunSummary { files, end, .. } = summary;
    let RunEnd { first_held, last_held, steps, planned_steps, seconds, batching_seconds } = end;
    let name = files.kohya.file_stem().unwrap_or_default().to_string_lossy();
    if steps < planned_steps {
        writeln!(out, "stopped after {steps} of {planned_steps} steps")?;
    }
    let waited = 100.0 * batching_seconds / seconds.max(1e-9);
    let plural = if *steps == 1 { "" } else { "s" };
    writeln!(out, "{steps} step{plural} in {seconds:.0} s, at most {waited:.1} % of it waiting for data")?;
    writeln!(out, "probe loss {first_held:.5} before, {last_held:.5} after")?;
    writeln!(out, "for a Stable Diffusion WebUI, copy into its models/Lora folder:\n  {}", files.kohya.display())?;
    match &files.diffusers {
        Some(path) => writeln!(out, "for diffusers (not for a WebUI):\n  {}", path.display())?,
        None => writeln!(out, "there is no file for diffusers, whose layout does not have this kind of adapter")?,
    }
    if let Some(previews) = &summary.previews {
        writeln!(out, "what it draws, without it and at three strengths:\n  {}", previews.display())?;
    }
    if let Some(report) = &summary.report {
        writeln!(out, "curves, previews and settings of this run, for a browser:\n  {}", report.display())?;
    }
    writeln!(out, "a prompt to paste, or for `lora-wgpu sample`:")?;
    writeln!(out, "  {}, <lora:{name}:{PREFERRED_WEIGHT}>", summary.example_caption)
}
