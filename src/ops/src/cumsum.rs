use tfjet_core::{AttrReader, Tensor, TensorView};

use crate::arguments::{axis, integer, output, product, reset, take};
use crate::number::{Number, with_type};
use crate::{Kernel, OpError};

/// `Cumsum` and `Cumprod`.
#[derive(Debug)]
struct Cumulative {
    product: bool,
    exclusive: bool,
    reverse: bool,
}

pub(crate) fn cumulative(
    reader: &AttrReader<'_>,
    product: bool,
) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Cumulative {
        product,
        exclusive: reader.bool_or("exclusive", false)?,
        reverse: reader.bool_or("reverse", false)?,
    }))
}

impl Kernel for Cumulative {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, dim] = take(inputs)?;
        let y = output(outputs)?;
        let shape = x.shape();
        let axis = axis(integer(1, dim)?, shape.len())?;
        reset(y, x.dtype(), shape)?;
        if x.elements() == 0 {
            return Ok(());
        }
        let (len, inner) = (shape[axis], product(&shape[axis + 1..]));
        with_type!(numbers, 0, x.dtype(), T => {
            let blocks = x.as_slice::<T>()?.chunks_exact(len * inner);
            for (x, y) in blocks.zip(y.as_mut_slice::<T>()?.chunks_exact_mut(len * inner)) {
                if self.product {
                    self.block(len, inner, x, y, T::ONE, T::times);
                } else {
                    self.block(len, inner, x, y, T::ZERO, T::plus);
                }
            }
            Ok(())
        })
    }
}

impl Cumulative {
    fn block<T: Number>(
        &self,
        len: usize,
        inner: usize,
        x: &[T],
        y: &mut [T],
        first: T,
        join: impl Fn(T, T) -> T,
    ) {
        for column in 0..inner {
            let mut sum = first;
            for step in 0..len {
                let row = if self.reverse { len - 1 - step } else { step };
                let i = row * inner + column;
                let with_own = join(sum, x[i]);
                y[i] = if self.exclusive { sum } else { with_own };
                sum = with_own;
            }
        }
    }
}
