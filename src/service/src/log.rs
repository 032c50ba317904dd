//! Logs: to the journal where the process runs under it, else as text to the standard error.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::Mask;
use crate::journal::{self, Journal};

/// Names the journal's socket, for tests.
pub const SOCKET_VARIABLE: &str = "TFJET_JOURNAL_SOCKET";

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// The program's name in the journal.
    pub identifier: &'static str,
    /// What is logged, as `EnvFilter` reads it.
    pub filter: String,
    /// Applied to every text.
    pub mask: Mask,
}

/// The logs of this process.
#[derive(Debug)]
pub struct Logs {
    filter: reload::Handle<EnvFilter, Registry>,
    to_journal: bool,
}

impl Logs {
    /// Begins to log, for the whole process.
    ///
    /// # Errors
    /// The filter is wrong, or the process logs already.
    pub fn begin(options: &LogOptions) -> Result<Self, String> {
        let (filter, handle) = reload::Layer::new(parse(&options.filter)?);
        let journal = journal(options);
        let to_journal = journal.is_some();
        let text = (!to_journal).then(|| {
            let mask = options.mask;
            tracing_subscriber::fmt::layer()
                .with_writer(move || Masked(mask))
                .with_ansi(io::stderr().is_terminal())
                .without_time()
                .with_target(false)
        });
        tracing_subscriber::registry()
            .with(filter)
            .with(journal.map(|journal| journal.boxed()))
            .with(text)
            .try_init()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            filter: handle,
            to_journal,
        })
    }

    /// Do they go to the journal?
    pub fn to_journal(&self) -> bool {
        self.to_journal
    }

    /// Logs this from now on.
    ///
    /// # Errors
    /// The filter is wrong; the old one stays.
    pub fn set_filter(&self, filter: &str) -> Result<(), String> {
        self.filter
            .reload(parse(filter)?)
            .map_err(|error| error.to_string())
    }
}

/// Can this be [`LogOptions::filter`]?
///
/// # Errors
/// What is wrong with it.
pub fn check_filter(filter: &str) -> Result<(), String> {
    parse(filter).map(|_| ())
}

fn parse(filter: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(filter).map_err(|error| error.to_string())
}

fn journal(options: &LogOptions) -> Option<Journal> {
    if !journal::is_standard_error() {
        return None;
    }
    let socket = std::env::var_os(SOCKET_VARIABLE);
    let socket = socket.map_or_else(|| PathBuf::from(journal::SOCKET), PathBuf::from);
    Journal::open(&socket, options.identifier, options.mask).ok()
}

/// The standard error, through the mask. The formatter hands over whole events.
struct Masked(Mask);

impl io::Write for Masked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = (self.0)(&String::from_utf8_lossy(bytes));
        io::Write::write_all(&mut io::stderr(), text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
