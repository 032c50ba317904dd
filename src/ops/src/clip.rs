use tfjet_core::{Tensor, TensorView};

use crate::arguments::{expect_same_dtype, output, reset, take};
use crate::broadcast::Broadcast;
use crate::error::{shape_error, value_error};
use crate::number::{Number, with_type};
use crate::{Kernel, OpError};

/// `ClipByValue`: the bounds are scalars or of the input's shape.
#[derive(Debug)]
struct ClipByValue;

pub(crate) fn clip_by_value() -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(ClipByValue))
}

impl Kernel for ClipByValue {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, low, high] = take(inputs)?;
        let y = output(outputs)?;
        expect_same_dtype(inputs)?;
        for (what, bound) in [("lower", low), ("upper", high)] {
            if !bound.shape().is_empty() && bound.shape() != x.shape() {
                return Err(shape_error!(
                    "the {what} bound of shape {:?} is no scalar and not of shape {:?}",
                    bound.shape(),
                    x.shape()
                ));
            }
        }
        let broadcast = Broadcast::new([x.shape(), low.shape(), high.shape()])?;
        reset(y, x.dtype(), x.shape())?;
        with_type!(numbers, 0, x.dtype(), T => {
            let (x, y) = (x.as_slice::<T>()?, y.as_mut_slice::<T>()?);
            let (low, high) = (low.as_slice::<T>()?, high.as_slice::<T>()?);
            let mut at = 0;
            broadcast.rows(|[i, j, k], len, steps| {
                for step in 0..len {
                    let of = |from: usize, n: usize| from + step * steps[n];
                    y[at] = clip(x[of(i, 0)], low[of(j, 1)], high[of(k, 2)]);
                    at += 1;
                }
            });
            Ok(())
        })
    }
}

/// The lower bound wins where they cross; NaN stays.
fn clip<T: Number>(x: T, low: T, high: T) -> T {
    let x = if x > high { high } else { x };
    if x < low { low } else { x }
}

/// `L2Loss`: half the sum of the squares.
#[derive(Debug)]
struct L2Loss;

pub(crate) fn l2_loss() -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(L2Loss))
}

impl Kernel for L2Loss {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let y = output(outputs)?;
        reset(y, x.dtype(), &[])?;
        with_type!(reals, 0, x.dtype(), T => {
            let squares = x.as_slice::<T>()?.iter().map(|x| x.to_f64() * x.to_f64());
            let half = squares.sum::<f64>() / 2.0;
            y.as_mut_slice::<T>()?.fill(T::from_f64(half));
            Ok(())
        })
    }
}

/// `ApproximateEqual`.
#[derive(Debug)]
struct ApproximateEqual {
    tolerance: f32,
}

pub(crate) fn approximate_equal(
    reader: &tfjet_core::AttrReader<'_>,
) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(ApproximateEqual {
        tolerance: reader.float_or("tolerance", 1e-5)?,
    }))
}

impl Kernel for ApproximateEqual {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, y] = take(inputs)?;
        let z = output(outputs)?;
        expect_same_dtype(inputs)?;
        if x.shape() != y.shape() {
            return Err(value_error!(
                "inputs have shapes {:?} and {:?}",
                x.shape(),
                y.shape()
            ));
        }
        reset(z, tfjet_core::DType::Bool, x.shape())?;
        with_type!(numbers, 0, x.dtype(), T => {
            let pairs = x.as_slice::<T>()?.iter().zip(y.as_slice::<T>()?);
            let tolerance = T::from_f64(self.tolerance.into());
            for (z, (x, &y)) in z.bytes_mut().iter_mut().zip(pairs) {
                *z = u8::from(x.minus(y).magnitude() < tolerance);
            }
            Ok(())
        })
    }
}
