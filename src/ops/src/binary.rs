use tfjet_core::{AttrError, AttrReader, DType, Tensor, TensorView};

use crate::arguments::{
    expect_count, expect_rank, expect_same_dtype, output, product, reset, take,
};
use crate::broadcast::Broadcast;
use crate::complex;
use crate::error::{shape_error, value_error};
use crate::number::{Number, with_type};
use crate::{Kernel, OpError};

/// An elementwise function of two inputs that broadcast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Binary {
    /// Also `AddV2`.
    Add,
    Sub,
    Mul,
    /// Integers truncate; a divisor of 0 is an error.
    Div,
    /// [`Binary::Div`] of floating-point numbers only.
    RealDiv,
    /// [`Binary::Div`] of integers only.
    TruncateDiv,
    /// 0 where the divisor is 0.
    DivNoNan,
    FloorDiv,
    FloorMod,
    /// Also `Mod`.
    TruncateMod,
    Minimum,
    Maximum,
    Pow,
    SquaredDifference,
}

pub(crate) fn binary(op: Binary) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(op))
}

impl Kernel for Binary {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, y] = take(inputs)?;
        let z = output(outputs)?;
        expect_same_dtype(inputs)?;
        let broadcast = Broadcast::new([x.shape(), y.shape()])?;
        reset(z, x.dtype(), broadcast.shape())?;
        if x.dtype() == DType::C64 {
            return complex::binary(*self, &broadcast, x, y, z);
        }
        match self {
            Self::RealDiv | Self::DivNoNan => {
                with_type!(reals, 0, x.dtype(), T => self.apply::<T>(&broadcast, x, y, z))
            }
            Self::TruncateDiv => {
                with_type!(integers, 0, x.dtype(), T => self.apply::<T>(&broadcast, x, y, z))
            }
            _ => with_type!(numbers, 0, x.dtype(), T => self.apply::<T>(&broadcast, x, y, z)),
        }
    }
}

impl Binary {
    fn apply<T: Number>(
        self,
        broadcast: &Broadcast<2>,
        x: &TensorView<'_>,
        y: &TensorView<'_>,
        z: &mut Tensor,
    ) -> Result<(), OpError> {
        let (x, y, z) = (x.as_slice::<T>()?, y.as_slice::<T>()?, z.as_mut_slice()?);
        if T::INTEGER && !z.is_empty() {
            self.check_integers(y)?;
        }
        match self {
            Self::Add => broadcast.zip(x, y, z, T::plus),
            Self::Sub => broadcast.zip(x, y, z, T::minus),
            Self::Mul => broadcast.zip(x, y, z, T::times),
            Self::Div | Self::RealDiv | Self::TruncateDiv => broadcast.zip(x, y, z, T::quotient),
            Self::DivNoNan => {
                broadcast.zip(
                    x,
                    y,
                    z,
                    |x, y| {
                        if y == T::ZERO { T::ZERO } else { x.quotient(y) }
                    },
                )
            }
            Self::FloorDiv => broadcast.zip(x, y, z, T::floor_quotient),
            Self::FloorMod => broadcast.zip(x, y, z, T::floor_remainder),
            Self::TruncateMod => broadcast.zip(x, y, z, T::remainder),
            Self::Minimum => broadcast.zip(x, y, z, T::lesser),
            Self::Maximum => broadcast.zip(x, y, z, T::greater),
            Self::Pow => broadcast.zip(x, y, z, T::power),
            Self::SquaredDifference => broadcast.zip(x, y, z, |x, y| {
                let difference = x.minus(y);
                difference.times(difference)
            }),
        }
        Ok(())
    }

    fn check_integers<T: Number>(self, y: &[T]) -> Result<(), OpError> {
        let divides = matches!(
            self,
            Self::Div | Self::TruncateDiv | Self::FloorDiv | Self::FloorMod | Self::TruncateMod
        );
        if divides && y.contains(&T::ZERO) {
            return Err(value_error!("integer division by zero"));
        }
        if self == Self::Pow && y.iter().any(|&exponent| exponent < T::ZERO) {
            return Err(value_error!("negative power of an integer"));
        }
        Ok(())
    }
}

/// Which dimension of an image tensor holds the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataFormat {
    Nhwc,
    Nchw,
}

impl DataFormat {
    /// Axes of batch, rows, columns and channels.
    pub(crate) fn axes(self) -> [usize; 4] {
        match self {
            Self::Nhwc => [0, 1, 2, 3],
            Self::Nchw => [0, 2, 3, 1],
        }
    }

