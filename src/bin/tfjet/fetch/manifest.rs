use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::FetchError;
use super::model::ModelSpec;

const MANIFEST: &str = include_str!("../../../../models/manifest.toml");

/// Labels and recipes that the embedded manifest names, under the names that it uses.
const EMBEDDED: [(&str, &str); 3] = [
    (
        "labels/coco80.txt",
        include_str!("../../../../models/labels/coco80.txt"),
    ),
    (
        "labels/imagenet1k.txt",
        include_str!("../../../../models/labels/imagenet1k.txt"),
    ),
    (
        "recipes/efficientnet_lite0.py",
        include_str!("../../../../models/recipes/efficientnet_lite0.py"),
    ),
];

/// What can be fetched, by name.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) entries: BTreeMap<String, Entry>,
    file: Option<PathBuf>,
}

/// One thing that can be fetched.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) task: String,
    pub(super) licence: String,
    #[serde(flatten)]
    pub(super) package: Package,
    #[serde(default)]
    pub(super) files: Vec<FileSpec>,
    pub(super) recipe: Option<RecipeSpec>,
    pub(super) model: Option<ModelSpec>,
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Model,
    Video,
    Images,
    Library,
}

/// A package, as its client is asked for it.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Package {
    pub(super) client: Client,
    #[serde(rename = "package")]
    pub(super) name: String,
    pub(super) version: String,
    pub(super) archive_sha256: Option<String>,
    /// Python version of a wheel that is not pure Python.
    pub(super) python: Option<String>,
    /// Platform tag of a wheel that is not pure Python.
    pub(super) platform: Option<String>,
    /// A source distribution rather than a wheel.
    #[serde(default)]
    pub(super) sdist: bool,
    /// What the `setup.py` of a source distribution imports.
    #[serde(default)]
    pub(super) build_requires: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Client {
    Npm,
    Pypi,
    Debian,
}

/// A file inside the package.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileSpec {
    pub(super) path: String,
    name: Option<String>,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

impl FileSpec {
    /// Name in the cache, with folders where it has some.
    pub(super) fn name(&self) -> &str {
        let last = self.path.rsplit('/').next().unwrap_or(&self.path);
        self.name.as_deref().unwrap_or(last)
    }
}

/// A script that makes one more file out of the fetched ones.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecipeSpec {
    pub(super) script: String,
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// A file of an entry as it lies in the cache.
#[derive(Debug, Clone, Copy)]
pub(super) struct CacheFile<'a> {
    pub(super) name: &'a str,
    pub(super) bytes: u64,
    pub(super) sha256: &'a str,
}

