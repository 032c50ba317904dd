//! Everything whose output has the shape of its inputs, broadcast.

use tfjet_core::{AttrValue, DType, Dim, Shape};

use super::{Context, InferError, broadcast, fact};
use crate::graph::{Formula, SymbolicInt, WireFact};

pub(super) fn infer(context: &Context<'_>, outputs: usize) -> Result<Vec<WireFact>, InferError> {
    let first = context.dtype(0);
    match context.node.op.as_str() {
        "Add" | "AddV2" | "Sub" | "Mul" | "Div" | "RealDiv" | "FloorDiv" | "FloorMod" | "Mod"
        | "TruncateMod" | "TruncateDiv" | "Minimum" | "Maximum" | "Pow" | "SquaredDifference"
        | "DivNoNan" | "Atan2" | "Xdivy" | "Xlogy" | "Xlog1py" | "MulNoNan" | "BitwiseAnd"
        | "BitwiseOr" | "BitwiseXor" | "LeftShift" | "RightShift" => {
            let mut result = pairwise(context, first)?;
            result.elements = arithmetic(context, &result);
            Ok(vec![result])
        }
        "Equal" | "NotEqual" if !context.attrs.bool_or("incompatible_shape_error", true)? => {
            let result = pairwise(context, Some(DType::Bool));
            // Shapes that do not broadcast make the result one boolean, which sizes of the run
            // time may tell.
            let shape = match result.map(|fact| fact.shape) {
                Ok(Some(shape)) if shape.as_fixed().is_some() => Some(shape),
                Ok(_) => None,
                Err(_) => Some(Shape::default()),
            };
            Ok(vec![fact(Some(DType::Bool), shape)])
        }
        "Greater" | "GreaterEqual" | "Less" | "LessEqual" | "Equal" | "NotEqual" | "LogicalAnd"
        | "LogicalOr" => Ok(vec![pairwise(context, Some(DType::Bool))?]),
        "LogicalNot" | "IsFinite" | "IsNan" | "IsInf" | "ApproximateEqual" => {
            Ok(vec![like(context, Some(DType::Bool))?])
        }
        "Complex" => {
            let dtype = context.attrs.dtype_or("Tout", DType::C64)?;
            Ok(vec![pairwise(context, Some(dtype))?])
        }
        "Real" | "Imag" | "ComplexAbs" | "Angle" => {
            let dtype = context.attrs.dtype_or("Tout", DType::F32)?;
            Ok(vec![like(context, Some(dtype))?])
        }
        "PopulationCount" => Ok(vec![like(context, Some(DType::U8))?]),
        "L2Loss" => Ok(vec![fact(first, Some(Shape::default()))]),
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
            result.elements = cast(context.input(0)?, to);
            Ok(vec![result])
        }
        "FusedBatchNorm" | "FusedBatchNormV2" | "FusedBatchNormV3" => {
            let mut facts = vec![like(context, first)?];
            let channels = match context.attrs.str_or("data_format", "NHWC")? {
                "NHWC" => context
                    .input(0)?
                    .rank()
                    .and_then(|rank| rank.checked_sub(1)),
                _ => Some(1),
            };
            let channels = match (context.shape(0)?, channels) {
                (Some(shape), Some(axis)) => shape.dims().get(axis).cloned(),
                _ => None,
            };
            let vector = fact(context.dtype(1), channels.map(|dim| Shape(vec![dim])));
            facts.resize(5, vector);
            facts.push(fact(context.dtype(1), None));
            facts.truncate(outputs);
            Ok(facts)
        }
        "Relu"
        | "Relu6"
        | "LeakyRelu"
        | "Elu"
        | "Selu"
        | "Sigmoid"
        | "Tanh"
        | "Softplus"
        | "Softsign"
        | "Prelu"
        | "Softmax"
        | "LogSoftmax"
        | "BiasAdd"
        | "Abs"
        | "Neg"
        | "Exp"
        | "Expm1"
        | "Log"
        | "Log1p"
        | "Sqrt"
        | "Rsqrt"
        | "Reciprocal"
        | "Inv"
        | "Square"
        | "Sin"
        | "Cos"
        | "Tan"
        | "Asin"
        | "Acos"
        | "Atan"
        | "Sinh"
        | "Cosh"
        | "Asinh"
        | "Acosh"
        | "Atanh"
        | "Ceil"
        | "Floor"
        | "Round"
        | "Rint"
        | "Sign"
        | "Erf"
        | "Erfc"
        | "Erfinv"
        | "Lgamma"
        | "Digamma"
        | "Ndtri"
        | "Invert"
        | "Conj"
        | "LRN"
        | "Print"
        | "MatrixBandPart"
        | "MatrixSetDiag"
        | "MatrixSetDiagV2"
        | "MatrixSetDiagV3"
        | "Roll"
        | "ReverseSequence"
        | "DataFormatDimMap"
        | "Cross"
        | "GuaranteeConst"
        | "RGBToHSV"
        | "HSVToRGB"
        | "AdjustHue"
        | "AdjustSaturation"
        | "AdjustContrastv2"
        | "BatchNormWithGlobalNormalization"
        | "TensorScatterUpdate"
        | "TensorScatterAdd"
        | "TensorScatterSub"
        | "TensorScatterMax"
        | "TensorScatterMin"
        | "ScatterNdNonAliasingAdd"
        | "FakeQuantWithMinMaxArgs"
        | "FakeQuantWithMinMaxVars"
        | "FakeQuantWithMinMaxVarsPerChannel"
        | "QuantizeAndDequantize"
        | "QuantizeAndDequantizeV2"
        | "QuantizeAndDequantizeV3"
        | "QuantizeAndDequantizeV4"
        | "InvertPermutation"
        | "DataFormatVecPermute"
        | "Reverse"
        | "_CopyFromHostToGpu"
        | "_CopyFromGpuToHost"
        | "Cumprod"
        | "Cumsum"
        | "Identity"
        | "Snapshot"
        | "StopGradient"
        | "PreventGradient"
        | "CheckNumerics"
        | "ClipByValue"
        | "ReverseV2"
        | "Exit"
        | "Enter"
        | "LoopCond" => {
            let mut result = like(context, first)?;
            result.elements = match context.node.op.as_str() {
                "Identity" | "Snapshot" | "StopGradient" | "PreventGradient" | "Print"
                | "GuaranteeConst" => context.input(0)?.elements.clone(),
                op => each(op, context.input(0)?),
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

/// The types in which sizes are computed.
fn holds_sizes(dtype: Option<DType>) -> bool {
    matches!(
        dtype,
        Some(DType::I32 | DType::I64 | DType::F32 | DType::F64)
    )
}

fn is_integer(dtype: Option<DType>) -> bool {
    matches!(dtype, Some(DType::I32 | DType::I64))
}

fn cast(input: &WireFact, to: Option<DType>) -> Option<Vec<SymbolicInt>> {
    if !holds_sizes(to) || !holds_sizes(input.dtype) {
        return None;
    }
    let elements = input.elements.as_ref()?.iter();
    Some(if is_integer(to) {
        elements.map(SymbolicInt::truncated).collect()
    } else {
        elements.cloned().collect()
    })
}

/// Do floats hold fractions of this denominator without rounding?
fn is_exact(denominator: i64) -> bool {
    denominator.count_ones() == 1
}

/// A function of each element.
fn each(op: &str, input: &WireFact) -> Option<Vec<SymbolicInt>> {
    if !holds_sizes(input.dtype) {
        return None;
    }
    let one = |element: &SymbolicInt| {
        let (numerator, denominator) = element.ratio()?;
        let by = Formula::from(denominator);
        match op {
            "Neg" => Some(SymbolicInt::from_ratio(numerator.scaled(-1)?, denominator)),
            "Abs" if numerator.low()? >= 0 => Some(element.clone()),
            "Square" if is_exact(denominator) => {
                let square = numerator.mul(&numerator)?;
                Some(SymbolicInt::from_ratio(
                    square,
                    denominator.checked_mul(denominator)?,
                ))
            }
            "Floor" => Some(SymbolicInt::from(numerator.floor_div(&by))),
            "Ceil" => Some(SymbolicInt::from(numerator.ceil_div(denominator))),
            "Round" | "Rint" if denominator == 1 => Some(element.clone()),
            _ => None,
        }
    };
    if !matches!(
        op,
        "Neg" | "Abs" | "Square" | "Floor" | "Ceil" | "Round" | "Rint"
    ) {
        return None;
    }
    let elements = input.elements.as_ref()?.iter();
    Some(
        elements
            .map(|element| one(element).unwrap_or(SymbolicInt::Unknown))
            .collect(),
    )
}

/// Arithmetic on sizes.
fn arithmetic(context: &Context<'_>, result: &WireFact) -> Option<Vec<SymbolicInt>> {
    let a = context.inputs.first()?.elements.as_ref()?;
    let b = context.inputs.get(1)?.elements.as_ref()?;
    let len = a.len().max(b.len());
    let fits = |side: &[SymbolicInt]| side.len() == 1 || side.len() == len;
    if !holds_sizes(result.dtype)
        || result.shape.as_ref().and_then(Shape::elements) != Some(len)
        || !fits(a)
        || !fits(b)
    {
        return None;
    }
    let at =
        |side: &[SymbolicInt], i: usize| side.get(if side.len() == 1 { 0 } else { i }).cloned();
    let op = context.node.op.as_str();
    let integer = is_integer(result.dtype);
    (0..len)
        .map(|i| {
            let (x, y) = (at(a, i)?, at(b, i)?);
            Some(pair(op, integer, &x, &y).unwrap_or(SymbolicInt::Unknown))
        })
        .collect()
}

fn pair(op: &str, integer: bool, x: &SymbolicInt, y: &SymbolicInt) -> Option<SymbolicInt> {
    let ((a, by_a), (b, by_b)) = (x.ratio()?, y.ratio()?);
    if !is_exact(by_a) || !is_exact(by_b) {
        return None;
    }
    let by_both = by_a.checked_mul(by_b)?;
    // Both over the common denominator.
    let (wide_a, wide_b) = (a.scaled(by_b)?, b.scaled(by_a)?);
    let over = |numerator: Formula| Some(SymbolicInt::from_ratio(numerator, by_both));
    let floor = || wide_a.floor_div(&wide_b);
    let truncates = || Some(wide_a.low()? >= 0 && wide_b.low()? >= 0);
    match op {
        "Add" | "AddV2" => over(wide_a.add(&wide_b)?),
        "Sub" => over(wide_a.sub(&wide_b)?),
        "Mul" => over(a.mul(&b)?),
        "Minimum" => over(wide_a.smaller(&wide_b)?),
        "Maximum" => over(wide_a.larger(&wide_b)?),
        "FloorDiv" => Some(SymbolicInt::from(floor())),
        "FloorMod" => over(wide_a.sub(&floor()?.mul(&wide_b)?)?),
        "Div" | "TruncateDiv" | "RealDiv" if integer => {
            let exact = || wide_a.exact_div(&wide_b);
            let quotient = if truncates()? { floor() } else { exact() };
            Some(SymbolicInt::from(quotient))
        }
        "Mod" | "TruncateMod" if integer && truncates()? => {
            over(wide_a.sub(&floor()?.mul(&wide_b)?)?)
        }
        "Div" | "RealDiv" => match (wide_a.exact_div(&wide_b), wide_b.known()) {
            (Some(quotient), _) => Some(SymbolicInt::from(quotient)),
            (None, Some(by @ 1..)) => Some(SymbolicInt::from_ratio(wide_a, by)),
            _ => None,
        },
        _ => None,
    }
}
