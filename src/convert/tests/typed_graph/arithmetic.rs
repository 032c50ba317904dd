//! Arithmetic, products, comparisons, and ops without a layer.

use tfjet_convert::tensorflow::SourceNode;
use tfjet_core::{AttrValue, DType};

use super::{Draft, Wire, texts, with};

pub(super) fn activation(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.float()?.name;
    let op = draft.one_of(&[
        "Relu",
        "Relu6",
        "Sigmoid",
        "Tanh",
        "Elu",
        "Selu",
        "Softplus",
        "Softsign",
        "LeakyRelu",
    ]);
    let node = draft.op(op, &[&input]);
    Some(if op == "LeakyRelu" {
        with(node, "alpha", AttrValue::Float(0.25))
    } else {
        node
    })
}

pub(super) fn unary(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|wire| wire.dtype != Some(DType::Bool))?.name;
    let op = draft.one_of(&[
        "Abs",
        "Neg",
        "Exp",
        "Log",
        "Sqrt",
        "Rsqrt",
        "Square",
        "Floor",
        "Ceil",
        "Round",
        "Sign",
        "Reciprocal",
        "Sin",
        "Cos",
        "Tan",
        "Asin",
        "Acos",
        "Atan",
        "Sinh",
        "Cosh",
        "Asinh",
        "Acosh",
        "Atanh",
        "Rint",
        "Erf",
        "Expm1",
        "Inv",
        "IsFinite",
        "IsInf",
        "IsNan",
        "Log1p",
        "Identity",
    ]);
    Some(draft.op(op, &[&input]))
}

const ARITHMETIC: &[&str] = &[
    "Add",
    "AddV2",
    "Sub",
    "Mul",
    "RealDiv",
    "Div",
    "Maximum",
    "Minimum",
    "FloorDiv",
    "FloorMod",
    "SquaredDifference",
    "Pow",
    "DivNoNan",
    "Mod",
    "TruncateDiv",
    "TruncateMod",
];

pub(super) fn pairwise(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let first = draft.wire(|wire| wire.dtype != Some(DType::Bool))?;
    let second = draft.wire(|wire| wire.dtype == first.dtype)?;
    if draft.below(6) == 0 && first.shape == second.shape {
        let node = draft.op("AddN", &[&first.name, &second.name, &first.name]);
        return Some(with(node, "N", AttrValue::Int(3)));
    }
    let whole = matches!(first.dtype, Some(DType::I32 | DType::I64));
    let op = match whole && draft.below(4) == 0 {
        true => "TruncateDiv",
        false => draft.one_of(ARITHMETIC),
    };
    Some(draft.op(op, &[&first.name, &second.name]))
}

pub(super) fn with_constant(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let wire = draft.float()?;
    let last = wire.last();
    let shape: &[usize] = match draft.below(5) {
        0 => &[],
        1 => &[1],
        2 => &[last],
        3 => &[1, 1, last],
        _ => &[1, 1, 1, last],
    };
    let constant = draft.floats(shape);
    if draft.below(8) == 0 {
        return Some(draft.op("Prelu", &[&wire.name, &constant]));
    }
    let op = draft.one_of(ARITHMETIC);
    Some(match draft.below(2) {
        0 => draft.op(op, &[&wire.name, &constant]),
        _ => draft.op(op, &[&constant, &wire.name]),
    })
}

pub(super) fn reduce(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|wire| wire.rank() > 0)?;
    let op = match input.dtype {
        Some(DType::Bool) => draft.one_of(&["All", "Any"]),
        _ => draft.one_of(&["Sum", "Mean", "Max", "Min", "Prod"]),
    };
    let axes = match draft.below(3) {
        0 if input.rank() == 4 => draft.vector(&[1, 2]),
        1 => {
            let axis = draft.axis(input.rank());
            draft.ints(&[], &[axis])
        }
        _ => {
            let axis = draft.axis(input.rank());
            draft.vector(&[axis])
        }
    };
    let keep = draft.below(2) == 0;
    Some(with(
        draft.op(op, &[&input.name, &axes]),
        "keep_dims",
        AttrValue::Bool(keep),
    ))
}

pub(super) fn softmax(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft
        .wire(|wire| wire.rank() > 0 && wire.dtype == Some(DType::F32))?
        .name;
    let op = draft.one_of(&["Softmax", "LogSoftmax"]);
    Some(draft.op(op, &[&input]))
}

