use std::fmt::{self, Write};
use std::io;
use std::path::{Path, PathBuf};

use tfjet_core::{DType, TensorError};

use super::checkpoint::CheckpointProblem;
use super::function::FunctionProblem;

/// A file that is no graph that can be read. Displays as one line.
#[derive(Debug)]
pub struct ImportError {
    /// The graph's file, or the directory that was given instead.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Box<ImportProblem>,
}

const MAX_CHARS: usize = 600;

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = format!("{}: {}", self.path.display(), self.problem);
        let mut chars = message.chars();
        for char in chars.by_ref().take(MAX_CHARS) {
            if char.is_control() {
                write!(f, "{}", char.escape_default())?;
            } else {
                f.write_char(char)?;
            }
        }
        if chars.next().is_some() {
            f.write_str(" ...")?;
        }
        Ok(())
    }
}

impl std::error::Error for ImportError {}

/// What is wrong with a graph's file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportProblem {
    /// The operating system refuses to read it.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A pipe, device or socket.
    #[error("not a regular file")]
    NotAFile,
    /// Neither a SavedModel nor a TensorFlow.js model lies in the directory.
    #[error(
        "a directory without saved_model.pb or model.json: name a SavedModel's directory or the graph's file"
    )]
    Directory,
    /// The `variables` directory of a SavedModel.
    #[error(
        "a directory with variables only: name the SavedModel's directory, the one with saved_model.pb"
    )]
    VariablesOnly,
    /// A directory with checkpoints.
    #[error("a directory with checkpoints: name the graph's file, {0}")]
    Checkpoints(String),
    /// A part of a checkpoint.
    #[error(
        "a part of a checkpoint, which holds variables and no graph: name the .meta file, or the SavedModel's directory"
    )]
    CheckpointPart,
    /// A SavedModel in parts, as very large ones are written.
    #[error("a SavedModel whose graph is split (saved_model.cpb) is not supported")]
    SplitSavedModel,
    /// A model in one of Keras' own formats.
    #[error(
        "{0} is not a TensorFlow graph; load it with keras.saving.load_model, call model.export(\"DIR\") (Keras 2: model.save(\"DIR\", save_format=\"tf\")), and convert DIR"
    )]
    Keras(&'static str),
    /// No graph of a SavedModel has the tags.
    #[error("no graph with the tags {wanted}; there are {there}; choose with --tag")]
    Tags {
        /// Tags asked for.
        wanted: String,
        /// Tags of each graph.
        there: String,
    },
    /// No signature of the name.
    #[error("no signature `{name}`; there are {there}{near}; choose with --signature")]
    NoSignature {
        /// Name asked for.
        name: String,
        /// Names that there are.
        there: String,
        /// Names like it.
        near: String,
    },
    /// Not one signature.
    #[error(
        "no signatures: export the model with tf.saved_model.save(model, DIR, signatures=FUNCTION), or name outputs with --output"
    )]
    NoSignatures,
    /// Nothing that could be an output.
    #[error("no outputs found: name some with --output")]
    NoOutputs,
    /// A function that cannot be inlined.
    #[error("function `{function}` {problem}")]
    Function {
        /// Its name.
        function: String,
        /// What is wrong with it.
        problem: FunctionProblem,
    },
    /// A node that cannot be frozen.
    #[error("node `{node}` ({op}) {why}")]
    NotFrozen {
        /// The node.
        node: String,
        /// Its op.
        op: String,
        /// Why, and what to do.
        why: String,
    },
    /// A graph with variables and nothing with their values.
    #[error(
        "node `{node}` ({op}) is a variable, and the file holds no values: name the checkpoint with --checkpoint, or freeze the graph first"
    )]
    NoCheckpoint {
        /// The node.
        node: String,
        /// Its op.
        op: String,
    },
    /// A checkpoint that cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointProblem),
    /// A checkpoint's variable that is not the graph's.
    #[error(
        "node `{node}`: the checkpoint's variable `{key}` is {found}, which is not what the graph declares"
    )]
    VariableType {
        /// The node that holds the variable.
        node: String,
        /// Key in the checkpoint.
        key: String,
        /// Type and shape in the checkpoint.
        found: String,
    },
    /// A part of a variable that cannot be understood.
    #[error("node `{node}`: `{text}` names no part of a variable")]
    Partition {
        /// The node that holds the part.
        node: String,
        /// As written.
        text: String,
    },
    /// A Keras model in TensorFlow.js form.
    #[error(
        "a TensorFlow.js layers model is not supported; convert it to a graph model (tensorflowjs_converter --output_format=tfjs_graph_model)"
    )]
    LayersModel,
    /// A file of another program.
    #[error(
        "{0} is not a TensorFlow graph; expected a SavedModel, a GraphDef (.pb, .pbtxt) or a TensorFlow.js model.json"
    )]
    Foreign(&'static str),
    /// Nothing that is known starts like this.
    #[error(
        "not a TensorFlow graph: starts with {0}; expected a SavedModel, a GraphDef (.pb, .pbtxt) or a TensorFlow.js model.json"
    )]
    Unrecognised(String),
    /// No bytes.
    #[error("the file is empty")]
    EmptyFile,
    /// More bytes than one protobuf message can have.
    #[error("{bytes} bytes, more than protobuf's limit of {limit}")]
    FileTooLarge {
        /// Bytes of the file.
        bytes: u64,
        /// Bytes that are allowed.
        limit: u64,
    },
    /// The file ends inside a field of the graph.
    #[error(
        "truncated: {what} at offset {offset} has {expected} bytes, the file holds {found} of them"
    )]
    Truncated {
        /// The field.
        what: String,
        /// Where the field's contents start.
        offset: usize,
        /// Length that the field declares.
        expected: u64,
        /// Bytes up to the end of the file.
        found: usize,
    },
    /// A part of the file is not what protobuf prescribes.
    #[error("damaged: {what} at offset {offset}: {cause}")]
    Protobuf {
        /// The part.
        what: String,
        /// Where it starts.
        offset: usize,
        /// What the decoder met.
        cause: String,
    },
    /// A syntax error in text format.
    #[error("line {line}, column {column}: {cause}")]
    Text {
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What the parser met.
        cause: String,
    },
    /// A syntax error in JSON, or a value of another type. The message ends with line and column.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// JSON that is no TensorFlow.js model.
    #[error("JSON without `{0}` is not a TensorFlow.js graph model")]
    NoTensorFlowJs(&'static str),
    /// Not one node.
    #[error("empty graph: the file holds no nodes")]
    EmptyGraph,
    /// A node without a name.
    #[error("node {0} (from 0) has no name")]
    UnnamedNode(usize),
    /// A node without an op.
    #[error("node `{0}` has no op")]
    NoOp(String),
    /// Two nodes of one name.
    #[error("two nodes are named `{0}`")]
    DuplicateNode(String),
    /// An attribute that cannot be converted.
    #[error("node `{node}` ({op}): attribute `{attr}` {problem}")]
    Attr {
        /// Node.
        node: String,
        /// Its op.
        op: String,
        /// Attribute.
        attr: String,
        /// What is wrong with it.
        problem: AttrProblem,
    },
    /// A signature entry that names no tensor.
    #[error("signature: `{0}` names no tensor")]
    SignatureTensor(String),
    /// A signature entry with an impossible shape.
    #[error("signature: `{key}` has {problem}")]
    SignatureShape {
        /// Entry.
        key: String,
        /// What is wrong with it.
        problem: ShapeProblem,
    },
    /// A weight shard that is not there, or is not readable.
    #[error("weight shard `{shard}` cannot be read: {cause}")]
    Shard {
        /// Path as the manifest gives it.
        shard: String,
        /// Reason.
        cause: io::Error,
    },
    /// A shard outside the model's directory.
    #[error("weight shard `{0}` is not a plain path below the model's directory")]
    ShardPath(String),
    /// Shards that do not hold what the manifest says.
    #[error("weight {shards}: {found} bytes found, the manifest's weights need {expected}")]
    ShardLength {
        /// The shards of the group.
        shards: String,
        /// Bytes that the weights of the group need.
        expected: u64,
        /// Bytes of the group's shards together.
        found: u64,
    },
    /// A weight that cannot be converted.
    #[error("weight `{weight}`: {problem}")]
    Weight {
        /// Weight.
        weight: String,
        /// What is wrong with it.
        problem: WeightProblem,
    },
    /// Two weights of one name.
    #[error("two weights are named `{0}`")]
    DuplicateWeight(String),
    /// A weight that no node takes.
    #[error("weight `{0}` belongs to no Const node")]
    WeightWithoutConst(String),
    /// A constant that the manifest lacks.
    #[error("node `{0}` (Const) has no weight in the manifest")]
    ConstWithoutWeight(String),
}

