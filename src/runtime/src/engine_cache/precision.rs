use tfjet_bundle::{Bundle, BundleError};
use tfjet_core::{NetworkSpec, Quantization};
use tfjet_tensorrt::Precision;

/// The precision that a bundle was converted for: INT8 where a layer of it computes in INT8, else
/// FP16 where one does; `None` where that is left to who builds engines.
///
/// # Errors
/// Where a section is missing, newer or damaged.
pub fn bundle_precision(bundle: &Bundle) -> Result<Option<Precision>, BundleError> {
    let mut found = None;
    for segment in (0..).take(bundle.segment_count()) {
        let Some(quantization) = bundle.quantization(segment)? else {
            continue;
        };
        let precision = quantization.precision();
        found = match (found, precision) {
            (Some(Precision::Int8), _) | (_, tfjet_core::Precision::Int8) => Some(Precision::Int8),
            (Some(Precision::Fp16), _) | (_, tfjet_core::Precision::Fp16) => Some(Precision::Fp16),
            _ => Some(Precision::Fp32),
        };
    }
    Ok(found)
}

/// In which numbers a segment's layers compute, as a builder of engines takes it. A segment of
/// which the bundle says nothing computes in FP16 beside others in INT8.
///
/// # Errors
/// As [`Bundle::quantization`].
pub fn segment_numbers(
    bundle: &Bundle,
    segment: u32,
    network: &NetworkSpec,
) -> Result<Option<Quantization>, BundleError> {
    Ok(match bundle.quantization(segment)? {
        None if bundle_precision(bundle)? == Some(Precision::Int8) => {
            Some(Quantization::floats(network, tfjet_core::Precision::Fp16))
        }
        quantization => quantization,
    })
}
