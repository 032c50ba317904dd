use tfjet_core::{GatherMode, TopKOperation};

use super::shape::Size;
use super::types::is_float;
use super::writer::{Value, Writer};
use crate::network::{Reshape, Sizes};
use crate::{DataType, TensorRtError};

type Done = Result<(), TensorRtError>;

pub(super) fn gather(w: &mut Writer<'_, '_, '_>, mode: GatherMode) -> Done {
    let (data, indices) = (w.input(0)?, w.input(1)?);
    if w.input_dtype(1)?.is_float() || indices.dtype == DataType::Bool {
        return Err(w.fail(format!("indices are {}", w.input_dtype(1)?)));
    }
    let indices = if is_float(indices.dtype) {
        w.cast(indices, DataType::Int32)?
    } else {
        indices
    };
    let (rank, indices_rank) = (w.input_dims(0)?.len(), w.input_dims(1)?.len());
    let value = match mode {
        GatherMode::Default { axis, batch_dims } => {
            w.expect_axis(axis, rank)?;
            if batch_dims > axis || batch_dims > indices_rank {
                return Err(w.fail(format!(
                    "{batch_dims} batch axes do not fit axis {axis} and indices of rank \
                     {indices_rank}"
                )));
            }
            if batch_dims > 1 {
                merged(w, data, indices, axis, batch_dims)?
            } else {
                let layer = w.network.add_gather(data.tensor, indices.tensor, mode)?;
                w.value("gather", layer, data.dtype)?
            }
        }
        GatherMode::Nd => {
            let layer = w.network.add_gather(data.tensor, indices.tensor, mode)?;
            w.value("gather", layer, data.dtype)?
        }
    };
    w.finish(0, value)
}

/// `IGatherLayer` has one batch axis at most, so more are made one before and split after.
fn merged<'n>(
    w: &mut Writer<'n, '_, '_>,
    data: Value<'n>,
    indices: Value<'n>,
    axis: usize,
    batch_dims: usize,
) -> Result<Value<'n>, TensorRtError> {
    let (rank, indices_rank) = (w.input_dims(0)?.len(), w.input_dims(1)?.len());
    let sizes = |w: &Writer<'n, '_, '_>, input: usize, axes: std::ops::Range<usize>| {
        axes.map(|axis| w.size(input, axis))
            .collect::<Result<Vec<_>, _>>()
    };
    let batch = sizes(w, 0, 0..batch_dims)?;
    let one = [Size::Product(batch.clone())];
    let before = sizes(w, 0, batch_dims..axis)?;
    let after = sizes(w, 0, axis + 1..rank)?;
    let picked = sizes(w, 1, batch_dims..indices_rank)?;
    let gathered = w.size(0, axis)?;
    let flat = [&one[..], &before, &[gathered], &after].concat();
    let data = reshaped(w, data, &flat)?;
    let flat = [&one[..], &picked].concat();
    let indices = reshaped(w, indices, &flat)?;
    let mode = GatherMode::Default {
        axis: axis - batch_dims + 1,
        batch_dims: 1,
    };
    let layer = w.network.add_gather(data.tensor, indices.tensor, mode)?;
    let value = w.value("gather", layer, data.dtype)?;
    let split = [batch, before, picked, after].concat();
    reshaped(w, value, &split)
}

fn reshaped<'n>(
    w: &mut Writer<'n, '_, '_>,
    value: Value<'n>,
    sizes: &[Size<'n>],
) -> Result<Value<'n>, TensorRtError> {
    let sizes = w.sizes(sizes)?;
    let reshape = match &sizes {
        Sizes::Known(dims) => Reshape::To {
            dims,
            zero_copies: false,
        },
        Sizes::Tensor { tensor, .. } => Reshape::ToTensor(*tensor),
    };
    let layer = w.network.add_shuffle(value.tensor, &[], reshape, &[])?;
    w.value("reshape", layer, value.dtype)
}

pub(super) fn top_k(
    w: &mut Writer<'_, '_, '_>,
    operation: TopKOperation,
    k: usize,
    axis: usize,
) -> Done {
    let mut input = w.input(0)?;
    let rank = w.input_dims(0)?.len();
    w.expect_axis(axis, rank)?;
    let flat = rank == 1;
    if flat {
        input = w.reshape(input, &[1, -1])?;
    }
    let axis = axis + usize::from(flat);
    let layer = w.network.add_top_k(input.tensor, operation, k, axis)?;
    for (index, dtype) in [input.dtype, DataType::Int32].into_iter().enumerate() {
        let mut value = w.output_of("top_k", layer, index, dtype)?;
        if flat {
            value = w.reshape(value, &[-1])?;
        }
        w.finish(index, value)?;
    }
    Ok(())
}

impl<'n> Writer<'n, '_, '_> {
    /// The same elements in these sizes, where 0 copies the size and -1 is what is left.
    pub(super) fn reshape(
        &mut self,
        value: Value<'n>,
        dims: &[i64],
    ) -> Result<Value<'n>, TensorRtError> {
        let reshape = Reshape::To {
            dims,
            zero_copies: true,
        };
        let layer = self.network.add_shuffle(value.tensor, &[], reshape, &[])?;
        self.value("reshape", layer, value.dtype)
    }
}
