//! The process that builds one engine: started, watched, and turned into an engine or an error.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use tfjet::exit::{self, Failed};

use super::progress::{Message, Progress};

/// How often a signal to this process is looked for.
const POLL: Duration = Duration::from_millis(50);
/// Longest line that the building process may print.
const MAX_LINE: u64 = 1 << 16;

/// One engine to build.
pub(super) struct Job<'a> {
    /// What is said of it while it runs.
    pub(super) title: String,
    /// Segment and name, for errors.
    pub(super) segment: String,
    /// The executable that has the command `build-engine`.
    pub(super) builder: &'a Path,
    pub(super) arguments: Vec<OsString>,
    /// What the process writes the engine to, and its timing cache.
    pub(super) engine: PathBuf,
    pub(super) timing: PathBuf,
    /// Where its standard error goes.
    pub(super) log: PathBuf,
}

/// What a build gave.
pub(super) struct Built {
    pub(super) engine: Vec<u8>,
    pub(super) timing: Option<Vec<u8>>,
    pub(super) took: Duration,
}

impl Job<'_> {
    /// Builds. When `stop` is set, the process is ended.
    pub(super) fn run(&self, stop: &AtomicBool) -> anyhow::Result<Built> {
        let log = File::create(&self.log).with_context(|| self.log.display().to_string())?;
        let mut command = Command::new(self.builder);
        command.arg("build-engine").args(&self.arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        if std::env::var_os("TFJET_LOG").is_none() {
            command.env("TFJET_LOG", "info,tfjet_tensorrt=debug");
        }
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", self.builder.display()))?;
        let mut child = Guard(child);
        let messages = child.0.stdout.take().map(read_messages);
        let messages = messages.context("the building process has no output")?;
        let mut progress = Progress::begin(self.title.clone());
        let (status, reported) = watch(&mut child.0, &messages, &mut progress, stop)?;
        let took = progress.end();
        let Some(status) = status else {
            drop(child);
            return Err(self.failed(
                exit::NOT_PREPARED,
                "stopped by a signal; no engine was kept",
            ));
        };
        if !status.success() {
            return Err(self.ended(status, reported));
        }
        let engine = fs::read(&self.engine).unwrap_or_default();
        if engine.is_empty() {
            return Err(self.failed(
                exit::NOT_PREPARED,
                "the building process ended well and left no engine",
            ));
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
        self.failed(code, &text)
    }

    fn failed(&self, code: u8, text: &str) -> anyhow::Error {
        let (segment, log) = (&self.segment, self.log.display());
        Failed {
            code,
            text: format!("{segment}: {text} (log: {log})"),
        }
        .into()
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

/// A folder for what the building processes write, inside the cache so that both are on one file
/// system. It goes when it is dropped.
pub(super) struct Workplace(PathBuf);

const WORKPLACE: &str = ".building-";
/// No build takes so long.
const ABANDONED: Duration = Duration::from_secs(48 * 60 * 60);

impl Workplace {
    /// Makes the folder, and removes those that were left behind long ago. Containers that share a
    /// cache may have processes of the same number, hence the time in the name, and do not see each
    /// other's, hence the age.
    pub(super) fn new(cache: &Path) -> anyhow::Result<Self> {
        for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let is_workplace = name
                .to_str()
                .is_some_and(|name| name.starts_with(WORKPLACE));
            if is_workplace && age(&entry) > ABANDONED {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let name = format!("{WORKPLACE}{}-{}", std::process::id(), now.as_nanos());
        let path = cache.join(name);
        fs::create_dir(&path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// How long ago an entry last changed; nothing where that cannot be told.
fn age(entry: &fs::DirEntry) -> Duration {
    let changed = entry.metadata().and_then(|metadata| metadata.modified());
    let age = changed.ok().and_then(|changed| changed.elapsed().ok());
    age.unwrap_or_default()
}

impl Drop for Workplace {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests;
