use tfjet_core::{AttrReader, DType, Element, Tensor, TensorView};

use crate::arguments::{expect_same_dtype, output, reset, take};
use crate::broadcast::Broadcast;
use crate::error::shape_error;
use crate::number::with_type;
use crate::strided::Dims;
use crate::{Kernel, OpError};

/// The bits of an integer type.
trait Bits: Element + Copy {
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    fn not(self) -> Self;
    fn left(self, by: Self) -> Self;
    fn right(self, by: Self) -> Self;
    fn ones(self) -> u8;
}

macro_rules! bits {
    ($($t:ty),*) => {$(
        impl Bits for $t {
            fn and(self, other: Self) -> Self { self & other }
            fn or(self, other: Self) -> Self { self | other }
            fn xor(self, other: Self) -> Self { self ^ other }
            fn not(self) -> Self { !self }
            #[allow(unused_comparisons)]
            fn left(self, by: Self) -> Self {
                let most = (Self::BITS - 1) as Self;
                self << if by < 0 { 0 } else { by.min(most) }
            }
            #[allow(unused_comparisons)]
            fn right(self, by: Self) -> Self {
                let most = (Self::BITS - 1) as Self;
                self >> if by < 0 { 0 } else { by.min(most) }
            }
            fn ones(self) -> u8 { self.count_ones() as u8 }
        }
    )*};
}

bits!(i8, i16, i32, i64, u8, u16, u32, u64);

/// An elementwise function of the bits of two integers that broadcast.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bitwise {
    And,
    Or,
    Xor,
    /// By 0 up to the type's width less one: TensorFlow clamps.
    LeftShift,
    /// [`Bitwise::LeftShift`] the other way, keeping the sign.
    RightShift,
}

pub(crate) fn bitwise(op: Bitwise) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(op))
}

impl Kernel for Bitwise {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, y] = take(inputs)?;
        let z = output(outputs)?;
        expect_same_dtype(inputs)?;
        let broadcast = Broadcast::new([x.shape(), y.shape()])?;
        reset(z, x.dtype(), broadcast.shape())?;
        with_type!(integers, 0, x.dtype(), T => {
            let (x, y, z) = (x.as_slice::<T>()?, y.as_slice::<T>()?, z.as_mut_slice::<T>()?);
            match self {
                Self::And => broadcast.zip(x, y, z, Bits::and),
                Self::Or => broadcast.zip(x, y, z, Bits::or),
                Self::Xor => broadcast.zip(x, y, z, Bits::xor),
                Self::LeftShift => broadcast.zip(x, y, z, Bits::left),
                Self::RightShift => broadcast.zip(x, y, z, Bits::right),
            }
            Ok(())
        })
    }
}

/// `Invert` and `PopulationCount`.
#[derive(Debug)]
struct Each {
    count: bool,
}

pub(crate) fn invert() -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Each { count: false }))
}

pub(crate) fn population_count() -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Each { count: true }))
}

impl Kernel for Each {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let y = output(outputs)?;
        reset(y, if self.count { DType::U8 } else { x.dtype() }, x.shape())?;
        with_type!(integers, 0, x.dtype(), T => {
            let x = x.as_slice::<T>()?;
            if self.count {
                for (y, &x) in y.bytes_mut().iter_mut().zip(x) {
                    *y = Bits::ones(x);
                }
            } else {
                for (y, &x) in y.as_mut_slice::<T>()?.iter_mut().zip(x) {
                    *y = Bits::not(x);
                }
            }
            Ok(())
        })
    }
}

/// `Bitcast`: the bytes under another type. A smaller one adds an axis, a larger one takes the
/// last axis away.
#[derive(Debug)]
struct Bitcast {
    to: DType,
}

pub(crate) fn bitcast(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Bitcast {
        to: reader.dtype("type")?,
    }))
}

impl Kernel for Bitcast {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let y = output(outputs)?;
        for (input, dtype) in [(0, x.dtype()), (1, self.to)] {
            if dtype == DType::Bool {
                return Err(OpError::DType {
                    input,
                    dtype,
                    allowed: "a number",
                });
            }
        }
        let (from, to) = (x.dtype().size_bytes(), self.to.size_bytes());
        let mut shape = Dims::from_slice(x.shape())?;
        if from > to {
            shape.push(from / to)?;
        } else if from < to {
            shape = match x.shape().split_last() {
                Some((&last, rest)) if last == to / from => Dims::from_slice(rest)?,
                _ => {
                    return Err(shape_error!(
                        "{} of shape {:?} are no {}",
                        x.dtype(),
                        x.shape(),
                        self.to
                    ));
                }
            };
        }
        reset(y, self.to, &shape)?;
        y.bytes_mut().copy_from_slice(x.bytes());
        Ok(())
    }
}
