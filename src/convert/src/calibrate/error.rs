use tfjet_core::QuantizationError;

/// Why there are no ranges, or why they do not fit.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CalibrateError {
    /// The name of no method.
    #[error(
        "`{0}` is no calibration method; there are entropy, entropy:onnxruntime, percentile, \
         percentile:P with P above 0 and up to 100, min-max, mse"
    )]
    Method(String),
    /// A line that cannot be read.
    #[error("{file}:{line}: {reason}")]
    Damaged {
        /// The file.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A file of neither kind.
    #[error(
        "{file}: this is no calibration table: it begins neither with `tfjet calibration table` \
         nor, as TensorRT's caches, with `TRT-`"
    )]
    NoTable {
        /// The file.
        file: String,
    },
    /// A table that another version wrote.
    #[error("{file}: calibration table of version {found}, known is {known}")]
    Version {
        /// The file.
        file: String,
        /// What it has.
        found: String,
        /// What can be read.
        known: u32,
    },
    /// A table of other weights or another graph.
    #[error(
        "the calibration table is of another model: it was made for `{name}` ({found}), this one \
         has the fingerprint {model}; calibrate again"
    )]
    OtherModel {
        /// Name in the table.
        name: String,
        /// Fingerprint in the table.
        found: String,
        /// Fingerprint of the model.
        model: String,
    },
    /// No statistics, and the graph has no ranges of its own.
    #[error(
        "INT8 needs the ranges of the activations: give a calibration table or images to calibrate \
         with; the graph has no ranges of its own (FakeQuantWithMinMax..., QuantizeAndDequantize...)"
    )]
    NoRanges,
    /// Not one layer reads a tensor of known range.
    #[error(
        "no layer can compute in INT8: of the {candidates} that could, none reads a tensor whose \
         range is known; {reason}"
    )]
    NothingMatches {
        /// Layers that can compute in INT8.
        candidates: usize,
        /// Why the first of them does not.
        reason: String,
    },
    /// No layer that could compute in INT8.
    #[error("no layer can compute in INT8: there is no convolution or product by a constant")]
    NoCandidates,
    /// The name of no layer.
    #[error("no segment has a layer `{layer}`{near}")]
    UnknownLayer {
        /// As it was given.
        layer: String,
        /// Names that are much like it, as the end of a sentence.
        near: String,
    },
    /// A layer is to be kept in 8 bits.
    #[error("layer `{0}` can be kept in fp16 or fp32, not in int8")]
    KeptInInt8(String),
    /// What was chosen does not fit the network.
    #[error("segment `{segment}`: {source}")]
    Quantization {
        /// The segment.
        segment: String,
        /// What is wrong.
        source: QuantizationError,
    },
}

impl CalibrateError {
    pub(super) fn damaged(file: &str, line: usize, reason: impl Into<String>) -> Self {
        Self::Damaged {
            file: file.into(),
            line,
            reason: reason.into(),
        }
    }
}
