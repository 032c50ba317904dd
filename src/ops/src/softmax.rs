use tfjet_core::{Tensor, TensorView};

use crate::arguments::{output, reset, take};
use crate::error::shape_error;
use crate::number::{Float, Number, Real, with_type};
use crate::{Kernel, OpError};

/// `Softmax` and `LogSoftmax`, along the last dimension.
#[derive(Debug)]
struct Softmax {
    log: bool,
}

pub(crate) fn softmax(log: bool) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Softmax { log }))
}

impl Kernel for Softmax {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let y = output(outputs)?;
        let Some(&classes) = x.shape().last() else {
            return Err(shape_error!("a scalar has no dimension for a softmax"));
        };
        reset(y, x.dtype(), x.shape())?;
        if x.elements() == 0 {
            return Ok(());
        }
        with_type!(reals, 0, x.dtype(), T => {
            let rows = x.as_slice::<T>()?.chunks_exact(classes);
            for (x, y) in rows.zip(y.as_mut_slice::<T>()?.chunks_exact_mut(classes)) {
                self.row(x, y);
            }
            Ok(())
        })
    }
}

impl Softmax {
    fn row<T: Real>(&self, x: &[T], y: &mut [T]) {
        let largest = x
            .iter()
            .fold(T::LOWEST, |largest, &x| largest.greater(x))
            .wide();
        let sum = x
            .iter()
            .fold(T::Wide::ZERO, |sum, x| sum + (x.wide() - largest).exp());
        if self.log {
            let log_sum = sum.ln();
            for (y, x) in y.iter_mut().zip(x) {
                *y = T::narrow(x.wide() - largest - log_sum);
            }
        } else {
            for (y, x) in y.iter_mut().zip(x) {
                *y = T::narrow((x.wide() - largest).exp() / sum);
            }
        }
    }
}
