//! Shapes of results, and errors as the ops' own kernels give them.

use tfjet_core::DType;
use tfjet_cuda::kernels::{BinaryOp, ReduceOp, Sampling, Walk};
use tfjet_ops::OpError;

use super::OpInput;
use super::arguments::{
    axes, axis, elements, expect_dtype, expect_rank, expect_same_dtype, integer, integers,
    integers_of, shape_error, sizes, take, value_error, vector,
};
use super::plan::{Plan, View, Work};

/// Fails for a divisor or exponent that the host knows and that the op is not defined for.
pub(super) fn check_divisor(op: BinaryOp, divisor: &OpInput<'_>) -> Result<(), OpError> {
    let Some(view) = divisor.host.filter(|_| !divisor.dtype.is_float()) else {
        return Ok(());
    };
    let has = |wrong: fn(i64) -> bool| -> Result<bool, OpError> {
        Ok(match view.dtype() {
            DType::U8 => view.as_slice::<u8>()?.iter().any(|&x| wrong(x.into())),
            DType::I8 => view.as_slice::<i8>()?.iter().any(|&x| wrong(x.into())),
            DType::I32 | DType::I64 => integers_of(1, &view)?.into_iter().any(wrong),
            _ => false,
        })
    };
    match op {
        BinaryOp::Div | BinaryOp::FloorDiv | BinaryOp::FloorMod | BinaryOp::TruncateMod
            if has(|x| x == 0)? =>
        {
            Err(value_error!("integer division by zero"))
        }
        BinaryOp::Pow if has(|x| x < 0)? => Err(value_error!("negative power of an integer")),
        _ => Ok(()),
    }
}

