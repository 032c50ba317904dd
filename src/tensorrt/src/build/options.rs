use std::fmt;
use std::str::FromStr;

/// How an engine is built.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildOptions {
    /// Which precision layers may compute in.
    pub precision: Precision,
    /// Whether 32-bit products may be rounded to TF32 (Ampere and later).
    pub tf32: bool,
    /// Most device memory that one layer may use while it runs; `None` leaves TensorRT's limit.
    pub workspace_bytes: Option<u64>,
    /// Bits of the libraries that may lend kernels: 0 cuBLAS, 1 cuBLASLt, 2 cuDNN, 3 edge mask
    /// convolutions, 4 JIT convolutions; `None` leaves TensorRT's choice. Not in TensorRT-RTX.
    pub tactic_sources: Option<u32>,
    /// Run what can run there on this deep learning accelerator, the rest on the GPU.
    pub dla_core: Option<u32>,
    /// Shapes to build for; at least one where an input has an unknown size.
    pub profiles: Vec<Profile>,
    /// Keep in the engine what the inspector tells about layers.
    pub detailed: bool,
    /// How long to search for the fastest kernels, 0 to 5 (TensorRT 8.6 and later).
    pub optimization_level: Option<u32>,
    /// The GPU to build for, where it is not this machine's (TensorRT-RTX only).
    pub compute_capability: Option<(u32, u32)>,
}

/// In which precision layers may compute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Fp32,
    /// 16-bit floats where TensorRT finds them faster; everywhere in TensorRT-RTX. Inputs and
    /// outputs stay as they are.
    Fp16,
}

impl Precision {
    /// `fp32` or `fp16`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no precision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no precision; known are fp32 and fp16")]
pub struct UnknownPrecision(pub String);

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(name: &str) -> Result<Self, UnknownPrecision> {
        [Self::Fp32, Self::Fp16]
            .into_iter()
            .find(|precision| precision.name() == name)
            .ok_or_else(|| UnknownPrecision(name.into()))
    }
}

/// Shapes that an engine is built for: one range per network input, in the network's order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Profile(pub Vec<ShapeRange>);

/// Shapes of one input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ShapeRange {
    /// Smallest size per axis.
    pub min: Vec<usize>,
    /// The sizes to be fastest at.
    pub opt: Vec<usize>,
    /// Largest size per axis.
    pub max: Vec<usize>,
}

impl ShapeRange {
    /// This shape alone.
    pub fn only(shape: &[usize]) -> Self {
        Self {
            min: shape.to_vec(),
            opt: shape.to_vec(),
            max: shape.to_vec(),
        }
    }
}
