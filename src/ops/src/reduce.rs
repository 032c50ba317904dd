use tfjet_core::{AttrError, AttrReader, DType, Tensor, TensorView};

use crate::arguments::{Indices, axis, expect_dtype, integer, output, product, reset, take};
use crate::error::{shape_error, value_error};
use crate::number::{Number, with_type};
use crate::strided::{Dims, Strided, row_major};
use crate::{Kernel, OpError};

/// What a reduction makes of the elements.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Reduction {
    Sum,
    Mean,
    Prod,
    /// The root of the sum of the squares.
    EuclideanNorm,
    Max,
    Min,
    All,
    Any,
}

/// A reduction over axes that are an input. No axes: the elements stay as they are.
///
/// Sums of floats are kept in 64 bits: TensorFlow adds in a tree of 32-bit sums, whose order
/// depends on the processor.
#[derive(Debug)]
struct Reduce {
    reduction: Reduction,
    keep_dims: bool,
}

pub(crate) fn reduce(
    reader: &AttrReader<'_>,
    reduction: Reduction,
) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Reduce {
        reduction,
        keep_dims: reader.bool_or("keep_dims", false)?,
    }))
}

/// Partial results that are kept side by side along a row.
const LANES: usize = 8;

/// The walk over the results, and the walk over the elements that make one of them.
struct Axes {
    shape: Dims,
    kept: Strided<1>,
    reduced: Strided<1>,
    /// Elements that make one result.
    count: usize,
}

impl Axes {
    fn new(shape: &[usize], axes: &TensorView<'_>, keep_dims: bool) -> Result<Self, OpError> {
        if axes.shape().len() > 1 {
            return Err(shape_error!(
                "axes must be a scalar or a vector, have shape {:?}",
                axes.shape()
            ));
        }
        let strides = row_major(shape)?;
        let mut mask = 0u32;
        for value in Indices::new(1, axes)?.iter() {
            let axis = axis(value, shape.len())?;
            if mask & 1 << axis != 0 {
                return Err(value_error!("axis {axis} is there twice"));
            }
            mask |= 1 << axis;
        }
        let mut result = Self {
            shape: Dims::new(),
            kept: Strided::new(),
            reduced: Strided::new(),
            count: 1,
        };
        for (dim, (&size, &stride)) in shape.iter().zip(&strides).enumerate() {
            if mask & 1 << dim == 0 {
                result.shape.push(size)?;
                result.kept.push(size, [stride])?;
                continue;
            }
            if keep_dims {
                result.shape.push(1)?;
            }
            result.reduced.push(size, [stride])?;
            result.count = result.count.saturating_mul(size);
        }
        Ok(result)
    }

    /// Each result is `finish` of its elements folded by `step`, of which `join` joins partial
    /// results.
    fn fold<T: Copy, A: Copy, U>(
        &self,
        x: &[T],
        y: &mut [U],
        first: A,
        step: impl Fn(A, T) -> A,
        join: impl Fn(A, A) -> A,
        finish: impl Fn(A) -> U,
    ) {
        let mut results = y.iter_mut();
        self.kept.points([0], |start| {
            let mut folded = first;
            self.reduced.rows(start, |[from], len, [stride]| {
                if stride == 1 {
                    let from = from as usize;
                    let (chunks, rest) = x[from..from + len].as_chunks::<LANES>();
                    if !chunks.is_empty() {
                        let mut lanes = [first; LANES];
                        for chunk in chunks {
                            for (lane, &x) in lanes.iter_mut().zip(chunk) {
                                *lane = step(*lane, x);
                            }
                        }
                        folded = lanes.into_iter().fold(folded, &join);
                    }
                    folded = rest.iter().fold(folded, |sum, &x| step(sum, x));
                    return;
                }
                let mut from = from;
                for _ in 0..len {
                    folded = step(folded, x[from as usize]);
                    from += stride;
                }
            });
            if let Some(result) = results.next() {
                *result = finish(folded);
            }
        });
    }
}

