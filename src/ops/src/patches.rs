//! `ExtractImagePatches` and `Dilation2D`: windows over NHWC images, with rates.

use tfjet_core::{AttrReader, Tensor, TensorView};

use crate::arguments::{expect_rank, expect_same_dtype, output, reset, take};
use crate::binary::DataFormat;
use crate::error::shape_error;
use crate::number::{Number, with_size, with_type};
use crate::window::{Border, Image, Window, spatial};
use crate::{Kernel, OpError};

/// How the windows move over rows and columns.
#[derive(Debug)]
struct Sliding {
    strides: [usize; 2],
    rates: [usize; 2],
    border: Border,
}

impl Sliding {
    fn read(reader: &AttrReader<'_>) -> Result<Self, OpError> {
        Ok(Self {
            strides: spatial(reader, "strides", DataFormat::Nhwc)?,
            rates: spatial(reader, "rates", DataFormat::Nhwc)?,
            border: Border::read(reader)?,
        })
    }

    fn along(&self, dim: usize, input: usize, kernel: usize) -> Result<Window, OpError> {
        Window::new(
            input,
            kernel,
            self.strides[dim],
            self.rates[dim],
            self.border,
        )
    }
}

/// `ExtractImagePatches`: what each window sees, side by side in the channels; zeros outside.
#[derive(Debug)]
struct ExtractImagePatches {
    sliding: Sliding,
    kernel: [usize; 2],
}

pub(crate) fn extract_image_patches(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(ExtractImagePatches {
        sliding: Sliding::read(reader)?,
        kernel: spatial(reader, "ksizes", DataFormat::Nhwc)?,
    }))
}

impl Kernel for ExtractImagePatches {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let y = output(outputs)?;
        let image = Image::of(0, x.shape(), DataFormat::Nhwc)?;
        let [batch, height, width, channels] = image.sizes;
        let rows = self.sliding.along(0, height, self.kernel[0])?;
        let columns = self.sliding.along(1, width, self.kernel[1])?;
        let taps = self.kernel[0].saturating_mul(self.kernel[1]);
        let shape = [
            batch,
            rows.count,
            columns.count,
            taps.saturating_mul(channels),
        ];
        reset(y, x.dtype(), &shape)?;
        y.bytes_mut().fill(0);
        if y.elements() == 0 {
            return Ok(());
        }
        let patches = Image::new(shape, DataFormat::Nhwc);
        with_size!(x.dtype(), N => {
            let x = x.bytes().as_chunks::<N>().0;
            let y = y.bytes_mut().as_chunks_mut::<N>().0;
            patches.places(|batch, row, column| {
                let to = patches.at(batch, row, column);
                for (tap_row, from_row) in rows.taps(row) {
                    for (tap_column, from_column) in columns.taps(column) {
                        let to = to + (tap_row * self.kernel[1] + tap_column) * channels;
                        let from = image.at(batch, from_row, from_column);
                        y[to..to + channels].copy_from_slice(&x[from..from + channels]);
                    }
                }
            });
        });
        Ok(())
    }
}

/// `Dilation2D`: the largest sum of a window's elements and the filter's.
#[derive(Debug)]
struct Dilation2d(Sliding);

pub(crate) fn dilation2d(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Dilation2d(Sliding::read(reader)?)))
}

impl Kernel for Dilation2d {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, filter] = take(inputs)?;
        let y = output(outputs)?;
        expect_same_dtype(inputs)?;
        expect_rank(1, filter, 3)?;
        let image = Image::of(0, x.shape(), DataFormat::Nhwc)?;
        let [batch, height, width, channels] = image.sizes;
        let &[kernel_rows, kernel_columns, filter_channels] = filter.shape() else {
            return Err(shape_error!("the filter must have rank 3"));
        };
        if filter_channels != channels {
            return Err(shape_error!(
                "a filter of shape {:?} does not fit {channels} channels",
                filter.shape()
            ));
        }
        let rows = self.0.along(0, height, kernel_rows)?;
        let columns = self.0.along(1, width, kernel_columns)?;
        let shape = [batch, rows.count, columns.count, channels];
        reset(y, x.dtype(), &shape)?;
        if y.elements() == 0 {
            return Ok(());
        }
        let target = Image::new(shape, DataFormat::Nhwc);
        with_type!(numbers, 0, x.dtype(), T => {
            let (x, filter) = (x.as_slice::<T>()?, filter.as_slice::<T>()?);
            let y = y.as_mut_slice::<T>()?;
            y.fill(T::lowest_finite());
            target.places(|batch, row, column| {
                let to = target.at(batch, row, column);
                for (tap_row, from_row) in rows.taps(row) {
                    for (tap_column, from_column) in columns.taps(column) {
                        let tap = (tap_row * kernel_columns + tap_column) * channels;
                        let from = image.at(batch, from_row, from_column);
                        for channel in 0..channels {
                            let value = x[from + channel].plus(filter[tap + channel]);
                            let slot = &mut y[to + channel];
                            if value > *slot {
                                *slot = value;
                            }
                        }
                    }
                }
            });
            Ok(())
        })
    }
}
