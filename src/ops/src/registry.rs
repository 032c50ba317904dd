use tfjet_core::{AttrReader, Attrs};

use crate::activation::{self, Activation};
use crate::binary::{self, Binary};
use crate::bitwise::Bitwise;
use crate::color::Color;
use crate::compare::{self, Logical, Order};
use crate::complex::{self, Part};
use crate::non_max_suppression::{Version, non_max_suppression};
use crate::quantize_and_dequantize::{Version as Quantized, quantize_and_dequantize};
use crate::reduce::{self, Reduction};
use crate::reshape::{self, What};
use crate::resize_weighted::Method;
use crate::scatter::Update;
use crate::segment::Segment;
use crate::unary::{Classify, Unary, classify, unary};
use crate::{
    Kernel, OpError, assert, batch_norm, biased_conv2d, bitwise, cast, clip, color,
    combined_non_max_suppression, concat, conv2d, conv2d_backprop_input, crop_and_resize, cumsum,
    einsum, fake_quant, fill, fourier, gather, local_response, matmul, matrix_diag,
    multi_class_non_max_suppression, pad, partition, patches, pool, resize, resize_weighted, roll,
    scatter, search, segment, select, slice, softmax, space_to_batch, special, tensor_list, tile,
    top_k, transpose, unique, volume,
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
    ("AdjustContrastv2", |_| color::adjust_contrast()),
    ("AdjustHue", |_| color::color(Color::AdjustHue)),
    ("AdjustSaturation", |_| {
        color::color(Color::AdjustSaturation)
    }),
    ("All", |r| reduce::reduce(r, Reduction::All)),
    ("Angle", |r| complex::part(r, Part::Angle)),
    ("Any", |r| reduce::reduce(r, Reduction::Any)),
    ("ApproximateEqual", clip::approximate_equal),
    ("ArgMax", |r| reduce::arg_extreme(r, true)),
    ("ArgMin", |r| reduce::arg_extreme(r, false)),
    ("Asin", |_| unary(Unary::Asin)),
    ("Asinh", |_| unary(Unary::Asinh)),
    ("Assert", assert::assert),
    ("Atan", |_| unary(Unary::Atan)),
    ("Atan2", |_| special::function2(f64::atan2)),
    ("Atanh", |_| unary(Unary::Atanh)),
    ("AvgPool", |r| pool::pool(r, true)),
    ("AvgPool3D", |r| volume::pool3d(r, true)),
    ("BatchMatMul", |r| matmul::batch_mat_mul(r, false)),
    ("BatchMatMulV2", |r| matmul::batch_mat_mul(r, true)),
    ("BatchMatMulV3", matmul::batch_mat_mul_v3),
    (
        "BatchNormWithGlobalNormalization",
        batch_norm::global_normalization,
    ),
    ("BatchToSpace", |r| space_to_batch::square_blocks(r, false)),
    ("BatchToSpaceND", |_| space_to_batch::space_batch(false)),
    ("BiasAdd", binary::bias_add),
    ("Bincount", |r| segment::bincount(r, false)),
    ("Bitcast", bitwise::bitcast),
    ("BitwiseAnd", |_| bitwise::bitwise(Bitwise::And)),
    ("BitwiseOr", |_| bitwise::bitwise(Bitwise::Or)),
    ("BitwiseXor", |_| bitwise::bitwise(Bitwise::Xor)),
    ("BroadcastArgs", |_| partition::broadcast_args()),
    ("BroadcastTo", tile::broadcast_to),
    ("Bucketize", search::bucketize),
    ("Cast", cast::cast),
    ("Ceil", |_| unary(Unary::Ceil)),
    ("CheckNumerics", reshape::check_numerics),
    ("ClipByValue", |_| clip::clip_by_value()),
    (
        "CombinedNonMaxSuppression",
        combined_non_max_suppression::combined_non_max_suppression,
    ),
    ("Complex", complex::complex),
    ("ComplexAbs", |r| complex::part(r, Part::Magnitude)),
    ("Concat", |r| concat::concat(r, true)),
    ("ConcatOffset", partition::concat_offset),
    ("ConcatV2", |r| concat::concat(r, false)),
    ("Conj", |_| complex::conj()),
    ("Conv2D", |r| conv2d::conv2d(r, false, false)),
    (
        "Conv2DBackpropInput",
        conv2d_backprop_input::conv2d_backprop_input,
    ),
    ("Conv3D", volume::conv3d),
    ("Conv3DBackpropInputV2", volume::conv3d_backprop_input),
    ("Cos", |_| unary(Unary::Cos)),
    ("Cosh", |_| unary(Unary::Cosh)),
    ("CropAndResize", crop_and_resize::crop_and_resize),
    ("Cross", |_| binary::cross()),
    ("Cumprod", |r| cumsum::cumulative(r, true)),
    ("Cumsum", |r| cumsum::cumulative(r, false)),
    ("DataFormatDimMap", partition::data_format_dim_map),
    ("DataFormatVecPermute", transpose::data_format_vec_permute),
    ("DenseBincount", |r| segment::bincount(r, true)),
    ("DepthToSpace", |r| space_to_batch::space_depth(r, false)),
    ("DepthwiseConv2dNative", |r| conv2d::conv2d(r, true, false)),
    ("Diag", |_| matrix_diag::diag(false)),
    ("DiagPart", |_| matrix_diag::diag(true)),
    ("Digamma", |_| special::function(special::digamma)),
    ("Dilation2D", patches::dilation2d),
    ("Div", |_| binary::binary(Binary::Div)),
    ("DivNoNan", |_| binary::binary(Binary::DivNoNan)),
    ("DynamicPartition", partition::dynamic_partition),
    ("DynamicStitch", partition::dynamic_stitch),
    ("Einsum", einsum::einsum),
    ("Elu", |_| activation::activation(Activation::Elu)),
    ("Empty", fill::empty),
    ("EmptyTensorList", |r| tensor_list::reserve(r, true)),
    ("EnsureShape", assert::ensure_shape),
    ("Equal", |r| compare::equality(r, true)),
    ("Erf", |_| unary(Unary::Erf)),
    ("Erfc", |_| special::function(libm::erfc)),
    ("Erfinv", |_| special::function(special::erf_inverse)),
    ("EuclideanNorm", |r| {
        reduce::reduce(r, Reduction::EuclideanNorm)
    }),
    ("Exp", |_| unary(Unary::Exp)),
    ("ExpandDims", reshape::expand_dims),
    ("Expm1", |_| unary(Unary::Expm1)),
    ("ExtractImagePatches", patches::extract_image_patches),
    ("FFT", |r| fourier::fft(r, 1, false)),
    ("FFT2D", |r| fourier::fft(r, 2, false)),
    ("FFT3D", |r| fourier::fft(r, 3, false)),
    ("FakeQuantWithMinMaxArgs", fake_quant::with_args),
    ("FakeQuantWithMinMaxVars", |r| {
        fake_quant::with_vars(r, false)
    }),
    ("FakeQuantWithMinMaxVarsPerChannel", |r| {
        fake_quant::with_vars(r, true)
    }),
    ("Fill", fill::fill),
    ("Floor", |_| unary(Unary::Floor)),
    ("FloorDiv", |_| binary::binary(Binary::FloorDiv)),
    ("FloorMod", |_| binary::binary(Binary::FloorMod)),
    ("FusedBatchNorm", |r| batch_norm::fused_batch_norm(r, 5)),
    ("FusedBatchNormV2", |r| batch_norm::fused_batch_norm(r, 5)),
    ("FusedBatchNormV3", |r| batch_norm::fused_batch_norm(r, 6)),
    (
        "FusedConv2DBiasActivation",
        biased_conv2d::fused_conv2d_bias_activation,
    ),
    ("FusedDepthwiseConv2dNative", |r| {
        conv2d::conv2d(r, true, true)
    }),
    ("Gather", gather::gather),
    ("GatherNd", gather::gather_nd),
    ("GatherV2", gather::gather_v2),
    ("Greater", |_| compare::order(Order::Greater)),
    ("GreaterEqual", |_| compare::order(Order::GreaterEqual)),
    ("GuaranteeConst", reshape::identity),
    ("HSVToRGB", |_| color::color(Color::HsvToRgb)),
    ("IFFT", |r| fourier::fft(r, 1, true)),
    ("IFFT2D", |r| fourier::fft(r, 2, true)),
    ("IFFT3D", |r| fourier::fft(r, 3, true)),
    ("IRFFT", |r| fourier::rfft(r, 1, true)),
    ("IRFFT2D", |r| fourier::rfft(r, 2, true)),
    ("IRFFT3D", |r| fourier::rfft(r, 3, true)),
    ("Identity", reshape::identity),
    ("IdentityN", reshape::identity_n),
    ("Imag", |r| complex::part(r, Part::Imaginary)),
    ("InTopK", search::in_top_k),
    ("InTopKV2", |_| search::in_top_k_v2()),
    ("Inv", |_| unary(Unary::Reciprocal)),
    ("Invert", |_| bitwise::invert()),
    ("InvertPermutation", transpose::invert_permutation),
    ("IsFinite", |_| classify(Classify::Finite)),
    ("IsInf", |_| classify(Classify::Infinite)),
    ("IsNan", |_| classify(Classify::Nan)),
    ("L2Loss", |_| clip::l2_loss()),
    ("LRN", local_response::lrn),
    ("LeakyRelu", activation::leaky_relu),
    ("LeftShift", |_| bitwise::bitwise(Bitwise::LeftShift)),
    ("Less", |_| compare::order(Order::Less)),
    ("LessEqual", |_| compare::order(Order::LessEqual)),
    ("Lgamma", |_| special::function(libm::lgamma)),
    ("LinSpace", fill::lin_space),
    ("ListDiff", unique::list_diff),
    ("Log", |_| unary(Unary::Log)),
    ("Log1p", |_| unary(Unary::Log1p)),
    ("LogSoftmax", |_| softmax::softmax(true)),
    ("LogicalAnd", |_| compare::logical(Logical::And)),
    ("LogicalNot", compare::logical_not),
    ("LogicalOr", |_| compare::logical(Logical::Or)),
    ("LowerBound", |r| search::bound(r, false)),
    ("MatMul", |r| matmul::mat_mul(r, false)),
    ("MatrixBandPart", matrix_diag::matrix_band_part),
    ("MatrixDiag", |r| matrix_diag::matrix_diag(r, 1)),
    ("MatrixDiagPart", |r| matrix_diag::matrix_diag_part(r, 1)),
    ("MatrixDiagPartV2", |r| matrix_diag::matrix_diag_part(r, 2)),
    ("MatrixDiagPartV3", |r| matrix_diag::matrix_diag_part(r, 3)),
    ("MatrixDiagV2", |r| matrix_diag::matrix_diag(r, 2)),
    ("MatrixDiagV3", |r| matrix_diag::matrix_diag(r, 3)),
    ("MatrixSetDiag", |r| matrix_diag::matrix_set_diag(r, 1)),
    ("MatrixSetDiagV2", |r| matrix_diag::matrix_set_diag(r, 2)),
    ("MatrixSetDiagV3", |r| matrix_diag::matrix_set_diag(r, 3)),
    ("Max", |r| reduce::reduce(r, Reduction::Max)),
    ("MaxPool", |r| pool::pool(r, false)),
    ("MaxPool3D", |r| volume::pool3d(r, false)),
    ("MaxPoolV2", pool::max_pool_v2),
    ("MaxPoolWithArgmax", pool::max_pool_with_argmax),
    ("Maximum", |_| binary::binary(Binary::Maximum)),
    ("Mean", |r| reduce::reduce(r, Reduction::Mean)),
    ("Min", |r| reduce::reduce(r, Reduction::Min)),
    ("Minimum", |_| binary::binary(Binary::Minimum)),
    ("MirrorPad", pad::mirror_pad),
    ("Mod", |_| binary::binary(Binary::TruncateMod)),
    ("Mul", |_| binary::binary(Binary::Mul)),
    ("MulNoNan", |_| special::function2(special::mul_no_nan)),
    ("Ndtri", |_| special::function(special::normal_quantile)),
    ("Neg", |_| unary(Unary::Neg)),
    ("NoOp", assert::nothing),
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
    ("ParallelDynamicStitch", partition::dynamic_stitch),
    ("PopulationCount", |_| bitwise::population_count()),
    ("Pow", |_| binary::binary(Binary::Pow)),
    ("Prelu", activation::prelu),
    ("PreventGradient", reshape::prevent_gradient),
    ("Print", assert::print),
    ("PrintV2", assert::nothing),
    ("Prod", |r| reduce::reduce(r, Reduction::Prod)),
    ("QuantizeAndDequantize", |r| {
        quantize_and_dequantize(r, Quantized::V1)
    }),
    ("QuantizeAndDequantizeV2", |r| {
        quantize_and_dequantize(r, Quantized::V2)
    }),
    ("QuantizeAndDequantizeV3", |r| {
        quantize_and_dequantize(r, Quantized::V3)
    }),
    ("QuantizeAndDequantizeV4", |r| {
        quantize_and_dequantize(r, Quantized::V4)
    }),
    ("RFFT", |r| fourier::rfft(r, 1, false)),
    ("RFFT2D", |r| fourier::rfft(r, 2, false)),
    ("RFFT3D", |r| fourier::rfft(r, 3, false)),
    ("RGBToHSV", |_| color::color(Color::RgbToHsv)),
    ("Range", fill::range),
    ("Rank", |r| reshape::shape_of(r, What::Rank)),
    ("Real", |r| complex::part(r, Part::Real)),
    ("RealDiv", |_| binary::binary(Binary::RealDiv)),
    ("Reciprocal", |_| unary(Unary::Reciprocal)),
    ("Relu", |_| activation::activation(Activation::Relu)),
    ("Relu6", |_| activation::activation(Activation::Relu6)),
    ("Reshape", reshape::reshape),
    ("ResizeArea", |r| resize_weighted::resize(r, Method::Area)),
    ("ResizeBicubic", |r| {
        resize_weighted::resize(r, Method::Bicubic)
    }),
    ("ResizeBilinear", |r| resize::resize(r, true)),
    ("ResizeNearestNeighbor", |r| resize::resize(r, false)),
    ("Reverse", |_| transpose::reverse(true)),
    ("ReverseSequence", roll::reverse_sequence),
    ("ReverseV2", |_| transpose::reverse(false)),
    ("RightShift", |_| bitwise::bitwise(Bitwise::RightShift)),
    ("Rint", |_| unary(Unary::Round)),
    ("Roll", roll::roll),
    ("Round", |_| unary(Unary::Round)),
    ("Rsqrt", |_| unary(Unary::Rsqrt)),
    ("ScatterNd", gather::scatter_nd),
    ("ScatterNdNonAliasingAdd", |r| {
        scatter::tensor_scatter(r, Update::Add)
    }),
    ("SegmentMax", |r| segment::segments(r, Segment::Max, true)),
    ("SegmentMean", |r| segment::segments(r, Segment::Mean, true)),
    ("SegmentMin", |r| segment::segments(r, Segment::Min, true)),
    ("SegmentProd", |r| segment::segments(r, Segment::Prod, true)),
    ("SegmentSum", |r| segment::segments(r, Segment::Sum, true)),
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
    ("SpaceToBatch", |r| space_to_batch::square_blocks(r, true)),
    ("SpaceToBatchND", |_| space_to_batch::space_batch(true)),
    ("SpaceToDepth", |r| space_to_batch::space_depth(r, true)),
    ("SparseToDense", |_| scatter::sparse_to_dense()),
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
    ("TensorListConcat", |r| tensor_list::concat(r, false)),
    ("TensorListConcatV2", |r| tensor_list::concat(r, true)),
    ("TensorListElementShape", tensor_list::shape_of_elements),
    ("TensorListFromTensor", tensor_list::from_tensor),
    ("TensorListGather", tensor_list::gather),
    ("TensorListGetItem", tensor_list::get_item),
    ("TensorListLength", tensor_list::length),
    ("TensorListPopBack", tensor_list::pop_back),
    ("TensorListPushBack", tensor_list::push_back),
    ("TensorListReserve", |r| tensor_list::reserve(r, false)),
    ("TensorListResize", tensor_list::resize),
    ("TensorListScatter", |r| tensor_list::scatter(r, false)),
    (
        "TensorListScatterIntoExistingList",
        tensor_list::scatter_into,
    ),
    ("TensorListScatterV2", |r| tensor_list::scatter(r, true)),
    ("TensorListSetItem", tensor_list::set_item),
    ("TensorListSplit", tensor_list::split),
    ("TensorListStack", tensor_list::stack),
    ("TensorScatterAdd", |r| {
        scatter::tensor_scatter(r, Update::Add)
    }),
    ("TensorScatterMax", |r| {
        scatter::tensor_scatter(r, Update::Max)
    }),
    ("TensorScatterMin", |r| {
        scatter::tensor_scatter(r, Update::Min)
    }),
    ("TensorScatterSub", |r| {
        scatter::tensor_scatter(r, Update::Sub)
    }),
    ("TensorScatterUpdate", |r| {
        scatter::tensor_scatter(r, Update::Replace)
    }),
    (
        "TfjetMultiClassNonMaxSuppression",
        multi_class_non_max_suppression::multi_class_non_max_suppression,
    ),
    ("Tile", tile::tile),
    ("TopK", top_k::top_k),
    ("TopKV2", top_k::top_k_v2),
    ("Transpose", transpose::transpose),
    ("TruncateDiv", |_| binary::binary(Binary::TruncateDiv)),
    ("TruncateMod", |_| binary::binary(Binary::TruncateMod)),
    ("Unique", |r| unique::unique(r, false, false)),
    ("UniqueV2", |r| unique::unique(r, true, false)),
    ("UniqueWithCounts", |r| unique::unique(r, false, true)),
    ("UniqueWithCountsV2", |r| unique::unique(r, true, true)),
    ("Unpack", concat::unpack),
    ("UnsortedSegmentMax", |r| {
        segment::segments(r, Segment::Max, false)
    }),
    ("UnsortedSegmentMin", |r| {
        segment::segments(r, Segment::Min, false)
    }),
    ("UnsortedSegmentProd", |r| {
        segment::segments(r, Segment::Prod, false)
    }),
    ("UnsortedSegmentSum", |r| {
        segment::segments(r, Segment::Sum, false)
    }),
    ("UpperBound", |r| search::bound(r, true)),
    ("Where", select::where_),
    ("Xdivy", |_| special::function2(special::xdivy)),
    ("Xlog1py", |_| special::function2(special::xlog1py)),
    ("Xlogy", |_| special::function2(special::xlogy)),
    ("ZerosLike", |_| fill::fill_like(false)),
    ("_CopyFromGpuToHost", reshape::identity),
    ("_CopyFromHostToGpu", reshape::identity),
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

/// Ops whose results no run repeats.
const RANDOM: &[&str] = &[
    "Multinomial",
    "ParameterizedTruncatedNormal",
    "RandomGamma",
    "RandomPoissonV2",
    "RandomShuffle",
    "RandomStandardNormal",
    "RandomUniform",
    "RandomUniformInt",
    "SampleDistortedBoundingBox",
    "SampleDistortedBoundingBoxV2",
    "TruncatedNormal",
];

/// The kernel of an op with its attributes.
///
/// # Errors
/// [`OpError::UnknownOp`] where there is none, [`OpError::Random`] where there can be none, else what is wrong with an attribute. An attribute
/// with a meaning that the kernel does not know is an error, too.
pub fn kernel(op_type: &str, attrs: &Attrs) -> Result<Box<dyn Kernel>, OpError> {
    let constructor = find(op_type).ok_or_else(|| {
        if RANDOM.contains(&op_type) {
            OpError::Random(op_type.into())
        } else {
            OpError::UnknownOp(op_type.into())
        }
    })?;
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
        assert_eq!(
            kernel("RandomUniform", &attrs).unwrap_err().to_string(),
            "op `RandomUniform` gives random numbers, which no run repeats"
        );
        let attrs = attrs.with("speed", AttrValue::Int(3));
        assert_eq!(
            kernel("Relu", &attrs).err(),
            Some(AttrError::Unread("speed".into()).into())
        );
    }
}
