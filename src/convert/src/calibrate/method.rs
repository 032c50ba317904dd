use std::fmt;
use std::str::FromStr;

use super::{CalibrateError, Histogram, entropy, mse};

/// How the range of a tensor is chosen from the values that were seen.
///
/// None gives a range above the largest magnitude that was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Method {
    /// `entropy`: the range of at least 128 bins that keeps the most information, as TensorRT's
    /// `IInt8EntropyCalibrator2` chooses it. The default, since it is what TF-TRT calibrates with and
    /// what most boards' INT8 accuracies were measured with.
    #[default]
    Entropy,
    /// `entropy:onnxruntime`: the same idea in the form that ONNX Runtime's calibrator has, of a
    /// tensor whose values are as often positive as negative, with 128 levels for either side. It
    /// counts what rounds to 0 like everything else, so that the zeros behind a ReLU draw the range
    /// down (of values that are 0.7 or, mostly, 0 it keeps 0.19), and rounds counts, which matters
    /// where they are small. So it is not the default; it is here to compare with.
    OnnxRuntimeEntropy,
    /// `percentile:P`, P above 0 and up to 100: the narrowest range, in whole bins, that P percent
    /// of the values lie within; zeros count. ONNX Runtime and NVIDIA's toolkits take the lower edge
    /// of the bin in which the P percent are reached, this takes the upper one.
    Percentile(f64),
    /// `min-max`: the largest magnitude.
    MinMax,
    /// `mse`: the range of the least mean squared error, [`Histogram::error`].
    Mse,
}

impl Method {
    /// What `percentile` stands for.
    pub const PERCENTILE: f64 = 99.99;

    /// The range, finite and above 0; none where there is no finite value but 0.
    pub fn range(&self, histogram: &Histogram) -> Option<f32> {
        let magnitude = histogram.magnitude()?;
        let bins = match self {
            Self::Entropy => entropy::tensorrt(histogram.used()),
            Self::OnnxRuntimeEntropy => entropy::onnx_runtime(histogram.used()),
            Self::Percentile(percent) => percentile(histogram, *percent),
            Self::MinMax => return Some(magnitude),
            Self::Mse => return mse::range(histogram),
        };
        Some((bins as f32 * histogram.bin_width()).min(magnitude))
    }
}

/// How many bins hold `percent` of the values. Shares are added up as NumPy does, since in a tail of
/// single values a sum that is the very percentage decides by its rounding.
fn percentile(histogram: &Histogram, percent: f64) -> usize {
    let used = histogram.used();
    let total = histogram.count() as f64;
    let mut share = 0.0;
    let reached = used.iter().position(|&count| {
        share += count as f64 / total;
        share >= percent / 100.0
    });
    match reached {
        Some(last) if percent < 100.0 => last + 1,
        _ => used.len(),
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entropy => f.pad("entropy"),
            Self::OnnxRuntimeEntropy => f.pad("entropy:onnxruntime"),
            Self::Percentile(percent) => write!(f, "percentile:{percent}"),
            Self::MinMax => f.pad("min-max"),
            Self::Mse => f.pad("mse"),
        }
    }
}

impl FromStr for Method {
    type Err = CalibrateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || CalibrateError::Method(text.into());
        match text.split_once(':') {
            None => match text {
                "entropy" => Ok(Self::Entropy),
                "percentile" => Ok(Self::Percentile(Self::PERCENTILE)),
                "min-max" => Ok(Self::MinMax),
                "mse" => Ok(Self::Mse),
                _ => Err(wrong()),
            },
            Some(("entropy", "onnxruntime")) => Ok(Self::OnnxRuntimeEntropy),
            Some(("percentile", percent)) => match percent.parse::<f64>() {
                Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(Self::Percentile(percent)),
                _ => Err(wrong()),
            },
            Some(_) => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests;
