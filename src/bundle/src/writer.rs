use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::format::{ENTRY_LEN, HEADER_LEN, MAX_SECTIONS, encode};
use crate::section::is_target_name;
use crate::{AddProblem, Bundle, BundleError, Section, SectionId, SectionKind, replace_file};

/// Collects sections and writes a bundle.
///
/// The bytes depend on the sections alone, not on the order in which they were added.
#[derive(Debug, Clone, Default)]
pub struct BundleWriter {
    sections: BTreeMap<SectionId, Contents>,
}

#[derive(Debug, Clone)]
enum Contents {
    Owned(Vec<u8>),
    /// A section of an open bundle, by its place in the table.
    Kept(Arc<Bundle>, usize),
}

impl Contents {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Kept(bundle, position) => bundle.unchecked(*position),
        }
    }

    fn version(&self, kind: SectionKind) -> u32 {
        match self {
            Self::Owned(_) => kind.version().unwrap_or_default(),
            Self::Kept(bundle, position) => bundle.sections()[*position].version,
        }
    }
}

impl BundleWriter {
    /// A bundle without sections.
    pub fn new() -> Self {
        Self::default()
    }

    /// All sections of an open bundle, in the versions that they have there. Nothing is copied
    /// before the new bundle is written, which may take the place of the old one.
    ///
    /// # Errors
    /// Where a section is newer or damaged.
    pub fn from_bundle(bundle: &Arc<Bundle>) -> Result<Self, BundleError> {
        let mut sections = BTreeMap::new();
        for (position, section) in bundle.sections().iter().enumerate() {
            bundle.contents(position)?;
            let contents = Contents::Kept(bundle.clone(), position);
            sections.insert(section.id.clone(), contents);
        }
        Ok(Self { sections })
    }

    /// Adds a section of an open bundle, as one of `target` and in the version that it has there.
    /// Nothing is copied before the new bundle is written.
    ///
    /// # Errors
    /// Where there is no such section, it is newer or damaged; else as [`BundleWriter::add`].
    pub fn keep(
        &mut self,
        bundle: &Arc<Bundle>,
        section: &SectionId,
        target: &str,
    ) -> Result<(), BundleError> {
        let position = bundle.position(section)?;
        let bytes = bundle.contents(position)?;
        let id = SectionId::new(section.kind, target, section.index);
        match self.check(&id, bytes, false) {
            Ok(()) => {
                let contents = Contents::Kept(bundle.clone(), position);
                self.sections.insert(id, contents);
                Ok(())
            }
            Err(problem) => Err(BundleError::Add {
                section: id,
                problem,
            }),
        }
    }

    /// Puts a section of raw bytes into the bundle, in place of the one that is there.
    ///
    /// # Errors
    /// As [`BundleWriter::add`], but for a section that is there already.
    pub fn set(
        &mut self,
        kind: SectionKind,
        target: &str,
        index: u32,
        bytes: Vec<u8>,
    ) -> Result<(), BundleError> {
        let id = SectionId::new(kind, target, index);
        self.insert(id, bytes, true)
    }

    /// Adds a section of raw bytes, in the version that [`SectionKind::version`] names. `target`
    /// is empty for a section that serves every board, `index` is 0 where the kind is not indexed.
    ///
    /// # Errors
    /// [`BundleError::Add`] for a reserved kind, a target name that cannot stand in the table, an
    /// index on a kind without one, a section that is there already, or one that is too large.
    pub fn add(
        &mut self,
        kind: SectionKind,
        target: &str,
        index: u32,
        bytes: Vec<u8>,
    ) -> Result<(), BundleError> {
        self.insert(SectionId::new(kind, target, index), bytes, false)
    }

    /// Adds a structured section: `value` in postcard's encoding.
    ///
    /// # Errors
    /// As [`BundleWriter::add`], and where `value` does not encode.
    pub fn add_postcard<T: Serialize>(
        &mut self,
        kind: SectionKind,
        target: &str,
        index: u32,
        value: &T,
    ) -> Result<(), BundleError> {
        let bytes = postcard::to_allocvec(value).map_err(|error| BundleError::Add {
            section: SectionId::new(kind, target, index),
            problem: AddProblem::Encode(error.to_string()),
        })?;
        self.add(kind, target, index, bytes)
    }

    /// Writes the bundle. `path` holds the old file or the whole new one, never a part, see
    /// [`replace_file`].
    ///
    /// # Errors
    /// [`BundleError::Io`] naming `path`.
    pub fn write(&self, path: &Path) -> Result<(), BundleError> {
        replace_file(path, |file| self.write_to(file)).map_err(|source| BundleError::Io {
            file: path.display().to_string(),
            action: "write",
            source,
        })
    }

    /// The bundle's bytes.
    ///
    /// # Errors
    /// None today; a section that is made while writing may have some.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BundleError> {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes)
            .map_err(|source| BundleError::Io {
                file: "a bundle".into(),
                action: "write",
                source,
            })?;
        Ok(bytes)
    }

    fn insert(&mut self, id: SectionId, bytes: Vec<u8>, replace: bool) -> Result<(), BundleError> {
        match self.check(&id, &bytes, replace) {
            Ok(()) => {
                self.sections.insert(id, Contents::Owned(bytes));
                Ok(())
            }
            Err(problem) => Err(BundleError::Add {
                section: id,
                problem,
            }),
        }
    }

    fn check(&self, id: &SectionId, bytes: &[u8], replace: bool) -> Result<(), AddProblem> {
        if id.kind.version().is_none() {
            return Err(AddProblem::Reserved);
        }
        if !is_target_name(&id.target) {
            return Err(AddProblem::Target);
        }
        if id.target.is_empty() && id.kind == SectionKind::Target {
            return Err(AddProblem::Unnamed);
        }
        if id.index != 0 && !id.kind.is_indexed() {
            return Err(AddProblem::Index);
        }
        let (len_bytes, max) = (bytes.len() as u64, id.kind.max_len_bytes());
        if len_bytes > max {
            return Err(AddProblem::TooLarge { len_bytes, max });
        }
        match self.sections.contains_key(id) {
            true if replace => Ok(()),
            true => Err(AddProblem::Twice),
            false if self.sections.len() as u64 >= u64::from(MAX_SECTIONS) => {
                Err(AddProblem::Full(MAX_SECTIONS))
            }
            false => Ok(()),
        }
    }

    /// The section table, and the length of the file.
    fn layout(&self) -> (Vec<Section>, u64) {
        let mut end = (HEADER_LEN + self.sections.len() * ENTRY_LEN) as u64;
        let sections = self.sections.iter().map(|(id, contents)| {
            let bytes = contents.bytes();
            let offset = end.next_multiple_of(id.kind.alignment());
            let len_bytes = bytes.len() as u64;
            end = offset + len_bytes;
            Section {
                id: id.clone(),
                version: contents.version(id.kind),
                offset,
                len_bytes,
                hash: blake3::hash(bytes).into(),
            }
        });
        let sections = sections.collect();
        (sections, end)
    }

    fn write_to(&self, file: &mut impl Write) -> io::Result<()> {
        let (sections, len_bytes) = self.layout();
        let head = encode(&sections, len_bytes);
        file.write_all(&head)?;
        let mut end = head.len() as u64;
        for (section, contents) in sections.iter().zip(self.sections.values()) {
            let padding = section.offset - end;
            io::copy(&mut io::Read::take(io::repeat(0), padding), file)?;
            file.write_all(contents.bytes())?;
            end = section.offset + section.len_bytes;
        }
        Ok(())
    }
}