    /// Reads `data_format`.
    pub(crate) fn read(reader: &AttrReader<'_>) -> Result<Self, OpError> {
        match reader.str_or("data_format", "NHWC")? {
            "NHWC" => Ok(Self::Nhwc),
            "NCHW" => Ok(Self::Nchw),
            other => Err(AttrError::Value {
                name: "data_format".into(),
                value: other.into(),
                expected: "NHWC or NCHW",
            }
            .into()),
        }
    }
}

/// `BiasAdd`.
#[derive(Debug)]
struct BiasAdd(DataFormat);

pub(crate) fn bias_add(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(BiasAdd(DataFormat::read(reader)?)))
}

impl Kernel for BiasAdd {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [value, bias] = take(inputs)?;
        let sum = output(outputs)?;
        expect_same_dtype(inputs)?;
        expect_rank(1, bias, 1)?;
        let shape = value.shape();
        if shape.len() < 2 {
            return Err(shape_error!(
                "input 0 must have rank 2 or more, has shape {shape:?}"
            ));
        }
        let channel = match self.0 {
            DataFormat::Nhwc => shape.len() - 1,
            DataFormat::Nchw => 1,
        };
        if bias.shape() != [shape[channel]] {
            return Err(shape_error!(
                "bias of shape {:?} does not fit the channels of {shape:?}",
                bias.shape()
            ));
        }
        reset(sum, value.dtype(), shape)?;
        let flat = [
            product(&shape[..channel]),
            shape[channel],
            product(&shape[channel + 1..]),
        ];
        let broadcast = Broadcast::new([&flat, &[shape[channel], 1]])?;
        with_type!(numbers, 0, value.dtype(), T => {
            Binary::Add.apply::<T>(&broadcast, value, bias, sum)
        })
    }
}

/// `AddN`: the inputs have one shape.
#[derive(Debug)]
struct AddN {
    inputs: Option<usize>,
}

pub(crate) fn add_n(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(AddN {
        inputs: count(reader, "N")?,
    }))
}

/// The attribute that says how many inputs an op has, where it is there.
pub(crate) fn count(reader: &AttrReader<'_>, name: &str) -> Result<Option<usize>, OpError> {
    let value = reader.int_or(name, -1)?;
    if reader.get(name).is_none() {
        return Ok(None);
    }
    match usize::try_from(value) {
        Ok(value) if value > 0 => Ok(Some(value)),
        _ => Err(AttrError::Value {
            name: name.into(),
            value: value.to_string(),
            expected: "1 or more",
        }
        .into()),
    }
}

impl Kernel for AddN {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        expect_count(inputs, self.inputs.unwrap_or(inputs.len().max(1)))?;
        expect_same_dtype(inputs)?;
        let sum = output(outputs)?;
        let Some((first, rest)) = inputs.split_first() else {
            return Err(OpError::InputCount {
                expected: 1,
                actual: 0,
            });
        };
        if let Some(other) = rest.iter().find(|other| other.shape() != first.shape()) {
            return Err(shape_error!(
                "inputs have shapes {:?} and {:?}",
                first.shape(),
                other.shape()
            ));
        }
        reset(sum, first.dtype(), first.shape())?;
        sum.bytes_mut().copy_from_slice(first.bytes());
        if first.dtype() == DType::C64 {
            return complex::add(sum, rest);
        }
        with_type!(numbers, 0, first.dtype(), T => {
            let sum = sum.as_mut_slice::<T>()?;
            for input in rest {
                for (sum, &value) in sum.iter_mut().zip(input.as_slice::<T>()?) {
                    *sum = sum.plus(value);
                }
            }
            Ok(())
        })
    }
}

/// `Cross`: the product of vectors of three.
#[derive(Debug)]
struct Cross;

pub(crate) fn cross() -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Cross))
}

impl Kernel for Cross {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [a, b] = take(inputs)?;
        let c = output(outputs)?;
        expect_same_dtype(inputs)?;
        if a.shape() != b.shape() || a.shape().last() != Some(&3) {
            return Err(shape_error!(
                "shapes {:?} and {:?} hold no pairs of three",
                a.shape(),
                b.shape()
            ));
        }
        reset(c, a.dtype(), a.shape())?;
        with_type!(numbers, 0, a.dtype(), T => {
            let (a, b) = (a.as_slice::<T>()?.as_chunks::<3>().0, b.as_slice::<T>()?.as_chunks::<3>().0);
            let c = c.as_mut_slice::<T>()?.as_chunks_mut::<3>().0;
            for (c, (a, b)) in c.iter_mut().zip(a.iter().zip(b)) {
                let minor = |i: usize, j: usize| a[i].times(b[j]).minus(a[j].times(b[i]));
                *c = [minor(1, 2), minor(2, 0), minor(0, 1)];
            }
            Ok(())
        })
    }
}