pub(super) fn product(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|wire| wire.rank() >= 2 && wire.dtype == Some(DType::F32))?;
    if input.rank() == 2 && draft.below(4) != 0 {
        let columns = 1 + draft.below(4);
        let turned = draft.below(2) == 1;
        let last = input.last();
        let matrix = draft.floats(&if turned {
            [columns, last]
        } else {
            [last, columns]
        });
        let node = match draft.below(3) {
            0 => {
                let bias = draft.floats(&[columns]);
                let node = draft.op("_FusedMatMul", &[&input.name, &matrix, &bias]);
                with(node, "fused_ops", texts(&["BiasAdd", "Relu"]))
            }
            _ => draft.op("MatMul", &[&input.name, &matrix]),
        };
        return Some(with(node, "transpose_b", AttrValue::Bool(turned)));
    }
    let same = |wire: &Wire| wire.rank() == input.rank() && wire.dtype == input.dtype;
    let second = draft.wire(same)?.name;
    let op = draft.one_of(&["BatchMatMul", "BatchMatMulV2"]);
    let node = draft.op(op, &[&input.name, &second]);
    Some(with(node, "adj_y", AttrValue::Bool(draft.below(2) == 1)))
}

pub(super) fn cast(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|_| true)?;
    let to = draft.one_of(&[DType::F32, DType::F16, DType::I32, DType::I64, DType::Bool]);
    let node = with(
        draft.op("Cast", &[&input.name]),
        "SrcT",
        AttrValue::Type(input.dtype),
    );
    Some(with(node, "DstT", AttrValue::Type(Some(to))))
}

pub(super) fn compare(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let first = draft.wire(|_| true)?;
    let second = draft.wire(|wire| wire.dtype == first.dtype)?.name;
    if first.dtype == Some(DType::Bool) {
        return Some(
            match draft.one_of(&["LogicalAnd", "LogicalOr", "LogicalNot"]) {
                "LogicalNot" => draft.op("LogicalNot", &[&first.name]),
                op => draft.op(op, &[&first.name, &second]),
            },
        );
    }
    let op = draft.one_of(&[
        "Greater",
        "GreaterEqual",
        "Less",
        "LessEqual",
        "Equal",
        "NotEqual",
    ]);
    Some(draft.op(op, &[&first.name, &second]))
}

pub(super) fn select(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let condition = draft.wire(|wire| wire.dtype == Some(DType::Bool))?.name;
    let first = draft.wire(|wire| wire.dtype != Some(DType::Bool))?;
    let second = draft.wire(|wire| wire.dtype == first.dtype)?.name;
    let op = draft.one_of(&["Select", "SelectV2"]);
    Some(draft.op(op, &[&condition, &first.name, &second]))
}

pub(super) fn extreme(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|wire| wire.rank() > 0 && wire.dtype != Some(DType::Bool))?;
    match draft.one_of(&["TopK", "TopKV2", "ArgMax", "ArgMin"]) {
        "TopK" => {
            let k = i64::try_from(1 + draft.below(input.last())).ok()?;
            Some(with(
                draft.op("TopK", &[&input.name]),
                "k",
                AttrValue::Int(k),
            ))
        }
        "TopKV2" => {
            let k = 1 + draft.below(input.last());
            let k = draft.ints(&[], &[i32::try_from(k).ok()?]);
            let sorted = AttrValue::Bool(draft.below(4) != 0);
            Some(with(
                draft.op("TopKV2", &[&input.name, &k]),
                "sorted",
                sorted,
            ))
        }
        op => {
            let axis = draft.axis(input.rank());
            let axis = draft.ints(&[], &[axis]);
            let to = draft.one_of(&[DType::I32, DType::I64]);
            let node = draft.op(op, &[&input.name, &axis]);
            Some(with(node, "output_type", AttrValue::Type(Some(to))))
        }
    }
}

/// Ops without a layer.
pub(super) fn outside(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.float()?.name;
    let op = draft.one_of(&["ZerosLike", "Shape", "Erfc"]);
    let node = draft.op(op, &[&input]);
    Some(if op == "Shape" {
        with(node, "out_type", AttrValue::Type(Some(DType::I32)))
    } else {
        node
    })
}
