use tfjet_core::{AttrError, AttrReader, DType, Tensor, TensorView};

use crate::arguments::{
    Indices, axis, expect_same_dtype, integer, output, product, reset, size, take,
};
use crate::error::{shape_error, value_error};
use crate::number::{Number, with_size, with_type};
use crate::strided::{Dims, MAX_DIMS, row_major};
use crate::{Kernel, OpError};

/// `Gather` (along axis 0) and `GatherV2` (the axis is an input).
#[derive(Debug)]
struct Gather {
    axis_input: bool,
    batch_dims: i64,
}

pub(crate) fn gather(_: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Gather {
        axis_input: false,
        batch_dims: 0,
    }))
}

pub(crate) fn gather_v2(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Gather {
        axis_input: true,
        batch_dims: reader.int_or("batch_dims", 0)?,
    }))
}

impl Kernel for Gather {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let (params, index_view, axis_value) = if self.axis_input {
            let [params, indices, axis] = take(inputs)?;
            (params, indices, integer(2, axis)?)
        } else {
            let [params, indices] = take(inputs)?;
            (params, indices, 0)
        };
        let target = output(outputs)?;
        let (shape, index_shape) = (params.shape(), index_view.shape());
        let axis = axis(axis_value, shape.len())?;
        let batch_dims = usize::try_from(if self.batch_dims < 0 {
            self.batch_dims.saturating_add(index_shape.len() as i64)
        } else {
            self.batch_dims
        });
        let batch_dims = match batch_dims {
            Ok(dims) if dims <= axis && index_shape.get(..dims) == Some(&shape[..dims]) => dims,
            _ => {
                return Err(shape_error!(
                    "batch_dims {} does not fit params of shape {shape:?}, indices of shape \
                     {index_shape:?} and axis {axis}",
                    self.batch_dims
                ));
            }
        };
        let mut gathered = Dims::from_slice(&shape[..axis])?;
        gathered.extend(&index_shape[batch_dims..])?;
        gathered.extend(&shape[axis + 1..])?;
        reset(target, params.dtype(), &gathered)?;

        let indices = Indices::new(1, index_view)?;
        check_indices(indices, shape[axis])?;
        if target.elements() == 0 {
            return Ok(());
        }
        let inner = product(&shape[axis + 1..]);
        let outer = product(&shape[batch_dims..axis]);
        let per_batch = product(&index_shape[batch_dims..]);
        with_size!(params.dtype(), N => {
            let source = params.bytes().as_chunks::<N>().0;
            let mut rows = target.bytes_mut().as_chunks_mut::<N>().0.chunks_exact_mut(inner);
            for block in 0..product(&shape[..axis]) {
                let first = block / outer * per_batch;
                for (i, row) in (first..first + per_batch).zip(&mut rows) {
                    let from = (block * shape[axis] + indices.get(i) as usize) * inner;
                    row.copy_from_slice(&source[from..from + inner]);
                }
            }
        });
        Ok(())
    }
}

fn check_indices(indices: Indices<'_>, limit: usize) -> Result<(), OpError> {
    for (i, index) in indices.iter().enumerate() {
        if usize::try_from(index).is_ok_and(|index| index < limit) {
            continue;
        }
        return Err(value_error!("index {i} is {index}, outside [0, {limit})"));
    }
    Ok(())
}

/// What becomes of a point outside the tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadIndices {
    Fail,
    /// Zeros are gathered, an update is dropped.
    Ignore,
}

impl BadIndices {
    /// Reads `bad_indices_policy`.
    pub(crate) fn read(reader: &AttrReader<'_>) -> Result<Self, OpError> {
        match reader.str_or("bad_indices_policy", "")? {
            "" | "DEFAULT" | "ERROR" => Ok(Self::Fail),
            "IGNORE" => Ok(Self::Ignore),
            other => Err(AttrError::Value {
                name: "bad_indices_policy".into(),
                value: other.into(),
                expected: "DEFAULT, ERROR or IGNORE",
            }
            .into()),
        }
    }
}

/// What `GatherNd` and `ScatterNd` read from the shape of `indices`.
pub(crate) struct Points<'a> {
    indices: Indices<'a>,
    /// Shape of `indices` without its last dimension.
    outer: &'a [usize],
    /// Sizes of the dimensions that a point addresses.
    sizes: &'a [usize],
    strides: [isize; MAX_DIMS],
    /// Elements at each point.
    pub(crate) slice: usize,
    bad: BadIndices,
}

impl<'a> Points<'a> {
    pub(crate) fn new(
        view: &TensorView<'a>,
        input: usize,
        shape: &'a [usize],
        bad: BadIndices,
    ) -> Result<Self, OpError> {
        let indices = Indices::new(input, view)?;
        let (outer, sizes) = match view.shape().split_last() {
            Some((&depth, outer)) if depth <= shape.len() => (outer, &shape[..depth]),
            _ => {
                return Err(shape_error!(
                    "indices of shape {:?} do not address shape {shape:?}",
                    view.shape()
                ));
            }
        };
        Ok(Self {
            indices,
            outer,
            sizes,
            strides: row_major(shape)?,
            slice: product(&shape[sizes.len()..]),
            bad,
        })
    }

    /// Fails where `updates` are not a slice of a tensor of `shape` for each point.
    pub(crate) fn check_updates(
        &self,
        updates: &TensorView<'_>,
        shape: &[usize],
    ) -> Result<(), OpError> {
        let mut expected = Dims::from_slice(self.outer)?;
        expected.extend(&shape[self.sizes.len()..])?;
        if updates.shape() == &*expected {
            return Ok(());
        }
        Err(shape_error!(
            "updates have shape {:?}, expected {:?}",
            updates.shape(),
            &*expected
        ))
    }

