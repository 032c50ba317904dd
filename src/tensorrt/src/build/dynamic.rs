//! Layers whose sizes are shape tensors.

use tfjet_core::{Dim, ElementWiseOperation, SampleMode};

use super::slice::read;
use super::types::is_float;
use super::writer::{Value, Writer};
use crate::network::{Outside, Part, Reshape, Sizes};
use crate::{DataType, TensorRtError};

type Done = Result<(), TensorRtError>;

impl<'n> Writer<'n, '_, '_> {
    /// The sizes that input `index` holds.
    pub(super) fn sizes_input(&self, index: usize) -> Result<Sizes<'n>, TensorRtError> {
        let input = self.input(index)?;
        let whole = matches!(input.dtype, DataType::Int32 | DataType::Int64);
        match (whole, self.input_dims(index)?) {
            (true, [Dim::Fixed(rank)]) => Ok(Sizes::Tensor {
                tensor: input.tensor,
                rank: *rank,
            }),
            _ => Err(self.fail(format!("input {index} is no vector of sizes"))),
        }
    }

    fn shape(&mut self, of: Value<'n>) -> Result<Value<'n>, TensorRtError> {
        let layer = self.network.add_shape(of.tensor)?;
        self.value("shape", layer, self.types.index())
    }
}

fn holds<'n>(value: Value<'n>, rank: usize) -> Sizes<'n> {
    Sizes::Tensor {
        tensor: value.tensor,
        rank,
    }
}

pub(super) fn shape(w: &mut Writer<'_, '_, '_>) -> Done {
    let input = w.input(0)?;
    let shape = w.shape(input)?;
    w.finish(0, shape)
}

pub(super) fn numbers(w: &mut Writer<'_, '_, '_>, values: &[i64]) -> Done {
    let numbers = w.integers(values)?;
    w.finish(0, numbers)
}

pub(super) fn reshape(w: &mut Writer<'_, '_, '_>) -> Done {
    let input = w.input(0)?;
    let Sizes::Tensor { tensor, .. } = w.sizes_input(1)? else {
        return Err(w.fail("input 1 holds no sizes"));
    };
    let to = Reshape::ToTensor(tensor);
    let layer = w.network.add_shuffle(input.tensor, &[], to, &[])?;
    let value = w.value("reshape", layer, input.dtype)?;
    w.finish(0, value)
}

pub(super) fn slice_to(w: &mut Writer<'_, '_, '_>, stride: &[i64]) -> Done {
    w.expect_len("stride", stride, w.input_dims(0)?.len())?;
    if let Some(axis) = stride.iter().position(|&stride| stride == 0) {
        return Err(w.fail(format!("stride of axis {axis} is 0")));
    }
    let input = w.input(0)?;
    let part = Part {
        start: w.sizes_input(1)?,
        size: w.sizes_input(2)?,
        stride: Sizes::Known(stride.to_vec()),
    };
    read(w, input, &part, SampleMode::Strict)
}

pub(super) fn pad(w: &mut Writer<'_, '_, '_>, mode: SampleMode) -> Done {
    let rank = w.input_dims(0)?.len();
    let (input, pads) = (w.input(0)?, w.input(1)?);
    if mode == SampleMode::Strict {
        return Err(w.fail("says not what lies outside"));
    }
    let mut half = |first: usize| {
        let part = Part {
            start: Sizes::Known(vec![w.int(first)?]),
            size: Sizes::Known(vec![w.int(rank)?]),
            stride: Sizes::Known(vec![1]),
        };
        let layer = w.network.add_slice(pads.tensor, &part, Outside::Never)?;
        w.value("pads", layer, pads.dtype)
    };
    let (before, after) = (half(0)?, half(rank)?);
    let zeros = w.integers(&vec![0; rank])?;
    let start = w.binary(ElementWiseOperation::Sub, zeros, before)?;
    let shape = w.shape(input)?;
    let size = w.binary(ElementWiseOperation::Sum, shape, before)?;
    let size = w.binary(ElementWiseOperation::Sum, size, after)?;
    let part = Part {
        start: holds(start, rank),
        size: holds(size, rank),
        stride: Sizes::Known(vec![1; rank]),
    };
    read(w, input, &part, mode)
}

pub(super) fn expand(w: &mut Writer<'_, '_, '_>) -> Done {
    let (input, size) = (w.input(0)?, w.sizes_input(1)?);
    let (from, to) = (w.input_dims(0)?, w.output(0)?.shape.dims());
    if from.len() != to.len() {
        return Err(w.fail(format!("{} axes do not become {}", from.len(), to.len())));
    }
    let step = |(from, to): (&Dim, &Dim)| match from {
        Dim::Fixed(1) => Some(0),
        Dim::Fixed(_) => Some(1),
        Dim::Symbolic(_) => (from == to).then_some(1),
    };
    let known: Option<Vec<i64>> = from.iter().zip(to).map(step).collect();
    let stride = match known {
        Some(stride) => Sizes::Known(stride),
        None => {
            let ones = w.integers(&vec![1; from.len()])?;
            let shape = w.shape(input)?;
            let less = w.binary(ElementWiseOperation::Sub, shape, ones)?;
            let stride = w.binary(ElementWiseOperation::Min, less, ones)?;
            holds(stride, from.len())
        }
    };
    let part = Part {
        start: Sizes::Known(vec![0; from.len()]),
        size,
        stride,
    };
    read(w, input, &part, SampleMode::Strict)
}

pub(super) fn tile(w: &mut Writer<'_, '_, '_>) -> Done {
    let rank = w.input_dims(0)?.len();
    let (input, times) = (w.input(0)?, w.input(1)?);
    let shape = w.shape(input)?;
    let size = w.binary(ElementWiseOperation::Prod, shape, times)?;
    let part = Part {
        start: Sizes::Known(vec![0; rank]),
        size: holds(size, rank),
        stride: Sizes::Known(vec![1; rank]),
    };
    let layer = w.network.add_slice(input.tensor, &part, Outside::Again)?;
    let value = w.value("tile", layer, input.dtype)?;
    w.finish(0, value)
}

pub(super) fn lin_space(w: &mut Writer<'_, '_, '_>) -> Done {
    let (start, delta) = (w.input(1)?, w.input(2)?);
    if start.dtype != delta.dtype {
        return Err(w.fail("start and step differ in type"));
    }
    let Sizes::Tensor { tensor, rank: 1 } = w.sizes_input(0)? else {
        return Err(w.fail("input 0 is no vector of one size"));
    };
    // There are no ranges of halves.
    let dtype = start.dtype;
    let wide = if is_float(dtype) {
        DataType::Float
    } else {
        dtype
    };
    let (start, delta) = (w.cast(start, wide)?, w.cast(delta, wide)?);
    let layer = w
        .network
        .add_lin_space(tensor, start.tensor, delta.tensor, wide)?;
    let value = w.value("lin_space", layer, wide)?;
    let value = w.cast(value, dtype)?;
    w.finish(0, value)
}
