//! Ops that move elements: each is a few walks.

use tfjet_core::DType;
use tfjet_cuda::kernels::{Walk, row_major};
use tfjet_ops::OpError;

use super::OpInput;
use super::arguments::{
    axes, axis, elements, expect_same_dtype, integer, integers, shape_error, sizes, take,
    value_error, vector,
};
use super::plan::{Copy, Plan, Work};
use super::strided_slice::{Sliced, StridedSlice};

/// An op that moves elements and leaves them as they are.
#[derive(Debug, Clone)]
pub(super) enum Movement {
    Transpose,
    Slice,
    StridedSlice(StridedSlice),
    Reverse,
    Tile,
    BroadcastTo,
    Pad { value_input: bool },
    Concat { axis_first: bool },
    Pack { axis: i64 },
    Unpack { axis: i64, parts: usize },
    Split { parts: usize },
    SplitV { parts: usize },
}

impl Movement {
    pub(super) fn host_inputs(&self, inputs: usize) -> Option<Vec<usize>> {
        Some(match self {
            Self::Transpose | Self::Reverse | Self::Tile | Self::BroadcastTo | Self::Pad { .. } => {
                vec![1]
            }
            Self::Slice => vec![1, 2],
            Self::StridedSlice(_) => vec![1, 2, 3],
            Self::Concat { axis_first: true } | Self::Split { .. } => vec![0],
            Self::Concat { axis_first: false } => vec![inputs.checked_sub(1)?],
            Self::SplitV { .. } => vec![1, 2],
            Self::Pack { .. } | Self::Unpack { .. } => Vec::new(),
        })
    }

