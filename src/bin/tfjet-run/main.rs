//! `tfjet-run`: runs bundles on frames or arrays.
#![forbid(unsafe_code)]

mod backend;
mod cmd;
mod tensorrt;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    Doctor(cmd::doctor::Cmd),
    #[command(hide = true)]
    BuildEngine(cmd::build_engine::Cmd),
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_env("TFJET_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,tfjet_cpu::library=off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .without_time()
        .with_target(false)
        .init();
    let result = match Cli::parse().command {
        Command::Run(cmd) => cmd.run(),
        Command::Prepare(cmd) => cmd.run(),
        Command::Bench(cmd) => cmd.run(),
        Command::Doctor(cmd) => cmd.run(),
        Command::BuildEngine(cmd) => cmd.run(),
    };
    match result {
        Ok(()) => ExitCode::from(tfjet::exit::GOOD),
        Err(error) => {
            let _ = writeln!(
                std::io::stderr(),
                "tfjet-run: {}",
                tfjet::exit::one_line(&error)
            );
            ExitCode::from(tfjet::exit::code(&error))
        }
    }
}
