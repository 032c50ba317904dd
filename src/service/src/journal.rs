//! Log events as entries of systemd's journal, in its native protocol.

use std::fmt::{self, Write as _};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::Mask;

/// Where the journal listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// A value is cut to this length where the entry is too long for a datagram.
const SHORT: usize = 4 << 10;

/// Does the standard error of this process go to the journal, as `JOURNAL_STREAM` says it?
pub fn is_standard_error() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").ok();
    let Some((device, inode)) = stream.as_deref().and_then(|text| text.split_once(':')) else {
        return false;
    };
    std::fs::metadata("/proc/self/fd/2")
        .is_ok_and(|file| device.parse() == Ok(file.dev()) && inode.parse() == Ok(file.ino()))
}

/// Writes each event as one entry: `MESSAGE`, `PRIORITY`, `SYSLOG_IDENTIFIER`, `CODE_FILE`,
/// `CODE_LINE`, `TFJET_TARGET` (the module), and each field of the event as `TFJET_NAME`.
#[derive(Debug)]
pub struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
    identifier: &'static str,
    mask: Mask,
}

impl Journal {
    /// Writes to the journal that listens at `path`, under this `SYSLOG_IDENTIFIER`.
    ///
    /// # Errors
    /// Nothing listens there.
    pub fn open(path: &Path, identifier: &'static str, mask: Mask) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // The journal leaves an empty entry aside.
        socket.send_to(&[], path)?;
        Ok(Self {
            socket,
            path: path.to_owned(),
            identifier,
            mask,
        })
    }

    /// Where the entry is refused, as one too long for a datagram is, its values are cut.
    fn send(&self, entry: &Entry) -> io::Result<usize> {
        self.socket
            .send_to(&entry.bytes(usize::MAX), &self.path)
            .or_else(|_| self.socket.send_to(&entry.bytes(SHORT), &self.path))
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let of = event.metadata();
        let priority = match *of.level() {
            Level::ERROR => "3",
            Level::WARN => "4",
            Level::INFO => "6",
            Level::DEBUG | Level::TRACE => "7",
        };
        let mut entry = Entry {
            fields: Vec::with_capacity(8),
            mask: self.mask,
        };
        event.record(&mut entry);
        entry.push("PRIORITY", priority);
        entry.push("SYSLOG_IDENTIFIER", self.identifier);
        entry.push("TFJET_TARGET", of.target());
        if let Some(file) = of.file() {
            entry.push("CODE_FILE", file);
        }
        if let Some(line) = of.line() {
            entry.push("CODE_LINE", &line.to_string());
        }
        // A journal that is gone cannot be told so.
        let _ = self.send(&entry);
    }
}

/// Names and values of an entry.
struct Entry {
    fields: Vec<(String, String)>,
    mask: Mask,
}

impl Entry {
    fn push(&mut self, name: &str, value: &str) {
        self.fields.push((name.to_owned(), (self.mask)(value)));
    }

    /// The entry with no value longer than `most`, as the journal reads it: `NAME=VALUE`, or,
    /// where the value has lines, the name, the value's length in eight bytes, and the value.
    fn bytes(&self, most: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        for (name, value) in &self.fields {
            let value = match value.get(..value.floor_char_boundary(most)) {
                Some(short) => short.as_bytes(),
                None => value.as_bytes(),
            };
            bytes.extend_from_slice(name.as_bytes());
            if value.contains(&b'\n') {
                bytes.push(b'\n');
                bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
            } else {
                bytes.push(b'=');
            }
            bytes.extend_from_slice(value);
            bytes.push(b'\n');
        }
        bytes
    }
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.push("MESSAGE", value),
            name => self.push(&field_name(name), value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write!(text, "{value:?}");
        self.record_str(field, &text);
    }
}

/// `TFJET_` and the name in the journal's letters: A to Z, digits and `_`, at most 64.
fn field_name(name: &str) -> String {
    let letters = name.chars().map(|letter| match letter {
        letter if letter.is_ascii_alphanumeric() => letter.to_ascii_uppercase(),
        _ => '_',
    });
    "TFJET_".chars().chain(letters).take(64).collect()
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    type Fields = Vec<(String, String)>;

    /// Reads an entry as the journal's documentation has it.
    fn parse(mut bytes: &[u8]) -> Fields {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let end = bytes.iter().position(|b| b"=\n".contains(b)).unwrap();
            let name = &bytes[..end];
            let value = if bytes[end] == b'=' {
                let rest = &bytes[end + 1..];
                let end = rest.iter().position(|b| *b == b'\n').unwrap();
                bytes = &rest[end + 1..];
                &rest[..end]
            } else {
                let (len, rest) = bytes[end + 1..].split_at(8);
                let len = u64::from_le_bytes(len.try_into().unwrap()) as usize;
                assert_eq!(rest[len], b'\n');
                bytes = &rest[len + 1..];
                &rest[..len]
            };
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            fields.push((text(name), text(value)));
        }
        fields
    }

    fn entries(log: impl FnOnce()) -> Vec<Fields> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let listener = UnixDatagram::bind(&path).unwrap();
        let mask: Mask = |text| text.replace("secret", "***");
        let journal = Journal::open(&path, "tfjet-run", mask).unwrap();
        let subscriber = tracing_subscriber::registry().with(journal);
        tracing::subscriber::with_default(subscriber, log);
        listener.set_nonblocking(true).unwrap();
        let mut buffer = vec![0; 1 << 20];
        let mut entries = Vec::new();
        while let Ok(len) = listener.recv(&mut buffer) {
            entries.push(parse(&buffer[..len]));
        }
        assert_eq!(entries.remove(0), [], "the probe");
        entries
    }

    fn field<'a>(entry: &'a Fields, name: &str) -> Option<&'a str> {
        let found = entry.iter().find(|(key, _)| key == name)?;
        Some(&found.1)
    }

    #[test]
    fn events_are_entries_with_fields() {
        let found = entries(|| {
            tracing::info!(
                fps = 29.5,
                frame.index = 7u64,
                name = "a b",
                "served to secret"
            );
            tracing::error!("two\nlines");
        });
        let [info, error] = found.as_slice() else {
            panic!("{found:?}")
        };
        for (name, value) in [
            ("MESSAGE", "served to ***"),
            ("PRIORITY", "6"),
            ("SYSLOG_IDENTIFIER", "tfjet-run"),
            ("TFJET_FPS", "29.5"),
            ("TFJET_FRAME_INDEX", "7"),
            ("TFJET_NAME", "a b"),
            ("TFJET_TARGET", "tfjet_service::journal::tests"),
        ] {
            assert_eq!(field(info, name), Some(value), "{info:?}");
        }
        assert!(field(info, "CODE_FILE").unwrap().ends_with("journal.rs"));
        assert!(field(info, "CODE_LINE").unwrap().parse::<u32>().is_ok());
        assert_eq!(field(error, "MESSAGE"), Some("two\nlines"));
        assert_eq!(field(error, "PRIORITY"), Some("3"));
    }

    #[test]
    fn an_entry_too_long_for_a_datagram_is_cut() {
        let found = entries(|| tracing::warn!("{}", "é".repeat(1 << 20)));
        let message = field(&found[0], "MESSAGE").unwrap();
        assert_eq!(message.len(), SHORT);
        assert_eq!(field(&found[0], "PRIORITY"), Some("4"));
    }

    #[test]
    fn a_journal_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        assert!(Journal::open(&path, "a", str::to_owned).is_err());
    }
}
