use tfjet_core::{AttrReader, Attrs};

use crate::activation::{self, Activation};
use crate::binary::{self, Binary};
use crate::compare::{self, Logical, Order};
use crate::non_max_suppression::{Version, non_max_suppression};
use crate::reduce::{self, Reduction};
use crate::reshape::{self, What};
use crate::unary::{Classify, Unary, classify, unary};
use crate::{
    Kernel, OpError, batch_norm, cast, combined_non_max_suppression, concat, conv2d,
    conv2d_backprop_input, cumsum, fill, gather, matmul, pad, pool, resize, select, slice, softmax,
    space_to_batch, tile, top_k, transpose,
};

type Constructor = fn(&AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError>;

/// Every op with a kernel, sorted by name.
static OPS: &[(&str, Constructor)] = &[
    ("Abs", |_| unary(Unary::Abs)),
    ("Acos", |_| unary(Unary::Acos)),
    ("Acosh", |_| unary(Unary::Acosh)),
    ("Add", |_| binary::binary(Binary::Add)),
    ("AddN", binary::add_n),
    ("AddV2", |_| binary::binary(Binary::Add)),
    ("All", |r| reduce::reduce(r, Reduction::All)),
    ("Any", |r| reduce::reduce(r, Reduction::Any)),
    ("ArgMax", |r| reduce::arg_extreme(r, true)),
    ("ArgMin", |r| reduce::arg_extreme(r, false)),
    ("Asin", |_| unary(Unary::Asin)),
    ("Asinh", |_| unary(Unary::Asinh)),
    ("Atan", |_| unary(Unary::Atan)),
    ("Atanh", |_| unary(Unary::Atanh)),
    ("AvgPool", |r| pool::pool(r, true)),
    ("BatchMatMul", |r| matmul::batch_mat_mul(r, false)),
    ("BatchMatMulV2", |r| matmul::batch_mat_mul(r, true)),
    ("BatchToSpaceND", |_| space_to_batch::space_batch(false)),
    ("BiasAdd", binary::bias_add),
    ("BroadcastTo", tile::broadcast_to),
    ("Cast", cast::cast),
    ("Ceil", |_| unary(Unary::Ceil)),
    ("CheckNumerics", reshape::check_numerics),
    (
        "CombinedNonMaxSuppression",
        combined_non_max_suppression::combined_non_max_suppression,
    ),
    ("Concat", |r| concat::concat(r, true)),
    ("ConcatV2", |r| concat::concat(r, false)),
    ("Conv2D", |r| conv2d::conv2d(r, false, false)),
    (
        "Conv2DBackpropInput",
        conv2d_backprop_input::conv2d_backprop_input,
    ),
    ("Cos", |_| unary(Unary::Cos)),
    ("Cosh", |_| unary(Unary::Cosh)),
    ("Cumsum", cumsum::cumsum),
    ("DataFormatVecPermute", transpose::data_format_vec_permute),
    ("DepthToSpace", |r| space_to_batch::space_depth(r, false)),
    ("DepthwiseConv2dNative", |r| conv2d::conv2d(r, true, false)),
    ("Div", |_| binary::binary(Binary::Div)),
    ("DivNoNan", |_| binary::binary(Binary::DivNoNan)),
    ("Elu", |_| activation::activation(Activation::Elu)),
    ("Equal", |r| compare::equality(r, true)),
    ("Erf", |_| unary(Unary::Erf)),
    ("Exp", |_| unary(Unary::Exp)),
    ("ExpandDims", reshape::expand_dims),
    ("Expm1", |_| unary(Unary::Expm1)),
    ("Fill", fill::fill),
    ("Floor", |_| unary(Unary::Floor)),
    ("FloorDiv", |_| binary::binary(Binary::FloorDiv)),
    ("FloorMod", |_| binary::binary(Binary::FloorMod)),
    ("FusedBatchNorm", |r| batch_norm::fused_batch_norm(r, 5)),
    ("FusedBatchNormV2", |r| batch_norm::fused_batch_norm(r, 5)),
    ("FusedBatchNormV3", |r| batch_norm::fused_batch_norm(r, 6)),
    ("FusedDepthwiseConv2dNative", |r| {
        conv2d::conv2d(r, true, true)
    }),
    ("Gather", gather::gather),
    ("GatherNd", gather::gather_nd),
    ("GatherV2", gather::gather_v2),
    ("Greater", |_| compare::order(Order::Greater)),
    ("GreaterEqual", |_| compare::order(Order::GreaterEqual)),
    ("Identity", reshape::identity),
    ("IdentityN", reshape::identity_n),
    ("Inv", |_| unary(Unary::Reciprocal)),
    ("InvertPermutation", transpose::invert_permutation),
    ("IsFinite", |_| classify(Classify::Finite)),
    ("IsInf", |_| classify(Classify::Infinite)),
    ("IsNan", |_| classify(Classify::Nan)),
    ("LeakyRelu", activation::leaky_relu),
    ("Less", |_| compare::order(Order::Less)),
    ("LessEqual", |_| compare::order(Order::LessEqual)),
    ("LinSpace", fill::lin_space),
    ("Log", |_| unary(Unary::Log)),
    ("Log1p", |_| unary(Unary::Log1p)),
    ("LogSoftmax", |_| softmax::softmax(true)),
    ("LogicalAnd", |_| compare::logical(Logical::And)),
    ("LogicalNot", compare::logical_not),
    ("LogicalOr", |_| compare::logical(Logical::Or)),
    ("MatMul", |r| matmul::mat_mul(r, false)),
    ("Max", |r| reduce::reduce(r, Reduction::Max)),
    ("MaxPool", |r| pool::pool(r, false)),
    ("Maximum", |_| binary::binary(Binary::Maximum)),
    ("Mean", |r| reduce::reduce(r, Reduction::Mean)),
    ("Min", |r| reduce::reduce(r, Reduction::Min)),
    ("Minimum", |_| binary::binary(Binary::Minimum)),
    ("MirrorPad", pad::mirror_pad),
    ("Mod", |_| binary::binary(Binary::TruncateMod)),
    ("Mul", |_| binary::binary(Binary::Mul)),
    ("Neg", |_| unary(Unary::Neg)),
    ("NonMaxSuppression", |r| non_max_suppression(r, Version::V1)),
    ("NonMaxSuppressionV2", |r| {
        non_max_suppression(r, Version::V2)
    }),
    ("NonMaxSuppressionV3", |r| {
        non_max_suppression(r, Version::V3)
    }),
    ("NonMaxSuppressionV4", |r| {
        non_max_suppression(r, Version::V4)
    }),
    ("NonMaxSuppressionV5", |r| {
        non_max_suppression(r, Version::V5)
    }),
    ("NotEqual", |r| compare::equality(r, false)),
    ("OneHot", gather::one_hot),
    ("OnesLike", |_| fill::fill_like(true)),
    ("Pack", concat::pack),
    ("Pad", |_| pad::pad(false)),
    ("PadV2", |_| pad::pad(true)),
    ("Pow", |_| binary::binary(Binary::Pow)),
    ("Prelu", activation::prelu),
    ("PreventGradient", reshape::prevent_gradient),
    ("Prod", |r| reduce::reduce(r, Reduction::Prod)),
    ("Range", fill::range),
    ("Rank", |r| reshape::shape_of(r, What::Rank)),
    ("RealDiv", |_| binary::binary(Binary::RealDiv)),
    ("Reciprocal", |_| unary(Unary::Reciprocal)),
    ("Relu", |_| activation::activation(Activation::Relu)),
    ("Relu6", |_| activation::activation(Activation::Relu6)),
    ("Reshape", reshape::reshape),
    ("ResizeBilinear", |r| resize::resize(r, true)),
    ("ResizeNearestNeighbor", |r| resize::resize(r, false)),
    ("Reverse", |_| transpose::reverse(true)),
    ("ReverseV2", |_| transpose::reverse(false)),
    ("Rint", |_| unary(Unary::Round)),
    ("Round", |_| unary(Unary::Round)),
    ("Rsqrt", |_| unary(Unary::Rsqrt)),
    ("ScatterNd", gather::scatter_nd),
    ("Select", |_| select::select(false)),
    ("SelectV2", |_| select::select(true)),
    ("Selu", |_| activation::activation(Activation::Selu)),
    ("Shape", |r| reshape::shape_of(r, What::Shape)),
    ("ShapeN", |r| reshape::shape_of(r, What::ShapeN)),
    ("Sigmoid", |_| activation::activation(Activation::Sigmoid)),
    ("Sign", |_| unary(Unary::Sign)),
    ("Sin", |_| unary(Unary::Sin)),
    ("Sinh", |_| unary(Unary::Sinh)),
    ("Size", |r| reshape::shape_of(r, What::Size)),
    ("Slice", slice::slice),
    ("Snapshot", reshape::identity),
    ("Softmax", |_| softmax::softmax(false)),
    ("Softplus", |_| activation::activation(Activation::Softplus)),
    ("Softsign", |_| activation::activation(Activation::Softsign)),
    ("SpaceToBatchND", |_| space_to_batch::space_batch(true)),
    ("SpaceToDepth", |r| space_to_batch::space_depth(r, true)),
    ("Split", concat::split),
    ("SplitV", concat::split_v),
    ("Sqrt", |_| unary(Unary::Sqrt)),
    ("Square", |_| unary(Unary::Square)),
    ("SquaredDifference", |_| {
        binary::binary(Binary::SquaredDifference)
    }),
    ("Squeeze", reshape::squeeze),
    ("StopGradient", reshape::identity),
    ("StridedSlice", slice::strided_slice),
    ("Sub", |_| binary::binary(Binary::Sub)),
    ("Sum", |r| reduce::reduce(r, Reduction::Sum)),
    ("Tan", |_| unary(Unary::Tan)),
    ("Tanh", |_| activation::activation(Activation::Tanh)),
    ("Tile", tile::tile),
    ("TopK", top_k::top_k),
    ("TopKV2", top_k::top_k_v2),
    ("Transpose", transpose::transpose),
    ("TruncateDiv", |_| binary::binary(Binary::TruncateDiv)),
    ("TruncateMod", |_| binary::binary(Binary::TruncateMod)),
    ("Unpack", concat::unpack),
    ("Where", select::where_),
    ("ZerosLike", |_| fill::fill_like(false)),
    ("_FusedConv2D", |r| conv2d::conv2d(r, false, true)),
    ("_FusedDepthwiseConv2dNative", |r| {
        conv2d::conv2d(r, true, true)
    }),
    ("_FusedMatMul", |r| matmul::mat_mul(r, true)),
];

fn find(op_type: &str) -> Option<Constructor> {
    let found = OPS
        .binary_search_by(|(name, _)| (*name).cmp(op_type))
        .ok()?;
    Some(OPS[found].1)
}

/// The kernel of an op with its attributes.
///
/// # Errors
/// [`OpError::UnknownOp`] where there is none, else what is wrong with an attribute. An attribute
/// with a meaning that the kernel does not know is an error, too.
pub fn kernel(op_type: &str, attrs: &Attrs) -> Result<Box<dyn Kernel>, OpError> {
    let constructor = find(op_type).ok_or_else(|| OpError::UnknownOp(op_type.into()))?;
    let reader = AttrReader::new(attrs);
    let kernel = constructor(&reader)?;
    reader.finish()?;
    Ok(kernel)
}

/// Is there a kernel for the op?
pub fn is_supported(op_type: &str) -> bool {
    find(op_type).is_some()
}

/// The ops that have a kernel, sorted by name.
pub fn supported_ops() -> impl Iterator<Item = &'static str> {
    OPS.iter().map(|&(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tfjet_core::{AttrError, AttrValue};

    #[test]
    fn the_table_is_sorted() {
        assert!(OPS.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn unknown_ops_and_attributes_are_errors() {
        let attrs = Attrs::default();
        assert!(!is_supported("DecodeJpeg"));
        assert_eq!(
            kernel("DecodeJpeg", &attrs).err(),
            Some(OpError::UnknownOp("DecodeJpeg".into()))
        );
        let attrs = attrs.with("speed", AttrValue::Int(3));
        assert_eq!(
            kernel("Relu", &attrs).err(),
            Some(AttrError::Unread("speed".into()).into())
        );
    }
}
