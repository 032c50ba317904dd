use std::ops;

use half::{bf16, f16};
use tfjet_core::Element;

/// Arithmetic of an element type as TensorFlow does it: integers wrap, half floats round after
/// every step.
pub(crate) trait Number: Element + Copy {
    /// The type in which sums of products are kept.
    type Wide: Number<Wide = Self::Wide>;
    const ZERO: Self;
    const ONE: Self;
    /// Start value of a maximum.
    const LOWEST: Self;
    /// Start value of a minimum.
    const HIGHEST: Self;
    const INTEGER: bool;

    /// The most negative number that is not infinite.
    fn lowest_finite() -> Self;
    /// The largest number that is not infinite.
    fn highest_finite() -> Self;
    fn to_f64(self) -> f64;
    /// Rounded once.
    fn to_f32(self) -> f32;
    /// Rounds to f32 first for the types below it, as TensorFlow's casts do.
    fn from_f64(value: f64) -> Self;
    fn wide(self) -> Self::Wide;
    fn narrow(wide: Self::Wide) -> Self;
    fn small(value: u8) -> Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    /// The larger one; NaN where either is.
    fn greater(self, other: Self) -> Self;
    /// The smaller one; NaN where either is.
    fn lesser(self, other: Self) -> Self;
    /// Truncated towards zero for integers. An integer divisor of 0 gives 0: callers refuse it.
    fn quotient(self, other: Self) -> Self;
    /// Rounded towards minus infinity.
    fn floor_quotient(self, other: Self) -> Self;
    /// Sign of the dividend.
    fn remainder(self, other: Self) -> Self;
    /// Sign of the divisor.
    fn floor_remainder(self, other: Self) -> Self;
    /// A negative exponent of an integer gives 0: callers refuse it.
    fn power(self, exponent: Self) -> Self;
    fn negated(self) -> Self;
    fn magnitude(self) -> Self;
    fn sign(self) -> Self;
}

/// A floating-point element type: computed in [`Number::Wide`], then rounded.
pub(crate) trait Real: Number<Wide: Float> {
    /// The most negative number that is not infinite.
    const FINITE_LOWEST: Self;
}

/// Functions of `f32` and `f64`.
pub(crate) trait Float:
    Number<Wide = Self>
    + ops::Add<Output = Self>
    + ops::Sub<Output = Self>
    + ops::Mul<Output = Self>
    + ops::Div<Output = Self>
    + ops::Neg<Output = Self>
{
    /// Distance from 1 to the next number.
    const EPSILON: Self;

    fn exp(self) -> Self;
    fn exp_m1(self) -> Self;
    fn ln(self) -> Self;
    fn ln_1p(self) -> Self;
    fn sqrt(self) -> Self;
    fn sin(self) -> Self;
    fn cos(self) -> Self;
    fn tan(self) -> Self;
    fn asin(self) -> Self;
    fn acos(self) -> Self;
    fn atan(self) -> Self;
    fn sinh(self) -> Self;
    fn cosh(self) -> Self;
    fn tanh(self) -> Self;
    fn asinh(self) -> Self;
    fn acosh(self) -> Self;
    fn atanh(self) -> Self;
    fn ceil(self) -> Self;
    fn floor(self) -> Self;
    fn round_ties_even(self) -> Self;
    fn erf(self) -> Self;
}

macro_rules! integer {
    ($($t:ty),*) => {$(
        impl Number for $t {
            type Wide = Self;
            const ZERO: Self = 0;
            const ONE: Self = 1;
            const LOWEST: Self = Self::MIN;
            const HIGHEST: Self = Self::MAX;
            const INTEGER: bool = true;

            fn lowest_finite() -> Self { Self::MIN }
            fn highest_finite() -> Self { Self::MAX }
            fn to_f64(self) -> f64 { self as f64 }
            fn to_f32(self) -> f32 { self as f32 }
            fn from_f64(value: f64) -> Self { value as Self }
            fn wide(self) -> Self { self }
            fn narrow(wide: Self) -> Self { wide }
            fn small(value: u8) -> Self { value as Self }
            fn plus(self, other: Self) -> Self { self.wrapping_add(other) }
            fn minus(self, other: Self) -> Self { self.wrapping_sub(other) }
            fn times(self, other: Self) -> Self { self.wrapping_mul(other) }
            fn greater(self, other: Self) -> Self { self.max(other) }
            fn lesser(self, other: Self) -> Self { self.min(other) }
            fn quotient(self, other: Self) -> Self {
                if other == 0 { 0 } else { self.wrapping_div(other) }
            }
            fn floor_quotient(self, other: Self) -> Self {
                let quotient = self.quotient(other);
                if self.floor_remainder(other) == self.remainder(other) {
                    quotient
                } else {
                    quotient.wrapping_sub(1)
                }
            }
            fn remainder(self, other: Self) -> Self {
                if other == 0 { 0 } else { self.wrapping_rem(other) }
            }
            #[allow(unused_comparisons)]
            fn floor_remainder(self, other: Self) -> Self {
                let remainder = self.remainder(other);
                if remainder != 0 && (remainder < 0) != (other < 0) {
                    remainder.wrapping_add(other)
                } else {
                    remainder
                }
            }
            #[allow(unused_comparisons)]
            fn power(self, exponent: Self) -> Self {
                if exponent < 0 {
                    return 0;
                }
                let (mut base, mut exponent, mut power) = (self, exponent, 1 as Self);
                while exponent > 0 {
                    if exponent & 1 == 1 {
                        power = power.wrapping_mul(base);
                    }
                    base = base.wrapping_mul(base);
                    exponent >>= 1;
                }
                power
            }
            fn negated(self) -> Self { self.wrapping_neg() }
            #[allow(unused_comparisons)]
            fn magnitude(self) -> Self { if self < 0 { self.wrapping_neg() } else { self } }
            #[allow(unused_comparisons)]
            fn sign(self) -> Self {
                match self {
                    0 => 0,
                    value if value < 0 => (0 as Self).wrapping_sub(1),
                    _ => 1,
                }
            }
        }
    )*};
}

