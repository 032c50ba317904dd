use tfjet_core::{AttrReader, Tensor, TensorView};

use crate::arguments::{Indices, expect_rank, expect_same_dtype, output, reset, size, take};
use crate::error::shape_error;
use crate::number::{Number, with_type};
use crate::window::{Image, Sliding, image_shape};
use crate::{Kernel, OpError};

/// `Conv2DBackpropInput`, known as a transposed convolution: the filter is
/// `[rows, columns, channels of the result, channels of the input]`.
#[derive(Debug)]
struct Conv2dBackpropInput {
    sliding: Sliding,
}

pub(crate) fn conv2d_backprop_input(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Conv2dBackpropInput {
        sliding: Sliding::read(reader)?,
    }))
}

impl Kernel for Conv2dBackpropInput {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [input_sizes, filter, gradient] = take(inputs)?;
        let y = output(outputs)?;
        expect_same_dtype(&inputs[1..])?;
        expect_rank(1, filter, 4)?;
        let format = self.sliding.format;
        let source = Image::of(2, gradient.shape(), format)?;
        let &[kernel_rows, kernel_columns, channels, filter_out] = filter.shape() else {
            return Err(shape_error!("the filter must have rank 4"));
        };
        let wanted = Indices::vector(0, input_sizes)?;
        let mut sizes = [0; 4];
        match wanted.len() {
            2 => {
                sizes = [source.sizes[0], 0, 0, channels];
                for dim in 0..2 {
                    sizes[dim + 1] = size("a size", wanted.get(dim))?;
                }
            }
            4 => {
                for (slot, axis) in sizes.iter_mut().zip(format.axes()) {
                    *slot = size("a size", wanted.get(axis))?;
                }
            }
            other => {
                return Err(shape_error!(
                    "input_sizes must have 2 or 4 elements, has {other}"
                ));
            }
        }
        let rows = self.sliding.along(0, sizes[1], kernel_rows)?;
        let columns = self.sliding.along(1, sizes[2], kernel_columns)?;
        let expected = [sizes[0], rows.count, columns.count, filter_out];
        if source.sizes != expected || sizes[3] != channels {
            return Err(shape_error!(
                "input_sizes {:?} and a filter of shape {:?} do not fit a gradient of shape {:?}",
                wanted.iter().collect::<Vec<_>>(),
                filter.shape(),
                gradient.shape()
            ));
        }
        let shape = image_shape(sizes, format);
        reset(y, gradient.dtype(), &shape)?;
        if y.elements() == 0 {
            return Ok(());
        }
        let target = Image::new(shape, format);
        with_type!(reals, 2, gradient.dtype(), T => {
            let (filter, gradient) = (filter.as_slice::<T>()?, gradient.as_slice::<T>()?);
            let y = y.as_mut_slice::<T>()?;
            target.places(|batch, row, column| {
                let at = target.at(batch, row, column);
                for channel in 0..channels {
                    let mut sum = <T as Number>::Wide::ZERO;
                    for tap_row in 0..kernel_rows {
                        let Some(from_row) = rows.output(row, tap_row) else { continue };
                        for tap_column in 0..kernel_columns {
                            let Some(from_column) = columns.output(column, tap_column) else {
                                continue;
                            };
                            let tap = tap_row * kernel_columns + tap_column;
                            let weights = (tap * channels + channel) * filter_out;
                            let from = source.at(batch, from_row, from_column);
                            for (i, weight) in filter[weights..][..filter_out].iter().enumerate() {
                                let x = gradient[from + i * source.strides[3]].wide();
                                sum = sum.plus(x.times(weight.wide()));
                            }
                        }
                    }
                    y[at + channel * target.strides[3]] = Number::narrow(sum);
                }
            });
            Ok(())
        })
    }
}
