use tfjet_core::{AttrReader, Tensor, TensorView};

use crate::arguments::{output, reset, take};
use crate::number::{Number, Real, with_type};
use crate::window::{Image, Sliding, Window, image_shape, spatial};
use crate::{Kernel, OpError};

/// `MaxPool` and `AvgPool`. Padding takes no part in either.
#[derive(Debug)]
struct Pool {
    sliding: Sliding,
    kernel: [usize; 2],
    average: bool,
}

pub(crate) fn pool(reader: &AttrReader<'_>, average: bool) -> Result<Box<dyn Kernel>, OpError> {
    let sliding = Sliding::read(reader)?;
    Ok(Box::new(Pool {
        kernel: spatial(reader, "ksize", sliding.format)?,
        sliding,
        average,
    }))
}

impl Kernel for Pool {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let y = output(outputs)?;
        let format = self.sliding.format;
        let image = Image::of(0, x.shape(), format)?;
        let [batch, height, width, channels] = image.sizes;
        let rows = self.sliding.along(0, height, self.kernel[0])?;
        let columns = self.sliding.along(1, width, self.kernel[1])?;
        let shape = image_shape([batch, rows.count, columns.count, channels], format);
        reset(y, x.dtype(), &shape)?;
        if y.elements() == 0 {
            return Ok(());
        }
        let pooling = Pooling {
            x: image,
            y: Image::new(shape, format),
            rows,
            columns,
        };
        if self.average {
            with_type!(reals, 0, x.dtype(), T => {
                pooling.average::<T>(x.as_slice()?, y.as_mut_slice()?);
                Ok(())
            })
        } else {
            with_type!(numbers, 0, x.dtype(), T => {
                pooling.largest::<T>(x.as_slice()?, y.as_mut_slice()?);
                Ok(())
            })
        }
    }
}

struct Pooling {
    x: Image,
    y: Image,
    rows: Window,
    columns: Window,
}

impl Pooling {
    fn largest<T: Number>(&self, x: &[T], y: &mut [T]) {
        y.fill(T::LOWEST);
        self.y.places(|batch, row, column| {
            let at = self.y.at(batch, row, column);
            for (_, input_row) in self.rows.taps(row) {
                for (_, input_column) in self.columns.taps(column) {
                    let from = self.x.at(batch, input_row, input_column);
                    for channel in 0..self.y.sizes[3] {
                        let slot = &mut y[at + channel * self.y.strides[3]];
                        *slot = slot.greater(x[from + channel * self.x.strides[3]]);
                    }
                }
            }
        });
    }

    fn average<T: Real>(&self, x: &[T], y: &mut [T]) {
        self.y.places(|batch, row, column| {
            let at = self.y.at(batch, row, column);
            let count = self.rows.taps(row).count() * self.columns.taps(column).count();
            let count = <T::Wide as Number>::from_f64(count as f64);
            for channel in 0..self.y.sizes[3] {
                let mut sum = T::Wide::ZERO;
                for (_, input_row) in self.rows.taps(row) {
                    for (_, input_column) in self.columns.taps(column) {
                        let from = self.x.at(batch, input_row, input_column);
                        sum = sum.plus(x[from + channel * self.x.strides[3]].wide());
                    }
                }
                y[at + channel * self.y.strides[3]] = T::narrow(sum.quotient(count));
            }
        });
    }
}