impl ImportProblem {
    /// Adds the file.
    pub(super) fn at(self, path: &Path) -> ImportError {
        ImportError {
            path: path.to_path_buf(),
            problem: Box::new(self),
        }
    }
}

/// What is wrong with an attribute; the sentence's subject is the attribute.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttrProblem {
    /// No value, or one of a kind that is newer than this reader.
    #[error("has no value of a known kind")]
    NoValue,
    /// A list with values of several kinds.
    #[error("is a list of several kinds")]
    MixedList,
    /// A shape that cannot be.
    #[error("has {0}")]
    Shape(#[from] ShapeProblem),
    /// A tensor that cannot be.
    #[error("is a tensor with {0}")]
    Tensor(#[from] TensorProblem),
}

/// What is wrong with a shape.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeProblem {
    /// A size below -1, or above what memory can hold.
    #[error("a dimension of size {0}")]
    Size(i64),
}

/// What is wrong with a stored tensor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TensorProblem {
    /// An element type that no tensor of ours can hold.
    #[error("unsupported element type {0}")]
    DType(String),
    /// Strings inside a list of tensors.
    #[error("strings, which a list of tensors cannot hold")]
    StringInList,
    /// A shape that cannot be.
    #[error("{0}")]
    Shape(#[from] ShapeProblem),
    /// A rank or dimension that is not known.
    #[error("an unknown shape")]
    UnknownShape,
    /// Bytes do not fill the shape, or are too many for memory.
    #[error("wrong contents: {0}")]
    Contents(#[from] TensorError),
    /// More values than the shape has elements.
    #[error("{found} values for {elements} elements")]
    TooManyValues {
        /// Values found.
        found: usize,
        /// Elements of the shape.
        elements: usize,
    },
    /// An odd number of parts of complex numbers.
    #[error("{0} floats for complex numbers, which take two each")]
    HalfComplex(usize),
    /// An integer outside its type.
    #[error("value {value}, which {dtype} cannot hold")]
    Range {
        /// Value found.
        value: i64,
        /// Element type.
        dtype: DType,
    },
    /// A packed list of strings that ends too early or too late.
    #[error("a damaged list of strings")]
    Strings,
    /// One repeated value would fill more memory than a graph may ask for.
    #[error("{bytes} bytes of one repeated value, more than this graph may expand to")]
    Repeated {
        /// Bytes that the value would fill.
        bytes: usize,
    },
}

/// What is wrong with a TensorFlow.js weight.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightProblem {
    /// A `dtype` that is not known.
    #[error("unsupported dtype `{0}`")]
    DType(String),
    /// A quantisation that is not known for the weight's type.
    #[error("dtype `{dtype}` quantised as `{stored}` is not supported")]
    Quantization {
        /// The weight's `dtype`.
        dtype: String,
        /// The quantisation's `dtype`.
        stored: String,
    },
    /// An affine quantisation without a finite `scale` and `min`.
    #[error("quantisation needs a finite `scale` and `min`")]
    Affine,
    /// The shape's bytes do not fit memory.
    #[error("shape {0:?} is too large")]
    TooLarge(Vec<usize>),
    /// The shards end inside the weight.
    #[error("needs {expected} bytes, its shards hold {found} more")]
    Length {
        /// Bytes that the shape needs.
        expected: usize,
        /// Bytes left in the shards.
        found: usize,
    },
    /// Strings that end too early.
    #[error("string {0} (from 0) reaches beyond the end of its shard")]
    String(usize),
    /// The constant has another kind of type.
    #[error("holds {from}, but its Const node has type {to}")]
    Cast {
        /// Type of the weight.
        from: String,
        /// Type of the node.
        to: String,
    },
    /// An integer that the constant's type cannot hold.
    #[error("value {value} does not fit its Const node's type {to}")]
    Range {
        /// Value found.
        value: i64,
        /// Type of the node.
        to: DType,
    },
    /// Bytes do not fill the shape.
    #[error("{0}")]
    Contents(#[from] TensorError),
}