integer!(i8, i16, i32, i64, u8, u16, u32, u64);

macro_rules! real {
    ($($t:ty: $wide:ty, $zero:expr, $one:expr, $inf:expr, $neg_inf:expr,
        |$w:ident| $to_wide:expr, |$n:ident| $from_wide:expr, |$d:ident| $from_f64:expr,
        |$f:ident| $to_f32:expr;)*) => {$(
        impl Number for $t {
            type Wide = $wide;
            const ZERO: Self = $zero;
            const ONE: Self = $one;
            const LOWEST: Self = $neg_inf;
            const HIGHEST: Self = $inf;
            const INTEGER: bool = false;

            fn lowest_finite() -> Self { <$t>::MIN }
            fn highest_finite() -> Self { <$t>::MAX }
            fn to_f64(self) -> f64 { self.into() }
            fn to_f32(self) -> f32 { let $f = self; $to_f32 }
            fn from_f64(value: f64) -> Self { let $d = value; $from_f64 }
            fn wide(self) -> $wide { let $w = self; $to_wide }
            fn narrow(wide: $wide) -> Self { let $n = wide; $from_wide }
            fn small(value: u8) -> Self { Self::narrow(value.into()) }
            fn plus(self, other: Self) -> Self { self + other }
            fn minus(self, other: Self) -> Self { self - other }
            fn times(self, other: Self) -> Self { self * other }
            fn greater(self, other: Self) -> Self {
                if self > other || self.is_nan() { self } else { other }
            }
            fn lesser(self, other: Self) -> Self {
                if self < other || self.is_nan() { self } else { other }
            }
            fn quotient(self, other: Self) -> Self { self / other }
            fn floor_quotient(self, other: Self) -> Self {
                Self::narrow((self / other).wide().floor())
            }
            fn remainder(self, other: Self) -> Self { self % other }
            fn floor_remainder(self, other: Self) -> Self {
                let remainder = self % other;
                if remainder != Self::ZERO && (remainder < Self::ZERO) != (other < Self::ZERO) {
                    remainder + other
                } else {
                    remainder
                }
            }
            fn power(self, exponent: Self) -> Self {
                Self::narrow(self.wide().powf(exponent.wide()))
            }
            fn negated(self) -> Self { -self }
            fn magnitude(self) -> Self { Self::narrow(self.wide().abs()) }
            fn sign(self) -> Self {
                if self > Self::ZERO {
                    Self::ONE
                } else if self < Self::ZERO {
                    -Self::ONE
                } else {
                    self
                }
            }
        }

        impl Real for $t {
            const FINITE_LOWEST: Self = <$t>::MIN;
        }
    )*};
}

real! {
    f32: f32, 0.0, 1.0, f32::INFINITY, f32::NEG_INFINITY, |w| w, |n| n, |d| d as f32, |f| f;
    f64: f64, 0.0, 1.0, f64::INFINITY, f64::NEG_INFINITY, |w| w, |n| n, |d| d, |f| f as f32;
    f16: f32, f16::ZERO, f16::ONE, f16::INFINITY, f16::NEG_INFINITY,
        |w| w.to_f32(), |n| f16::from_f32(n), |d| f16::from_f32(d as f32), |f| f.to_f32();
    bf16: f32, bf16::ZERO, bf16::ONE, bf16::INFINITY, bf16::NEG_INFINITY,
        |w| w.to_f32(), |n| bf16::from_f32(n), |d| bf16::from_f32(d as f32), |f| f.to_f32();
}