impl View {
    pub(super) fn plan(&self, inputs: &[OpInput<'_>]) -> Result<Plan, OpError> {
        let (x, shape) = match self {
            Self::Identity => {
                let [x] = take(inputs)?;
                (x, x.shape.to_vec())
            }
            Self::Reshape => {
                let [x, wanted] = take(inputs)?;
                (x, reshape(x.shape, &vector(1, wanted)?)?)
            }
            Self::ExpandDims => {
                let [x, dim] = take(inputs)?;
                let mut shape = x.shape.to_vec();
                shape.insert(axis(integer(1, dim)?, shape.len() + 1)?, 1);
                (x, shape)
            }
            Self::Squeeze { dims } => {
                let [x] = take(inputs)?;
                (x, squeeze(x.shape, dims)?)
            }
        };
        Ok(Plan::new(x.dtype, shape, Work::Nothing))
    }
}

fn reshape(shape: &[usize], wanted: &[i64]) -> Result<Vec<usize>, OpError> {
    let total = elements(shape);
    let unknown: Vec<usize> = (0..wanted.len()).filter(|&dim| wanted[dim] == -1).collect();
    let known: Vec<i64> = wanted.iter().copied().filter(|&size| size != -1).collect();
    let known = elements(&sizes("a size", &known)?);
    let rest = match unknown.as_slice() {
        [] => 1,
        [_] => total
            .checked_div(known)
            .ok_or_else(|| value_error!("a size of -1 beside a size of 0"))?,
        _ => return Err(value_error!("more than one size of -1")),
    };
    if known.saturating_mul(rest) != total {
        return Err(shape_error!(
            "{total} elements of shape {shape:?} do not fill shape {wanted:?}"
        ));
    }
    let size = |&size: &i64| usize::try_from(size).unwrap_or(rest);
    Ok(wanted.iter().map(size).collect())
}

fn squeeze(shape: &[usize], dims: &[i64]) -> Result<Vec<usize>, OpError> {
    let mut listed = vec![dims.is_empty(); shape.len()];
    for &dim in dims {
        let dim = axis(dim, shape.len())?;
        if shape[dim] != 1 {
            return Err(shape_error!("cannot squeeze dimension {dim} of {shape:?}"));
        }
        listed[dim] = true;
    }
    let kept = shape.iter().zip(listed);
    Ok(kept
        .filter(|&(&size, listed)| !(listed && size == 1))
        .map(|(&size, _)| size)
        .collect())
}

pub(super) fn bias_add(
    channels_first: bool,
    value: &OpInput<'_>,
    bias: &OpInput<'_>,
) -> Result<Plan, OpError> {
    expect_same_dtype(&[*value, *bias])?;
    expect_rank(1, bias, 1)?;
    let rank = value.shape.len();
    if rank < 2 {
        return Err(shape_error!(
            "input 0 must have rank 2 or more, has shape {:?}",
            value.shape
        ));
    }
    let channel = if channels_first { 1 } else { rank - 1 };
    if bias.shape != [value.shape[channel]] {
        return Err(shape_error!(
            "bias of shape {:?} does not fit the channels of {:?}",
            bias.shape,
            value.shape
        ));
    }
    let mut shape = vec![1; rank];
    shape[channel] = value.shape[channel];
    let work = Work::Binary(BinaryOp::Add, Some(shape));
    Ok(Plan::new(value.dtype, value.shape.to_vec(), work))
}

pub(super) fn select(broadcast: bool, inputs: &[OpInput<'_>]) -> Result<Plan, OpError> {
    let [condition, a, b] = take(inputs)?;
    expect_dtype(0, condition, DType::Bool)?;
    expect_dtype(2, b, a.dtype)?;
    let fail = || {
        shape_error!(
            "condition of shape {:?} does not select between {:?} and {:?}",
            condition.shape,
            a.shape,
            b.shape
        )
    };
    if broadcast {
        let shapes = [condition.shape, a.shape, b.shape];
        let (shape, _) = Walk::broadcast(shapes).ok_or_else(fail)?;
        let work = Work::Select(condition.shape.to_vec());
        return Ok(Plan::new(a.dtype, shape, work));
    }
    let mut own = condition.shape.to_vec();
    let rows = own.len() == 1 && a.shape.first() == own.first();
    if !(own == a.shape || own.is_empty() || rows) || a.shape != b.shape {
        return Err(fail());
    }
    if rows {
        own.resize(a.shape.len(), 1);
    }
    Ok(Plan::new(a.dtype, a.shape.to_vec(), Work::Select(own)))
}

pub(super) fn gather(
    axis_input: bool,
    batch_dims: i64,
    inputs: &[OpInput<'_>],
) -> Result<Plan, OpError> {
    let (params, indices, at) = if axis_input {
        let [params, indices, axis] = take(inputs)?;
        (params, indices, integer(2, axis)?)
    } else {
        let [params, indices] = take(inputs)?;
        (params, indices, 0)
    };
    if !matches!(indices.dtype, DType::I32 | DType::I64) {
        return Err(OpError::DType {
            input: 1,
            dtype: indices.dtype,
            allowed: "int32 or int64",
        });
    }
    let axis = axis(at, params.shape.len())?;
    let from_end = if batch_dims < 0 {
        indices.shape.len() as i64
    } else {
        0
    };
    let batch = usize::try_from(batch_dims.saturating_add(from_end))
        .ok()
        .filter(|&dims| dims <= axis && indices.shape.get(..dims) == Some(&params.shape[..dims]))
        .ok_or_else(|| {
            shape_error!(
                "batch_dims {batch_dims} does not fit params of shape {:?}, indices of shape {:?} \
                 and axis {axis}",
                params.shape,
                indices.shape
            )
        })?;
    let limit = params.shape[axis];
    if let Some(view) = &indices.host {
        let outside = |&index: &i64| !usize::try_from(index).is_ok_and(|index| index < limit);
        if let Some(index) = integers_of(1, view)?.iter().find(|&index| outside(index)) {
            return Err(value_error!("an index is {index}, outside [0, {limit})"));
        }
    }
    let shape = [
        &params.shape[..axis],
        &indices.shape[batch..],
        &params.shape[axis + 1..],
    ];
    let work = Work::Gather {
        axis,
        batch_dims: batch,
    };
    Ok(Plan::new(params.dtype, shape.concat(), work))
}

pub(super) fn resize(
    bilinear: bool,
    sampling: Sampling,
    x: &OpInput<'_>,
    size: &OpInput<'_>,
) -> Result<Plan, OpError> {
    let &[batch, height, width, channels] = x.shape else {
        return Err(shape_error!(
            "input 0 must have rank 4, has shape {:?}",
            x.shape
        ));
    };
    let size = vector(1, size)?;
    let (rows, columns) = match sizes("a size", &size)?.as_slice() {
        &[rows, columns] if rows > 0 && columns > 0 => (rows, columns),
        _ => {
            return Err(value_error!(
                "the size must be two positive numbers, got {size:?}"
            ));
        }
    };
    if height == 0 || width == 0 {
        return Err(shape_error!(
            "an image of shape {:?} has no pixels",
            x.shape
        ));
    }
    let dtype = if bilinear { DType::F32 } else { x.dtype };
    let work = Work::Resize { bilinear, sampling };
    Ok(Plan::new(dtype, vec![batch, rows, columns, channels], work))
}

pub(super) fn reduce(
    op: ReduceOp,
    keep_dims: bool,
    x: &OpInput<'_>,
    which: &OpInput<'_>,
) -> Result<Plan, OpError> {
    if which.shape.len() > 1 {
        return Err(shape_error!(
            "axes must be a scalar or a vector, have shape {:?}",
            which.shape
        ));
    }
    let axes = axes(&integers(1, which)?, x.shape.len())?;
    let mut shape = Vec::with_capacity(x.shape.len());
    for (dim, &size) in x.shape.iter().enumerate() {
        if !axes.contains(&dim) {
            shape.push(size);
        } else if keep_dims {
            shape.push(1);
        }
    }
    Ok(Plan::new(x.dtype, shape, Work::Reduce { op, axes }))
}
