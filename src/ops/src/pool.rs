use tfjet_core::{AttrReader, DType, Tensor, TensorView};

use crate::arguments::{Indices, output, outputs, reset, take};
use crate::binary::DataFormat;
use crate::error::value_error;
use crate::number::{Number, Real, with_type};
use crate::window::{Border, Image, Sliding, Window, image_shape, spatial};
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

/// `MaxPoolV2`: window and strides are inputs.
#[derive(Debug)]
struct MaxPoolV2 {
    format: DataFormat,
    border: Border,
}

pub(crate) fn max_pool_v2(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(MaxPoolV2 {
        format: DataFormat::read(reader)?,
        border: Border::read(reader)?,
    }))
}

impl Kernel for MaxPoolV2 {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, window, strides] = take(inputs)?;
        let y = output(outputs)?;
        let sizes = |input: usize, view: &TensorView<'_>| -> Result<[usize; 2], OpError> {
            let values = Indices::vector(input, view)?;
            let positive = |axis: usize| u32::try_from(values.get(axis)).ok().filter(|&v| v > 0);
            let [n, h, w, c] = self.format.axes();
            match values.len() {
                4 if values.get(n) == 1 && values.get(c) == 1 => match (positive(h), positive(w)) {
                    (Some(h), Some(w)) => Ok([h as usize, w as usize]),
                    _ => Err(value_error!("input {input} must be positive")),
                },
                _ => Err(value_error!(
                    "input {input} must be four numbers, 1 for batch and channels"
                )),
            }
        };
        let (kernel, strides) = (sizes(1, window)?, sizes(2, strides)?);
        let image = Image::of(0, x.shape(), self.format)?;
        let along = |dim: usize| {
            Window::new(
                image.sizes[dim + 1],
                kernel[dim],
                strides[dim],
                1,
                self.border,
            )
        };
        let (rows, columns) = (along(0)?, along(1)?);
        let [batch, _, _, channels] = image.sizes;
        let shape = image_shape([batch, rows.count, columns.count, channels], self.format);
        reset(y, x.dtype(), &shape)?;
        if y.elements() == 0 {
            return Ok(());
        }
        let pooling = Pooling {
            x: image,
            y: Image::new(shape, self.format),
            rows,
            columns,
        };
        with_type!(numbers, 0, x.dtype(), T => {
            pooling.largest::<T>(x.as_slice()?, y.as_mut_slice()?);
            Ok(())
        })
    }
}

/// `MaxPoolWithArgmax` of NHWC images: the largest of each window, and where it is in the image,
/// or in the batch of images.
#[derive(Debug)]
struct MaxPoolWithArgmax {
    kernel: [usize; 2],
    strides: [usize; 2],
    border: Border,
    with_batch: bool,
    indices: DType,
}

pub(crate) fn max_pool_with_argmax(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(MaxPoolWithArgmax {
        kernel: spatial(reader, "ksize", DataFormat::Nhwc)?,
        strides: spatial(reader, "strides", DataFormat::Nhwc)?,
        border: Border::read(reader)?,
        with_batch: reader.bool_or("include_batch_in_index", false)?,
        indices: reader.dtype_or("Targmax", DType::I64)?,
    }))
}

impl Kernel for MaxPoolWithArgmax {
    fn output_count(&self) -> usize {
        2
    }

    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let [y, places] = self::outputs(outputs)?;
        let image = Image::of(0, x.shape(), DataFormat::Nhwc)?;
        let along = |dim: usize| {
            Window::new(
                image.sizes[dim + 1],
                self.kernel[dim],
                self.strides[dim],
                1,
                self.border,
            )
        };
        let (rows, columns) = (along(0)?, along(1)?);
        let [batch, _, _, channels] = image.sizes;
        let shape = [batch, rows.count, columns.count, channels];
        reset(y, x.dtype(), &shape)?;
        reset(places, self.indices, &shape)?;
        if y.elements() == 0 {
            return Ok(());
        }
        let target = Image::new(shape, DataFormat::Nhwc);
        with_type!(numbers, 0, x.dtype(), T => {
            let (x, y) = (x.as_slice::<T>()?, y.as_mut_slice::<T>()?);
            let mut found = vec![0usize; y.len()];
            y.fill(T::LOWEST);
            target.places(|batch, row, column| {
                let at = target.at(batch, row, column);
                let mut first = true;
                for (_, from_row) in rows.taps(row) {
                    for (_, from_column) in columns.taps(column) {
                        let from = image.at(batch, from_row, from_column);
                        let base = if self.with_batch { 0 } else { image.at(batch, 0, 0) };
                        for channel in 0..channels {
                            if first || x[from + channel] > y[at + channel] {
                                y[at + channel] = x[from + channel];
                                found[at + channel] = from + channel - base;
                            }
                        }
                        first = false;
                    }
                }
            });
            match self.indices {
                DType::I32 => {
                    for (slot, &at) in places.as_mut_slice::<i32>()?.iter_mut().zip(&found) {
                        *slot = i32::try_from(at)
                            .map_err(|_| value_error!("place {at} does not fit int32"))?;
                    }
                }
                _ => {
                    for (slot, &at) in places.as_mut_slice::<i64>()?.iter_mut().zip(&found) {
                        *slot = at as i64;
                    }
                }
            }
            Ok(())
        })
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
