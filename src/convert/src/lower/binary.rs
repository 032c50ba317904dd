//! Arithmetic on two tensors (or `AddN`'s many), broadcast, and `BiasAdd`.

use std::sync::Arc;

use tfjet_core::{DType, Dim, ElementWiseOperation, Layer, Shape, Tensor, TensorId};

use super::batch_norm::floats;
use super::op::{FLOATS, NUMBERS, Op};
use super::{Layout, Refusal, refuse};

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    match op.node.op.as_str() {
        "AddN" => add_n(op),
        "BiasAdd" => bias_add(op),
        _ => pairwise(op),
    }
}

fn operation(name: &str) -> Option<ElementWiseOperation> {
    Some(match name {
        "Add" | "AddV2" => ElementWiseOperation::Sum,
        "Sub" | "SquaredDifference" => ElementWiseOperation::Sub,
        "Mul" => ElementWiseOperation::Prod,
        "Div" | "RealDiv" => ElementWiseOperation::Div,
        "FloorDiv" => ElementWiseOperation::FloorDiv,
        "Minimum" => ElementWiseOperation::Min,
        "Maximum" => ElementWiseOperation::Max,
        "Pow" => ElementWiseOperation::Pow,
        _ => return None,
    })
}

/// The layout for an elementwise op over all inputs: channels first where a full-rank input is at
/// hand so.
pub(super) fn common_layout(op: &Op<'_, '_>, rank: usize) -> Result<Layout, Refusal> {
    for index in 0..op.node.inputs.len() {
        if op.fact(index)?.rank() == Some(rank) && op.layout(index)? == Layout::ChannelsFirst {
            return Ok(Layout::ChannelsFirst);
        }
    }
    Ok(Layout::Native)
}

fn pairwise(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let Some(operation) = operation(&op.node.op) else {
        return refuse(format!("{} is no arithmetic", op.node.op));
    };
    op.attrs.ignore(&["incompatible_shape_error"]);
    let allowed = if matches!(op.node.op.as_str(), "RealDiv" | "Pow") {
        FLOATS
    } else {
        NUMBERS
    };
    op.common_dtype(allowed)?;
    let (dtype, shape) = op.output_type(0)?;
    let layout = common_layout(op, shape.rank())?;
    if let Some(tensor) = as_scale(op, operation, &shape, layout)? {
        op.output(0, tensor, layout);
        return Ok(());
    }
    let a = op.operand(0, shape.rank(), layout)?;
    let b = op.operand(1, shape.rank(), layout)?;
    let mut result = op.emit(
        Layer::ElementWise { operation },
        &[a, b],
        dtype,
        &shape,
        layout,
    );
    if op.node.op == "SquaredDifference" {
        let square = Layer::ElementWise {
            operation: ElementWiseOperation::Prod,
        };
        result = op.emit(square, &[result, result], dtype, &shape, layout);
    }
    op.output(0, result, layout);
    Ok(())
}

