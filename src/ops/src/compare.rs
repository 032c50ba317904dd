use tfjet_core::{AttrReader, DType, Tensor, TensorView};

use crate::arguments::{expect_dtype, expect_same_dtype, output, reset, take};
use crate::broadcast::Broadcast;
use crate::number::{Number, with_type};
use crate::{Kernel, OpError};

/// An ordering of two numbers, broadcast.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
}

pub(crate) fn order(op: Order) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(op))
}

impl Kernel for Order {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, y] = take(inputs)?;
        let z = output(outputs)?;
        expect_same_dtype(inputs)?;
        let broadcast = Broadcast::new([x.shape(), y.shape()])?;
        reset(z, DType::Bool, broadcast.shape())?;
        with_type!(numbers, 0, x.dtype(), T => {
            let (x, y, z) = (x.as_slice::<T>()?, y.as_slice::<T>()?, z.bytes_mut());
            match self {
                Self::Greater => broadcast.zip(x, y, z, |x, y| u8::from(x > y)),
                Self::GreaterEqual => broadcast.zip(x, y, z, |x, y| u8::from(x >= y)),
                Self::Less => broadcast.zip(x, y, z, |x, y| u8::from(x < y)),
                Self::LessEqual => broadcast.zip(x, y, z, |x, y| u8::from(x <= y)),
            }
            Ok(())
        })
    }
}

/// `Equal` and `NotEqual`.
#[derive(Debug)]
struct Equality {
    equal: bool,
    incompatible_shape_error: bool,
}

pub(crate) fn equality(reader: &AttrReader<'_>, equal: bool) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Equality {
        equal,
        incompatible_shape_error: reader.bool_or("incompatible_shape_error", true)?,
    }))
}

impl Kernel for Equality {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, y] = take(inputs)?;
        let z = output(outputs)?;
        expect_same_dtype(inputs)?;
        let broadcast = match Broadcast::new([x.shape(), y.shape()]) {
            Err(OpError::Shape { .. }) if !self.incompatible_shape_error => {
                reset(z, DType::Bool, &[])?;
                z.bytes_mut().fill(u8::from(!self.equal));
                return Ok(());
            }
            other => other?,
        };
        reset(z, DType::Bool, broadcast.shape())?;
        if x.dtype() == DType::Bool {
            let (x, y) = (x.as_bools()?, y.as_bools()?);
            broadcast.zip(x, y, z.bytes_mut(), |x, y| {
                u8::from(((x != 0) == (y != 0)) == self.equal)
            });
            return Ok(());
        }
        with_type!(numbers, 0, x.dtype(), T => self.apply::<T>(&broadcast, x, y, z))
    }
}

impl Equality {
    fn apply<T: Number>(
        &self,
        broadcast: &Broadcast<2>,
        x: &TensorView<'_>,
        y: &TensorView<'_>,
        z: &mut Tensor,
    ) -> Result<(), OpError> {
        let (x, y, z) = (x.as_slice::<T>()?, y.as_slice::<T>()?, z.bytes_mut());
        if self.equal {
            broadcast.zip(x, y, z, |x, y| u8::from(x == y));
        } else {
            broadcast.zip(x, y, z, |x, y| u8::from(x != y));
        }
        Ok(())
    }
}

/// `LogicalAnd` and `LogicalOr`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Logical {
    And,
    Or,
}

pub(crate) fn logical(op: Logical) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(op))
}

impl Kernel for Logical {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, y] = take(inputs)?;
        let z = output(outputs)?;
        expect_dtype(0, x, DType::Bool)?;
        expect_dtype(1, y, DType::Bool)?;
        let broadcast = Broadcast::new([x.shape(), y.shape()])?;
        reset(z, DType::Bool, broadcast.shape())?;
        let (x, y, z) = (x.as_bools()?, y.as_bools()?, z.bytes_mut());
        match self {
            Self::And => broadcast.zip(x, y, z, |x, y| u8::from(x != 0 && y != 0)),
            Self::Or => broadcast.zip(x, y, z, |x, y| u8::from(x != 0 || y != 0)),
        }
        Ok(())
    }
}

/// `LogicalNot`.
#[derive(Debug)]
struct LogicalNot;

pub(crate) fn logical_not(_: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(LogicalNot))
}

impl Kernel for LogicalNot {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let y = output(outputs)?;
        expect_dtype(0, x, DType::Bool)?;
        reset(y, DType::Bool, x.shape())?;
        for (y, &x) in y.bytes_mut().iter_mut().zip(x.as_bools()?) {
            *y = u8::from(x == 0);
        }
        Ok(())
    }
}
