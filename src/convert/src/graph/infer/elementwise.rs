//! Everything whose output has the shape of its inputs, broadcast.

use tfjet_core::{AttrValue, DType, Dim, Shape};

use super::{Context, InferError, broadcast, fact};
use crate::graph::{SymbolicInt, WireFact};

pub(super) fn infer(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let first = context.dtype(0);
    match context.node.op.as_str() {
        "Add" | "AddV2" | "Sub" | "Mul" | "Div" | "RealDiv" | "FloorDiv" | "FloorMod" | "Mod"
        | "TruncateMod" | "TruncateDiv" | "Minimum" | "Maximum" | "Pow" | "SquaredDifference"
        | "DivNoNan" | "Atan2" => {
            let mut result = pairwise(context, first)?;
            result.elements = arithmetic(context);
            Ok(vec![result])
        }
        "Greater" | "GreaterEqual" | "Less" | "LessEqual" | "Equal" | "NotEqual" | "LogicalAnd"
        | "LogicalOr" => Ok(vec![pairwise(context, Some(DType::Bool))?]),
        "LogicalNot" | "IsFinite" | "IsNan" | "IsInf" => {
            Ok(vec![like(context, Some(DType::Bool))?])
        }
        "AddN" => {
            let known = context.inputs.iter().find(|fact| fact.shape.is_some());
            Ok(vec![fact(first, known.and_then(|fact| fact.shape.clone()))])
        }
        "SelectV2" => {
            let (Some(c), Some(t), Some(e)) =
                (context.shape(0)?, context.shape(1)?, context.shape(2)?)
            else {
                return Ok(vec![fact(context.dtype(1), None)]);
            };
            let both = broadcast(t, e, |axis| context.symbol(0, axis))?;
            let shape = broadcast(c, &both, |axis| context.symbol(0, axis))?;
            Ok(vec![fact(context.dtype(1), Some(shape))])
        }
        "Select" => {
            let shape = context.shape(1)?.or(context.shape(2)?).cloned();
            Ok(vec![fact(context.dtype(1), shape)])
        }
        "Cast" => {
            let to = context.attrs.dtype("DstT").ok();
            let mut result = like(context, to)?;
            if matches!(to, Some(DType::I32 | DType::I64)) {
                result.elements.clone_from(&context.input(0)?.elements);
            }
            Ok(vec![result])
        }
        "FusedBatchNorm" | "FusedBatchNormV2" | "FusedBatchNormV3" => {
            Ok(vec![like(context, first)?])
        }
        "Relu" | "Relu6" | "LeakyRelu" | "Elu" | "Selu" | "Sigmoid" | "Tanh" | "Softplus"
        | "Softsign" | "Prelu" | "Softmax" | "LogSoftmax" | "BiasAdd" | "Abs" | "Neg" | "Exp"
        | "Expm1" | "Log" | "Log1p" | "Sqrt" | "Rsqrt" | "Reciprocal" | "Inv" | "Square"
        | "Sin" | "Cos" | "Tan" | "Asin" | "Acos" | "Atan" | "Sinh" | "Cosh" | "Asinh"
        | "Acosh" | "Atanh" | "Ceil" | "Floor" | "Round" | "Rint" | "Sign" | "Erf" | "Erfc"
        | "Cumsum" | "Identity" | "Snapshot" | "StopGradient" | "PreventGradient"
        | "CheckNumerics" | "ClipByValue" | "ReverseV2" | "Exit" | "Enter" | "LoopCond" => {
            let mut result = like(context, first)?;
            result.elements = match context.node.op.as_str() {
                "Identity" | "Snapshot" | "StopGradient" | "PreventGradient" => {
                    context.input(0)?.elements.clone()
                }
                _ => None,
            };
            Ok(vec![result])
        }
        "TensorArrayGatherV3" => Ok(vec![stacked(context)?]),
        "IdentityN" => Ok(context.inputs.iter().map(|&fact| fact.clone()).collect()),
        _ => Ok(Vec::new()),
    }
}

fn like(context: &Context<'_>, dtype: Option<DType>) -> Result<WireFact, InferError> {
    Ok(fact(dtype, context.shape(0)?.cloned()))
}

/// A stack of equal elements, whose shape the attribute `element_shape` gives.
fn stacked(context: &Context<'_>) -> Result<WireFact, InferError> {
    let element = match context.attrs.get("element_shape") {
        Some(AttrValue::Shape(shape)) => shape.as_ref(),
        _ => None,
    };
    let shape = element.map(|element| {
        let mut dims = vec![context.symbol(0, 0)];
        dims.extend(
            element
                .dims()
                .iter()
                .enumerate()
                .map(|(axis, dim)| match dim {
                    Dim::Symbolic(_) => context.symbol(0, axis + 1),
                    fixed => fixed.clone(),
                }),
        );
        Shape(dims)
    });
    Ok(fact(context.attrs.dtype("dtype").ok(), shape))
}

fn pairwise(context: &Context<'_>, dtype: Option<DType>) -> Result<WireFact, InferError> {
    let (Some(a), Some(b)) = (context.shape(0)?, context.shape(1)?) else {
        return Ok(fact(dtype, None));
    };
    let shape = broadcast(a, b, |axis| context.symbol(0, axis))?;
    Ok(fact(dtype, Some(shape)))
}

/// Arithmetic on shape vectors: numbers with numbers, and what leaves a symbol as it is.
fn arithmetic(context: &Context<'_>) -> Option<Vec<SymbolicInt>> {
    let a = context.inputs.first()?.elements.as_ref()?;
    let b = context.inputs.get(1)?.elements.as_ref()?;
    let len = a.len().max(b.len());
    let at =
        |side: &[SymbolicInt], i: usize| side.get(if side.len() == 1 { 0 } else { i }).cloned();
    let op = context.node.op.as_str();
    (0..len)
        .map(|i| {
            let (x, y) = (at(a, i)?, at(b, i)?);
            Some(match (op, x, y) {
                (_, SymbolicInt::Known(x), SymbolicInt::Known(y)) => {
                    known(op, x, y).map_or(SymbolicInt::Unknown, SymbolicInt::Known)
                }
                ("Mul", SymbolicInt::Known(1), s) | ("Mul", s, SymbolicInt::Known(1)) => s,
                ("Add" | "AddV2", SymbolicInt::Known(0), s)
                | ("Add" | "AddV2" | "Sub", s, SymbolicInt::Known(0)) => s,
                ("FloorDiv" | "Div", s, SymbolicInt::Known(1)) => s,
                ("Minimum" | "Maximum", x, y) if x == y => x,
                _ => SymbolicInt::Unknown,
            })
        })
        .collect()
}

fn known(op: &str, x: i64, y: i64) -> Option<i64> {
    match op {
        "Add" | "AddV2" => x.checked_add(y),
        "Sub" => x.checked_sub(y),
        "Mul" => x.checked_mul(y),
        "Minimum" => Some(x.min(y)),
        "Maximum" => Some(x.max(y)),
        "FloorDiv" => (y != 0).then(|| x.div_euclid(y)).filter(|_| y > 0),
        _ => None,
    }
}
