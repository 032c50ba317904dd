//! The ops that have kernels on the device.

use tfjet_core::{AttrError, AttrReader, DType};
use tfjet_cuda::kernels::{BinaryOp, ReduceOp, Sampling, UnaryOp};

use super::movement::Movement;
use super::plan::{Op, View};
use super::strided_slice::StridedSlice;

type Constructor = fn(&AttrReader<'_>) -> Result<Op, AttrError>;

/// The most parts that the device splits a tensor into.
const MOST_PARTS: usize = 256;

/// Sorted by name.
const OPS: &[(&str, Constructor)] = &[
    ("Abs", |_| unary(UnaryOp::Abs)),
    ("Acos", |_| unary(UnaryOp::Acos)),
    ("Acosh", |_| unary(UnaryOp::Acosh)),
    ("Add", |_| binary(BinaryOp::Add)),
    ("AddN", |_| Ok(Op::AddN)),
    ("AddV2", |_| binary(BinaryOp::Add)),
    ("All", |r| reduce(r, ReduceOp::All)),
    ("Any", |r| reduce(r, ReduceOp::Any)),
    ("ArgMax", |r| arg_extreme(r, ReduceOp::ArgMax)),
    ("ArgMin", |r| arg_extreme(r, ReduceOp::ArgMin)),
    ("Asin", |_| unary(UnaryOp::Asin)),
    ("Asinh", |_| unary(UnaryOp::Asinh)),
    ("Atan", |_| unary(UnaryOp::Atan)),
    ("Atanh", |_| unary(UnaryOp::Atanh)),
    ("BiasAdd", |r| {
        Ok(Op::BiasAdd {
            channels_first: r.str_or("data_format", "NHWC")? == "NCHW",
        })
    }),
    ("BroadcastTo", |_| movement(Movement::BroadcastTo)),
    ("Cast", |r| {
        Ok(Op::Cast {
            to: r.dtype("DstT")?,
        })
    }),
    ("Ceil", |_| unary(UnaryOp::Ceil)),
    ("Concat", |_| {
        movement(Movement::Concat { axis_first: true })
    }),
    ("ConcatV2", |_| {
        movement(Movement::Concat { axis_first: false })
    }),
    ("Cos", |_| unary(UnaryOp::Cos)),
    ("Cosh", |_| unary(UnaryOp::Cosh)),
    ("Div", |_| binary(BinaryOp::Div)),
    ("DivNoNan", |_| binary(BinaryOp::DivNoNan)),
    ("Elu", |_| unary(UnaryOp::Elu)),
    ("Equal", |r| equality(r, BinaryOp::Equal)),
    ("Erf", |_| unary(UnaryOp::Erf)),
    ("Exp", |_| unary(UnaryOp::Exp)),
    ("ExpandDims", |_| Ok(Op::View(View::ExpandDims))),
    ("Expm1", |_| unary(UnaryOp::Expm1)),
    ("Floor", |_| unary(UnaryOp::Floor)),
    ("FloorDiv", |_| binary(BinaryOp::FloorDiv)),
    ("FloorMod", |_| binary(BinaryOp::FloorMod)),
    ("Gather", |_| {
        Ok(Op::Gather {
            axis_input: false,
            batch_dims: 0,
        })
    }),
    ("GatherV2", |r| {
        Ok(Op::Gather {
            axis_input: true,
            batch_dims: r.int_or("batch_dims", 0)?,
        })
    }),
    ("Greater", |_| binary(BinaryOp::Greater)),
    ("GreaterEqual", |_| binary(BinaryOp::GreaterEqual)),
    ("Identity", |_| Ok(Op::View(View::Identity))),
    ("Inv", |_| unary(UnaryOp::Reciprocal)),
    ("IsFinite", |_| unary(UnaryOp::IsFinite)),
    ("IsInf", |_| unary(UnaryOp::IsInf)),
    ("IsNan", |_| unary(UnaryOp::IsNan)),
    ("LeakyRelu", |r| {
        Ok(Op::Unary(UnaryOp::LeakyRelu, r.float_or("alpha", 0.2)?))
    }),
    ("Less", |_| binary(BinaryOp::Less)),
    ("LessEqual", |_| binary(BinaryOp::LessEqual)),
    ("Log", |_| unary(UnaryOp::Log)),
    ("Log1p", |_| unary(UnaryOp::Log1p)),
    ("LogicalAnd", |_| binary(BinaryOp::LogicalAnd)),
    ("LogicalNot", |_| unary(UnaryOp::LogicalNot)),
    ("LogicalOr", |_| binary(BinaryOp::LogicalOr)),
    ("Max", |r| reduce(r, ReduceOp::Max)),
    ("Maximum", |_| binary(BinaryOp::Maximum)),
    ("Mean", |r| reduce(r, ReduceOp::Mean)),
    ("Min", |r| reduce(r, ReduceOp::Min)),
    ("Minimum", |_| binary(BinaryOp::Minimum)),
    ("Mod", |_| binary(BinaryOp::TruncateMod)),
    ("Mul", |_| binary(BinaryOp::Mul)),
    ("Neg", |_| unary(UnaryOp::Neg)),
    ("NotEqual", |r| equality(r, BinaryOp::NotEqual)),
    ("Pack", |r| {
        movement(Movement::Pack {
            axis: r.int_or("axis", 0)?,
        })
    }),
    ("Pad", |_| movement(Movement::Pad { value_input: false })),
    ("PadV2", |_| movement(Movement::Pad { value_input: true })),
    ("Pow", |_| binary(BinaryOp::Pow)),
    ("Prelu", |_| binary(BinaryOp::Prelu)),
    ("PreventGradient", |_| Ok(Op::View(View::Identity))),
    ("RealDiv", |_| binary(BinaryOp::Div)),
    ("Reciprocal", |_| unary(UnaryOp::Reciprocal)),
    ("Relu", |_| unary(UnaryOp::Relu)),
    ("Relu6", |_| unary(UnaryOp::Relu6)),
    ("Reshape", |_| Ok(Op::View(View::Reshape))),
    ("ResizeBilinear", |r| resize(r, true)),
    ("ResizeNearestNeighbor", |r| resize(r, false)),
    ("ReverseV2", |_| movement(Movement::Reverse)),
    ("Rint", |_| unary(UnaryOp::Round)),
    ("Round", |_| unary(UnaryOp::Round)),
    ("Rsqrt", |_| unary(UnaryOp::Rsqrt)),
    ("Select", |_| Ok(Op::Select { broadcast: false })),
    ("SelectV2", |_| Ok(Op::Select { broadcast: true })),
    ("Selu", |_| unary(UnaryOp::Selu)),
    ("Sigmoid", |_| unary(UnaryOp::Sigmoid)),
    ("Sign", |_| unary(UnaryOp::Sign)),
    ("Sin", |_| unary(UnaryOp::Sin)),
    ("Sinh", |_| unary(UnaryOp::Sinh)),
    ("Slice", |_| movement(Movement::Slice)),
    ("Snapshot", |_| Ok(Op::View(View::Identity))),
    ("Softplus", |_| unary(UnaryOp::Softplus)),
    ("Softsign", |_| unary(UnaryOp::Softsign)),
    ("Split", |r| {
        movement(Movement::Split {
            parts: parts(r, "num_split")?,
        })
    }),
    ("SplitV", |r| {
        movement(Movement::SplitV {
            parts: parts(r, "num_split")?,
        })
    }),
    ("Sqrt", |_| unary(UnaryOp::Sqrt)),
    ("Square", |_| unary(UnaryOp::Square)),
    ("SquaredDifference", |_| binary(BinaryOp::SquaredDifference)),
    ("Squeeze", |r| {
        Ok(Op::View(View::Squeeze {
            dims: r.ints("squeeze_dims")?.to_vec(),
        }))
    }),
    ("StopGradient", |_| Ok(Op::View(View::Identity))),
    ("StridedSlice", |r| {
        movement(Movement::StridedSlice(StridedSlice::read(r)?))
    }),
    ("Sub", |_| binary(BinaryOp::Sub)),
    ("Sum", |r| reduce(r, ReduceOp::Sum)),
    ("Tan", |_| unary(UnaryOp::Tan)),
    ("Tanh", |_| unary(UnaryOp::Tanh)),
    ("Tile", |_| movement(Movement::Tile)),
    ("Transpose", |_| movement(Movement::Transpose)),
    ("TruncateDiv", |_| binary(BinaryOp::Div)),
    ("TruncateMod", |_| binary(BinaryOp::TruncateMod)),
    ("Unpack", |r| {
        movement(Movement::Unpack {
            axis: r.int_or("axis", 0)?,
            parts: parts(r, "num")?,
        })
    }),
];

fn unary(op: UnaryOp) -> Result<Op, AttrError> {
    Ok(Op::Unary(op, 0.0))
}

fn binary(op: BinaryOp) -> Result<Op, AttrError> {
    Ok(Op::Binary(op))
}

/// Shapes that do not broadcast are an error on the device, whatever the attribute says.
fn equality(reader: &AttrReader<'_>, op: BinaryOp) -> Result<Op, AttrError> {
    if reader.bool_or("incompatible_shape_error", true)? {
        return binary(op);
    }
    Err(AttrError::Value {
        name: "incompatible_shape_error".into(),
        value: "false".into(),
        expected: "true",
    })
}

fn movement(movement: Movement) -> Result<Op, AttrError> {
    Ok(Op::Movement(movement))
}

/// Each part is a kernel of its own.
fn parts(reader: &AttrReader<'_>, name: &str) -> Result<usize, AttrError> {
    let parts = reader.int(name)?;
    let few = usize::try_from(parts).ok();
    few.filter(|parts| (1..=MOST_PARTS).contains(parts))
        .ok_or_else(|| AttrError::Value {
            name: name.into(),
            value: parts.to_string(),
            expected: "1 to 256",
        })
}

fn reduce(reader: &AttrReader<'_>, op: ReduceOp) -> Result<Op, AttrError> {
    Ok(Op::Reduce {
        op,
        keep_dims: reader.bool_or("keep_dims", false)?,
    })
}

fn arg_extreme(reader: &AttrReader<'_>, op: ReduceOp) -> Result<Op, AttrError> {
    let output_type = reader.dtype_or("output_type", DType::I64)?;
    Ok(Op::ArgExtreme { op, output_type })
}

fn resize(reader: &AttrReader<'_>, bilinear: bool) -> Result<Op, AttrError> {
    Ok(Op::Resize {
        bilinear,
        sampling: Sampling {
            align_corners: reader.bool_or("align_corners", false)?,
            half_pixel_centers: reader.bool_or("half_pixel_centers", false)?,
        },
    })
}

/// How the op is made of its attributes, which [`tfjet_ops::kernel`] has checked.
pub(super) fn find(op_type: &str) -> Option<Constructor> {
    let found = OPS
        .binary_search_by(|(name, _)| (*name).cmp(op_type))
        .ok()?;
    Some(OPS[found].1)
}

const NAMES: [&str; OPS.len()] = {
    let mut names = [""; OPS.len()];
    let mut op = 0;
    while op < OPS.len() {
        names[op] = OPS[op].0;
        op += 1;
    }
    names
};

/// The ops that have kernels on the device, sorted by name.
pub fn device_ops() -> &'static [&'static str] {
    &NAMES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_op_of_the_table_has_a_kernel_on_the_host_too() {
        assert!(device_ops().is_sorted());
        for op in device_ops() {
            assert!(tfjet_ops::is_supported(op), "{op}");
            assert!(find(op).is_some(), "{op}");
        }
        assert!(find("NonMaxSuppressionV3").is_none());
    }
}
