//! One file per command.

pub(crate) mod accuracy;
pub(crate) mod calibrate;
pub(crate) mod compare;
pub(crate) mod convert;
pub(crate) mod engines;
pub(crate) mod inspect;
pub(crate) mod model;
pub(crate) mod plan;
pub(crate) mod targets;
pub(crate) mod task;
pub(crate) mod verify;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use tfjet::bundle::replace_file;

use crate::fetch::FetchError;

/// Logs to the standard error; `TFJET_LOG` sets the level.
pub(crate) fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("TFJET_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,tfjet_cpu::library=off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .without_time()
        .with_target(false)
        .init();
}

/// Prints an error on one line and gives its exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let code = match error
        .chain()
        .find_map(|cause| cause.downcast_ref::<FetchError>())
    {
        Some(fetch) => fetch.exit_code(),
        None => tfjet::exit::code(error),
    };
    let _ = writeln!(std::io::stderr(), "tfjet: {}", tfjet::exit::one_line(error));
    ExitCode::from(code)
}

/// Prints to the standard output; a reader that went away is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("standard output"),
    }
}

/// Writes a file under a temporary name and renames it.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    replace_file::<std::io::Error>(path, |file| file.write_all(bytes))
        .with_context(|| path.display().to_string())
}
