use tfjet_core::{DType, GatherMode, TopKOperation};

use super::elementwise::axis as axis_attribute;
use super::shuffle::transpose;
use super::writer::{Value, Writer};
use crate::OnnxError;
use crate::proto::AttributeProto;

pub(super) fn gather(w: &mut Writer<'_, '_>, mode: GatherMode) -> Result<(), OnnxError> {
    let data = w.input(0)?;
    let indices = w.input(1)?;
    if indices.dtype.is_float() || indices.dtype == DType::Bool {
        return Err(w.fail(format!("indices are {}", indices.dtype)));
    }
    let output = match mode {
        GatherMode::Default {
            axis,
            batch_dims: 0,
        } => {
            let axis = w.expect_axis(axis, w.input_dims(0)?.len())?;
            let indices = match indices.dtype {
                DType::I32 | DType::I64 => indices,
                _ => w.cast(&indices, DType::I64)?,
            };
            w.node(
                "Gather",
                &[&data, &indices],
                axis_attribute(axis),
                data.dtype,
            )
        }
        GatherMode::Default { axis, batch_dims } => batched(w, &data, &indices, axis, batch_dims)?,
        GatherMode::Nd => {
            let indices = w.cast(&indices, DType::I64)?;
            w.op("GatherND", &[&data, &indices])
        }
    };
    w.finish(0, output)
}

/// `GatherND` takes the axis right after the batch axes, and puts the index axes there: the
/// gathered axis is moved to the front of the rest, and the index axes back behind what it passed.
fn batched(
    w: &mut Writer<'_, '_>,
    data: &Value,
    indices: &Value,
    axis: usize,
    batch_dims: usize,
) -> Result<Value, OnnxError> {
    let (rank, indices_rank) = (w.input_dims(0)?.len(), w.input_dims(1)?.len());
    w.expect_axis(axis, rank)?;
    if batch_dims > axis || batch_dims > indices_rank {
        return Err(w.fail(format!(
            "{batch_dims} batch axes do not fit axis {axis} and indices of rank {indices_rank}"
        )));
    }
    let mut order: Vec<usize> = (0..rank).collect();
    order[batch_dims..=axis].rotate_right(1);
    let data = transpose(w, data, &order, rank)?;
    let indices = w.cast(indices, DType::I64)?;
    let last = w.int64s(&[w.int(indices_rank)?])?;
    let indices = w.op("Unsqueeze", &[&indices, &last]);
    let batch = vec![AttributeProto::int("batch_dims", w.int(batch_dims)?)];
    let gathered = w.node("GatherND", &[&data, &indices], batch, data.dtype);
    let output_rank = rank - 1 + indices_rank - batch_dims;
    let mut order: Vec<usize> = (0..output_rank).collect();
    let index_axes = indices_rank - batch_dims;
    order[batch_dims..axis + index_axes].rotate_left(index_axes);
    transpose(w, &gathered, &order, output_rank)
}

pub(super) fn top_k(
    w: &mut Writer<'_, '_>,
    operation: TopKOperation,
    k: usize,
    axis: usize,
) -> Result<(), OnnxError> {
    let dims = w.input_dims(0)?;
    let axis_attribute = AttributeProto::int("axis", w.expect_axis(axis, dims.len())?);
    if dims[axis].fixed().is_some_and(|size| k > size) {
        return Err(w.fail(format!("k is {k}, axis {axis} has {}", dims[axis])));
    }
    let input = w.input_for(0, crate::types::Kernel::WIDE)?;
    let k = w.int64s(&[w.int(k)?])?;
    let attributes = vec![
        axis_attribute,
        AttributeProto::int("largest", i64::from(operation == TopKOperation::Max)),
        AttributeProto::int("sorted", 1),
    ];
    let outputs = w.nodes(
        "TopK",
        &[&input, &k],
        attributes,
        &[input.dtype, DType::I64],
    );
    for (index, output) in outputs.into_iter().enumerate() {
        w.finish(index, output)?;
    }
    Ok(())
}
