//! Shape and type inference, one file per op family.
//!
//! A rule may know less than everything (unknown rank, symbolic dims, fresh symbols) but never
//! says what is not so; a graph that TensorFlow would reject is an error.

mod concat;
mod conv2d;
mod detection;
mod diagonals;
mod einsum;
mod elementwise;
mod fill;
mod fourier;
mod gather;
mod matmul;
mod places;
mod pool;
mod reduce;
mod reshape;
mod slice;
mod space;
mod space_to_batch;
mod symbolic;
mod tensor_list;
mod volume;
mod windows;

use tfjet_core::{AttrError, AttrReader, DType, Dim, Shape};

pub(crate) use reshape::padding_pairs;
pub(crate) use slice::{Bound, SliceAxis, Span, dense as dense_slice, span, spans};
pub use symbolic::broadcast;

use super::{Formula, Node, Sizes, SymbolicInt, WireFact};

/// Longer vectors hold no sizes.
const MAX_LEN: usize = 8;

/// What contradicts TensorFlow's rules for an op.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InferError {
    /// A shape or value is impossible.
    #[error("{0}")]
    Impossible(String),
    /// An attribute is missing or malformed.
    #[error(transparent)]
    Attr(#[from] AttrError),
}

fn impossible<T>(reason: impl Into<String>) -> Result<T, InferError> {
    Err(InferError::Impossible(reason.into()))
}

/// A node with the facts of its inputs.
#[derive(Debug)]
pub struct Context<'a> {
    /// The node.
    pub node: &'a Node,
    /// Facts of its data inputs, in order.
    pub inputs: Vec<&'a WireFact>,
    /// Its attributes.
    pub attrs: AttrReader<'a>,
    /// What the symbolic dims stand for.
    pub sizes: &'a Sizes,
}

impl Context<'_> {
    fn input(&self, index: usize) -> Result<&WireFact, InferError> {
        self.inputs.get(index).copied().ok_or_else(|| {
            InferError::Impossible(format!(
                "input {index} is missing, the node has {}",
                self.inputs.len()
            ))
        })
    }

    fn dtype(&self, index: usize) -> Option<DType> {
        self.inputs.get(index)?.dtype
    }

    fn shape(&self, index: usize) -> Result<Option<&Shape>, InferError> {
        Ok(self.input(index)?.shape.as_ref())
    }

    /// A new symbol for axis `axis` of output `slot`.
    fn symbol(&self, slot: usize, axis: usize) -> Dim {
        Dim::Symbolic(match slot {
            0 => format!("{}_{axis}", self.node.name),
            _ => format!("{}:{slot}_{axis}", self.node.name),
        })
    }

    /// The dim of that size; a new symbol where no formula says it.
    fn dim(&self, size: Option<Formula>, slot: usize, axis: usize) -> Dim {
        size.and_then(|size| self.sizes.dim(&size))
            .unwrap_or_else(|| self.symbol(slot, axis))
    }

    fn symbols(&self, slot: usize, rank: usize) -> Shape {
        Shape((0..rank).map(|axis| self.symbol(slot, axis)).collect())
    }

    /// The integers of a constant input, or `None` where it is not constant.
    fn integers(&self, index: usize) -> Result<Option<Vec<i64>>, InferError> {
        Ok(self.input(index)?.known_elements())
    }

    /// The elements of a vector of known length.
    fn elements(&self, index: usize) -> Result<Option<Vec<SymbolicInt>>, InferError> {
        let input = self.input(index)?;
        if let Some(elements) = &input.elements {
            return Ok(Some(elements.clone()));
        }
        let len = match input.shape.as_ref().map(Shape::dims) {
            Some([Dim::Fixed(len @ ..=MAX_LEN)]) => Some(*len),
            _ => None,
        };
        Ok(len.map(|len| vec![SymbolicInt::Unknown; len]))
    }

    fn scalar(&self, index: usize) -> Result<Option<i64>, InferError> {
        Ok(self
            .integers(index)?
            .and_then(|values| values.first().copied()))
    }
}

fn fact(dtype: Option<DType>, shape: Option<Shape>) -> WireFact {
    WireFact {
        dtype,
        shape,
        value: None,
        elements: None,
    }
}

/// `axis` of a tensor of `rank`, negative counted from the end.
pub fn normalize_axis(axis: i64, rank: usize) -> Result<usize, InferError> {
    let signed = i64::try_from(rank).unwrap_or(i64::MAX);
    let shifted = if axis < 0 { axis + signed } else { axis };
    match usize::try_from(shifted) {
        Ok(index) if index < rank => Ok(index),
        _ => impossible(format!("axis {axis} is outside a tensor of rank {rank}")),
    }
}