    /// Offset of the elements that point `i` addresses; `None` for a point to be ignored.
    pub(crate) fn offset(&self, i: usize) -> Result<Option<usize>, OpError> {
        let mut offset = 0;
        for (dim, &size) in self.sizes.iter().enumerate() {
            let index = self.indices.get(i * self.sizes.len() + dim);
            match usize::try_from(index) {
                Ok(index) if index < size => offset += index * self.strides[dim] as usize,
                _ if self.bad == BadIndices::Ignore => return Ok(None),
                _ => {
                    return Err(value_error!(
                        "indices[{i},{dim}] is {index}, outside [0, {size})"
                    ));
                }
            }
        }
        Ok(Some(offset))
    }
}

/// `GatherNd`.
#[derive(Debug)]
struct GatherNd(BadIndices);

pub(crate) fn gather_nd(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(GatherNd(BadIndices::read(reader)?)))
}

impl Kernel for GatherNd {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [params, indices] = take(inputs)?;
        let target = output(outputs)?;
        let points = Points::new(indices, 1, params.shape(), self.0)?;
        let mut shape = Dims::from_slice(points.outer)?;
        shape.extend(&params.shape()[points.sizes.len()..])?;
        reset(target, params.dtype(), &shape)?;
        if target.elements() == 0 {
            return Ok(());
        }
        if params.elements() == 0 {
            let shape = params.shape();
            return Err(shape_error!("params of shape {shape:?} have no elements"));
        }
        with_size!(params.dtype(), N => {
            let source = params.bytes().as_chunks::<N>().0;
            let target = target.bytes_mut().as_chunks_mut::<N>().0;
            for (i, row) in target.chunks_exact_mut(points.slice).enumerate() {
                match points.offset(i)? {
                    Some(from) => row.copy_from_slice(&source[from..from + points.slice]),
                    None => row.fill([0; N]),
                }
            }
        });
        Ok(())
    }
}

/// `ScatterNd`: updates of one place add up.
#[derive(Debug)]
struct ScatterNd(BadIndices);

pub(crate) fn scatter_nd(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(ScatterNd(BadIndices::read(reader)?)))
}

impl Kernel for ScatterNd {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [indices, updates, shape_view] = take(inputs)?;
        let target = output(outputs)?;
        let mut shape = Dims::new();
        for dim in Indices::vector(2, shape_view)?.iter() {
            shape.push(size("a dimension", dim)?)?;
        }
        let points = Points::new(indices, 0, &shape, self.0)?;
        points.check_updates(updates, &shape)?;
        reset(target, updates.dtype(), &shape)?;
        target.bytes_mut().fill(0);
        if updates.elements() == 0 {
            return Ok(());
        }
        with_type!(numbers, 1, updates.dtype(), T => {
            let target = target.as_mut_slice::<T>()?;
            let updates = updates.as_slice::<T>()?;
            for (i, row) in updates.chunks_exact(points.slice).enumerate() {
                let Some(to) = points.offset(i)? else {
                    continue;
                };
                for (slot, &update) in target[to..to + points.slice].iter_mut().zip(row) {
                    *slot = slot.plus(update);
                }
            }
            Ok(())
        })
    }
}

/// `OneHot`: an index outside the depth gives a row of off values.
#[derive(Debug)]
struct OneHot {
    axis: i64,
}

pub(crate) fn one_hot(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(OneHot {
        axis: reader.int_or("axis", -1)?,
    }))
}

impl Kernel for OneHot {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [indices, depth, on, off] = take(inputs)?;
        let target = output(outputs)?;
        expect_same_dtype(&inputs[2..])?;
        if on.elements() != 1 || off.elements() != 1 {
            return Err(shape_error!(
                "on and off values must be scalars, have shapes {:?} and {:?}",
                on.shape(),
                off.shape()
            ));
        }
        let depth = size("the depth", integer(1, depth)?)?;
        let axis = axis(self.axis, indices.shape().len() + 1)?;
        let mut shape = Dims::from_slice(&indices.shape()[..axis])?;
        shape.push(depth)?;
        shape.extend(&indices.shape()[axis..])?;
        reset(target, on.dtype(), &shape)?;
        if target.elements() == 0 {
            return Ok(());
        }
        let suffix = product(&indices.shape()[axis..]);
        with_size!(on.dtype(), N => {
            let target = target.bytes_mut().as_chunks_mut::<N>().0;
            let ([on], [off]) = (on.bytes().as_chunks::<N>().0, off.bytes().as_chunks::<N>().0)
            else {
                return Ok(());
            };
            target.fill(*off);
            for i in 0..indices.elements() {
                if let Ok(index) = usize::try_from(class(indices, i)?)
                    && index < depth
                {
                    target[(i / suffix * depth + index) * suffix + i % suffix] = *on;
                }
            }
        });
        Ok(())
    }
}

/// Element `i` of the indices of `OneHot`.
fn class(indices: &TensorView<'_>, i: usize) -> Result<i64, OpError> {
    match indices.dtype() {
        DType::U8 => Ok(indices.as_slice::<u8>()?[i].into()),
        DType::I8 => Ok(indices.as_slice::<i8>()?[i].into()),
        _ => Ok(Indices::new(0, indices)?.get(i)),
    }
}