impl Entry {
    /// All files, in the order of the manifest, the recipe's last.
    pub(super) fn cache_files(&self) -> impl Iterator<Item = CacheFile<'_>> {
        let files = self.files.iter().map(|file| CacheFile {
            name: file.name(),
            bytes: file.bytes,
            sha256: &file.sha256,
        });
        files.chain(self.recipe.iter().map(|recipe| CacheFile {
            name: &recipe.name,
            bytes: recipe.bytes,
            sha256: &recipe.sha256,
        }))
    }

    /// The first thing that cannot be.
    fn check(&self) -> Result<(), String> {
        let safe = |text: &str| {
            text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '@')
                && text
                    .chars()
                    .all(|char| char.is_ascii_alphanumeric() || "@/._+-~".contains(char))
        };
        let Package { name, version, .. } = &self.package;
        for (field, text) in [("package", name), ("version", version)] {
            if !safe(text) {
                return Err(format!("`{field}` is `{text}`"));
            }
        }
        if self.package.sdist && self.package.client != Client::Pypi {
            return Err("`sdist` goes with client `pypi` only".into());
        }
        if self.files.is_empty() {
            return Err("`files` is empty".into());
        }
        for file in self.cache_files() {
            if !file.name.split('/').all(is_file_name) {
                return Err(format!("`{}` is no name for a file", file.name));
            }
            if !is_sha256(file.sha256) {
                return Err(format!(
                    "`sha256` of {} is not 64 lower-case hex digits",
                    file.name
                ));
            }
        }
        match &self.model {
            Some(model) => model.check(self),
            None => Ok(()),
        }
    }
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl Manifest {
    /// The manifest of this release.
    pub(super) fn embedded() -> Result<Self, FetchError> {
        Self::parse(MANIFEST, None)
    }

    /// A manifest from a file; labels and recipes lie beside it.
    pub(super) fn read(file: &Path) -> Result<Self, FetchError> {
        let text = fs::read_to_string(file).map_err(FetchError::at(file))?;
        Self::parse(&text, Some(file.to_path_buf()))
    }

    fn parse(text: &str, file: Option<PathBuf>) -> Result<Self, FetchError> {
        let fail = |message: String| FetchError::Manifest {
            file: file.as_ref().map_or("models/manifest.toml".into(), |file| {
                file.display().to_string()
            }),
            message,
        };
        let entries: BTreeMap<String, Entry> = toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .map(|span| text[..span.start].lines().count().max(1));
            let place = line.map_or(String::new(), |line| format!("line {line}: "));
            fail(format!("{place}{}", error.message()))
        })?;
        for (name, entry) in &entries {
            if !is_file_name(name) {
                return Err(fail(format!("`{name}` is no name for an entry")));
            }
            entry
                .check()
                .map_err(|message| fail(format!("entry {name}: {message}")))?;
        }
        Ok(Self { entries, file })
    }

    /// The entry of this name.
    pub(super) fn entry(&self, name: &str) -> Result<(&str, &Entry), FetchError> {
        match self.entries.get_key_value(name) {
            Some((name, entry)) => Ok((name, entry)),
            None => Err(FetchError::UnknownEntry {
                name: name.into(),
                known: self.entries.keys().cloned().collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// Text of a labels file or recipe.
    pub(super) fn resource(&self, name: &str) -> Result<String, FetchError> {
        if let Some(file) = &self.file {
            let path = file.with_file_name("").join(name);
            return fs::read_to_string(&path).map_err(FetchError::at(&path));
        }
        EMBEDDED
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, text)| (*text).into())
            .ok_or_else(|| FetchError::Manifest {
                file: "models/manifest.toml".into(),
                message: format!("{name} is not embedded"),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = r#"
        [clip]
        kind = "video"
        task = "t"
        licence = "MIT"
        client = "npm"
        package = "@a/b"
        version = "1.0.0"
        [[clip.files]]
        path = "a/b.avi"
        bytes = 1
        sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
    "#;

    #[test]
    fn embedded_entries_resolve_all_that_they_name() {
        let manifest = Manifest::embedded().unwrap();
        for (name, entry) in &manifest.entries {
            if let Some(recipe) = &entry.recipe {
                assert!(
                    manifest
                        .resource(&recipe.script)
                        .unwrap()
                        .contains("usage:"),
                    "{name}"
                );
            }
            if let Some(model) = &entry.model {
                model.resolve(name, &manifest).unwrap();
            }
        }
    }

    #[test]
    fn bad_entries_are_refused_with_the_place() {
        assert!(Manifest::parse(ENTRY, None).is_ok());
        for (from, to, expected) in [
            ("[[clip.files]]", "colour = 1\n[[clip.files]]", "colour"),
            ("bytes = 1", "bytes = 1\nmode = 1", "unknown field `mode`"),
            ("\"video\"", "\"film\"", "film"),
            (
                "@a/b",
                "--registry=x",
                "entry clip: `package` is `--registry=x`",
            ),
            ("\"0000", "\"zz00", "entry clip: `sha256` of b.avi"),
            (
                "path = \"a/b.avi\"",
                "path = \"a/..\"",
                "entry clip: `..` is no name",
            ),
            (
                "path =",
                "name = \"../x\"\npath =",
                "entry clip: `../x` is no name",
            ),
            (
                "path =",
                "name = \"x/../../y\"\npath =",
                "entry clip: `x/../../y` is no name",
            ),
            (
                "path =",
                "name = \"/x\"\npath =",
                "entry clip: `/x` is no name",
            ),
            ("clip", "\"../clip\"", "`../clip` is no name for an entry"),
            ("version", "sdist = true\nversion", "entry clip: `sdist`"),
        ] {
            let text = ENTRY.replace(from, to);
            let message = Manifest::parse(&text, None).unwrap_err().to_string();
            assert!(message.contains(expected), "{message} lacks {expected}");
        }
    }
}
