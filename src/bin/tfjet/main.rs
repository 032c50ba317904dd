//! `tfjet`: converts TensorFlow models to bundles and looks into them.
#![forbid(unsafe_code)]

mod accuracy;
mod calibration;
mod cmd;
mod compare;
mod fetch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Converts TensorFlow models for tfjet-run and looks into them.
///
/// Exit codes: 0 good, 1 differs or did not pass, 2 usage, 3 bad input, 4 missing library,
/// program or device.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Convert(cmd::convert::Cmd),
    Plan(cmd::plan::Cmd),
    Inspect(cmd::inspect::Cmd),
    Verify(cmd::verify::Cmd),
    Compare(cmd::compare::Cmd),
    Calibrate(cmd::calibrate::Cmd),
    Accuracy(cmd::accuracy::Cmd),
    Targets(cmd::targets::Cmd),
    /// Get models, clips and libraries by name
    Fetch(fetch::FetchArgs),
}

fn main() -> ExitCode {
    cmd::start_log();
    let result = match Cli::parse().command {
        Command::Convert(cmd) => cmd.run(),
        Command::Plan(cmd) => cmd.run(),
        Command::Inspect(cmd) => cmd.run(),
        Command::Verify(cmd) => cmd.run(),
        Command::Compare(cmd) => cmd.run(),
        Command::Calibrate(cmd) => cmd.run(),
        Command::Accuracy(cmd) => cmd.run(),
        Command::Targets(cmd) => cmd.run(),
        Command::Fetch(args) => fetch::run(&args, &mut std::io::stdout().lock())
            .map(|()| 0)
            .map_err(Into::into),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => cmd::report(&error),
    }
}
