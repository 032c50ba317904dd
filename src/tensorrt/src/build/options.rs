use std::fmt;
use std::str::FromStr;

use tfjet_core::Quantization;

/// How an engine is built.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BuildOptions {
    /// Which precision layers may compute in.
    pub precision: Precision,
    /// In which numbers each layer is to compute, within the precision: in [`Precision::Fp16`]
    /// INT8 layers are FP16 ones, and in [`Precision::Fp32`] it is of no use.
    /// [`Precision::Int8`] needs it, for the ranges.
    pub quantization: Option<Quantization>,
    /// Hold the library to these numbers (`kOBEY_PRECISION_CONSTRAINTS`), where it otherwise takes
    /// what it finds fastest and computes layers in fewer bits whose tensors have ranges. For
    /// comparisons: such an engine is slower, and a build fails where the library has no kernel.
    pub pin_precisions: bool,
    /// How [`Precision::Int8`] is said to the library.
    pub quantization_form: QuantizationForm,
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

/// Makes an enumeration whose values are spelt as flags spell them.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name in flags, files and messages.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

words! {
    /// In which precision layers may compute.
    Precision {
        /// 32-bit floats.
        #[default]
        Fp32 = "fp32",
        /// 16-bit floats where TensorRT finds them faster; everywhere in TensorRT-RTX. Inputs and
        /// outputs stay as they are.
        Fp16 = "fp16",
        /// 8-bit integers by [`BuildOptions::quantization`], and elsewhere as [`Precision::Fp16`].
        Int8 = "int8",
    }
}

words! {
    /// How the library is told of 8-bit integers.
    QuantizationForm {
        /// Ranges before TensorRT 10 and on a deep learning accelerator, layers since.
        #[default]
        Auto = "auto",
        /// Ranges of tensors, between which the library computes in INT8 where that is faster
        /// (TensorRT 8 and 10). It chooses the ranges of weights itself, as the largest magnitude
        /// of each output channel, and does not compute MatrixMultiply in INT8.
        Implicit = "implicit",
        /// Layers that quantize and dequantize: what they enclose computes in INT8, all else in
        /// floats.
        Explicit = "explicit",
    }
}

impl From<tfjet_core::Precision> for Precision {
    fn from(precision: tfjet_core::Precision) -> Self {
        match precision {
            tfjet_core::Precision::Fp32 => Self::Fp32,
            tfjet_core::Precision::Fp16 => Self::Fp16,
            tfjet_core::Precision::Int8 => Self::Int8,
        }
    }
}

/// A word that names no precision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no precision; known are fp32, fp16 and int8")]
pub struct UnknownPrecision(pub String);

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(name: &str) -> Result<Self, UnknownPrecision> {
        let mut all = Self::ALL.iter().copied();
        all.find(|precision| precision.name() == name)
            .ok_or_else(|| UnknownPrecision(name.into()))
    }
}

/// A word that names no form of quantization.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no form of quantization; known are auto, implicit and explicit")]
pub struct UnknownQuantizationForm(pub String);

impl FromStr for QuantizationForm {
    type Err = UnknownQuantizationForm;

    fn from_str(name: &str) -> Result<Self, UnknownQuantizationForm> {
        let mut all = Self::ALL.iter().copied();
        all.find(|form| form.name() == name)
            .ok_or_else(|| UnknownQuantizationForm(name.into()))
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