macro_rules! float {
    ($($t:ident: $erf:path),*) => {$(
        impl Float for $t {
            const EPSILON: Self = $t::EPSILON;

            fn exp(self) -> Self { $t::exp(self) }
            fn exp_m1(self) -> Self { $t::exp_m1(self) }
            fn ln(self) -> Self { $t::ln(self) }
            fn ln_1p(self) -> Self { $t::ln_1p(self) }
            fn sqrt(self) -> Self { $t::sqrt(self) }
            fn sin(self) -> Self { $t::sin(self) }
            fn cos(self) -> Self { $t::cos(self) }
            fn tan(self) -> Self { $t::tan(self) }
            fn asin(self) -> Self { $t::asin(self) }
            fn acos(self) -> Self { $t::acos(self) }
            fn atan(self) -> Self { $t::atan(self) }
            fn sinh(self) -> Self { $t::sinh(self) }
            fn cosh(self) -> Self { $t::cosh(self) }
            fn tanh(self) -> Self { $t::tanh(self) }
            fn asinh(self) -> Self { libm_hyperbolic::$t::asinh(self) }
            fn acosh(self) -> Self {
                // `acoshf` gives finite values below -2.
                if self < 1.0 { Self::NAN } else { libm_hyperbolic::$t::acosh(self) }
            }
            fn atanh(self) -> Self { libm_hyperbolic::$t::atanh(self) }
            fn ceil(self) -> Self { $t::ceil(self) }
            fn floor(self) -> Self { $t::floor(self) }
            fn round_ties_even(self) -> Self { $t::round_ties_even(self) }
            fn erf(self) -> Self { $erf(self) }
        }
    )*};
}

/// The standard library's inverse hyperbolic functions lose digits near zero.
mod libm_hyperbolic {
    pub(super) mod f32 {
        pub(in super::super) use libm::{acoshf as acosh, asinhf as asinh, atanhf as atanh};
    }
    pub(super) mod f64 {
        pub(in super::super) use libm::{acosh, asinh, atanh};
    }
}

float!(f32: libm::erff, f64: libm::erf);

/// Runs `$body` with `$T` being the Rust type of `$dtype`, or fails with [`OpError::DType`].
///
/// [`OpError::DType`]: crate::OpError::DType
macro_rules! with_type {
    (numbers, $input:expr, $dtype:expr, $T:ident => $body:expr) => {
        $crate::number::with_type!(@match $input, $dtype, "a real number", $T => $body,
            F32: f32, F64: f64, F16: half::f16, BF16: half::bf16, I8: i8, I16: i16, I32: i32,
            I64: i64, U8: u8, U16: u16, U32: u32, U64: u64)
    };
    (reals, $input:expr, $dtype:expr, $T:ident => $body:expr) => {
        $crate::number::with_type!(@match $input, $dtype, "a floating-point number", $T => $body,
            F32: f32, F64: f64, F16: half::f16, BF16: half::bf16)
    };
    (integers, $input:expr, $dtype:expr, $T:ident => $body:expr) => {
        $crate::number::with_type!(@match $input, $dtype, "an integer", $T => $body,
            I8: i8, I16: i16, I32: i32, I64: i64, U8: u8, U16: u16, U32: u32, U64: u64)
    };
    (@match $input:expr, $dtype:expr, $allowed:literal, $T:ident => $body:expr,
        $($variant:ident: $rust:ty),+) => {
        match $dtype {
            $(tfjet_core::DType::$variant => {
                type $T = $rust;
                $body
            })+
            dtype => Err($crate::OpError::DType { input: $input, dtype, allowed: $allowed }),
        }
    };
}

/// Runs `$body` with `$N` being the size in bytes of `$dtype`: for kernels that only move
/// elements.
macro_rules! with_size {
    ($dtype:expr, $N:ident => $body:expr) => {
        match $dtype.size_bytes() {
            1 => {
                const $N: usize = 1;
                $body
            }
            2 => {
                const $N: usize = 2;
                $body
            }
            4 => {
                const $N: usize = 4;
                $body
            }
            _ => {
                const $N: usize = 8;
                $body
            }
        }
    };
}

pub(crate) use {with_size, with_type};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integer_division_follows_the_sign_rules() {
        for (x, y, quotient, floor, remainder, floor_remainder) in [
            (7i32, 2, 3, 3, 1, 1),
            (-7, 2, -3, -4, -1, 1),
            (7, -2, -3, -4, 1, -1),
            (-7, -2, 3, 3, -1, -1),
            (i32::MIN, -1, i32::MIN, i32::MIN, 0, 0),
            (5, 0, 0, 0, 0, 0),
        ] {
            assert_eq!(x.quotient(y), quotient, "{x} {y}");
            assert_eq!(x.floor_quotient(y), floor, "{x} {y}");
            assert_eq!(x.remainder(y), remainder, "{x} {y}");
            assert_eq!(x.floor_remainder(y), floor_remainder, "{x} {y}");
        }
    }

    #[test]
    fn extremes_propagate_nan() {
        for (x, y) in [(f32::NAN, 1.0), (1.0, f32::NAN)] {
            assert!(x.greater(y).is_nan());
            assert!(x.lesser(y).is_nan());
        }
        assert_eq!((-3i8).power(3), -27);
        assert_eq!(2u8.power(9), 0);
    }
}
