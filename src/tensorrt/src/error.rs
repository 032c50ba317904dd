use std::path::PathBuf;

use tfjet_core::QuantizationError;
use tfjet_cuda::CudaError;

use crate::{Flavor, Version};

/// What can go wrong with the library, a network, a build, or a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TensorRtError {
    /// No library at any of the places looked at.
    #[error("{flavor} was not found (tried {}); {}", tried.join(", "), source_of(*flavor))]
    LibraryMissing {
        /// What was looked for.
        flavor: Flavor,
        /// Files and names, in order, each with the loader's reason where it gave one.
        tried: Vec<String>,
    },
    /// The file is no loadable library.
    #[error("{}: cannot be loaded as a library: {reason}", path.display())]
    LibraryUnloadable {
        /// The file.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// The file is a library, but not TensorRT's.
    #[error("{}: is not TensorRT's library: it has no {missing}", path.display())]
    LibraryForeign {
        /// The file.
        path: PathBuf,
        /// The entry point that is missing.
        missing: &'static str,
    },
    /// The file is the other of the two libraries.
    #[error("{}: is {found}; {wanted} is wanted here", path.display())]
    LibraryFlavor {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: Version,
        /// What it should be.
        wanted: Flavor,
    },
    /// The library's version is not known.
    #[error("{}: {found} is not supported: {advice}", path.display())]
    LibraryVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: Version,
        /// What to do, with the versions that are known.
        advice: String,
    },
    /// The library tells a version, but its objects are not laid out as that version's.
    #[error(
        "{}: says that it is {version}, but its {object} does not know the logger that it was given, so it is \
         not laid out as that version; it is not used", path.display()
    )]
    SelfCheck {
        /// The file.
        path: PathBuf,
        /// The version that it tells.
        version: Version,
        /// The class that was asked.
        object: &'static str,
    },
    /// The library's version lacks a method.
    #[error("{version} has no {method}{}", came(*since))]
    MissingMethod {
        /// `class::method`.
        method: &'static str,
        /// The library's version.
        version: Version,
        /// The version that it came with, in the same family.
        since: Option<Version>,
    },
    /// A method takes other arguments in this version than it is called with.
    #[error(
        "{method} of {version} takes other arguments than it is called with; this is a fault of tfjet"
    )]
    Signature {
        /// `class::method`.
        method: &'static str,
        /// The library's version.
        version: Version,
    },
    /// A method failed.
    #[error("{version}: {call} failed: {}", said(log))]
    CallFailed {
        /// `class::method` or the entry point.
        call: &'static str,
        /// The library's version.
        version: Version,
        /// The errors that the library logged meanwhile.
        log: String,
    },
    /// The version has no such feature.
    #[error("{version} has no {what}")]
    Unsupported {
        /// The feature.
        what: String,
        /// The library's version.
        version: Version,
    },
    /// A shape that the library cannot take.
    #[error("TensorRT cannot take the dimensions {dims:?} (at most 8, of 32 bits)")]
    Dims {
        /// The sizes.
        dims: Vec<i64>,
    },
    /// A name with a NUL inside.
    #[error("the name {name:?} has a NUL character")]
    Name {
        /// The name.
        name: String,
    },
    /// A layer of the network cannot be made.
    #[error("layer {layer} ({kind}): {reason}")]
    Layer {
        /// The layer's name.
        layer: String,
        /// Its kind, in TensorRT's words.
        kind: &'static str,
        /// Why.
        reason: String,
    },
    /// The network is not well-formed.
    #[error("network {network}: {reason}")]
    Network {
        /// The segment's name.
        network: String,
        /// Why.
        reason: String,
    },
    /// INT8 for a network whose numbers nobody gave.
    #[error(
        "network {network}: INT8 needs the ranges of its tensors: convert the model with \
         --precision int8 and calibration images"
    )]
    NoRanges {
        /// The segment's name.
        network: String,
    },
    /// INT8 on a GPU that does not have it.
    #[error("this GPU has no fast INT8 ({version} says): build in fp16")]
    NoInt8 {
        /// The library's version.
        version: Version,
    },
    /// The numbers that layers are to compute in are not of this network.
    #[error("network {network}: its quantization does not fit it: {source}")]
    Quantization {
        /// The segment's name.
        network: String,
        /// What is wrong.
        source: QuantizationError,
    },
    /// A profile does not fit the network.
    #[error("profile {profile}: {reason}")]
    Profile {
        /// Its index.
        profile: usize,
        /// Why.
        reason: String,
    },
    /// The engine was not made for this use.
    #[error("the engine's tensor {tensor}: {reason}")]
    EngineTensor {
        /// The tensor's name.
        tensor: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An engine without such a tensor or profile.
    #[error("the engine has no {what} {index}, it has {count}")]
    Index {
        /// `I/O tensor` or `profile`.
        what: &'static str,
        /// The index asked for.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// A device region is too small for its tensor.
    #[error("tensor {tensor} needs {needed} bytes, its region has {given}")]
    Region {
        /// The tensor's name.
        tensor: String,
        /// Bytes of the tensor's present shape.
        needed: u64,
        /// Bytes of the region.
        given: u64,
    },
    /// A context is in use on another stream, or recorded in a CUDA graph of another stream.
    #[error("the execution context is in use on another stream")]
    Busy,
    /// CUDA refused a region.
    #[error(transparent)]
    Cuda(#[from] CudaError),
    /// Another number of regions than the engine has tensors.
    #[error("the engine has {expected} inputs and outputs, {given} regions were given")]
    RegionCount {
        /// Inputs and outputs of the engine.
        expected: usize,
        /// Regions given.
        given: usize,
    },
}

impl TensorRtError {
    /// Is there no library at all, so that work goes on without one?
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::LibraryMissing { .. })
    }
}

fn source_of(flavor: Flavor) -> &'static str {
    match flavor {
        Flavor::TensorRt => {
            "it comes with JetPack, or with NVIDIA's packages libnvinfer8 and libnvinfer10"
        }
        Flavor::TensorRtRtx => "it comes with the Python package tensorrt-rtx-cu13-libs",
    }
}

fn came(since: Option<Version>) -> String {
    match since {
        Some(Version { major, minor, .. }) => format!(" (it came with {major}.{minor})"),
        None => String::new(),
    }
}

fn said(log: &str) -> &str {
    if log.is_empty() {
        "the library gave no reason"
    } else {
        log
    }
}
