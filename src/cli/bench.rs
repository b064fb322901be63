//! `lora-wgpu bench`: how fast this device trains.

use std::{io::Write, path::PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::{
    bench::{Report, Workload, measure},
    config::{self, LoraTarget, TrainConfig},
    data::{dataset::Dataset, tokenizer::ClipTokenizer},
    families::SD_V1,
    gpu::GpuOptions,
    models::UNetConfig,
    size::Size,
    tape::{Checkpointing, DType},
    train::tasks::diffusion::{dataset_options, planned_steps},
    weights::{StorageType, write_atomically},
};

use super::{
    Outcome,
    device::{self, Kernels},
};

/// What a side is a multiple of, in pixels.
const CELL: u32 = SD_V1.latent.cell as u32;

/// Time training steps at Stable Diffusion's sizes; needs no checkpoint.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Take the sizes from this configuration, and estimate how long it would train
    #[arg(long, value_name = "FILE", conflicts_with_all = ["resolution", "batch_size", "rank", "target", "gradient_checkpointing", "mixed_precision"])]
    config: Option<PathBuf>,
    /// Side of the pictures in pixels
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(64..=2048))]
    resolution: u32,
    /// Pictures at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    batch_size: u32,
    /// Rank of the LoRA
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=512))]
    rank: u32,
    /// What the LoRA adapts
    #[arg(long, value_enum, default_value_t = Target::Attention)]
    target: Target,
    /// Recompute activations in backward instead of keeping them
    #[arg(long)]
    gradient_checkpointing: bool,
    /// How activations and their gradients are stored
    #[arg(long, value_enum, default_value_t = Precision::No)]
    mixed_precision: Precision,
    /// How the frozen weights are stored
    #[arg(long, value_enum, default_value_t = Weights::F16)]
    weights: Weights,
    /// How often each measurement is repeated
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,
    /// Write all figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Kernels to use instead of the device's best ones
    #[arg(long, value_enum)]
    kernels: Option<Kernels>,
    /// Device by index or part of its name, as `lora-wgpu devices` lists it
    #[arg(long)]
    device: Option<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Target {
    Attention,
    Transformer,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Precision {
    No,
    Fp16,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Weights {
    F32,
    F16,
    Bf16,
}

/// Measures and reports.
///
/// # Errors
/// A configuration that does not load, sizes that do not fit the device, and trouble with the device.
pub fn bench(args: &BenchArgs, out: &mut dyn Write) -> Result<Outcome> {
    let config = args.config.as_deref().map(|path| config::load(path, &[])).transpose()?.map(|loaded| loaded.config);
    let workload = match &config {
        Some(config) => Workload::of(config, args.weights.into()),
        None => args.workload()?,
    };
    let variant = args.kernels.map(Into::into);
    let options = GpuOptions { device: args.device.clone(), variant, shader_checks: Some(false), ..Default::default() };
    let gpu = device::open(&options, &mut |line| eprintln!("{line}"))?;
    let report = measure(&gpu, &UNetConfig::stable_diffusion_v1(), &workload, args.repeats as usize)?;
    let Workload { size, batch, rank, accumulation, .. } = workload;
    writeln!(out, "training at {size}, batch {batch} × {accumulation}, rank {rank}\n{report}")?;
    if let Some(config) = &config {
        writeln!(out, "\n{}", estimate(config, &report)?)?;
    }
    if let Some(path) = &args.json {
        let json = serde_json::to_vec_pretty(&report)?;
        write_atomically(path, |file| file.write_all(&json)).context("--json")?;
    }
    Ok(Outcome::Success)
}

impl BenchArgs {
    fn workload(&self) -> Result<Workload> {
        ensure!(self.resolution.is_multiple_of(CELL), "--resolution: {} is no multiple of {CELL}", self.resolution);
        let side = self.resolution as usize;
        Ok(Workload {
            size: Size::square(side),
            batch: self.batch_size as usize,
            rank: self.rank as usize,
            target: self.target.into(),
            weights: self.weights.into(),
            checkpointing: if self.gradient_checkpointing { Checkpointing::Blocks } else { Checkpointing::Off },
            activations: self.mixed_precision.into(),
            accumulation: 1,
        })
    }
}

/// How long the configuration trains, from its pictures and the measured step.
fn estimate(config: &TrainConfig, report: &Report) -> Result<String> {
    let examples = Dataset::open(&dataset_options(config), &ClipTokenizer::new()?)?.examples;
    let updates = planned_steps(config, &examples)?;
    let minutes = f64::from(updates) * report.step.median_seconds / 60.0;
    Ok(format!(
        "this configuration: {} pictures, {updates} updates, about {minutes:.0} minutes of training",
        examples.len()
    ))
}

impl From<Target> for LoraTarget {
    fn from(target: Target) -> Self {
        match target {
            Target::Attention => Self::Attention,
            Target::Transformer => Self::Transformer,
        }
    }
}

impl From<Precision> for DType {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::No => Self::F32,
            Precision::Fp16 => Self::F16,
        }
    }
}

impl From<Weights> for StorageType {
    fn from(weights: Weights) -> Self {
        match weights {
            Weights::F32 => Self::F32,
            Weights::F16 => Self::F16,
            Weights::Bf16 => Self::BF16,
        }
    }
}
