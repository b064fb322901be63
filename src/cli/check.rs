//! `lora-wgpu check`: a recorded case through the trainer's own programs, held against its reference.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::{
    check::{
        optimizer::OptimizerCase,
        training::{CaseOptions, GroupError, TrainingCase, compare, run},
    },
    gpu::{Gpu, GpuOptions},
    label::case::LabelCase,
    sample::{
        case::SamplingCase,
        loras::{KnownModules, LoraSet},
    },
    tape::Checkpointing,
    weights::{Checkpoint, ModelFolder, OwnedTensor, SafetensorsFile, write_safetensors},
};

use super::{
    Outcome,
    device::{self, Kernels},
};

/// Run a recorded training, sampling, captioning or optimizer case and compare it with its reference.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The recorded case (safetensors)
    case: PathBuf,
    /// The model it was recorded with: a single file or a diffusers folder; a BLIP or CLIP folder for captions and tags;
    /// none for an optimizer
    #[arg(long, value_name = "MODEL")]
    base_model: Option<PathBuf>,
    /// What PyTorch recorded; without it, nothing is compared
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// Write every recorded tensor to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Draw a sampling case with this LoRA, at the strength that the case states
    #[arg(long, value_name = "FILE")]
    lora: Option<PathBuf>,
    /// Recompute activations in backward instead of keeping them
    #[arg(long)]
    gradient_checkpointing: bool,
    /// Kernels to use instead of the device's best ones
    #[arg(long, value_enum)]
    kernels: Option<Kernels>,
    /// Device by index or part of its name, as `lora-wgpu devices` lists it
    #[arg(long)]
    device: Option<String>,
}

/// Runs the case; [`Outcome::CheckFailed`] where a group of tensors misses its tolerance.
///
/// # Errors
/// Files that do not fit together, and trouble with the device.
pub fn check(args: &CheckArgs, out: &mut dyn Write) -> Result<Outcome> {
    let case = Case::open(args)?;
    let reference = args.reference.as_deref().map(SafetensorsFile::open).transpose()?;
    let variant = args.kernels.map(Into::into);
    let options = GpuOptions { device: args.device.clone(), variant, ..Default::default() };
    let gpu = device::open(&options, &mut |line| eprintln!("{line}"))?;
    let recorded = case.run(&gpu, args)?;
    let errors = reference.map(|reference| compare(&reference, &recorded)).transpose()?;
    if let Some(path) = &args.out {
        write_safetensors(path, recorded, &BTreeMap::new()).context("--out")?;
    }
    let Some(errors) = errors else { return Ok(Outcome::Success) };
    Ok(if report(&errors, out)? { Outcome::Success } else { Outcome::CheckFailed })
}

/// A case with the model that it is run on.
enum Case {
    Training(Box<TrainingCase>, Checkpoint),
    Sampling(SamplingCase, Checkpoint),
    Label(LabelCase, ModelFolder),
    Optimizer(OptimizerCase),
}

impl Case {
    fn open(args: &CheckArgs) -> Result<Self> {
        let file = SafetensorsFile::open(&args.case)?;
        if OptimizerCase::is_one(&file) {
            ensure!(!args.gradient_checkpointing, "--gradient-checkpointing is for training cases");
            ensure!(args.lora.is_none(), "--lora is for sampling cases; {} is none", args.case.display());
            return Ok(Self::Optimizer(OptimizerCase::read(&file)?));
        }
        let model =
            args.base_model.as_ref().context("give the model the case was recorded with: --base-model MODEL")?;
        if SamplingCase::is_one(&file) {
            ensure!(!args.gradient_checkpointing, "--gradient-checkpointing is for training cases");
            return Ok(Self::Sampling(SamplingCase::read(&file)?, Checkpoint::open(model, None)?));
        }
        ensure!(args.lora.is_none(), "--lora is for sampling cases; {} is none", args.case.display());
        if LabelCase::is_one(&file) {
            ensure!(!args.gradient_checkpointing, "--gradient-checkpointing is for training cases");
            let case = LabelCase::read(&file)?;
            let folder = ModelFolder::open(model, case.kind())?;
            return Ok(Self::Label(case, folder));
        }
        Ok(Self::Training(Box::new(TrainingCase::open(&args.case)?), Checkpoint::open(model, None)?))
    }

    fn run(&self, gpu: &Gpu, args: &CheckArgs) -> Result<Vec<OwnedTensor>> {
        let start = Instant::now();
        match self {
            Self::Training(case, checkpoint) => {
                let checkpointing =
                    if args.gradient_checkpointing { Checkpointing::Blocks } else { Checkpointing::Off };
                run(gpu, checkpoint, case, CaseOptions { checkpointing }, |step, loss| {
                    eprintln!("step {:>3}  loss {loss:.8}  {:>7.1} s", step + 1, start.elapsed().as_secs_f64());
                })
            }
            Self::Sampling(case, checkpoint) => {
                let lora = |path: &PathBuf| LoraSet::of_file(path, &KnownModules::of(checkpoint)?);
                let loras = args.lora.as_ref().map(lora).transpose()?.unwrap_or_default();
                loras.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
                case.run(gpu, checkpoint, &loras, |step| {
                    eprintln!("step {:>3}  {:>7.1} s", step + 1, start.elapsed().as_secs_f64());
                })
            }
            Self::Label(case, folder) => case.run(gpu, folder),
            Self::Optimizer(case) => case.run(gpu),
        }
    }
}

/// Prints a line for each group; true where all are within their tolerances.
fn report(errors: &[GroupError], out: &mut dyn Write) -> io::Result<bool> {
    writeln!(out, "{:74} {:>5} {:>9} {:>9}", "group", "count", "whole", "worst")?;
    for error in errors {
        let GroupError { group, tensors, whole, worst, .. } = error;
        let verdict = if error.accepted() { "" } else { "  MISSED" };
        writeln!(out, "{group:74} {tensors:>5} {whole:>9.1e} {worst:>9.1e}{verdict}")?;
        if !error.accepted() {
            let limits = (error.whole_tolerance, error.worst_tolerance.unwrap_or(f64::INFINITY));
            writeln!(
                out,
                "    accepted: whole {:.0e}, worst {:.0e}; worst tensor {}",
                limits.0, limits.1, error.worst_tensor
            )?;
        }
    }
    let missed = errors.iter().filter(|error| !error.accepted()).count();
    writeln!(out, "{} of {} groups within their tolerances", errors.len() - missed, errors.len())?;
    Ok(missed == 0)
}
