use half::{bf16, f16};
use tfjet_core::{AttrError, AttrReader, DType, Element, Tensor, TensorView};

use crate::arguments::{expect_dtype, output, reset, take};
use crate::number::{Number, with_type};
use crate::{Kernel, OpError};

/// `Cast`.
///
/// Integers wrap. Floats truncate towards zero; where the result does not fit, TensorFlow leaves
/// it to the processor and the length of the vector, and this kernel gives what its scalar x86
/// code gives: conversion to `int32` (for `uint32` and the 64-bit types to `int64`), with the
/// smallest integer for NaN and all that is outside, of which the low bits are kept.
#[derive(Debug)]
struct Cast {
    from: Option<DType>,
    to: DType,
}

pub(crate) fn cast(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    if reader.bool_or("Truncate", false)? {
        return Err(AttrError::Value {
            name: "Truncate".into(),
            value: "true".into(),
            expected: "false",
        }
        .into());
    }
    let from = match reader.get("SrcT") {
        None => None,
        Some(_) => Some(reader.dtype("SrcT")?),
    };
    Ok(Box::new(Cast {
        from,
        to: reader.dtype("DstT")?,
    }))
}

impl Kernel for Cast {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let y = output(outputs)?;
        if let Some(from) = self.from {
            expect_dtype(0, x, from)?;
        }
        reset(y, self.to, x.shape())?;
        if x.dtype() == self.to {
            y.bytes_mut().copy_from_slice(x.bytes());
            return Ok(());
        }
        match self.to {
            DType::Bool => to_bool(x, y),
            DType::C64 => cast_each(x, y.as_mut_slice()?, |real: f32| [real, 0.0]),
            to => with_type!(numbers, 0, to, T => cast_each(x, y.as_mut_slice()?, |x: T| x)),
        }
    }
}

/// Every element as a `T`, of which `made` makes what is to be; of complex numbers the real part.
fn cast_each<T: Target, U>(
    x: &TensorView<'_>,
    y: &mut [U],
    made: impl Fn(T) -> U,
) -> Result<(), OpError> {
    let float = |value: f64| made(T::cast_f64(value));
    let integer = |value: i64| made(T::cast_i64(value));
    match x.dtype() {
        DType::F32 => convert(y, x.as_slice()?, |x: f32| float(x.into())),
        DType::F64 => convert(y, x.as_slice()?, float),
        DType::F16 => convert(y, x.as_slice()?, |x: f16| float(x.into())),
        DType::BF16 => convert(y, x.as_slice()?, |x: bf16| float(x.into())),
        DType::I8 => convert(y, x.as_slice()?, |x: i8| integer(x.into())),
        DType::I16 => convert(y, x.as_slice()?, |x: i16| integer(x.into())),
        DType::I32 => convert(y, x.as_slice()?, |x: i32| integer(x.into())),
        DType::I64 => convert(y, x.as_slice()?, integer),
        DType::U8 => convert(y, x.as_slice()?, |x: u8| integer(x.into())),
        DType::U16 => convert(y, x.as_slice()?, |x: u16| integer(x.into())),
        DType::U32 => convert(y, x.as_slice()?, |x: u32| integer(x.into())),
        DType::U64 => convert(y, x.as_slice()?, |x| made(T::cast_u64(x))),
        DType::Bool => convert(y, x.as_bools()?, |x| integer((x != 0).into())),
        DType::C64 => convert(y, x.as_slice()?, |[real, _]: [f32; 2]| float(real.into())),
        dtype => {
            return Err(OpError::DType {
                input: 0,
                dtype,
                allowed: "a number or bool",
            });
        }
    }
    Ok(())
}

fn convert<S: Copy, T>(target: &mut [T], source: &[S], f: impl Fn(S) -> T) {
    for (target, &source) in target.iter_mut().zip(source) {
        *target = f(source);
    }
}

fn to_bool(x: &TensorView<'_>, y: &mut Tensor) -> Result<(), OpError> {
    if x.dtype() == DType::C64 {
        convert(y.bytes_mut(), x.as_slice()?, |[real, _]: [f32; 2]| {
            u8::from(real != 0.0)
        });
        return Ok(());
    }
    with_type!(numbers, 0, x.dtype(), T => {
        convert(y.bytes_mut(), x.as_slice::<T>()?, |x| u8::from(x != T::default()));
        Ok(())
    })
}

/// A type that numbers can be cast to.
trait Target: Element {
    fn cast_f64(value: f64) -> Self;
    fn cast_i64(value: i64) -> Self;
    fn cast_u64(value: u64) -> Self;
}

fn to_i32(value: f64) -> i32 {
    if value > -2_147_483_649.0 && value < 2_147_483_648.0 {
        value as i32
    } else {
        i32::MIN
    }
}

fn to_i64(value: f64) -> i64 {
    if value < 9_223_372_036_854_775_808.0 {
        value as i64
    } else {
        i64::MIN
    }
}

fn to_u64(value: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if (HALF..2.0 * HALF).contains(&value) {
        value as u64
    } else {
        to_i64(value) as u64
    }
}

macro_rules! integer_target {
    ($($t:ty: $from_f64:ident),*) => {$(
        impl Target for $t {
            fn cast_f64(value: f64) -> Self { $from_f64(value) as Self }
            fn cast_i64(value: i64) -> Self { value as Self }
            fn cast_u64(value: u64) -> Self { value as Self }
        }
    )*};
}

integer_target!(i8: to_i32, i16: to_i32, i32: to_i32, i64: to_i64,
    u8: to_i32, u16: to_i32, u32: to_i64, u64: to_u64);

macro_rules! float_target {
    ($($t:ty: |$value:ident| $from_f32:expr),*) => {$(
        impl Target for $t {
            fn cast_f64(value: f64) -> Self { Number::from_f64(value) }
            fn cast_i64($value: i64) -> Self { $from_f32 }
            fn cast_u64($value: u64) -> Self { $from_f32 }
        }
    )*};
}

float_target!(
    f32: |value| value as f32,
    f64: |value| value as f64,
    f16: |value| f16::from_f32(value as f32),
    bf16: |value| bf16::from_f32(value as f32)
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_keeps_the_low_bits() {
        assert_eq!(u8::cast_f64(300.9), 44);
        assert_eq!(u8::cast_f64(-1.5), 255);
        assert_eq!(i8::cast_f64(f64::NAN), 0);
        assert_eq!(i32::cast_f64(-2_147_483_648.5), i32::MIN);
        assert_eq!(i32::cast_f64(3e9), i32::MIN);
        assert_eq!(u32::cast_f64(3e9), 3_000_000_000);
        assert_eq!(i64::cast_f64(f64::NAN), i64::MIN);
        assert_eq!(u64::cast_f64(1e19), 10_000_000_000_000_000_000);
    }
}
