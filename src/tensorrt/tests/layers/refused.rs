use tfjet_core::{DType, Layer, ReduceOperation, SampleMode};
use tfjet_tensorrt::{Flavor, Version};

use crate::case::Case;

/// Is it known that the version has no layer for the case?
pub fn is_expected(version: Version, case: &Case) -> bool {
    let dtypes: Vec<DType> = case
        .inputs
        .iter()
        .chain(&case.expected)
        .map(|(dtype, _)| *dtype)
        .collect();
    let known = [
        DType::F32,
        DType::F16,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::Bool,
    ];
    if dtypes.iter().any(|dtype| !known.contains(dtype)) {
        return true;
    }
    let first = dtypes[0];
    let integer = matches!(first, DType::I32 | DType::I64);
    match &case.layer {
        Layer::Slice { mode, .. } => match mode {
            SampleMode::Strict => false,
            SampleMode::Symmetric => true,
            SampleMode::Fill(_) | SampleMode::Reflect => {
                first == DType::I64 && version.flavor == Flavor::TensorRt
            }
        },
        Layer::Pad { .. } | Layer::Tile => {
            first == DType::I64 && version.flavor == Flavor::TensorRt
        }
        Layer::ElementWise { .. } => {
            let arithmetic = ["Sum", "Prod", "Sub", "Div", "FloorDiv", "Pow"];
            let word = case.name.split(' ').next().unwrap_or_default();
            first == DType::U8 && arithmetic.contains(&word)
        }
        Layer::Reduce { operation, .. } => integer && *operation == ReduceOperation::Avg,
        Layer::TopK { .. } => integer && version.flavor == Flavor::TensorRt && version.major == 8,
        Layer::Nms { .. } => {
            version.flavor == Flavor::TensorRtRtx || (version.major, version.minor) < (8, 5)
        }
        Layer::Resize { .. } => integer,
        _ => false,
    }
}
