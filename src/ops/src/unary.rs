use tfjet_core::{DType, Tensor, TensorView};

use crate::arguments::{output, reset, take};
use crate::complex;
use crate::number::{Float, Number, Real, with_type};
use crate::{Kernel, OpError};

/// An elementwise function of one input.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unary {
    Abs,
    Neg,
    Sign,
    Square,
    /// Also `Rint`: half to even. Integers stay as they are.
    Round,
    Ceil,
    Floor,
    Exp,
    Expm1,
    Log,
    Log1p,
    Sqrt,
    Rsqrt,
    /// Also `Inv`.
    Reciprocal,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Asinh,
    Acosh,
    Atanh,
    Erf,
}

pub(crate) fn unary(op: Unary) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(op))
}

impl Kernel for Unary {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let y = output(outputs)?;
        reset(y, x.dtype(), x.shape())?;
        let arithmetic = matches!(self, Self::Abs | Self::Neg | Self::Sign | Self::Square);
        if x.dtype() == DType::C64 {
            return complex::unary(*self, x, y);
        }
        if arithmetic {
            return with_type!(numbers, 0, x.dtype(), T => {
                self.arithmetic::<T>(x.as_slice()?, y.as_mut_slice()?);
                Ok(())
            });
        }
        if matches!(self, Self::Round) && matches!(x.dtype(), DType::I32 | DType::I64) {
            return Ok(y.copy_from(x)?);
        }
        with_type!(reals, 0, x.dtype(), T => {
            self.real::<T>(x.as_slice()?, y.as_mut_slice()?);
            Ok(())
        })
    }
}

impl Unary {
    fn arithmetic<T: Number>(self, x: &[T], y: &mut [T]) {
        match self {
            Self::Abs => map(x, y, T::magnitude),
            Self::Neg => map(x, y, T::negated),
            Self::Sign => map(x, y, T::sign),
            _ => map(x, y, |x| x.times(x)),
        }
    }

    fn real<T: Real>(self, x: &[T], y: &mut [T]) {
        match self {
            Self::Abs | Self::Neg | Self::Sign | Self::Square => self.arithmetic(x, y),
            Self::Round => map_wide(x, y, T::Wide::round_ties_even),
            Self::Ceil => map_wide(x, y, T::Wide::ceil),
            Self::Floor => map_wide(x, y, T::Wide::floor),
            Self::Exp => map_wide(x, y, T::Wide::exp),
            Self::Expm1 => map_wide(x, y, T::Wide::exp_m1),
            Self::Log => map_wide(x, y, T::Wide::ln),
            Self::Log1p => map_wide(x, y, T::Wide::ln_1p),
            Self::Sqrt => map_wide(x, y, T::Wide::sqrt),
            Self::Rsqrt => map_wide(x, y, |x| T::Wide::ONE / x.sqrt()),
            Self::Reciprocal => map_wide(x, y, |x| T::Wide::ONE / x),
            Self::Sin => map_wide(x, y, T::Wide::sin),
            Self::Cos => map_wide(x, y, T::Wide::cos),
            Self::Tan => map_wide(x, y, T::Wide::tan),
            Self::Asin => map_wide(x, y, T::Wide::asin),
            Self::Acos => map_wide(x, y, T::Wide::acos),
            Self::Atan => map_wide(x, y, T::Wide::atan),
            Self::Sinh => map_wide(x, y, T::Wide::sinh),
            Self::Cosh => map_wide(x, y, T::Wide::cosh),
            Self::Asinh => map_wide(x, y, T::Wide::asinh),
            Self::Acosh => map_wide(x, y, T::Wide::acosh),
            Self::Atanh => map_wide(x, y, T::Wide::atanh),
            Self::Erf => map_wide(x, y, T::Wide::erf),
        }
    }
}

fn map<T: Copy, U>(x: &[T], y: &mut [U], f: impl Fn(T) -> U) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = f(x);
    }
}

fn map_wide<T: Real>(x: &[T], y: &mut [T], f: impl Fn(T::Wide) -> T::Wide) {
    map(x, y, |x| T::narrow(f(x.wide())));
}

/// An elementwise test of one floating-point input.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Classify {
    Finite,
    Infinite,
    Nan,
}

pub(crate) fn classify(op: Classify) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(op))
}

impl Kernel for Classify {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let y = output(outputs)?;
        reset(y, DType::Bool, x.shape())?;
        with_type!(reals, 0, x.dtype(), T => {
            let x = x.as_slice::<T>()?;
            let y = y.bytes_mut();
            match self {
                Self::Finite => map(x, y, |x| u8::from(x.to_f64().is_finite())),
                Self::Infinite => map(x, y, |x| u8::from(x.to_f64().is_infinite())),
                Self::Nan => map(x, y, |x| u8::from(x.to_f64().is_nan())),
            }
            Ok(())
        })
    }
}
