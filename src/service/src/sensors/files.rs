use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// No file of a sensor is longer.
const MOST: u64 = 64 << 10;

/// Small files below a folder.
#[derive(Debug, Clone)]
pub(super) struct Root(PathBuf);

impl Root {
    pub(super) fn new(root: &Path) -> Self {
        Self(root.to_owned())
    }

    /// The text of a file, trimmed. Sensors of parts that are powered down fail to be read, which
    /// is the same as their absence.
    pub(super) fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let mut bytes = Vec::new();
        let file = File::open(self.0.join(path)).ok()?;
        file.take(MOST).read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        Some(
            text.trim_matches(|c: char| c.is_whitespace() || c == '\0')
                .to_owned(),
        )
    }

    /// The number that a file holds.
    pub(super) fn number<T: FromStr>(&self, path: impl AsRef<Path>) -> Option<T> {
        self.text(path)?.parse().ok()
    }

    /// The entries of a folder whose names begin so, in order of the numbers in their names, as
    /// paths below the root.
    pub(super) fn entries(&self, folder: impl AsRef<Path>, prefix: &str) -> Vec<PathBuf> {
        let folder = folder.as_ref();
        let mut names: Vec<String> = fs::read_dir(self.0.join(folder))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.starts_with(prefix))
            .collect();
        names.sort_by_key(|name| {
            let digits: String = name.chars().filter(char::is_ascii_digit).collect();
            (digits.parse::<u64>().unwrap_or(u64::MAX), name.clone())
        });
        names.into_iter().map(|name| folder.join(name)).collect()
    }
}
