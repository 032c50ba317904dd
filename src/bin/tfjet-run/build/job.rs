//! The process that builds one engine: started, watched, and turned into an engine or an error.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::Context as _;
use tfjet::exit::{self, Failed};

use super::{Message, Progress};

/// How often a signal to this process is looked for.
const POLL: Duration = Duration::from_millis(50);
/// Longest line that the building process may print.
const MAX_LINE: u64 = 1 << 16;

/// One engine to build.
pub(super) struct Job<'a> {
    /// Segment and name, for errors.
    pub(super) segment: String,
    /// The executable that has the command `build-engine`.
    pub(super) executable: &'a Path,
    pub(super) arguments: Vec<OsString>,
    /// What the process writes the engine to, and its timing cache.
    pub(super) engine: PathBuf,
    pub(super) timing: PathBuf,
    /// Where its standard error goes.
    pub(super) log: PathBuf,
}

/// A build that somebody ended: no fault of its own.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Interrupted(#[source] Failed);

/// What a build gave.
pub(super) struct Built {
    pub(super) engine: Vec<u8>,
    pub(super) timing: Option<Vec<u8>>,
    pub(super) took: Duration,
}

impl Job<'_> {
    /// Builds. When `stop` is set, the process is ended.
    pub(super) fn run(&self, mut progress: Progress, stop: &AtomicBool) -> anyhow::Result<Built> {
        let log = File::create(&self.log).with_context(|| self.log.display().to_string())?;
        let mut command = Command::new(self.executable);
        command.arg("build-engine").args(&self.arguments);
        // What a terminal sends is for this process, which then ends its child.
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        if std::env::var_os("TFJET_LOG").is_none() {
            command.env("TFJET_LOG", "info,tfjet_tensorrt=debug");
        }
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", self.executable.display()))?;
        let mut child = Guard(child);
        let messages = child.0.stdout.take().map(read_messages);
        let messages = messages.context("the building process has no output")?;
        let (status, reported) = watch(&mut child.0, &messages, &mut progress, stop)?;
        let took = progress.end();
        let Some(status) = status else {
            drop(child);
            let text = "stopped by a signal; no engine was kept";
            return Err(Interrupted(self.failed(exit::NOT_PREPARED, text)).into());
        };
        if !status.success() {
            return Err(self.ended(status, reported));
        }
        let engine = fs::read(&self.engine).unwrap_or_default();
        if engine.is_empty() {
            let text = "the building process ended well and left no engine";
            return Err(self.failed(exit::NOT_PREPARED, text).into());
        }
        let timing = fs::read(&self.timing)
            .ok()
            .filter(|bytes| !bytes.is_empty());
        Ok(Built {
            engine,
            timing,
            took,
        })
    }

    /// The error for a process that ended without success.
    fn ended(&self, status: ExitStatus, reported: Option<Reported>) -> anyhow::Error {
        let (code, text) = match (reported, status.signal(), status.code()) {
            (_, Some(signal), _) => (exit::NOT_PREPARED, killed_by(signal)),
            (Some((text, code)), ..) => (code, text),
            (None, None, code) => (
                exit::NOT_PREPARED,
                match code {
                    Some(code) => format!("the building process ended with exit code {code}"),
                    None => "the building process ended".into(),
                },
            ),
        };
        let failed = self.failed(code, &text);
        match status.signal() {
            // SIGHUP, SIGINT and SIGTERM, which a service manager sends to all processes.
            Some(1 | 2 | 15) => Interrupted(failed).into(),
            _ => failed.into(),
        }
    }

    fn failed(&self, code: u8, text: &str) -> Failed {
        let (segment, log) = (&self.segment, self.log.display());
        Failed {
            code,
            text: format!("{segment}: {text} (log: {log})"),
        }
    }
}

/// What a signal says about a build.
fn killed_by(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        _ => "",
    };
    let name = match name {
        "" => format!("signal {signal}"),
        name => name.to_owned(),
    };
    match signal {
        9 => format!(
            "the build was killed ({name}), most likely because memory ran out: stop other \
             programs, add swap, or give a smaller --workspace"
        ),
        4 | 6 | 7 | 8 | 11 => format!("the build crashed inside the library ({name})"),
        _ => format!("the build was ended by {name}"),
    }
}

/// Ends the process when it is dropped.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // Both fail only where the process has ended and was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The lines of the process that are messages, as they come.
fn read_messages(stdout: ChildStdout) -> Receiver<Message> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut line = Vec::new();
        loop {
            line.clear();
            match reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            // A library may print lines of its own.
            if let Ok(message) = serde_json::from_slice(&line)
                && sender.send(message).is_err()
            {
                return;
            }
        }
    });
    receiver
}

/// The error that a process told of, and its exit code.
type Reported = (String, u8);

/// Shows progress until the process ends, then gives how it ended and the error that it reported;
/// `None` where `stop` was set first.
fn watch(
    child: &mut Child,
    messages: &Receiver<Message>,
    progress: &mut Progress,
    stop: &AtomicBool,
) -> anyhow::Result<(Option<ExitStatus>, Option<Reported>)> {
    let mut reported = None;
    let mut ended = None;
    loop {
        match messages.recv_timeout(POLL) {
            Ok(Message::Progress { phase, step, steps }) => progress.update(&phase, step, steps),
            Ok(Message::Error { text, code }) => reported = Some((text, code)),
            // All that it said before it ended has been read.
            Err(_) if ended.is_some() => return Ok((ended, reported)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(POLL),
        }
        if stop.load(Ordering::Relaxed) {
            return Ok((None, reported));
        }
        ended = child.try_wait().context("the building process")?;
        progress.draw();
    }
}

#[cfg(test)]
mod tests;
