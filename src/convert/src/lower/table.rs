//! Which op is lowered by which function.

use super::op::Op;
use super::{
    Refusal, activation, band_part, batch_norm, binary, cast, classify, clip,
    combined_non_max_suppression, compare, concat, conv2d, conv2d_backprop_input, cumsum, division,
    einsum, fake_quant, fill, gather, lrn, matmul, non_max_suppression, one_hot, pad, pool, reduce,
    reshape, resize, resize_weighted, scatter, select, slice, softmax, space_to_batch,
    space_to_depth, tile, top_k, transpose, unary,
};

pub(super) type Lower = fn(&mut Op<'_, '_>) -> Result<(), Refusal>;

/// Every op that can be lowered, sorted by name, with what a node must be like for that in a few
/// words for `docs/supported-ops.md`.
static LOWERINGS: &[(&str, Lower, &str)] = &[
    ("Abs", unary::lower, ""),
    ("Acos", unary::lower, ""),
    ("Acosh", unary::lower, ""),
    ("Add", binary::lower, ""),
    ("AddN", binary::lower, ""),
    ("AddV2", binary::lower, ""),
    ("All", reduce::lower, "axes constant"),
    ("Any", reduce::lower, "axes constant"),
    ("ArgMax", top_k::lower, "dimension constant"),
    ("ArgMin", top_k::lower, "dimension constant"),
    ("Asin", unary::lower, ""),
    ("Asinh", unary::lower, ""),
    ("Atan", unary::lower, ""),
    ("Atanh", unary::lower, ""),
    ("AvgPool", pool::lower, ""),
    ("AvgPool3D", pool::lower, ""),
    ("BatchMatMul", matmul::lower, ""),
    ("BatchMatMulV2", matmul::lower, ""),
    ("BatchMatMulV3", matmul::lower, ""),
    (
        "BatchToSpace",
        space_to_batch::lower,
        "block and crops constant or following from sizes",
    ),
    (
        "BatchToSpaceND",
        space_to_batch::lower,
        "block and crops constant or following from sizes",
    ),
    ("BiasAdd", binary::lower, ""),
    (
        "BroadcastTo",
        fill::lower,
        "shape constant or following from sizes",
    ),
    ("Cast", cast::lower, ""),
    ("Ceil", unary::lower, ""),
    ("ClipByValue", clip::lower, ""),
    (
        "CombinedNonMaxSuppression",
        combined_non_max_suppression::lower,
        "--lower-nms, sizes and thresholds constant",
    ),
    ("Concat", concat::lower, "axis constant"),
    ("ConcatV2", concat::lower, "axis constant"),
    ("Conv2D", conv2d::lower, "filter constant"),
    (
        "Conv2DBackpropInput",
        conv2d_backprop_input::lower,
        "filter constant, no dilation, output size follows from the input's",
    ),
    ("Conv3D", conv2d::lower, "filter constant"),
    (
        "Conv3DBackpropInputV2",
        conv2d_backprop_input::lower,
        "filter constant, no dilation, output size follows from the input's",
    ),
    ("Cos", unary::lower, ""),
    ("Cosh", unary::lower, ""),
    ("Cumsum", cumsum::lower, "axis constant, its size known"),
    (
        "DataFormatVecPermute",
        transpose::data_format_vec_permute,
        "",
    ),
    (
        "DepthToSpace",
        space_to_depth::lower,
        "number of channels known",
    ),
    ("DepthwiseConv2dNative", conv2d::lower, "filter constant"),
    ("Div", binary::lower, ""),
    ("DivNoNan", division::lower, ""),
    (
        "Einsum",
        einsum::lower,
        "one or two inputs, no letter twice in a term",
    ),
    ("Elu", activation::lower, ""),
    ("Equal", compare::lower, ""),
    ("Erf", unary::lower, ""),
    ("Exp", unary::lower, ""),
    ("ExpandDims", reshape::lower, ""),
    ("Expm1", unary::lower, ""),
    ("FakeQuantWithMinMaxArgs", fake_quant::lower, ""),
    (
        "FakeQuantWithMinMaxVars",
        fake_quant::lower,
        "ranges constant",
    ),
    (
        "FakeQuantWithMinMaxVarsPerChannel",
        fake_quant::lower,
        "ranges constant",
    ),
    ("Fill", fill::lower, "dims constant or following from sizes"),
    ("Floor", unary::lower, ""),
    ("FloorDiv", binary::lower, ""),
    ("FloorMod", division::lower, ""),
    (
        "FusedBatchNorm",
        batch_norm::lower,
        "is_training false, parameters constant",
    ),
    (
        "FusedBatchNormV2",
        batch_norm::lower,
        "is_training false, parameters constant",
    ),
    (
        "FusedBatchNormV3",
        batch_norm::lower,
        "is_training false, parameters constant",
    ),
    (
        "FusedConv2DBiasActivation",
        conv2d::lower,
        "filter and bias constant, no side input, conv_input_scale 1",
    ),
    (
        "FusedDepthwiseConv2dNative",
        conv2d::lower,
        "filter constant",
    ),
    ("Gather", gather::lower, ""),
    ("GatherNd", gather::lower, "bad_indices_policy not IGNORE"),
    ("GatherV2", gather::lower, "axis constant"),
    ("Greater", compare::lower, ""),
    ("GreaterEqual", compare::lower, ""),
    ("Inv", unary::lower, ""),
    ("IsFinite", classify::lower, ""),
    ("IsInf", classify::lower, ""),
    ("IsNan", classify::lower, ""),
    ("LRN", lrn::lower, "depth_radius 7 at most in TensorRT"),
    ("LeakyRelu", activation::lower, ""),
    ("Less", compare::lower, ""),
    ("LessEqual", compare::lower, ""),
    ("Log", unary::lower, ""),
    ("Log1p", unary::lower, ""),
    ("LogSoftmax", softmax::lower, ""),
    ("LogicalAnd", compare::lower, ""),
    ("LogicalNot", compare::lower, ""),
    ("LogicalOr", compare::lower, ""),
    ("MatMul", matmul::lower, ""),
    (
        "MatrixBandPart",
        band_part::lower,
        "bounds constant, the last two sizes known",
    ),
    ("Max", reduce::lower, "axes constant"),
    ("MaxPool", pool::lower, ""),
    ("MaxPool3D", pool::lower, ""),
    ("Maximum", binary::lower, ""),
    ("Mean", reduce::lower, "axes constant"),
    ("Min", reduce::lower, "axes constant"),
    ("Minimum", binary::lower, ""),
    (
        "MirrorPad",
        pad::lower,
        "paddings constant or following from sizes",
    ),
    ("Mod", division::lower, ""),
    ("Mul", binary::lower, ""),
    ("Neg", unary::lower, ""),
    (
        "NonMaxSuppressionV4",
        non_max_suppression::lower,
        "--lower-nms, sizes and thresholds constant",
    ),
    (
        "NonMaxSuppressionV5",
        non_max_suppression::lower,
        "--lower-nms, sizes and thresholds constant, no sigma",
    ),
    ("NotEqual", compare::lower, ""),
    ("OneHot", one_hot::lower, "depth constant"),
    ("OnesLike", fill::lower, ""),
    ("Pack", concat::lower, ""),
    (
        "Pad",
        pad::lower,
        "paddings constant or following from sizes",
    ),
    (
        "PadV2",
        pad::lower,
        "paddings constant or following from sizes",
    ),
    ("Pow", binary::lower, ""),
    ("Prelu", activation::lower, ""),
    ("Prod", reduce::lower, "axes constant"),
    (
        "QuantizeAndDequantizeV2",
        fake_quant::lower,
        "range_given, one constant range",
    ),
    (
        "QuantizeAndDequantizeV3",
        fake_quant::lower,
        "range_given, one constant range",
    ),
    (
        "QuantizeAndDequantizeV4",
        fake_quant::lower,
        "range_given, one constant range",
    ),
    (
        "Range",
        fill::lower,
        "bounds constant or following from sizes",
    ),
    ("RealDiv", binary::lower, ""),
    ("Reciprocal", unary::lower, ""),
    ("Relu", activation::lower, ""),
    ("Relu6", activation::lower, ""),
    (
        "Reshape",
        reshape::lower,
        "shape constant or following from sizes",
    ),
    ("ResizeArea", resize_weighted::lower, "all sizes known"),
    ("ResizeBicubic", resize_weighted::lower, "all sizes known"),
    (
        "ResizeBilinear",
        resize::lower,
        "size constant or following from sizes",
    ),
    (
        "ResizeNearestNeighbor",
        resize::lower,
        "size constant or following from sizes",
    ),
    ("ResourceGather", gather::lower, "variable frozen"),
    ("Reverse", transpose::reverse, "axes constant"),
    ("ReverseV2", transpose::reverse, "axes constant"),
    ("Rint", unary::lower, ""),
    ("Round", unary::lower, ""),
    ("Rsqrt", unary::lower, ""),
    (
        "ScatterNd",
        scatter::lower,
        "indices and shape constant, no index twice",
    ),
    ("Select", select::lower, ""),
    ("SelectV2", select::lower, ""),
    ("Selu", activation::lower, ""),
    ("Sigmoid", activation::lower, ""),
    ("Sign", unary::lower, ""),
    ("Sin", unary::lower, ""),
    ("Sinh", unary::lower, ""),
    (
        "Slice",
        slice::lower,
        "bounds constant or following from sizes",
    ),
    ("Softmax", softmax::lower, ""),
    ("Softplus", activation::lower, ""),
    ("Softsign", activation::lower, ""),
    (
        "SpaceToBatch",
        space_to_batch::lower,
        "block and paddings constant or following from sizes",
    ),
    (
        "SpaceToBatchND",
        space_to_batch::lower,
        "block and paddings constant or following from sizes",
    ),
    (
        "SpaceToDepth",
        space_to_depth::lower,
        "number of channels known",
    ),
    ("Split", concat::lower, "axis constant"),
    (
        "SplitV",
        concat::lower,
        "axis constant, sizes constant or following from sizes",
    ),
    ("Sqrt", unary::lower, ""),
    ("Square", unary::lower, ""),
    ("SquaredDifference", binary::lower, ""),
    ("Squeeze", reshape::lower, ""),
    (
        "StridedSlice",
        slice::lower,
        "bounds constant or following from sizes, strides constant",
    ),
    ("Sub", binary::lower, ""),
    ("Sum", reduce::lower, "axes constant"),
    ("Tan", unary::lower, ""),
    ("Tanh", activation::lower, ""),
    (
        "Tile",
        tile::lower,
        "multiples constant or following from sizes",
    ),
    ("TopK", top_k::lower, "k constant, 3,840 at most"),
    ("TopKV2", top_k::lower, "k constant, 3,840 at most"),
    ("Transpose", transpose::lower, "perm constant"),
    ("TruncateDiv", division::lower, ""),
    ("TruncateMod", division::lower, ""),
    ("Unpack", concat::lower, "sizes of the axis known"),
    ("ZerosLike", fill::lower, ""),
    ("_FusedConv2D", conv2d::lower, "filter constant"),
    (
        "_FusedDepthwiseConv2dNative",
        conv2d::lower,
        "filter constant",
    ),
    ("_FusedMatMul", matmul::lower, ""),
];

/// What lowers an op.
pub(super) fn find(op: &str) -> Option<Lower> {
    LOWERINGS
        .binary_search_by(|(name, ..)| (*name).cmp(op))
        .ok()
        .map(|index| LOWERINGS[index].1)
}

/// Can an op of this type be lowered?
pub fn is_lowered(op: &str) -> bool {
    find(op).is_some()
}

/// What a node of this op must be like to be lowered, besides its types, in a few words.
pub fn needs(op: &str) -> &'static str {
    let found = LOWERINGS.iter().find(|(name, ..)| *name == op);
    found.map_or("", |(.., needs)| needs)
}

/// Every op that can be lowered, sorted.
pub fn lowered_ops() -> impl Iterator<Item = &'static str> {
    LOWERINGS.iter().map(|(name, ..)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted() {
        assert!(LOWERINGS.is_sorted_by(|a, b| a.0 < b.0));
    }
}
