//! `tfjet-run`: runs bundles on frames or arrays.
#![forbid(unsafe_code)]

mod backend;
mod build;
mod cmd;
mod dynamic;
mod tensorrt;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tfjet::video::mask_secrets;
use tfjet_service::journal;
use tfjet_service::log::{LogOptions, Logs, check_filter};

/// Runs tfjet bundles.
///
/// Exit codes: 0 good, 2 usage, 3 bad input, 4 missing library or device, 5 not prepared (no
/// engine for this machine, or it could not be built).
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(cmd::run::Cmd),
    Prepare(cmd::prepare::Cmd),
    Bench(cmd::bench::Cmd),
    Serve(cmd::serve::Cmd),
    Check(cmd::check::Cmd),
    Doctor(cmd::doctor::Cmd),
    #[command(hide = true)]
    BuildEngine(cmd::build_engine::Cmd),
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    if !matches!(command, Command::Serve(_)) {
        log();
    }
    let result = match command {
        Command::Run(cmd) => cmd.run(),
        Command::Prepare(cmd) => cmd.run(),
        Command::Bench(cmd) => cmd.run(),
        Command::Serve(cmd) => cmd.run(),
        Command::Check(cmd) => cmd.run(),
        Command::Doctor(cmd) => cmd.run(),
        Command::BuildEngine(cmd) => cmd.run(),
    };
    match result {
        Ok(()) => ExitCode::from(tfjet::exit::GOOD),
        Err(error) => {
            // The journal takes this for the priority of an error.
            let priority = match journal::is_standard_error() {
                true => "<3>",
                false => "",
            };
            let line = mask_secrets(&tfjet::exit::one_line(&error));
            let _ = writeln!(std::io::stderr(), "{priority}tfjet-run: {line}");
            ExitCode::from(tfjet::exit::code(&error))
        }
    }
}

/// Begins to log what `TFJET_LOG` says, or else warnings.
fn log() {
    let mut options = LogOptions {
        identifier: "tfjet-run",
        filter: std::env::var("TFJET_LOG").unwrap_or_default(),
        mask: mask_secrets,
    };
    if options.filter.is_empty() || check_filter(&options.filter).is_err() {
        options.filter = "warn,tfjet_cpu::library=off".into();
    }
    // There is one process-wide log, and this is where it is begun.
    let _ = Logs::begin(&options);
}