impl Kernel for Reduce {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, axes] = take(inputs)?;
        let y = output(outputs)?;
        let axes = Axes::new(x.shape(), axes, self.keep_dims)?;
        reset(y, x.dtype(), &axes.shape)?;
        match self.reduction {
            Reduction::All | Reduction::Any => {
                expect_dtype(0, x, DType::Bool)?;
                let (x, y) = (x.as_bools()?, y.bytes_mut());
                if self.reduction == Reduction::All {
                    axes.fold(x, y, true, |all, x| all && x != 0, |a, b| a && b, u8::from);
                } else {
                    axes.fold(x, y, false, |any, x| any || x != 0, |a, b| a || b, u8::from);
                }
                Ok(())
            }
            Reduction::Sum | Reduction::Mean if x.dtype().is_float() => {
                with_type!(reals, 0, x.dtype(), T => {
                    let divisor = match self.reduction {
                        Reduction::Mean => axes.count as f64,
                        _ => 1.0,
                    };
                    let (x, y) = (x.as_slice::<T>()?, y.as_mut_slice::<T>()?);
                    let add = |sum: f64, x: T| sum + x.to_f64();
                    axes.fold(x, y, 0.0, add, |a, b| a + b, |sum| T::from_f64(sum / divisor));
                    Ok(())
                })
            }
            Reduction::EuclideanNorm => {
                with_type!(reals, 0, x.dtype(), T => {
                    let (x, y) = (x.as_slice::<T>()?, y.as_mut_slice::<T>()?);
                    let add = |sum: f64, x: T| sum + x.to_f64() * x.to_f64();
                    axes.fold(x, y, 0.0, add, |a, b| a + b, |sum| T::from_f64(sum.sqrt()));
                    Ok(())
                })
            }
            Reduction::Mean => {
                with_type!(integers, 0, x.dtype(), T => {
                    let count = i128::try_from(axes.count.max(1)).unwrap_or(i128::MAX);
                    let (x, y) = (x.as_slice::<T>()?, y.as_mut_slice::<T>()?);
                    let add = |sum: i128, x: T| sum + i128::from(x);
                    axes.fold(x, y, 0, add, |a, b| a + b, |sum| (sum / count) as T);
                    Ok(())
                })
            }
            _ => with_type!(numbers, 0, x.dtype(), T => {
                let (x, y) = (x.as_slice::<T>()?, y.as_mut_slice::<T>()?);
                match self.reduction {
                    Reduction::Max => axes.fold(x, y, T::LOWEST, T::greater, T::greater, |x| x),
                    Reduction::Min => axes.fold(x, y, T::HIGHEST, T::lesser, T::lesser, |x| x),
                    Reduction::Prod => {
                        let multiply = |product: <T as Number>::Wide, x: T| product.times(x.wide());
                        axes.fold(x, y, Number::ONE, multiply, Number::times, T::narrow);
                    }
                    _ => axes.fold(x, y, T::ZERO, T::plus, T::plus, |x| x),
                }
                Ok(())
            }),
        }
    }
}

/// `ArgMax` and `ArgMin`: the first of equal values wins, NaN never does.
#[derive(Debug)]
struct ArgExtreme {
    largest: bool,
    output_type: DType,
}

pub(crate) fn arg_extreme(
    reader: &AttrReader<'_>,
    largest: bool,
) -> Result<Box<dyn Kernel>, OpError> {
    let output_type = reader.dtype_or("output_type", DType::I64)?;
    if !matches!(
        output_type,
        DType::I16 | DType::U16 | DType::I32 | DType::I64
    ) {
        return Err(AttrError::Value {
            name: "output_type".into(),
            value: output_type.name().into(),
            expected: "int16, uint16, int32 or int64",
        }
        .into());
    }
    Ok(Box::new(ArgExtreme {
        largest,
        output_type,
    }))
}

impl Kernel for ArgExtreme {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, dim] = take(inputs)?;
        let y = output(outputs)?;
        let shape = x.shape();
        let axis = axis(integer(1, dim)?, shape.len())?;
        let mut result = Dims::from_slice(&shape[..axis])?;
        result.extend(&shape[axis + 1..])?;
        if shape[axis] == 0 {
            return Err(shape_error!("axis {axis} of {shape:?} is empty"));
        }
        reset(y, self.output_type, &result)?;
        if y.elements() == 0 {
            return Ok(());
        }
        if x.dtype() == DType::Bool {
            return self.search(shape, axis, x.as_bools()?, [0, 1], y);
        }
        with_type!(numbers, 0, x.dtype(), T => {
            self.search(shape, axis, x.as_slice::<T>()?, [T::LOWEST, T::HIGHEST], y)
        })
    }
}

impl ArgExtreme {
    fn search<T: Copy + PartialOrd>(
        &self,
        shape: &[usize],
        axis: usize,
        x: &[T],
        [lowest, highest]: [T; 2],
        y: &mut Tensor,
    ) -> Result<(), OpError> {
        let (len, inner) = (shape[axis], product(&shape[axis + 1..]));
        let better = |best: T, value: T| {
            if self.largest {
                value > best
            } else {
                value < best
            }
        };
        let first_best = |row: &[T]| {
            let (mut at, mut best) = (0, if self.largest { lowest } else { highest });
            for (i, &value) in row.iter().enumerate() {
                if better(best, value) {
                    (at, best) = (i, value);
                }
            }
            at
        };
        let result = |at: usize| {
            if inner == 1 {
                return first_best(&x[at * len..(at + 1) * len]);
            }
            let first = at / inner * len * inner + at % inner;
            let column = (0..len).map(|i| (i, x[first + i * inner]));
            let start = (0, if self.largest { lowest } else { highest });
            column
                .fold(start, |best, (i, value)| {
                    if better(best.1, value) {
                        (i, value)
                    } else {
                        best
                    }
                })
                .0
        };
        match self.output_type {
            DType::I16 => fill(y.as_mut_slice::<i16>()?, result),
            DType::U16 => fill(y.as_mut_slice::<u16>()?, result),
            DType::I32 => fill(y.as_mut_slice::<i32>()?, result),
            _ => fill(y.as_mut_slice::<i64>()?, result),
        }
    }
}

fn fill<I: TryFrom<usize>>(
    slots: &mut [I],
    result: impl Fn(usize) -> usize,
) -> Result<(), OpError> {
    for (at, slot) in slots.iter_mut().enumerate() {
        let index = result(at);
        *slot = I::try_from(index)
            .map_err(|_| value_error!("index {index} does not fit output_type"))?;
    }
    Ok(())
}
