//! Floating-point operations of a node, for reports: a multiply-add counts as two. A symbolic dim
//! counts as one.

use tfjet_core::{Dim, Shape};

use crate::graph::{NodeId, TypedGraph, WireId};

fn elements(shape: Option<&Shape>) -> u64 {
    shape.map_or(0, |shape| {
        shape
            .dims()
            .iter()
            .map(|dim| dim.fixed().unwrap_or(1) as u64)
            .fold(1, u64::saturating_mul)
    })
}

fn size(dim: Option<&Dim>) -> u64 {
    dim.and_then(Dim::fixed).unwrap_or(1) as u64
}

/// Operations for one run of the node.
pub fn flops(typed: &TypedGraph, id: NodeId) -> u64 {
    let node = typed.graph.node(id);
    let output = elements(typed.fact(WireId::new(id, 0)).shape.as_ref());
    let input = |index: usize| {
        node.inputs
            .get(index)
            .and_then(|wire| typed.fact(*wire).shape.as_ref())
    };
    match node.op.as_str() {
        "Conv2D" | "_FusedConv2D" | "FusedConv2DBiasActivation" => {
            let filter = input(1).map(Shape::dims).unwrap_or_default();
            let taps = filter
                .iter()
                .take(3)
                .map(|dim| size(Some(dim)))
                .product::<u64>();
            output.saturating_mul(taps).saturating_mul(2)
        }
        "Conv3D" => {
            let filter = input(1).map(Shape::dims).unwrap_or_default();
            let taps = filter.iter().take(4).map(|dim| size(Some(dim)));
            let taps = taps.fold(1, u64::saturating_mul);
            output.saturating_mul(taps).saturating_mul(2)
        }
        "Conv3DBackpropInputV2" => {
            let filter = input(1).map(Shape::dims).unwrap_or_default();
            let taps = filter.iter().take(4).map(|dim| size(Some(dim)));
            let taps = taps.fold(1, u64::saturating_mul);
            elements(input(2)).saturating_mul(taps).saturating_mul(2)
        }
        "DepthwiseConv2dNative" | "FusedDepthwiseConv2dNative" | "_FusedDepthwiseConv2dNative" => {
            let filter = input(1).map(Shape::dims).unwrap_or_default();
            let taps = filter
                .iter()
                .take(2)
                .map(|dim| size(Some(dim)))
                .product::<u64>();
            output.saturating_mul(taps).saturating_mul(2)
        }
        "Conv2DBackpropInput" => {
            let filter = input(1).map(Shape::dims).unwrap_or_default();
            let taps = filter.iter().map(|dim| size(Some(dim))).product::<u64>();
            let channels = size(filter.get(3)).max(1);
            elements(input(2))
                .saturating_mul(taps / channels)
                .saturating_mul(2)
        }
        "MatMul" | "_FusedMatMul" | "BatchMatMul" | "BatchMatMulV2" | "BatchMatMulV3" => {
            let shape = input(0).map(Shape::dims).unwrap_or_default();
            let transposed = ["transpose_a", "adj_x"].iter().any(|name| {
                matches!(
                    node.attrs.get(name),
                    Some(tfjet_core::AttrValue::Bool(true))
                )
            });
            let inner = match (transposed, shape.len()) {
                (true, rank @ 2..) => size(shape.get(rank - 2)),
                _ => size(shape.last()),
            };
            output.saturating_mul(inner).saturating_mul(2)
        }
        "MaxPool" | "AvgPool" | "MaxPool3D" | "AvgPool3D" | "MaxPoolWithArgmax" => {
            let window = match node.attrs.get("ksize") {
                Some(tfjet_core::AttrValue::Ints(sizes)) => {
                    sizes.iter().map(|&size| size.unsigned_abs()).product()
                }
                _ => 1,
            };
            output.saturating_mul(window)
        }
        "Sum" | "Mean" | "Max" | "Min" | "Prod" | "ArgMax" | "ArgMin" | "TopKV2" => {
            elements(input(0))
        }
        "ResizeBicubic" => output.saturating_mul(32),
        "LRN" => output.saturating_mul(12),
        "ResizeBilinear" | "CropAndResize" => output.saturating_mul(8),
        "Softmax" | "LogSoftmax" => output.saturating_mul(4),
        "FusedBatchNorm" | "FusedBatchNormV2" | "FusedBatchNormV3" => output.saturating_mul(2),
        "Reshape"
        | "Squeeze"
        | "ExpandDims"
        | "Transpose"
        | "ConcatV2"
        | "Pack"
        | "Unpack"
        | "Split"
        | "SplitV"
        | "Slice"
        | "StridedSlice"
        | "GatherV2"
        | "Gather"
        | "GatherNd"
        | "Tile"
        | "Fill"
        | "Shape"
        | "Identity"
        | "Pad"
        | "PadV2"
        | "MirrorPad"
        | "Range"
        | "Cast"
        | "EmptyTensorList"
        | "NoOp"
        | "PrintV2"
        | "Print"
        | "Assert"
        | "Bitcast"
        | "EnsureShape"
        | "BroadcastArgs"
        | "BroadcastTo"
        | "Roll"
        | "ReverseSequence"
        | "ReverseV2"
        | "Reverse"
        | "ExtractImagePatches"
        | "TensorScatterUpdate"
        | "DynamicPartition"
        | "DynamicStitch"
        | "ParallelDynamicStitch"
        | "MatrixDiag"
        | "MatrixDiagV2"
        | "MatrixDiagV3"
        | "MatrixDiagPart"
        | "MatrixDiagPartV2"
        | "MatrixDiagPartV3"
        | "MatrixSetDiag"
        | "MatrixSetDiagV2"
        | "MatrixSetDiagV3"
        | "MatrixBandPart"
        | "Diag"
        | "DiagPart"
        | "Empty"
        | "SparseToDense"
        | "ConcatOffset"
        | "DataFormatDimMap"
        | "DataFormatVecPermute"
        | "SpaceToBatch"
        | "SpaceToBatchND"
        | "BatchToSpace"
        | "BatchToSpaceND"
        | "SpaceToDepth"
        | "DepthToSpace"
        | "GuaranteeConst"
        | "_CopyFromHostToGpu"
        | "_CopyFromGpuToHost" => 0,
        op if op.starts_with("TensorList") => 0,
        _ => output,
    }
}
