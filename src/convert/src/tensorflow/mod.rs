//! Reads TensorFlow graphs as they are stored.
//!
//! In: a frozen `GraphDef` (binary `.pb` or text `.pbtxt`) or a TensorFlow.js graph model
//! (`model.json` with its weight shards). Out: a [`SourceGraph`], the file's nodes in the file's
//! order with every attribute. What a file is shows in its first bytes, not in its extension.
//!
//! Does not: resolve inputs, check ops, fold constants, or change a node. Fused ops of
//! TensorFlow.js stay fused.
#![deny(clippy::as_conversions)]

mod attr;
mod cast;
mod error;
mod frozen;
mod node;
mod proto;
mod shards;
mod sniff;
mod tensor;
#[cfg(test)]
mod tests;
mod text;
mod tfjs;
mod weights;

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use tfjet_core::{Attrs, DType, Shape};

pub use error::{
    AttrProblem, ImportError, ImportProblem, ShapeProblem, TensorProblem, WeightProblem,
};
pub use frozen::FrozenGraphImporter;
pub use text::TextGraphImporter;
pub use tfjs::TensorFlowJsImporter;

/// The source graph as the file gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceGraph {
    /// Nodes in the file's order; names are unique.
    pub nodes: Vec<SourceNode>,
    /// What the file declares as inputs and outputs. A `GraphDef` declares none.
    pub signature: Option<Signature>,
    /// Names of the library's functions.
    pub functions: Vec<String>,
    /// Version of the graph format that the writer used; 0 where the file does not say.
    pub producer: i32,
    /// How the graph was stored.
    pub format: Format,
}

/// One node of a [`SourceGraph`].
#[derive(Debug, Clone, PartialEq)]
pub struct SourceNode {
    /// Unique name.
    pub name: String,
    /// Op type, such as `Conv2D`.
    pub op: String,
    /// Requested placement, mostly empty.
    pub device: String,
    /// Inputs as written: `a`, `a:1`, and `^a` for a control dependency.
    pub inputs: Vec<String>,
    /// All attributes. An unknown dimension of a shape is the symbol `?`.
    pub attrs: Attrs,
}

/// Declared inputs and outputs of a model, in the file's order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Signature {
    /// Inputs.
    pub inputs: Vec<SignatureTensor>,
    /// Outputs.
    pub outputs: Vec<SignatureTensor>,
}

/// One input or output of a [`Signature`].
#[derive(Debug, Clone, PartialEq)]
pub struct SignatureTensor {
    /// Name in the signature.
    pub key: String,
    /// Tensor in the graph, always `node:port`.
    pub tensor: String,
    /// Element type; `None` for a type that no tensor of ours can hold.
    pub dtype: Option<DType>,
    /// Shape; `None` for unknown rank, an unknown dimension is the symbol `?`.
    pub shape: Option<Shape>,
}

/// How a graph is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Binary `GraphDef` without variables.
    FrozenGraph,
    /// `GraphDef` in protobuf's text format.
    TextGraph,
    /// TensorFlow.js graph model.
    TensorFlowJs,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FrozenGraph => "frozen GraphDef",
            Self::TextGraph => "GraphDef in text format",
            Self::TensorFlowJs => "TensorFlow.js graph model",
        })
    }
}

/// Reads one format.
pub trait Importer {
    /// The format that this importer reads.
    fn format(&self) -> Format;

    /// Does the file look like this format? `head` holds its first bytes, [`HEAD_BYTES`] of them
    /// or the whole file where it is shorter.
    fn matches(&self, path: &Path, head: &[u8]) -> bool;

    /// Reads the file, and the files that it refers to.
    fn import(&self, path: &Path) -> Result<SourceGraph, ImportError>;
}

/// Bytes of a file that [`Importer::matches`] sees.
pub const HEAD_BYTES: usize = 4096;

/// Largest file that is read: protobuf's limit for one message.
const MAX_FILE_BYTES: u64 = (1 << 31) - 1;

const IMPORTERS: [&dyn Importer; 3] = [
    &TensorFlowJsImporter,
    &TextGraphImporter,
    &FrozenGraphImporter,
];

/// Reads a graph in whichever format `path` holds. A directory stands for the `model.json` in it.
pub fn import(path: &Path) -> Result<SourceGraph, ImportError> {
    if path.is_dir() {
        return import_directory(path);
    }
    let head = read_head(path).map_err(|problem| problem.at(path))?;
    if let Some(problem) = sniff::foreign(&head) {
        return Err(problem.at(path));
    }
    match IMPORTERS
        .iter()
        .find(|importer| importer.matches(path, &head))
    {
        Some(importer) => importer.import(path),
        None => Err(ImportProblem::Unrecognised(sniff::first_bytes(&head)).at(path)),
    }
}

fn import_directory(path: &Path) -> Result<SourceGraph, ImportError> {
    let model = path.join("model.json");
    if model.is_file() {
        return import(&model);
    }
    let is_saved_model = ["saved_model.pb", "saved_model.pbtxt"]
        .iter()
        .any(|file| path.join(file).exists());
    let problem = if is_saved_model {
        ImportProblem::SavedModel
    } else {
        ImportProblem::Directory
    };
    Err(problem.at(path))
}

fn open(path: &Path) -> Result<(File, u64), ImportProblem> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(ImportProblem::NotAFile);
    }
    Ok((File::open(path)?, metadata.len()))
}

fn read_head(path: &Path) -> Result<Vec<u8>, ImportProblem> {
    let (file, bytes) = open(path)?;
    if bytes == 0 {
        return Err(ImportProblem::EmptyFile);
    }
    let mut head = Vec::with_capacity(HEAD_BYTES);
    file.take(HEAD_BYTES.try_into().unwrap_or(u64::MAX))
        .read_to_end(&mut head)?;
    Ok(head)
}

/// The whole file, where it is no larger than protobuf allows.
fn read_file(path: &Path) -> Result<Vec<u8>, ImportProblem> {
    let (file, bytes) = open(path)?;
    let too_large = |bytes| ImportProblem::FileTooLarge {
        bytes,
        limit: MAX_FILE_BYTES,
    };
    if bytes > MAX_FILE_BYTES {
        return Err(too_large(bytes));
    }
    let mut contents = Vec::new();
    contents
        .try_reserve_exact(usize::try_from(bytes).map_err(|_| too_large(bytes))?)
        .map_err(|_| ImportProblem::Io(ErrorKind::OutOfMemory.into()))?;
    file.take(MAX_FILE_BYTES).read_to_end(&mut contents)?;
    if contents.is_empty() {
        return Err(ImportProblem::EmptyFile);
    }
    Ok(contents)
}