/// Arithmetic of a channels-first image with one constant per channel (or a single one), as a
/// scale layer that can later merge into a convolution.
fn as_scale(
    op: &mut Op<'_, '_>,
    operation: ElementWiseOperation,
    shape: &Shape,
    layout: Layout,
) -> Result<Option<TensorId>, Refusal> {
    if layout != Layout::ChannelsFirst
        || shape.rank() != 4
        || op.node.op == "SquaredDifference"
        || op.output_type(0)?.0 != DType::F32
    {
        return Ok(None);
    }
    let (image, constant) = match (op.constant(0)?, op.constant(1)?) {
        (None, Some(constant)) => (0, constant),
        (Some(constant), None) => (1, constant),
        _ => return Ok(None),
    };
    let Some(channels) = shape.dims()[3].fixed() else {
        return Ok(None);
    };
    let leading = constant
        .shape()
        .split_last()
        .map_or(&[][..], |(_, leading)| leading);
    let per_channel = constant.shape().last().copied().unwrap_or(1);
    if op.shape(image)? != *shape
        || leading.iter().any(|&size| size != 1)
        || (per_channel != channels && per_channel != 1)
    {
        return Ok(None);
    }
    let values = floats(&constant)?;
    let value = |channel: usize| values[if values.len() == 1 { 0 } else { channel }];
    let all = |f: &dyn Fn(f32) -> f32| -> Vec<f32> { (0..channels).map(|c| f(value(c))).collect() };
    let (scale, shift) = match (operation, image) {
        (ElementWiseOperation::Sum, _) => (None, Some(all(&|v| v))),
        (ElementWiseOperation::Prod, _) => (Some(all(&|v| v)), None),
        (ElementWiseOperation::Sub, 0) => (None, Some(all(&|v| -v))),
        (ElementWiseOperation::Sub, _) => (Some(vec![-1.0; channels]), Some(all(&|v| v))),
        (ElementWiseOperation::Div, 0) if values.iter().all(|v| is_power_of_two(*v)) => {
            (Some(all(&|v| 1.0 / v)), None)
        }
        _ => return Ok(None),
    };
    let mut store = |values: Option<Vec<f32>>| {
        values
            .map(|values| op.weights(|| Ok(Arc::new(Tensor::from_slice(&[channels], &values)?))))
            .transpose()
    };
    let (scale, shift) = (store(scale)?, store(shift)?);
    let input = op.tensor(image, layout)?;
    Ok(Some(op.emit(
        Layer::Scale { scale, shift },
        &[input],
        DType::F32,
        shape,
        layout,
    )))
}

/// Is the reciprocal exact?
fn is_power_of_two(value: f32) -> bool {
    value.is_normal() && value.to_bits() & 0x007f_ffff == 0
}

fn bias_add(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.common_dtype(FLOATS)?;
    let (dtype, shape) = op.output_type(0)?;
    let rank = shape.rank();
    let channels_last = match op.attrs.str_or("data_format", "NHWC")? {
        "NHWC" | "NDHWC" => true,
        "NCHW" | "NCDHW" => false,
        other => return refuse(format!("data_format {other} is not NHWC or NCHW")),
    };
    if rank < 2 {
        return refuse(format!("the input has rank {rank}, expected at least 2"));
    }
    let layout = op.layout(0)?;
    let axis = if channels_last { rank - 1 } else { 1 };
    if layout.axis(axis, rank) == 1
        && rank >= 4
        && dtype == DType::F32
        && let Some(bias) = op.constant(1)?
    {
        let shift = op.weights(|| Ok(bias))?;
        let input = op.tensor(0, layout)?;
        let layer = Layer::Scale {
            scale: None,
            shift: Some(shift),
        };
        let output = op.emit(layer, &[input], dtype, &shape, layout);
        op.output(0, output, layout);
        return Ok(());
    }
    let mut native = vec![Dim::Fixed(1); rank];
    native[axis] = match op.shape(1)?.dims() {
        [dim] => dim.clone(),
        _ => return refuse("the bias is no vector"),
    };
    let arranged = layout.shape(&Shape(native));
    let a = op.tensor(0, layout)?;
    let bias = op.tensor(1, Layout::Native)?;
    let name = format!("{}/bias", op.node.name);
    let bias = op.builder.reshape(&name, bias, &arranged)?;
    let layer = Layer::ElementWise {
        operation: ElementWiseOperation::Sum,
    };
    let output = op.emit(layer, &[a, bias], dtype, &shape, layout);
    op.output(0, output, layout);
    Ok(())
}

fn add_n(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.attrs.ignore(&["N"]);
    op.dtype(0, NUMBERS)?;
    let (dtype, shape) = op.output_type(0)?;
    let layout = common_layout(op, shape.rank())?;
    let mut sum = op.tensor(0, layout)?;
    for index in 1..op.node.inputs.len() {
        op.broadcasts(index, dtype, &shape)?;
        let next = op.operand(index, shape.rank(), layout)?;
        let layer = Layer::ElementWise {
            operation: ElementWiseOperation::Sum,
        };
        sum = op.emit(layer, &[sum, next], dtype, &shape, layout);
    }
    if op.node.inputs.len() < 2 {
        return refuse("AddN of one input is an identity");
    }
    op.output(0, sum, layout);
    Ok(())
}
