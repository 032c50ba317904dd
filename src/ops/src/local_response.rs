use tfjet_core::{AttrReader, Tensor, TensorView};

use crate::arguments::{expect_rank, output, reset, size, take};
use crate::number::{Number, with_type};
use crate::{Kernel, OpError};

/// `LRN`: each value divided by a power of the squares of its neighbours in depth.
#[derive(Debug)]
struct LocalResponse {
    radius: usize,
    bias: f64,
    alpha: f64,
    beta: f64,
}

pub(crate) fn lrn(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(LocalResponse {
        radius: size("depth_radius", reader.int_or("depth_radius", 5)?)?,
        bias: reader.float_or("bias", 1.0)?.into(),
        alpha: reader.float_or("alpha", 1.0)?.into(),
        beta: reader.float_or("beta", 0.5)?.into(),
    }))
}

impl Kernel for LocalResponse {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let y = output(outputs)?;
        expect_rank(0, x, 4)?;
        reset(y, x.dtype(), x.shape())?;
        let depth = x.shape()[3];
        if x.elements() == 0 {
            return Ok(());
        }
        with_type!(reals, 0, x.dtype(), T => {
            let rows = x.as_slice::<T>()?.chunks_exact(depth);
            for (x, y) in rows.zip(y.as_mut_slice::<T>()?.chunks_exact_mut(depth)) {
                for (i, y) in y.iter_mut().enumerate() {
                    let first = i.saturating_sub(self.radius);
                    let end = i.saturating_add(self.radius).saturating_add(1).min(depth);
                    let squares = x[first..end].iter().map(|x| x.to_f64() * x.to_f64());
                    let norm = self.bias + self.alpha * squares.sum::<f64>();
                    *y = T::from_f64(x[i].to_f64() * norm.powf(-self.beta));
                }
            }
            Ok(())
        })
    }
}
