//! Access to a kernel's inputs and outputs, with the checks that every op shares.

use half::{bf16, f16};
use tfjet_core::{DType, Element, Tensor, TensorView};

use crate::OpError;
use crate::error::{shape_error, value_error};

/// No kernel makes an output of more bytes.
pub const MAX_OUTPUT_BYTES: usize = 1 << 31;

/// The inputs of an op that takes `N`.
pub(crate) fn take<'s, 'a, const N: usize>(
    inputs: &'s [TensorView<'a>],
) -> Result<&'s [TensorView<'a>; N], OpError> {
    inputs.try_into().map_err(|_| OpError::InputCount {
        expected: N,
        actual: inputs.len(),
    })
}

/// Fails where `inputs` are not `expected` many.
pub(crate) fn expect_count(inputs: &[TensorView<'_>], expected: usize) -> Result<(), OpError> {
    let actual = inputs.len();
    if actual == expected {
        Ok(())
    } else {
        Err(OpError::InputCount { expected, actual })
    }
}

/// The outputs of an op that has `N`.
pub(crate) fn outputs<const N: usize>(outputs: &mut [Tensor]) -> Result<&mut [Tensor; N], OpError> {
    let actual = outputs.len();
    outputs.try_into().map_err(|_| OpError::OutputCount {
        expected: N,
        actual,
    })
}

/// The output of an op that has one.
pub(crate) fn output(outputs: &mut [Tensor]) -> Result<&mut Tensor, OpError> {
    let [output] = self::outputs::<1>(outputs)?;
    Ok(output)
}

/// Gives an output its type and shape.
pub(crate) fn reset(tensor: &mut Tensor, dtype: DType, shape: &[usize]) -> Result<(), OpError> {
    let bytes = shape
        .iter()
        .try_fold(dtype.size_bytes(), |bytes, &size| bytes.checked_mul(size));
    match bytes {
        Some(bytes) if bytes <= MAX_OUTPUT_BYTES => Ok(tensor.reset(dtype, shape)?),
        _ => Err(OpError::TooLarge {
            shape: shape.to_vec(),
            dtype,
        }),
    }
}

/// Product of sizes, which is exact for every part of a shape that has elements.
pub(crate) fn product(sizes: &[usize]) -> usize {
    sizes
        .iter()
        .fold(1, |product: usize, &size| product.saturating_mul(size))
}

/// Fails where input `input` is not of type `expected`.
pub(crate) fn expect_dtype(
    input: usize,
    view: &TensorView<'_>,
    expected: DType,
) -> Result<(), OpError> {
    if view.dtype() == expected {
        Ok(())
    } else {
        Err(OpError::DType {
            input,
            dtype: view.dtype(),
            allowed: expected.name(),
        })
    }
}

/// Fails where an input is not of the first one's type.
pub(crate) fn expect_same_dtype(inputs: &[TensorView<'_>]) -> Result<(), OpError> {
    let Some(first) = inputs.first() else {
        return Ok(());
    };
    inputs
        .iter()
        .enumerate()
        .try_for_each(|(input, view)| expect_dtype(input, view, first.dtype()))
}

/// Fails where input `input` is not of rank `rank`.
pub(crate) fn expect_rank(input: usize, view: &TensorView<'_>, rank: usize) -> Result<(), OpError> {
    if view.shape().len() == rank {
        Ok(())
    } else {
        Err(shape_error!(
            "input {input} must have rank {rank}, has shape {:?}",
            view.shape()
        ))
    }
}

/// Elements of an `int32` or `int64` tensor.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Indices<'a> {
    I32(&'a [i32]),
    I64(&'a [i64]),
}

impl<'a> Indices<'a> {
    pub(crate) fn new(input: usize, view: &TensorView<'a>) -> Result<Self, OpError> {
        match view.dtype() {
            DType::I32 => Ok(Self::I32(view.as_slice()?)),
            DType::I64 => Ok(Self::I64(view.as_slice()?)),
            dtype => Err(OpError::DType {
                input,
                dtype,
                allowed: "int32 or int64",
            }),
        }
    }

    /// Of a tensor that must be a vector.
    pub(crate) fn vector(input: usize, view: &TensorView<'a>) -> Result<Self, OpError> {
        expect_rank(input, view, 1)?;
        Self::new(input, view)
    }

    pub(crate) fn len(self) -> usize {
        match self {
            Self::I32(values) => values.len(),
            Self::I64(values) => values.len(),
        }
    }

    pub(crate) fn get(self, i: usize) -> i64 {
        match self {
            Self::I32(values) => values[i].into(),
            Self::I64(values) => values[i],
        }
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = i64> + Clone + use<'a> {
        (0..self.len()).map(move |i| self.get(i))
    }
}

/// The one element of an `int32` or `int64` tensor of any rank.
pub(crate) fn integer(input: usize, view: &TensorView<'_>) -> Result<i64, OpError> {
    let indices = Indices::new(input, view)?;
    if indices.len() != 1 {
        return Err(shape_error!(
            "input {input} must have one element, has shape {:?}",
            view.shape()
        ));
    }
    Ok(indices.get(0))
}

/// The one element of a tensor of any rank, of type `T`.
pub(crate) fn scalar<T: Element>(input: usize, view: &TensorView<'_>) -> Result<T, OpError> {
    expect_dtype(input, view, T::DTYPE)?;
    match view.as_slice()? {
        [value] => Ok(*value),
        _ => Err(shape_error!(
            "input {input} must be a scalar, has shape {:?}",
            view.shape()
        )),
    }
}

/// The one element of a floating-point tensor of any rank.
pub(crate) fn float(input: usize, view: &TensorView<'_>) -> Result<f64, OpError> {
    match view.dtype() {
        DType::F32 => scalar::<f32>(input, view).map(f64::from),
        DType::F64 => scalar::<f64>(input, view),
        DType::F16 => scalar::<f16>(input, view).map(f64::from),
        DType::BF16 => scalar::<bf16>(input, view).map(f64::from),
        dtype => Err(OpError::DType {
            input,
            dtype,
            allowed: "a floating-point number",
        }),
    }
}

/// An axis of a tensor of rank `rank`, counted from the end where negative.
pub(crate) fn axis(axis: i64, rank: usize) -> Result<usize, OpError> {
    let from_end = if axis < 0 { rank as i64 } else { 0 };
    axis.checked_add(from_end)
        .and_then(|axis| usize::try_from(axis).ok())
        .filter(|&axis| axis < rank)
        .ok_or_else(|| value_error!("axis {axis} is outside rank {rank}"))
}

/// A size that must not be negative.
pub(crate) fn size(what: &str, value: i64) -> Result<usize, OpError> {
    usize::try_from(value).map_err(|_| value_error!("{what} must not be negative, got {value}"))
}
