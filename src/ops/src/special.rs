//! Special functions, computed in 64 bits and rounded once.

use std::f64::consts::{FRAC_1_SQRT_2, PI, SQRT_2};

use tfjet_core::{Tensor, TensorView};

use crate::arguments::{expect_same_dtype, output, reset, take};
use crate::broadcast::Broadcast;
use crate::number::{Number, with_type};
use crate::{Kernel, OpError};

/// An elementwise function of one floating-point input.
#[derive(Debug)]
struct Function(fn(f64) -> f64);

pub(crate) fn function(f: fn(f64) -> f64) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Function(f)))
}

impl Kernel for Function {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let y = output(outputs)?;
        reset(y, x.dtype(), x.shape())?;
        with_type!(reals, 0, x.dtype(), T => {
            for (y, x) in y.as_mut_slice::<T>()?.iter_mut().zip(x.as_slice::<T>()?) {
                *y = T::from_f64((self.0)(x.to_f64()));
            }
            Ok(())
        })
    }
}

/// An elementwise function of two floating-point inputs that broadcast.
#[derive(Debug)]
struct Function2(fn(f64, f64) -> f64);

pub(crate) fn function2(f: fn(f64, f64) -> f64) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Function2(f)))
}

impl Kernel for Function2 {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, y] = take(inputs)?;
        let z = output(outputs)?;
        expect_same_dtype(inputs)?;
        let broadcast = Broadcast::new([x.shape(), y.shape()])?;
        reset(z, x.dtype(), broadcast.shape())?;
        with_type!(reals, 0, x.dtype(), T => {
            let (x, y, z) = (x.as_slice::<T>()?, y.as_slice::<T>()?, z.as_mut_slice::<T>()?);
            broadcast.zip(x, y, z, |x, y| T::from_f64((self.0)(x.to_f64(), y.to_f64())));
            Ok(())
        })
    }
}

/// `Xdivy`.
pub(crate) fn xdivy(x: f64, y: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x / y }
}

/// `Xlogy`.
pub(crate) fn xlogy(x: f64, y: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x * y.ln() }
}

/// `Xlog1py`.
pub(crate) fn xlog1py(x: f64, y: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x * y.ln_1p() }
}

/// `MulNoNan`.
pub(crate) fn mul_no_nan(x: f64, y: f64) -> f64 {
    if y == 0.0 { 0.0 } else { x * y }
}

/// `Digamma`: the derivative of the logarithm of the gamma function.
pub(crate) fn digamma(x: f64) -> f64 {
    if x <= 0.0 {
        if x == x.floor() {
            return f64::NAN;
        }
        let fraction = x - x.round();
        return digamma(1.0 - x) - PI / (PI * fraction).tan();
    }
    let (mut x, mut shift) = (x, 0.0);
    while x < 10.0 {
        shift -= 1.0 / x;
        x += 1.0;
    }
    // Bernoulli numbers by 2n.
    let terms = [
        1.0 / 12.0,
        -1.0 / 120.0,
        1.0 / 252.0,
        -1.0 / 240.0,
        1.0 / 132.0,
        -691.0 / 32760.0,
        1.0 / 12.0,
    ];
    let square = 1.0 / (x * x);
    let series = terms
        .iter()
        .rev()
        .fold(0.0, |sum, term| (sum + term) * square);
    shift + x.ln() - 0.5 / x - series
}

/// `Erfinv`: the inverse of the error function.
pub(crate) fn erf_inverse(y: f64) -> f64 {
    if y.abs() >= 1.0 || y.is_nan() {
        return if y.abs() == 1.0 {
            f64::INFINITY.copysign(y)
        } else {
            f64::NAN
        };
    }
    let log = (1.0 - y * y).ln();
    let part = 2.0 / (PI * 0.147) + log / 2.0;
    let mut x = ((part * part - log / 0.147).sqrt() - part)
        .sqrt()
        .copysign(y);
    // Halley's method, on the tail where the error function is close to 1.
    for _ in 0..3 {
        let error = if y.abs() < 0.5 {
            libm::erf(x) - y
        } else {
            ((1.0 - y.abs()) - libm::erfc(x.abs())).copysign(1.0)
                * if (1.0 - y.abs()) > libm::erfc(x.abs()) {
                    y.signum()
                } else {
                    -y.signum()
                }
        };
        let step = error / (2.0 / PI.sqrt() * (-x * x).exp());
        x -= step / (1.0 + x * step);
    }
    x
}

/// `Ndtri`: the quantile of the normal distribution.
pub(crate) fn normal_quantile(p: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    if p > 0.0 && p < 0.1 {
        return tail_quantile(p);
    }
    SQRT_2 * erf_inverse(2.0 * p - 1.0)
}

/// The quantile of a small probability, by Newton's method on its logarithm.
fn tail_quantile(p: f64) -> f64 {
    let mut x = -(-2.0 * p.ln()).sqrt();
    for _ in 0..60 {
        let below = 0.5 * libm::erfc(-x * FRAC_1_SQRT_2);
        let density = (-0.5 * x * x).exp() / (2.0 * PI).sqrt();
        let step = (below.ln() - p.ln()) * below / density;
        if !step.is_finite() || step.abs() <= 1e-16 * x.abs() {
            break;
        }
        x -= step;
    }
    x
}
