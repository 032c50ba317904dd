use tfjet_core::{AttrError, AttrReader, Tensor, TensorView};

use crate::arguments::{expect_count, expect_rank, expect_same_dtype, output, reset, take};
use crate::error::shape_error;
use crate::fused::Fused;
use crate::number::{Number, Real, with_type};
use crate::window::{Image, Sliding, Window, image_shape};
use crate::{Kernel, OpError};

/// Output channels that are kept in registers.
const LANES: usize = 16;

/// `Conv2D` and `DepthwiseConv2dNative`, plain or with fused ops. The filter is
/// `[rows, columns, input channels of a group, output channels]`, for the depthwise kind
/// `[rows, columns, channels, multiplier]`.
#[derive(Debug)]
struct Conv2d {
    sliding: Sliding,
    depthwise: bool,
    fused: Fused,
}

pub(crate) fn conv2d(
    reader: &AttrReader<'_>,
    depthwise: bool,
    fused: bool,
) -> Result<Box<dyn Kernel>, OpError> {
    if fused {
        match reader.str_or("filter_format", "HWIO")? {
            "HWIO" => {}
            other => {
                return Err(AttrError::Value {
                    name: "filter_format".into(),
                    value: other.into(),
                    expected: "HWIO",
                }
                .into());
            }
        }
    }
    Ok(Box::new(Conv2d {
        sliding: Sliding::read(reader)?,
        depthwise,
        fused: if fused {
            Fused::read(reader)?
        } else {
            Fused::default()
        },
    }))
}

/// Everything that the loops need but the elements.
struct Convolution {
    x: Image,
    y: Image,
    rows: Window,
    columns: Window,
    /// Input channels of a group, output channels of a group.
    group: [usize; 2],
}

impl Kernel for Conv2d {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        expect_count(inputs, 2 + self.fused.args)?;
        let (operands, args) = inputs.split_at(2);
        let [x, filter] = take(operands)?;
        let y = output(outputs)?;
        expect_same_dtype(operands)?;
        expect_rank(1, filter, 4)?;
        let format = self.sliding.format;
        let image = Image::of(0, x.shape(), format)?;
        let &[kernel_rows, kernel_columns, filter_in, filter_out] = filter.shape() else {
            return Err(shape_error!("the filter must have rank 4"));
        };
        let [batch, height, width, channels] = image.sizes;
        let fits = if self.depthwise {
            filter_in == channels
        } else {
            filter_in > 0
                && channels >= filter_in
                && channels.is_multiple_of(filter_in)
                && filter_out.is_multiple_of(channels / filter_in)
        };
        if !fits {
            return Err(shape_error!(
                "a filter of shape {:?} does not fit {channels} channels",
                filter.shape()
            ));
        }
        let rows = self.sliding.along(0, height, kernel_rows)?;
        let columns = self.sliding.along(1, width, kernel_columns)?;
        let (group, out) = if self.depthwise {
            ([1, filter_out], channels.saturating_mul(filter_out))
        } else {
            let groups = channels / filter_in;
            ([filter_in, filter_out / groups], filter_out)
        };
        let shape = image_shape([batch, rows.count, columns.count, out], format);
        reset(y, x.dtype(), &shape)?;
        if y.elements() == 0 {
            return Ok(());
        }
        let convolution = Convolution {
            x: image,
            y: Image::new(shape, format),
            rows,
            columns,
            group,
        };
        let channel_axis = format.axes()[3];
        with_type!(reals, 0, x.dtype(), T => {
            let (x, filter) = (x.as_slice::<T>()?, filter.as_slice::<T>()?);
            if self.depthwise {
                convolution.depthwise(x, filter, y.as_mut_slice()?);
            } else {
                convolution.grouped(x, filter, y.as_mut_slice()?);
            }
            self.fused.apply::<T>(args, 2, channel_axis, y)
        })
    }
}

impl Convolution {
    fn grouped<T: Real>(&self, x: &[T], filter: &[T], y: &mut [T]) {
        let [group_in, group_out] = self.group;
        let out = self.y.sizes[3];
        self.y.places(|batch, row, column| {
            let at = self.y.at(batch, row, column);
            for group in 0..out / group_out {
                let end = (group + 1) * group_out;
                for first in (group * group_out..end).step_by(LANES) {
                    let lanes = LANES.min(end - first);
                    let mut sums = [T::Wide::ZERO; LANES];
                    self.each_tap(batch, row, column, |tap, from| {
                        let from = from + group * group_in * self.x.strides[3];
                        for channel in 0..group_in {
                            let x = x[from + channel * self.x.strides[3]].wide();
                            let weights = (tap * group_in + channel) * out + first;
                            let weights = &filter[weights..weights + lanes];
                            for (sum, weight) in sums.iter_mut().zip(weights) {
                                *sum = sum.plus(x.times(weight.wide()));
                            }
                        }
                    });
                    self.write(at, first, &sums[..lanes], y);
                }
            }
        });
    }

    fn depthwise<T: Real>(&self, x: &[T], filter: &[T], y: &mut [T]) {
        let multiplier = self.group[1];
        let out = self.y.sizes[3];
        self.y.places(|batch, row, column| {
            let at = self.y.at(batch, row, column);
            for first in (0..out).step_by(LANES) {
                let lanes = LANES.min(out - first);
                let mut sums = [T::Wide::ZERO; LANES];
                self.each_tap(batch, row, column, |tap, from| {
                    let weights = &filter[tap * out + first..][..lanes];
                    for (lane, (sum, weight)) in sums.iter_mut().zip(weights).enumerate() {
                        let channel = match multiplier {
                            1 => first + lane,
                            _ => (first + lane) / multiplier,
                        };
                        let x = x[from + channel * self.x.strides[3]].wide();
                        *sum = sum.plus(x.times(weight.wide()));
                    }
                });
                self.write(at, first, &sums[..lanes], y);
            }
        });
    }

    /// Calls `f(tap, offset of its input)` for the taps that meet the image.
    fn each_tap(&self, batch: usize, row: usize, column: usize, mut f: impl FnMut(usize, usize)) {
        for (tap_row, input_row) in self.rows.taps(row) {
            for (tap_column, input_column) in self.columns.taps(column) {
                f(
                    tap_row * self.columns.kernel + tap_column,
                    self.x.at(batch, input_row, input_column),
                );
            }
        }
    }

    fn write<T: Real>(&self, at: usize, first: usize, sums: &[T::Wide], y: &mut [T]) {
        for (lane, &sum) in sums.iter().enumerate() {
            y[at + (first + lane) * self.y.strides[3]] = T::narrow(sum);
        }
    }
}
