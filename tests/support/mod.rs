//! The repository as the tests of its structure see it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory of the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What `cargo` prints when it is run in the repository.
pub(crate) fn cargo(arguments: &[&str]) -> String {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "cargo {}: {errors}",
        arguments.join(" ")
    );
    String::from_utf8(output.stdout).expect("cargo prints text")
}

/// A text file of the repository.
pub(crate) struct TextFile {
    /// From the root, with `/` between the parts.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every text file that is not ignored, sorted by path. Of the hidden entries `.ci` and
/// `.gitignore` belong to the project.
pub(crate) fn text_files() -> Vec<TextFile> {
    let mut files = Vec::new();
    let mut pending: Vec<PathBuf> = vec![root().to_path_buf()];
    while let Some(directory) = pending.pop() {
        let ignore = std::fs::read_to_string(directory.join(".gitignore")).unwrap_or_default();
        let ignored: Vec<&str> = ignore
            .lines()
            .filter_map(|line| line.strip_prefix('/'))
            .map(|line| line.trim_end_matches('/'))
            .collect();
        for entry in std::fs::read_dir(&directory).expect("a directory of the repository") {
            let entry = entry.expect("an entry of a directory");
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_hidden = name.starts_with('.') && name != ".ci" && name != ".gitignore";
            if is_hidden || ignored.contains(&name.as_str()) {
                continue;
            }
            let kind = entry.file_type().expect("the type of an entry");
            if kind.is_dir() {
                pending.push(entry.path());
            } else if kind.is_file()
                && let Ok(text) = std::fs::read_to_string(entry.path())
            {
                files.push(TextFile {
                    path: relative(&entry.path()),
                    text,
                });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn relative(path: &Path) -> String {
    let inside = path.strip_prefix(root()).unwrap_or(path);
    let parts = inside
        .components()
        .map(|part| part.as_os_str().to_string_lossy());
    parts.collect::<Vec<_>>().join("/")
}
