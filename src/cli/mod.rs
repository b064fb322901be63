//! The command line: one file per subcommand, each with its arguments and `run`.

mod bench;
mod check;
mod completions;
mod device;
mod devices;
mod import_config;
mod keys;
mod label;
mod man;
mod sample;
mod terminal;
mod train;

use std::io::{self, Write};

use clap::{Parser, Subcommand};

use crate::gpu::GpuError;

/// Train Stable Diffusion v1.5 LoRAs on any GPU
#[derive(Parser)]
#[command(name = "lora-wgpu", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Label(label::LabelArgs),
    Train(train::TrainArgs),
    Sample(sample::SampleArgs),
    ImportConfig(import_config::ImportConfigArgs),
    Check(check::CheckArgs),
    Bench(bench::BenchArgs),
    Devices(devices::DevicesArgs),
    Keys(keys::KeysArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// How a command ended that could do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Success,
    /// What was to be checked does not hold, or a picture was left out; the output says what.
    CheckFailed,
    /// The user stopped it; what was done until then is saved.
    Interrupted,
}

/// The exit code of a program that Ctrl-C ended, as shells count.
pub const INTERRUPTED: u8 = 130;

impl Cli {
    /// Runs the subcommand, whose results go to `out`.
    ///
    /// # Errors
    /// What the user or the environment got wrong, and a closed `out` (see [`is_broken_pipe`]).
    pub fn run(&self, out: &mut dyn Write) -> anyhow::Result<Outcome> {
        let outcome = match &self.command {
            Command::Label(args) => label::label(args, out),
            Command::Train(args) => train::train(args, out),
            Command::Sample(args) => sample::sample(args, out),
            Command::ImportConfig(args) => import_config::import_config(args, out),
            Command::Check(args) => check::check(args, out),
            Command::Bench(args) => bench::bench(args, out),
            Command::Devices(args) => devices::devices(args, out),
            Command::Keys(args) => keys::keys(args, out),
            Command::Completions(args) => completions::completions(args, out),
            Command::Man(args) => man::man(args, out),
        };
        outcome.map_err(|error| self.command.with_remedy(error))
    }
}

impl Command {
    /// Says what takes less memory, where there was too little.
    fn with_remedy(&self, error: anyhow::Error) -> anyhow::Error {
        let wants_less = error.chain().any(|cause| cause.downcast_ref().is_some_and(GpuError::wants_less));
        match self.remedy().filter(|_| wants_less) {
            Some(remedy) => error.context(format!("this takes more memory than the device has: {remedy}")),
            None => error,
        }
    }

    /// What makes the command take less memory.
    fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Label(_) => Some("lower --num-beams, or take the -base model instead of -large"),
            Self::Train(_) => Some(
                "set `vram_limit` to what is free, or lower `resolution`, `batch_size` or `lora_rank`, or set \
                 `gradient_checkpointing: true`",
            ),
            Self::Sample(_) => Some("lower --width and --height, or --hires-scale"),
            Self::Bench(_) => Some("lower --resolution, --batch-size or --rank, or add --gradient-checkpointing"),
            Self::Check(_) => Some("add --gradient-checkpointing, or take a case of smaller pictures"),
            Self::Devices(_) | Self::Keys(_) | Self::ImportConfig(_) | Self::Completions(_) | Self::Man(_) => None,
        }
    }
}

/// Whether the reader of our output has gone away, as `head` does: no reason to complain.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_memory_is_answered_in_the_commands_own_words() {
        let cli = Cli::parse_from(["lora-wgpu", "sample", "--base-model", "demo"]);
        let message =
            |error: GpuError| format!("{:#}", cli.command.with_remedy(anyhow::Error::from(error).context("U-Net")));
        let short = message(GpuError::OutOfMemory("allocation failed".to_owned()));
        assert_eq!(
            short,
            "this takes more memory than the device has: lower --width and --height, or --hires-scale: U-Net: the GPU \
             ran out of memory: allocation failed"
        );
        assert!(message(GpuError::Lost("gone".to_owned())).starts_with("U-Net: the GPU was lost"));
    }
}