/// Facts of the outputs of a node. An op without a rule has outputs of unknown shape.
pub fn infer(context: &Context<'_>, outputs: usize) -> Result<Vec<WireFact>, InferError> {
    let op = context.node.op.as_str();
    let mut facts = match op {
        "Conv2D"
        | "DepthwiseConv2dNative"
        | "_FusedConv2D"
        | "FusedDepthwiseConv2dNative"
        | "_FusedDepthwiseConv2dNative"
        | "FusedConv2DBiasActivation"
        | "Conv2DBackpropInput" => conv2d::infer(context)?,
        "Conv3D" | "Conv3DBackpropInputV2" | "MaxPool3D" | "AvgPool3D" => volume::infer(context)?,
        "MaxPoolV2" | "MaxPoolWithArgmax" | "ExtractImagePatches" | "Dilation2D" => {
            windows::infer(context)?
        }
        "MaxPool" | "AvgPool" => pool::infer(context)?,
        "MatMul" | "_FusedMatMul" | "BatchMatMul" | "BatchMatMulV2" | "BatchMatMulV3" => {
            matmul::infer(context)?
        }
        "Einsum" => einsum::infer(context)?,
        "SpaceToBatchND" | "BatchToSpaceND" | "SpaceToBatch" | "BatchToSpace" => {
            space_to_batch::infer(context)?
        }
        "ConcatV2" | "Concat" | "Pack" | "Unpack" | "Split" | "SplitV" => concat::infer(context)?,
        "Gather" | "GatherV2" | "ResourceGather" | "GatherNd" | "ScatterNd" | "OneHot" => {
            gather::infer(context)?
        }
        "Sum" | "Mean" | "Max" | "Min" | "Prod" | "All" | "Any" | "ArgMax" | "ArgMin"
        | "EuclideanNorm" => reduce::infer(context)?,
        "Reshape" | "Squeeze" | "ExpandDims" | "Shape" | "ShapeN" | "Size" | "Rank"
        | "Transpose" | "Tile" | "BroadcastTo" | "Pad" | "PadV2" | "MirrorPad" | "Bitcast"
        | "EnsureShape" => reshape::infer(context)?,
        "Slice" | "StridedSlice" => slice::infer(context)?,
        "Fill" | "Range" | "LinSpace" | "ZerosLike" | "OnesLike" => fill::infer(context)?,
        "SpaceToDepth"
        | "DepthToSpace"
        | "ResizeBilinear"
        | "ResizeNearestNeighbor"
        | "ResizeBicubic"
        | "ResizeArea"
        | "CropAndResize" => space::infer(context)?,
        "TopKV2"
        | "TopK"
        | "NonMaxSuppression"
        | "NonMaxSuppressionV2"
        | "NonMaxSuppressionV3"
        | "NonMaxSuppressionV4"
        | "NonMaxSuppressionV5"
        | "CombinedNonMaxSuppression"
        | "TfjetMultiClassNonMaxSuppression"
        | "Where" => detection::infer(context)?,
        "Unique"
        | "UniqueV2"
        | "UniqueWithCounts"
        | "UniqueWithCountsV2"
        | "ListDiff"
        | "SparseToDense"
        | "Empty"
        | "BroadcastArgs"
        | "ConcatOffset"
        | "DynamicPartition"
        | "DynamicStitch"
        | "ParallelDynamicStitch"
        | "SegmentSum"
        | "SegmentMean"
        | "SegmentProd"
        | "SegmentMax"
        | "SegmentMin"
        | "UnsortedSegmentSum"
        | "UnsortedSegmentProd"
        | "UnsortedSegmentMax"
        | "UnsortedSegmentMin"
        | "Bincount"
        | "DenseBincount"
        | "LowerBound"
        | "UpperBound"
        | "Bucketize"
        | "InTopK"
        | "InTopKV2" => places::infer(context)?,
        "FFT" | "FFT2D" | "FFT3D" | "IFFT" | "IFFT2D" | "IFFT3D" | "RFFT" | "RFFT2D" | "RFFT3D"
        | "IRFFT" | "IRFFT2D" | "IRFFT3D" => fourier::infer(context)?,
        "MatrixDiag" | "MatrixDiagV2" | "MatrixDiagV3" | "MatrixDiagPart" | "MatrixDiagPartV2"
        | "MatrixDiagPartV3" | "Diag" | "DiagPart" => diagonals::infer(context)?,
        "EmptyTensorList" => tensor_list::infer(context)?,
        _ if op.starts_with("TensorList") => tensor_list::infer(context)?,
        _ => elementwise::infer(context, outputs)?,
    };
    facts.resize(outputs.max(facts.len()), WireFact::default());
    facts.iter_mut().for_each(forget_overflow);
    Ok(facts)
}

/// Whole numbers are followed in 64 bits: one that wraps in 32 is not known.
fn forget_overflow(fact: &mut WireFact) {
    if fact.dtype != Some(DType::I32) {
        return;
    }
    for element in fact.elements.iter_mut().flatten() {
        if matches!(element, SymbolicInt::Known(value) if i32::try_from(*value).is_err()) {
            *element = SymbolicInt::Unknown;
        }
    }
}

/// Follows small integer vectors through the arithmetic that shapes go through.
fn elements_of(facts: &[&WireFact]) -> Option<Vec<Vec<SymbolicInt>>> {
    facts.iter().map(|fact| fact.elements.clone()).collect()
}
