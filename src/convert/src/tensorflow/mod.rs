//! Reads TensorFlow graphs as they are stored.
//!
//! In: a SavedModel, a `MetaGraphDef` with its checkpoint, a `GraphDef` (binary `.pb` or text
//! `.pbtxt`), or a TensorFlow.js graph model (`model.json` with its weight shards). Out: a
//! [`SourceGraph`], the nodes in the file's order with every attribute, function calls inlined and
//! variables frozen. What a file is shows in its first bytes, not in its extension.
//!
//! Does not: resolve inputs, check ops, or fold constants. Of a graph without variables it drops
//! no node. Fused ops of TensorFlow.js stay fused.
#![deny(clippy::as_conversions)]

mod attr;
mod cast;
mod checkpoint;
mod defaults;
mod error;
mod freeze;
mod frozen;
mod function;
mod functions;
mod handles;
mod inline;
mod meta_graph;
mod node;
mod proto;
mod reach;
mod refuse;
mod restore;
mod roots;
mod saved_model;
mod shards;
mod signature;
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
use std::path::{Path, PathBuf};

use tfjet_core::{Attrs, DType, Shape};

pub use checkpoint::CheckpointProblem;
pub use error::{
    AttrProblem, ImportError, ImportProblem, ShapeProblem, TensorProblem, WeightProblem,
};
pub use frozen::FrozenGraphImporter;
pub use function::FunctionProblem;
pub use meta_graph::MetaGraphImporter;
pub use saved_model::SavedModelImporter;
pub use text::TextGraphImporter;
pub use tfjs::TensorFlowJsImporter;

/// The source graph as the file gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceGraph {
    /// Nodes in the file's order; names are unique.
    pub nodes: Vec<SourceNode>,
    /// What the file declares as inputs and outputs. A `GraphDef` declares none.
    pub signature: Option<Signature>,
    /// Functions that If, While and Case nodes refer to, in the order of their names. Calls of
    /// functions are inlined.
    pub functions: Vec<SourceFunction>,
    /// Version of the graph format that the writer used; 0 where the file does not say.
    pub producer: i32,
    /// How the graph was stored.
    pub format: Format,
    /// What was chosen, frozen, inlined or dropped, a line each.
    pub notes: Vec<String>,
}

/// A function of the graph's library, with the references of its nodes resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceFunction {
    /// Unique name.
    pub name: String,
    /// Arguments in order.
    pub inputs: Vec<SourceArgument>,
    /// Nodes in the file's order; names are unique. Their inputs are `node`, `node:port`, `^node`,
    /// or the name of an argument, which is no node.
    pub nodes: Vec<SourceNode>,
    /// Results in order.
    pub outputs: Vec<SourceResult>,
}

/// An argument of a [`SourceFunction`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceArgument {
    /// Name, which no node of the function has.
    pub name: String,
    /// Element type; `None` for a type that no tensor of ours can hold: resource, variant, string.
    pub dtype: Option<DType>,
}

/// A result of a [`SourceFunction`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceResult {
    /// Name in the function's signature.
    pub name: String,
    /// What is returned: `node`, `node:port`, or the name of an argument.
    pub tensor: String,
}

/// What to read of a file that holds several graphs, and what of a graph is needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// Signature of a SavedModel; `None` for `serving_default`, or the only one.
    pub signature: Option<String>,
    /// Tags of a SavedModel's graph; empty for `serve`.
    pub tags: Vec<String>,
    /// Prefix of the checkpoint with a graph's variables (`model.ckpt` for `model.ckpt.index`),
    /// the file itself in the old format (V1); `None` for the one beside the graph.
    pub checkpoint: Option<PathBuf>,
    /// Tensors that the caller feeds, as `node` or `node:port`, besides those of the signature.
    pub inputs: Vec<String>,
    /// Tensors that the caller wants, as `node` or `node:port`; empty for those of the signature.
    pub outputs: Vec<String>,
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
    /// SavedModel with its variables.
    SavedModel,
    /// `MetaGraphDef` or `GraphDef` whose variables lie in a checkpoint.
    Checkpoint,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FrozenGraph => "frozen GraphDef",
            Self::TextGraph => "GraphDef in text format",
            Self::TensorFlowJs => "TensorFlow.js graph model",
            Self::SavedModel => "SavedModel",
            Self::Checkpoint => "graph with checkpoint",
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
    fn import(&self, path: &Path, options: &ImportOptions) -> Result<SourceGraph, ImportError>;
}

/// Bytes of a file that [`Importer::matches`] sees.
pub const HEAD_BYTES: usize = 4096;

/// Largest file that is read: protobuf's limit for one message.
const MAX_FILE_BYTES: u64 = (1 << 31) - 1;

const IMPORTERS: [&dyn Importer; 5] = [
    &SavedModelImporter,
    &MetaGraphImporter,
    &TensorFlowJsImporter,
    &TextGraphImporter,
    &FrozenGraphImporter,
];

/// As [`import_with`], with the options' defaults.
pub fn import(path: &Path) -> Result<SourceGraph, ImportError> {
    import_with(path, &ImportOptions::default())
}

/// Reads a graph in whichever format `path` holds. A directory stands for the SavedModel or the
/// `model.json` in it.
pub fn import_with(path: &Path, options: &ImportOptions) -> Result<SourceGraph, ImportError> {
    if path.is_dir() {
        let file = saved_model::file_in(path).map_err(|problem| problem.at(path))?;
        return import_with(&file, options);
    }
    let head = read_head(path).map_err(|problem| problem.at(path))?;
    if let Some(problem) = sniff::foreign(&head) {
        return Err(problem.at(path));
    }
    match IMPORTERS
        .iter()
        .find(|importer| importer.matches(path, &head))
    {
        Some(importer) => importer.import(path, options),
        None if restore::is_checkpoint_part(path) => Err(ImportProblem::CheckpointPart.at(path)),
        None => Err(ImportProblem::Unrecognised(sniff::first_bytes(&head)).at(path)),
    }
}

/// The node and the port that an input names: `node`, `node:port` or `^node`.
fn reference(input: &str) -> (&str, usize) {
    let input = input.strip_prefix('^').unwrap_or(input);
    match input
        .rsplit_once(':')
        .map(|(name, port)| (name, port.parse()))
    {
        Some((name, Ok(port))) => (name, port),
        _ => (input, 0),
    }
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
