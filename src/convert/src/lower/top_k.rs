//! `TopK`, `TopKV2`, `ArgMax` and `ArgMin`.

use tfjet_core::{DType, Dim, Layer, TopKOperation};

use super::builder::reshape_dims;
use super::op::{NUMBERS, Op};
use super::{Layout, Refusal, refuse};
use crate::graph::infer::normalize_axis;

/// TensorRT's limit on k.
pub(super) const MAX_K: usize = 3840;

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let dtype = op.dtype(0, NUMBERS)?;
    if op.node.op.starts_with("Arg") {
        return arg(op, dtype);
    }
    op.attrs.ignore(&["sorted", "Tk"]);
    let indices = op.attrs.dtype_or("index_type", DType::I32)?;
    let k = match op.node.op.as_str() {
        "TopK" => op.attrs.int("k")?,
        _ => op.integer(1, "k")?,
    };
    let k = match usize::try_from(k) {
        Ok(k @ 1..=MAX_K) => k,
        Ok(k) => return refuse(format!("k = {k} is outside 1..={MAX_K}")),
        Err(_) => return refuse("k is negative"),
    };
    let (_, shape) = op.output_type(0)?;
    let axis = shape.rank() - 1;
    let input = op.tensor(0, Layout::Native)?;
    let layer = Layer::TopK {
        operation: TopKOperation::Max,
        k,
        axis,
    };
    let name = op.node.name.clone();
    let outputs = op.builder.layer(
        &name,
        layer,
        &[input],
        &[(dtype, shape.clone()), (DType::I32, shape.clone())],
    );
    op.output(0, outputs[0], Layout::Native);
    let mut picked = outputs[1];
    if indices != DType::I32 {
        picked = op.emit(
            Layer::Cast { to: indices },
            &[picked],
            indices,
            &shape,
            Layout::Native,
        );
    }
    op.output(1, picked, Layout::Native);
    Ok(())
}

fn arg(op: &mut Op<'_, '_>, dtype: DType) -> Result<(), Refusal> {
    let to = op.attrs.dtype_or("output_type", DType::I64)?;
    if !matches!(to, DType::I32 | DType::I64) {
        return refuse(format!("an output_type of {to} has no layer"));
    }
    let shape = op.shape(0)?;
    let native_axis = normalize_axis(op.integer(1, "dimension")?, shape.rank())?;
    let mut layout = op.layout(0)?;
    let rest = layout
        .order(shape.rank())
        .into_iter()
        .filter(|&axis| axis != native_axis);
    if !rest.is_sorted() {
        layout = Layout::Native;
    }
    let mut kept = shape.clone();
    kept.0[native_axis] = Dim::Fixed(1);
    let (_, output) = op.output_type(0)?;
    if reshape_dims(&layout.shape(&kept), &output).is_none() {
        layout = Layout::Native;
    }
    let axis = layout.axis(native_axis, shape.rank());
    let arranged = layout.shape(&kept);
    let input = op.tensor(0, layout)?;
    let layer = Layer::TopK {
        operation: match op.node.op.as_str() {
            "ArgMax" => TopKOperation::Max,
            _ => TopKOperation::Min,
        },
        k: 1,
        axis,
    };
    let name = op.node.name.clone();
    let outputs = op.builder.layer(
        &name,
        layer,
        &[input],
        &[(dtype, arranged.clone()), (DType::I32, arranged)],
    );
    let mut result = op
        .builder
        .reshape(&format!("{name}/squeeze"), outputs[1], &output)?;
    if to != DType::I32 {
        result = op.emit(Layer::Cast { to }, &[result], to, &output, Layout::Native);
    }
    op.output(0, result, Layout::Native);
    Ok(())
}
