//! `Fill`, `ZerosLike`, `OnesLike`, `BroadcastTo` and `Range`.

use tfjet_core::{DType, Dim, Layer, Shape, TensorId};

use super::op::{ANY, Op};
use super::{Layout, Refusal, refuse};
use crate::graph::Formula;

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    match op.node.op.as_str() {
        "Range" => range(op),
        "Fill" => {
            op.attrs.ignore(&["index_type"]);
            op.sizes(0, "dims")?;
            op.dtype(1, ANY)?;
            expand(op, 1)
        }
        "BroadcastTo" => {
            op.attrs.ignore(&["Tidx"]);
            op.sizes(1, "shape")?;
            op.dtype(0, ANY)?;
            expand(op, 0)
        }
        _ => like(op),
    }
}

/// Repeats input `index` to the shape of the output.
fn expand(op: &mut Op<'_, '_>, index: usize) -> Result<(), Refusal> {
    let (dtype, shape) = op.output_type(0)?;
    op.broadcasts(index, dtype, &shape)?;
    let input = op.operand(index, shape.rank(), Layout::Native)?;
    let output = expanded(op, input, dtype, &shape)?;
    op.output(0, output, Layout::Native);
    Ok(())
}

fn expanded(
    op: &mut Op<'_, '_>,
    input: TensorId,
    dtype: DType,
    shape: &Shape,
) -> Result<TensorId, Refusal> {
    if shape.rank() == 0 || op.builder.tensor_at(input)?.shape == *shape {
        return Ok(input);
    }
    let sizes = op.formulas(shape);
    let name = op.node.name.clone();
    let sizes = op.builder.sizes(&name, &sizes)?;
    Ok(op.emit(Layer::Expand, &[input, sizes], dtype, shape, Layout::Native))
}

/// A number in the shape of input 0.
fn like(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let (dtype, shape) = op.output_type(0)?;
    let layout = op.layout(0)?;
    let input = op.tensor(0, layout)?;
    let number = f32::from(op.node.op == "OnesLike");
    let one = op.number(number, dtype, shape.rank())?;
    let name = op.node.name.clone();
    let sizes = op.builder.shape_of(&name, input);
    let output = op.emit(Layer::Expand, &[one, sizes], dtype, &shape, layout);
    op.output(0, output, layout);
    Ok(())
}

/// The numbers from `start` to below `limit` by `delta`.
fn range(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let (dtype, shape) = op.output_type(0)?;
    if !matches!(dtype, DType::F32 | DType::I32 | DType::I64) {
        return refuse(format!("a range of {dtype} has no layer"));
    }
    let mut bounds = Vec::with_capacity(3);
    for (index, role) in [(0, "start"), (1, "limit"), (2, "delta")] {
        let [bound] = &op.sizes(index, role)?[..] else {
            return refuse(format!("the input \"{role}\" is no scalar"));
        };
        bounds.push(bound.clone());
    }
    let [start, _, delta] = &bounds[..] else {
        return refuse("the bounds are incomplete");
    };
    let [count] = &op.formulas(&shape)[..] else {
        return refuse("the result is no vector");
    };
    let name = op.node.name.clone();
    let count = op.builder.sizes(&name, std::slice::from_ref(count))?;
    let start = number(op, dtype, start, &Shape::default())?;
    let delta = number(op, dtype, delta, &Shape(vec![Dim::Fixed(1)]))?;
    let inputs = [count, start, delta];
    let output = op.emit(Layer::LinSpace, &inputs, dtype, &shape, Layout::Native);
    op.output(0, output, Layout::Native);
    Ok(())
}

fn number(
    op: &mut Op<'_, '_>,
    dtype: DType,
    number: &Formula,
    shape: &Shape,
) -> Result<TensorId, Refusal> {
    let name = op.node.name.clone();
    let mut tensor = op.builder.sizes(&name, std::slice::from_ref(number))?;
    if dtype != DType::I64 {
        let one = Shape::fixed(&[1]);
        tensor = op.emit(
            Layer::Cast { to: dtype },
            &[tensor],
            dtype,
            &one,
            Layout::Native,
        );
    }
    op.builder.reshape(&name, tensor, shape)
}
