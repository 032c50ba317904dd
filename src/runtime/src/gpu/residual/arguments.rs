//! Access to what is known of an op's inputs.

use tfjet_core::{DType, TensorView};
use tfjet_ops::OpError;

use super::OpInput;

/// A [`OpError::Shape`] from a format string.
macro_rules! shape_error {
    ($($arg:tt)*) => { tfjet_ops::OpError::Shape { detail: format!($($arg)*) } };
}

/// A [`OpError::Value`] from a format string.
macro_rules! value_error {
    ($($arg:tt)*) => { tfjet_ops::OpError::Value { detail: format!($($arg)*) } };
}

pub(super) use {shape_error, value_error};

/// The inputs of an op that takes `N`.
pub(super) fn take<'s, 'a, const N: usize>(
    inputs: &'s [OpInput<'a>],
) -> Result<&'s [OpInput<'a>; N], OpError> {
    inputs.try_into().map_err(|_| OpError::InputCount {
        expected: N,
        actual: inputs.len(),
    })
}

/// Fails where input `input` is not of type `expected`.
pub(super) fn expect_dtype(
    input: usize,
    found: &OpInput<'_>,
    expected: DType,
) -> Result<(), OpError> {
    if found.dtype == expected {
        return Ok(());
    }
    Err(OpError::DType {
        input,
        dtype: found.dtype,
        allowed: expected.name(),
    })
}

/// Fails where an input is not of the first one's type.
pub(super) fn expect_same_dtype(inputs: &[OpInput<'_>]) -> Result<(), OpError> {
    let Some(first) = inputs.first() else {
        return Ok(());
    };
    let mut inputs = inputs.iter().enumerate();
    inputs.try_for_each(|(input, other)| expect_dtype(input, other, first.dtype))
}

/// Fails where input `input` does not have rank `rank`.
pub(super) fn expect_rank(input: usize, found: &OpInput<'_>, rank: usize) -> Result<(), OpError> {
    if found.shape.len() == rank {
        return Ok(());
    }
    Err(shape_error!(
        "input {input} must have rank {rank}, has shape {:?}",
        found.shape
    ))
}

/// The elements of an `int32` or `int64` tensor.
pub(super) fn integers_of(input: usize, view: &TensorView<'_>) -> Result<Vec<i64>, OpError> {
    match view.dtype() {
        DType::I32 => Ok(view
            .as_slice::<i32>()?
            .iter()
            .copied()
            .map(i64::from)
            .collect()),
        DType::I64 => Ok(view.as_slice::<i64>()?.to_vec()),
        dtype => Err(OpError::DType {
            input,
            dtype,
            allowed: "int32 or int64",
        }),
    }
}

/// The elements of input `input`, which the host must know.
pub(super) fn integers(input: usize, found: &OpInput<'_>) -> Result<Vec<i64>, OpError> {
    let view = found
        .host
        .as_ref()
        .filter(|view| view.shape() == found.shape)
        .ok_or_else(|| value_error!("input {input} must be known before the op runs"))?;
    integers_of(input, view)
}

/// [`integers`] of a vector.
pub(super) fn vector(input: usize, found: &OpInput<'_>) -> Result<Vec<i64>, OpError> {
    expect_rank(input, found, 1)?;
    integers(input, found)
}

/// The one element of a tensor of any rank.
pub(super) fn integer(input: usize, found: &OpInput<'_>) -> Result<i64, OpError> {
    match integers(input, found)?.as_slice() {
        [value] => Ok(*value),
        _ => Err(shape_error!(
            "input {input} must have one element, has shape {:?}",
            found.shape
        )),
    }
}

/// An axis of a tensor of rank `rank`, counted from the end where negative.
pub(super) fn axis(axis: i64, rank: usize) -> Result<usize, OpError> {
    let from_end = if axis < 0 { rank as i64 } else { 0 };
    axis.checked_add(from_end)
        .and_then(|axis| usize::try_from(axis).ok())
        .filter(|&axis| axis < rank)
        .ok_or_else(|| value_error!("axis {axis} is outside rank {rank}"))
}

/// Axes that must differ.
pub(super) fn axes(values: &[i64], rank: usize) -> Result<Vec<usize>, OpError> {
    let mut axes = Vec::with_capacity(values.len());
    for &value in values {
        let axis = axis(value, rank)?;
        if axes.contains(&axis) {
            return Err(value_error!("axis {axis} is there twice"));
        }
        axes.push(axis);
    }
    Ok(axes)
}

/// A size that must not be negative.
pub(super) fn size(what: &str, value: i64) -> Result<usize, OpError> {
    usize::try_from(value).map_err(|_| value_error!("{what} must not be negative, got {value}"))
}

/// Sizes that must not be negative.
pub(super) fn sizes(what: &str, values: &[i64]) -> Result<Vec<usize>, OpError> {
    values.iter().map(|&value| size(what, value)).collect()
}

/// Number of elements of a shape.
pub(super) fn elements(shape: &[usize]) -> usize {
    if shape.contains(&0) {
        return 0;
    }
    shape
        .iter()
        .fold(1, |product: usize, &size| product.saturating_mul(size))
}
