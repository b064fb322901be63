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
        match &self.command {
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
        }
    }
}

/// Whether the reader of our output has gone away, as `head` does: no reason to complain.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
