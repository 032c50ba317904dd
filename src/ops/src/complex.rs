//! Complex numbers: their parts, and arithmetic on them.

use tfjet_core::{AttrError, AttrReader, DType, Element, Tensor, TensorView};

use crate::arguments::{expect_dtype, output, reset, take};
use crate::binary::Binary;
use crate::broadcast::Broadcast;
use crate::unary::Unary;
use crate::{Kernel, OpError};

/// `[real part, imaginary part]`
type C64 = [f32; 2];

/// Fails where an attribute names another type than `expected`.
pub(crate) fn expect_attr(
    reader: &AttrReader<'_>,
    name: &str,
    expected: DType,
) -> Result<(), OpError> {
    match reader.dtype_or(name, expected)? {
        found if found == expected => Ok(()),
        found => Err(AttrError::Value {
            name: name.into(),
            value: found.to_string(),
            expected: expected.name(),
        }
        .into()),
    }
}

/// `Complex`: of real and imaginary parts that broadcast.
#[derive(Debug)]
struct Complex;

pub(crate) fn complex(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    expect_attr(reader, "Tout", DType::C64)?;
    Ok(Box::new(Complex))
}

impl Kernel for Complex {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [real, imaginary] = take(inputs)?;
        let z = output(outputs)?;
        for (input, view) in inputs.iter().enumerate() {
            expect_dtype(input, view, DType::F32)?;
        }
        let broadcast = Broadcast::new([real.shape(), imaginary.shape()])?;
        reset(z, DType::C64, broadcast.shape())?;
        let (real, imaginary) = (real.as_slice::<f32>()?, imaginary.as_slice::<f32>()?);
        broadcast.zip(real, imaginary, z.as_mut_slice()?, |x, y| [x, y]);
        Ok(())
    }
}

/// A real number of each complex one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    Real,
    Imaginary,
    /// `ComplexAbs`
    Magnitude,
    /// From -π to π.
    Angle,
}

pub(crate) fn part(reader: &AttrReader<'_>, part: Part) -> Result<Box<dyn Kernel>, OpError> {
    expect_attr(reader, "Tout", DType::F32)?;
    Ok(Box::new(part))
}

impl Kernel for Part {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [z] = take(inputs)?;
        let y = output(outputs)?;
        expect_dtype(0, z, DType::C64)?;
        reset(y, DType::F32, z.shape())?;
        let wide = |[x, y]: C64| (f64::from(x), f64::from(y));
        match self {
            Self::Real => map(z, y, |[x, _]: C64| x),
            Self::Imaginary => map(z, y, |[_, y]: C64| y),
            Self::Magnitude => map(z, y, |z: C64| {
                let (x, y) = wide(z);
                x.hypot(y) as f32
            }),
            Self::Angle => map(z, y, |z: C64| {
                let (x, y) = wide(z);
                y.atan2(x) as f32
            }),
        }
    }
}

/// `Conj`.
#[derive(Debug)]
struct Conjugate;

pub(crate) fn conj() -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Conjugate))
}

impl Kernel for Conjugate {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [z] = take(inputs)?;
        let y = output(outputs)?;
        expect_dtype(0, z, DType::C64)?;
        reset(y, DType::C64, z.shape())?;
        map(z, y, |[x, y]: C64| [x, -y])
    }
}

fn map<S: Element, T: Element>(
    x: &TensorView<'_>,
    y: &mut Tensor,
    f: impl Fn(S) -> T,
) -> Result<(), OpError> {
    for (y, &x) in y.as_mut_slice()?.iter_mut().zip(x.as_slice()?) {
        *y = f(x);
    }
    Ok(())
}

fn product([a, b]: C64, [c, d]: C64) -> C64 {
    let [a, b, c, d] = [a, b, c, d].map(f64::from);
    [(a * c - b * d) as f32, (a * d + b * c) as f32]
}

fn quotient([a, b]: C64, [c, d]: C64) -> C64 {
    let [a, b, c, d] = [a, b, c, d].map(f64::from);
    let square = c * c + d * d;
    [
        ((a * c + b * d) / square) as f32,
        ((b * c - a * d) / square) as f32,
    ]
}

fn needs_real() -> OpError {
    OpError::DType {
        input: 0,
        dtype: DType::C64,
        allowed: "a real number",
    }
}

/// An elementwise function of complex numbers.
pub(crate) fn unary(op: Unary, x: &TensorView<'_>, y: &mut Tensor) -> Result<(), OpError> {
    match op {
        Unary::Neg => map(x, y, |[x, y]: C64| [-x, -y]),
        Unary::Square => map(x, y, |z| product(z, z)),
        _ => Err(needs_real()),
    }
}

/// An elementwise function of complex numbers that broadcast; `z` has their common shape.
pub(crate) fn binary(
    op: Binary,
    broadcast: &Broadcast<2>,
    x: &TensorView<'_>,
    y: &TensorView<'_>,
    z: &mut Tensor,
) -> Result<(), OpError> {
    let (x, y, z) = (x.as_slice()?, y.as_slice()?, z.as_mut_slice::<C64>()?);
    match op {
        Binary::Add => broadcast.zip(x, y, z, |[a, b]: C64, [c, d]: C64| [a + c, b + d]),
        Binary::Sub => broadcast.zip(x, y, z, |[a, b]: C64, [c, d]: C64| [a - c, b - d]),
        Binary::Mul => broadcast.zip(x, y, z, product),
        Binary::Div | Binary::RealDiv => broadcast.zip(x, y, z, quotient),
        _ => return Err(needs_real()),
    }
    Ok(())
}

/// Adds `terms` of the shape of `sum`.
pub(crate) fn add(sum: &mut Tensor, terms: &[TensorView<'_>]) -> Result<(), OpError> {
    let sum = sum.as_mut_slice::<C64>()?.as_flattened_mut();
    for term in terms {
        for (sum, &term) in sum.iter_mut().zip(term.as_slice::<C64>()?.as_flattened()) {
            *sum += term;
        }
    }
    Ok(())
}
