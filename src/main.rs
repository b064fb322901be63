//! `lora-wgpu`: exit code 0 where all went well, 1 where a check failed or a picture was left out, 2 where the user or
//! the environment is at fault, 130 where the user stopped it.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use lora_wgpu::cli::{Cli, INTERRUPTED, Outcome, is_broken_pipe};

fn main() -> ExitCode {
    match Cli::parse().run(&mut io::stdout().lock()) {
        Ok(Outcome::Success) => ExitCode::SUCCESS,
        Ok(Outcome::CheckFailed) => ExitCode::from(1),
        Ok(Outcome::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::from(2)
        }
    }
}

fn report(error: &anyhow::Error) {
    let mut text = format!("error: {error}\n");
    for cause in error.chain().skip(1) {
        text += &format!("  caused by {cause}\n");
    }
    // Where stderr is gone nobody reads it; the exit code still tells.
    let _ = io::stderr().write_all(text.as_bytes());
}
