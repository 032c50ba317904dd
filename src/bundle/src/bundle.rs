use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde::de::DeserializeOwned;

use crate::format::{decode, range};
use crate::mmap::map;
use crate::storage::Storage;
use crate::targets::View;
use crate::{BundleError, Section, SectionId, SectionKind, SectionProblem};

/// An opened bundle.
///
/// Header, section table and padding are checked when it is opened, a section's hash and version
/// at its first use. Slices borrow from the mapped file; nothing is copied. A bundle can be shared
/// between threads; a clone shares the file.
///
/// A bundle of several targets is looked at as one of them after [`Bundle::select`].
#[derive(Debug, Clone)]
pub struct Bundle {
    file: Arc<Mapped>,
    pub(crate) view: View,
}

/// A file and its section table.
#[derive(Debug)]
struct Mapped {
    storage: Storage,
    path: Option<PathBuf>,
    sections: Vec<Section>,
    /// For each section: does its hash match? Empty until it is first used.
    intact: Vec<OnceLock<bool>>,
}

impl Bundle {
    /// Maps the file at `path` and checks header and section table.
    ///
    /// The file must not be changed in place while the bundle is open: a process that truncates it
    /// ends this one at the next access. Replace it by renaming, as
    /// [`BundleWriter::write`](crate::BundleWriter::write) does.
    ///
    /// # Errors
    /// Where the file cannot be read, is no bundle, is of another format version, or is damaged.
    pub fn open(path: &Path) -> Result<Self, BundleError> {
        let name = path.display().to_string();
        let io = |action| {
            let file = name.clone();
            move |source| BundleError::Io {
                file,
                action,
                source,
            }
        };
        let metadata = fs::metadata(path).map_err(io("open"))?;
        let found = match (metadata.is_dir(), metadata.is_file(), metadata.len()) {
            (true, _, _) => Some("a directory"),
            (_, false, _) => Some("no regular file"),
            (_, _, 0) => Some("empty"),
            _ => None,
        };
        if let Some(found) = found {
            return Err(BundleError::NotAFile { file: name, found });
        }
        let file = File::open(path).map_err(io("open"))?;
        let storage = Storage::Mapped(map(&file).map_err(io("map"))?);
        Self::check(storage, Some(path.into()))
    }

    /// A bundle in memory, checked like a file.
    ///
    /// # Errors
    /// As [`Bundle::open`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, BundleError> {
        Self::check(Storage::owned(bytes), None)
    }

    fn check(storage: Storage, path: Option<PathBuf>) -> Result<Self, BundleError> {
        let sections = decode(&storage, &name_of(path.as_deref()))?;
        let intact = sections.iter().map(|_| OnceLock::new()).collect();
        let view = View::of(&sections);
        let file = Arc::new(Mapped {
            storage,
            path,
            sections,
            intact,
        });
        Ok(Self { file, view })
    }

    /// Where the bundle was opened; `None` for one in memory.
    pub fn path(&self) -> Option<&Path> {
        self.file.path.as_deref()
    }

    /// Bytes of the whole bundle.
    pub fn len_bytes(&self) -> usize {
        self.file.storage.len()
    }

    /// The section table, in the order of the file: by kind, target and index.
    pub fn sections(&self) -> &[Section] {
        &self.file.sections
    }

    /// A section's contents, for exactly this target (empty: the section for all boards). The
    /// start is aligned as [`SectionKind::alignment`] says in a mapped file, to 64 in memory.
    ///
    /// # Errors
    /// Where there is no such section, it is of a newer version, or its hash does not match.
    pub fn section(
        &self,
        kind: SectionKind,
        target: &str,
        index: u32,
    ) -> Result<&[u8], BundleError> {
        let position = self.position(&SectionId::new(kind, target, index))?;
        self.contents(position)
    }

    /// The place of a section in the table.
    pub(crate) fn position(&self, id: &SectionId) -> Result<usize, BundleError> {
        let found = self
            .sections()
            .binary_search_by(|section| section.id.cmp(id));
        found.map_err(|_| BundleError::Missing {
            file: self.name(),
            section: id.clone(),
        })
    }

    /// The contents of section `position` of the table, after its hash was checked.
    pub(crate) fn contents(&self, position: usize) -> Result<&[u8], BundleError> {
        let (section, bytes) = (&self.file.sections[position], self.unchecked(position));
        let reads = section.id.kind.version().unwrap_or_default();
        if section.version > reads {
            let found = section.version;
            return Err(self.damaged(&section.id, SectionProblem::Version { found, reads }));
        }
        let intact = self.file.intact[position]
            .get_or_init(|| blake3::hash(bytes).as_bytes() == &section.hash);
        match intact {
            true => Ok(bytes),
            false => {
                let (found, expected) = (blake3::hash(bytes).into(), section.hash);
                Err(self.damaged(&section.id, SectionProblem::Hash { found, expected }))
            }
        }
    }

    /// A section's bytes before their hash is checked: only their number means anything.
    pub(crate) fn peek(&self, kind: SectionKind) -> Option<&[u8]> {
        let id = SectionId::new(kind, "", 0);
        let position = self
            .sections()
            .binary_search_by(|section| section.id.cmp(&id));
        Some(self.unchecked(position.ok()?))
    }

    pub(crate) fn unchecked(&self, position: usize) -> &[u8] {
        let section = &self.file.sections[position];
        let range: Range<usize> = range(section.offset, section.len_bytes).unwrap_or_default();
        self.file.storage.get(range).unwrap_or_default()
    }

    /// A structured section's value.
    pub(crate) fn decode<T: DeserializeOwned>(
        &self,
        kind: SectionKind,
        target: &str,
        index: u32,
    ) -> Result<T, BundleError> {
        let bytes = self.section(kind, target, index)?;
        let problem = match postcard::take_from_bytes(bytes) {
            Ok((value, [])) => return Ok(value),
            Ok((_, rest)) => SectionProblem::LeftOver(rest.len()),
            Err(error) => SectionProblem::Decode(error.to_string()),
        };
        Err(self.damaged(&SectionId::new(kind, target, index), problem))
    }

    /// The version of a section's contents, where there is such a section.
    pub(crate) fn version_of(&self, id: &SectionId) -> Option<u32> {
        let section = self.sections().iter().find(|section| section.id == *id);
        section.map(|section| section.version)
    }

    /// The error for what is wrong with a section.
    pub(crate) fn damaged(&self, id: &SectionId, problem: SectionProblem) -> BundleError {
        let section = self.file.sections.iter().find(|section| section.id == *id);
        BundleError::Section {
            file: self.name(),
            section: id.clone(),
            offset: section.map_or(0, |section| section.offset),
            problem: Box::new(problem),
        }
    }

    pub(crate) fn name(&self) -> String {
        name_of(self.path())
    }
}

fn name_of(path: Option<&Path>) -> String {
    path.map_or_else(
        || "the bundle in memory".into(),
        |path| path.display().to_string(),
    )
}
