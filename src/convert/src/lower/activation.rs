//! `Relu`, `Relu6`, `LeakyRelu`, `Elu`, `Selu`, `Sigmoid`, `Tanh`, `Softplus`, `Softsign` and
//! TF.js's `Prelu`.

use tfjet_core::{ActivationType, DType, Layer, Shape, TensorId};

use super::op::{FLOATS, Op};
use super::{Layout, Refusal, refuse};

/// The layer of an activation by TensorFlow's name.
pub(super) fn activation(name: &str, leaky_alpha: f32) -> Option<Layer> {
    let (kind, alpha, beta) = match name {
        "Relu" => (ActivationType::Relu, 0.0, 0.0),
        "Relu6" => (ActivationType::Clip, 0.0, 6.0),
        "LeakyRelu" => (ActivationType::LeakyRelu, leaky_alpha, 0.0),
        "Elu" => (ActivationType::Elu, 1.0, 0.0),
        "Selu" => (ActivationType::Selu, 1.673_263_2, 1.050_701),
        "Sigmoid" => (ActivationType::Sigmoid, 0.0, 0.0),
        "Tanh" => (ActivationType::Tanh, 0.0, 0.0),
        "Softplus" => (ActivationType::Softplus, 1.0, 1.0),
        "Softsign" => (ActivationType::Softsign, 0.0, 0.0),
        _ => return None,
    };
    Some(Layer::Activation { kind, alpha, beta })
}

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(0, FLOATS)?;
    if op.node.op == "Prelu" {
        return prelu(op);
    }
    let alpha = op.attrs.float_or("alpha", 0.2)?;
    match activation(&op.node.op, alpha) {
        Some(layer) => op.map(layer),
        None => refuse(format!("{} is no activation", op.node.op)),
    }
}

fn prelu(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let layout = op.layout(0)?;
    let (dtype, shape) = op.output_type(0)?;
    op.broadcasts(1, dtype, &shape)?;
    let input = op.tensor(0, layout)?;
    let slopes = op.operand(1, shape.rank(), layout)?;
    let output = op.emit(
        Layer::ParametricRelu,
        &[input, slopes],
        dtype,
        &shape,
        layout,
    );
    op.output(0, output, layout);
    Ok(())
}

/// Adds a `Prelu` with the slopes of input `slopes` behind `tensor`.
pub(super) fn fused_prelu(
    op: &mut Op<'_, '_>,
    tensor: TensorId,
    slopes: usize,
    (dtype, shape): (DType, &Shape),
    layout: Layout,
) -> Result<TensorId, Refusal> {
    op.broadcasts(slopes, dtype, shape)?;
    let slopes = op.operand(slopes, shape.rank(), layout)?;
    Ok(op.emit(
        Layer::ParametricRelu,
        &[tensor, slopes],
        dtype,
        shape,
        layout,
    ))
}