    pub(super) fn plan(&self, inputs: &[OpInput<'_>]) -> Result<Plan, OpError> {
        match self {
            Self::Transpose => {
                let [x, order] = take(inputs)?;
                let order = axes(&vector(1, order)?, x.shape.len())?;
                if order.len() != x.shape.len() {
                    return Err(shape_error!(
                        "perm has {} elements for shape {:?}",
                        order.len(),
                        x.shape
                    ));
                }
                let strides = row_major(x.shape);
                let dims: Vec<_> = order
                    .iter()
                    .map(|&dim| (x.shape[dim], strides[dim]))
                    .collect();
                let shape = order.iter().map(|&dim| x.shape[dim]).collect();
                Ok(gathered(x.dtype, shape, 0, &dims))
            }
            Self::Slice => {
                let [x, begin, size] = take(inputs)?;
                let sliced = slice(x.shape, &vector(1, begin)?, &vector(2, size)?)?;
                Ok(gathered(x.dtype, sliced.shape, sliced.start, &sliced.dims))
            }
            Self::StridedSlice(slice) => {
                let [x, begin, end, strides] = take(inputs)?;
                let [begin, end] = [vector(1, begin)?, vector(2, end)?];
                let sliced = slice.of(x.shape, &begin, &end, &vector(3, strides)?)?;
                Ok(gathered(x.dtype, sliced.shape, sliced.start, &sliced.dims))
            }
            Self::Reverse => {
                let [x, which] = take(inputs)?;
                let which = axes(&vector(1, which)?, x.shape.len())?;
                let mut start = 0i64;
                let mut dims: Vec<_> = x.shape.iter().copied().zip(row_major(x.shape)).collect();
                for axis in which {
                    let (size, stride) = &mut dims[axis];
                    let last = size.saturating_sub(1) as i64;
                    start = start.saturating_add(last.saturating_mul(*stride));
                    *stride = -*stride;
                }
                Ok(gathered(x.dtype, x.shape.to_vec(), start, &dims))
            }
            Self::Tile => {
                let [x, multiples] = take(inputs)?;
                let multiples = sizes("a multiple", &vector(1, multiples)?)?;
                if multiples.len() != x.shape.len() {
                    return Err(shape_error!(
                        "{} multiples for shape {:?}",
                        multiples.len(),
                        x.shape
                    ));
                }
                let own = x.shape.iter().copied().zip(row_major(x.shape));
                let dims: Vec<_> = multiples
                    .iter()
                    .zip(own)
                    .flat_map(|(&multiple, own)| [(multiple, 0), own])
                    .collect();
                let shape = multiples.iter().zip(x.shape);
                let shape = shape.map(|(multiple, &size)| multiple.saturating_mul(size));
                Ok(gathered(x.dtype, shape.collect(), 0, &dims))
            }
            Self::BroadcastTo => {
                let [x, wanted] = take(inputs)?;
                let wanted = sizes("a dimension", &vector(1, wanted)?)?;
                let dims = broadcast_dims(x.shape, &wanted)?;
                Ok(gathered(x.dtype, wanted, 0, &dims))
            }
            Self::Pad { value_input } => pad(*value_input, inputs),
            Self::Concat { axis_first } => concat(*axis_first, inputs),
            Self::Pack { axis } => pack(*axis, inputs),
            Self::Unpack { axis, parts } => unpack(*axis, *parts, inputs),
            Self::Split { parts } => {
                let [dim, x] = take(inputs)?;
                let axis = axis(integer(0, dim)?, x.shape.len())?;
                let parts = *parts;
                if parts == 0 || !x.shape[axis].is_multiple_of(parts) {
                    return Err(shape_error!(
                        "axis {axis} of {:?} does not split into {parts} equal parts",
                        x.shape
                    ));
                }
                let sizes = vec![x.shape[axis] / parts; parts];
                Ok(split(1, x, axis, &sizes, |shape| shape))
            }
            Self::SplitV { parts } => {
                let [x, sizes, dim] = take(inputs)?;
                let axis = axis(integer(2, dim)?, x.shape.len())?;
                let sizes = split_sizes(&vector(1, sizes)?, *parts, x.shape, axis)?;
                Ok(split(0, x, axis, &sizes, |shape| shape))
            }
        }
    }
}

/// The elements of input 0 at `dims` from `start` on, packed.
fn gathered(dtype: DType, shape: Vec<usize>, start: i64, dims: &[(usize, i64)]) -> Plan {
    let sizes: Vec<usize> = dims.iter().map(|&(size, _)| size).collect();
    let mut walk = Walk::new([start, 0]);
    for (&(size, stride), to) in dims.iter().zip(row_major(&sizes)) {
        walk.push(size, [stride, to]);
    }
    Plan::new(dtype, shape, Work::Copies(vec![Copy::new(0, 0, walk)]))
}

fn slice(shape: &[usize], begin: &[i64], size: &[i64]) -> Result<Sliced, OpError> {
    if begin.len() != shape.len() || size.len() != shape.len() {
        return Err(shape_error!(
            "begin has {} and size has {} elements for shape {shape:?}",
            begin.len(),
            size.len()
        ));
    }
    let mut sliced = Sliced::default();
    for (dim, (&extent, stride)) in shape.iter().zip(row_major(shape)).enumerate() {
        let range = usize::try_from(begin[dim])
            .ok()
            .and_then(|begin| Some((begin, extent.checked_sub(begin)?)))
            .and_then(|(begin, rest)| match size[dim] {
                -1 => Some((begin, rest)),
                size => Some((
                    begin,
                    usize::try_from(size).ok().filter(|&size| size <= rest)?,
                )),
            });
        let Some((first, size)) = range else {
            return Err(value_error!(
                "begin {} and size {} are outside dimension {dim} of {shape:?}",
                begin[dim],
                size[dim]
            ));
        };
        sliced.start = sliced
            .start
            .saturating_add((first as i64).saturating_mul(stride));
        sliced.shape.push(size);
        sliced.dims.push((size, stride));
    }
    Ok(sliced)
}

fn broadcast_dims(shape: &[usize], wanted: &[usize]) -> Result<Vec<(usize, i64)>, OpError> {
    let fail = || shape_error!("shape {shape:?} does not broadcast to {wanted:?}");
    let added = wanted.len().checked_sub(shape.len()).ok_or_else(fail)?;
    let strides = row_major(shape);
    let stride_of = |(dim, &size): (usize, &usize)| {
        let own = dim.checked_sub(added).map(|dim| (shape[dim], strides[dim]));
        match own {
            None | Some((1, _)) => Ok((size, 0)),
            Some((own, stride)) if own == size => Ok((size, stride)),
            Some(_) => Err(fail()),
        }
    };
    wanted.iter().enumerate().map(stride_of).collect()
}

/// The walk over a part of a larger tensor: strides of both, sizes of the part, and where it starts
/// along each dimension of the larger one.
fn part_of(
    part: &[usize],
    whole: &[usize],
    first: impl Fn(usize) -> usize,
) -> (i64, Vec<[i64; 2]>) {
    let (own, outer) = (row_major(part), row_major(whole));
    let start = outer
        .iter()
        .enumerate()
        .fold(0i64, |start, (dim, &stride)| {
            start.saturating_add((first(dim) as i64).saturating_mul(stride))
        });
    (
        start,
        own.into_iter()
            .zip(outer)
            .map(|(own, outer)| [own, outer])
            .collect(),
    )
}

/// Writes all of input `input`, of shape `part`, into output 0.
fn placed(input: usize, part: &[usize], whole: &[usize], first: impl Fn(usize) -> usize) -> Copy {
    let (start, strides) = part_of(part, whole, first);
    let mut walk = Walk::new([0, start]);
    for (&size, strides) in part.iter().zip(strides) {
        walk.push(size, strides);
    }
    Copy::new(input, 0, walk)
}

fn pad(value_input: bool, inputs: &[OpInput<'_>]) -> Result<Plan, OpError> {
    let (x, paddings) = if value_input {
        let [x, paddings, value] = take(inputs)?;
        expect_same_dtype(&[*x, *value])?;
        if elements(value.shape) != 1 {
            return Err(shape_error!(
                "the padding value must be a scalar, has shape {:?}",
                value.shape
            ));
        }
        (x, paddings)
    } else {
        let [x, paddings] = take(inputs)?;
        (x, paddings)
    };
    if paddings.shape != [x.shape.len(), 2] {
        return Err(shape_error!(
            "paddings have shape {:?}, expected {:?}",
            paddings.shape,
            [x.shape.len(), 2]
        ));
    }
    let paddings = sizes("a padding", &integers(1, paddings)?)?;
    let (pairs, _) = paddings.as_chunks::<2>();
    let padded = |(&extent, &[low, high]): (&usize, &[usize; 2])| {
        let sum = extent
            .checked_add(low)
            .and_then(|sum| sum.checked_add(high));
        sum.ok_or_else(|| value_error!("paddings {low} and {high} of a dimension of {extent}"))
    };
    let whole: Vec<usize> = x
        .shape
        .iter()
        .zip(pairs)
        .map(padded)
        .collect::<Result<_, _>>()?;
    let image = placed(0, x.shape, &whole, |dim| pairs[dim][0]);
    if !value_input {
        return Ok(Plan::new(x.dtype, whole, Work::ZerosAndCopy(image)));
    }
    let mut everywhere = Walk::new([0, 0]);
    everywhere.push(elements(&whole), [0, 1]);
    let copies = vec![Copy::new(2, 0, everywhere), image];
    Ok(Plan::new(x.dtype, whole, Work::Copies(copies)))
}

/// Joins inputs, of `shapes`, along `axis`.
fn join(
    dtype: DType,
    parts: &[(usize, Vec<usize>)],
    axis: usize,
    shape: Vec<usize>,
    whole: &[usize],
) -> Plan {
    let mut at = 0usize;
    let mut copies = Vec::with_capacity(parts.len());
    for (input, part) in parts {
        let first = at;
        copies.push(placed(*input, part, whole, |dim| {
            if dim == axis { first } else { 0 }
        }));
        at = at.saturating_add(part[axis]);
    }
    Plan::new(dtype, shape, Work::Copies(copies))
}

fn concat(axis_first: bool, inputs: &[OpInput<'_>]) -> Result<Plan, OpError> {
    let split = if axis_first {
        inputs
            .split_first()
            .map(|(dim, values)| (0, 1, dim, values))
    } else {
        let last = inputs.len().saturating_sub(1);
        inputs
            .split_last()
            .map(|(dim, values)| (last, 0, dim, values))
    };
    let Some((position, offset, dim, values @ [first, ..])) = split else {
        return Err(OpError::InputCount {
            expected: 2,
            actual: inputs.len(),
        });
    };
    expect_same_dtype(values)?;
    let axis = axis(integer(position, dim)?, first.shape.len())?;
    let mut whole = first.shape.to_vec();
    whole[axis] = 0;
    let mut parts = Vec::with_capacity(values.len());
    for (input, value) in values.iter().enumerate() {
        let fits = value.shape.len() == whole.len()
            && (0..whole.len()).all(|dim| dim == axis || value.shape[dim] == whole[dim]);
        if !fits {
            return Err(shape_error!(
                "shapes {:?} and {:?} differ outside axis {axis}",
                first.shape,
                value.shape
            ));
        }
        whole[axis] = whole[axis].saturating_add(value.shape[axis]);
        parts.push((input + offset, value.shape.to_vec()));
    }
    Ok(join(first.dtype, &parts, axis, whole.clone(), &whole))
}

fn pack(axis_attr: i64, inputs: &[OpInput<'_>]) -> Result<Plan, OpError> {
    expect_same_dtype(inputs)?;
    let Some(first) = inputs.first() else {
        return Err(OpError::InputCount {
            expected: 1,
            actual: 0,
        });
    };
    if let Some(other) = inputs.iter().find(|other| other.shape != first.shape) {
        return Err(shape_error!(
            "inputs have shapes {:?} and {:?}",
            first.shape,
            other.shape
        ));
    }
    let axis = axis(axis_attr, first.shape.len() + 1)?;
    let mut part = first.shape.to_vec();
    part.insert(axis, 1);
    let mut whole = part.clone();
    whole[axis] = inputs.len();
    let parts: Vec<_> = (0..inputs.len())
        .map(|input| (input, part.clone()))
        .collect();
    Ok(join(first.dtype, &parts, axis, whole.clone(), &whole))
}

fn unpack(axis_attr: i64, parts: usize, inputs: &[OpInput<'_>]) -> Result<Plan, OpError> {
    let [x] = take(inputs)?;
    let axis = axis(axis_attr, x.shape.len())?;
    if x.shape[axis] != parts {
        return Err(shape_error!(
            "axis {axis} of {:?} does not unpack into {parts} outputs",
            x.shape
        ));
    }
    Ok(split(0, x, axis, &vec![1; parts], |mut shape| {
        shape.remove(axis);
        shape
    }))
}

/// Cuts input `input` along `axis` into outputs of `sizes`, whose shapes become `shape` of theirs.
fn split(
    input: usize,
    x: &OpInput<'_>,
    axis: usize,
    sizes: &[usize],
    shape: impl Fn(Vec<usize>) -> Vec<usize>,
) -> Plan {
    let mut at = 0usize;
    let mut outputs = Vec::with_capacity(sizes.len());
    let mut copies = Vec::with_capacity(sizes.len());
    for (output, &size) in sizes.iter().enumerate() {
        let mut part = x.shape.to_vec();
        part[axis] = size;
        let (start, strides) = part_of(&part, x.shape, |dim| if dim == axis { at } else { 0 });
        let mut walk = Walk::new([start, 0]);
        for (&size, [own, outer]) in part.iter().zip(strides) {
            walk.push(size, [outer, own]);
        }
        copies.push(Copy::new(input, output, walk));
        outputs.push((x.dtype, shape(part)));
        at = at.saturating_add(size);
    }
    Plan {
        outputs,
        work: Work::Copies(copies),
    }
}

fn split_sizes(
    sizes: &[i64],
    parts: usize,
    shape: &[usize],
    axis: usize,
) -> Result<Vec<usize>, OpError> {
    if parts != sizes.len() {
        return Err(shape_error!(
            "input 1 must have {parts} sizes, has {}",
            sizes.len()
        ));
    }
    let known = sizes
        .iter()
        .filter(|&&size| size != -1)
        .try_fold(0usize, |sum, &size| {
            sum.checked_add(usize::try_from(size).ok()?)
        })
        .filter(|&known| known <= shape[axis]);
    let unknown = sizes.iter().filter(|&&size| size == -1).count();
    let rest = match known {
        Some(known) if unknown == 1 || (unknown == 0 && known == shape[axis]) => {
            shape[axis] - known
        }
        _ => {
            return Err(value_error!(
                "sizes {sizes:?} do not split axis {axis} of {shape:?}"
            ));
        }
    };
    Ok(sizes
        .iter()
        .map(|&size| usize::try_from(size).unwrap_or(rest))
        .collect())
}
