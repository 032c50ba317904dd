use tfjet_core::{AttrReader, DType, Tensor, TensorView};

use crate::arguments::{
    Indices, MAX_OUTPUT_BYTES, expect_same_dtype, integer, output, reset, scalar, size, take,
};
use crate::error::{shape_error, value_error};
use crate::number::{Number, with_size, with_type};
use crate::strided::Dims;
use crate::{Kernel, OpError};

/// `Fill`.
#[derive(Debug)]
struct Fill;

pub(crate) fn fill(_: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Fill))
}

impl Kernel for Fill {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [dims, value] = take(inputs)?;
        let target = output(outputs)?;
        let mut shape = Dims::new();
        for dim in Indices::vector(0, dims)?.iter() {
            shape.push(size("a dimension", dim)?)?;
        }
        if value.elements() != 1 {
            return Err(shape_error!(
                "the value must be a scalar, has shape {:?}",
                value.shape()
            ));
        }
        reset(target, value.dtype(), &shape)?;
        with_size!(value.dtype(), N => {
            if let ([value], []) = value.bytes().as_chunks::<N>() {
                target.bytes_mut().as_chunks_mut::<N>().0.fill(*value);
            }
        });
        Ok(())
    }
}

/// `ZerosLike` and `OnesLike`.
#[derive(Debug)]
struct FillLike {
    ones: bool,
}

pub(crate) fn fill_like(ones: bool) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(FillLike { ones }))
}

impl Kernel for FillLike {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let y = output(outputs)?;
        reset(y, x.dtype(), x.shape())?;
        if !self.ones {
            y.bytes_mut().fill(0);
            return Ok(());
        }
        if x.dtype() == DType::Bool {
            y.bytes_mut().fill(1);
            return Ok(());
        }
        if x.dtype() == DType::C64 {
            y.as_mut_slice()?.fill([1.0f32, 0.0]);
            return Ok(());
        }
        with_type!(numbers, 0, x.dtype(), T => {
            y.as_mut_slice::<T>()?.fill(T::ONE);
            Ok(())
        })
    }
}

/// `Range`.
#[derive(Debug)]
struct Range;

pub(crate) fn range(_: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Range))
}

impl Kernel for Range {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [start, ..] = take::<3>(inputs)?;
        let target = output(outputs)?;
        expect_same_dtype(inputs)?;
        if start.dtype().is_float() {
            return with_type!(reals, 0, start.dtype(), T => {
                let [start, limit, delta] = bounds::<T>(inputs)?;
                let steps = limit.minus(start).quotient(delta).to_f64().abs().ceil();
                if steps.is_nan() || steps > MAX_OUTPUT_BYTES as f64 {
                    return Err(value_error!("a range of {steps} elements"));
                }
                count_up(start, delta, steps as usize, target)
            });
        }
        with_type!(integers, 0, start.dtype(), T => {
            let [start, limit, delta] = bounds::<T>(inputs)?;
            let (distance, step) = (i128::from(limit) - i128::from(start), i128::from(delta));
            let steps = distance.unsigned_abs().div_ceil(step.unsigned_abs());
            let steps = usize::try_from(steps)
                .map_err(|_| value_error!("a range of {steps} elements"))?;
            count_up(start, delta, steps, target)
        })
    }
}

/// Start, limit and delta, where they make a range.
fn bounds<T: Number>(inputs: &[TensorView<'_>]) -> Result<[T; 3], OpError> {
    let [start, limit, delta] = take(inputs)?;
    let (start, limit) = (scalar::<T>(0, start)?, scalar::<T>(1, limit)?);
    let delta = scalar::<T>(2, delta)?;
    let towards = if delta > T::ZERO {
        start <= limit
    } else {
        start >= limit
    };
    if delta == T::ZERO || !towards {
        return Err(value_error!(
            "no range from {start:?} to {limit:?} in steps of {delta:?}"
        ));
    }
    Ok([start, limit, delta])
}

fn count_up<T: Number>(
    start: T,
    delta: T,
    steps: usize,
    target: &mut Tensor,
) -> Result<(), OpError> {
    reset(target, T::DTYPE, &[steps])?;
    let mut value = start;
    for slot in target.as_mut_slice::<T>()? {
        *slot = value;
        value = value.plus(delta);
    }
    Ok(())
}

/// `LinSpace`.
#[derive(Debug)]
struct LinSpace;

pub(crate) fn lin_space(_: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(LinSpace))
}

impl Kernel for LinSpace {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [start, stop, num] = take(inputs)?;
        let target = output(outputs)?;
        expect_same_dtype(&inputs[..2])?;
        let num = integer(2, num)?;
        let num = match usize::try_from(num) {
            Ok(num) if num > 0 => num,
            _ => {
                return Err(value_error!(
                    "the number of elements must be positive, got {num}"
                ));
            }
        };
        reset(target, start.dtype(), &[num])?;
        with_type!(reals, 0, start.dtype(), T => {
            let (start, stop) = (scalar::<T>(0, start)?, scalar::<T>(1, stop)?);
            let intervals = T::from_f64((num.max(2) - 1) as f64);
            let step = stop.minus(start).quotient(intervals);
            let values = target.as_mut_slice::<T>()?;
            for (i, value) in values.iter_mut().enumerate() {
                *value = start.plus(step.times(T::from_f64(i as f64)));
            }
            if let [_, .., last] = values {
                *last = stop;
            }
            Ok(())
        })
    }
}

/// `Empty`: zeros, whether they are asked for or not.
#[derive(Debug)]
struct Empty {
    dtype: DType,
}

pub(crate) fn empty(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    reader.ignore(&["init"]);
    Ok(Box::new(Empty {
        dtype: reader.dtype("dtype")?,
    }))
}

impl Kernel for Empty {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [dims] = take(inputs)?;
        let target = output(outputs)?;
        let mut shape = Dims::new();
        for dim in Indices::vector(0, dims)?.iter() {
            shape.push(size("a dimension", dim)?)?;
        }
        reset(target, self.dtype, &shape)?;
        target.bytes_mut().fill(0);
        Ok(())
    }
}
