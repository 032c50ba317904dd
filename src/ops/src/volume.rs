//! `Conv3D`, `Conv3DBackpropInputV2`, `MaxPool3D` and `AvgPool3D`: windows over volumes.

use tfjet_core::{AttrReader, Tensor, TensorView};

use crate::arguments::{Indices, expect_same_dtype, output, product, reset, size, take};
use crate::error::shape_error;
use crate::number::{Number, Real, with_type};
use crate::window::{Border, Window, refuse};
use crate::{Kernel, OpError};

/// How windows move over depth, rows and columns.
#[derive(Debug)]
struct Sliding {
    channels_first: bool,
    strides: [usize; 3],
    dilations: [usize; 3],
    border: Border,
}

/// Sizes and strides of a tensor of volumes: batch, depth, rows, columns, channels.
#[derive(Debug, Clone, Copy)]
struct Volume {
    sizes: [usize; 5],
    strides: [usize; 5],
}

const FIRST: [usize; 5] = [0, 2, 3, 4, 1];
const LAST: [usize; 5] = [0, 1, 2, 3, 4];

impl Sliding {
    fn read(reader: &AttrReader<'_>) -> Result<Self, OpError> {
        let channels_first = match reader.str_or("data_format", "NDHWC")? {
            "NDHWC" => false,
            "NCDHW" => true,
            other => return Err(refuse("data_format", other, "NDHWC or NCDHW")),
        };
        let mut sliding = Self {
            channels_first,
            strides: [1; 3],
            dilations: [1; 3],
            border: Border::read(reader)?,
        };
        sliding.strides = sliding.spatial(reader, "strides")?;
        if !reader.ints("dilations")?.is_empty() {
            sliding.dilations = sliding.spatial(reader, "dilations")?;
        }
        Ok(sliding)
    }

    fn axes(&self) -> [usize; 5] {
        if self.channels_first { FIRST } else { LAST }
    }

    /// Depth, rows and columns of a list with an element for each dimension.
    fn spatial(&self, reader: &AttrReader<'_>, name: &str) -> Result<[usize; 3], OpError> {
        let values = reader.ints(name)?;
        let expected = "five positive integers, 1 for batch and channels";
        let fail = || refuse(name, &format!("{values:?}"), expected);
        let values: &[i64; 5] = values.try_into().map_err(|_| fail())?;
        let [n, d, h, w, c] = self.axes().map(|axis| values[axis]);
        if n != 1 || c != 1 {
            return Err(fail());
        }
        let mut sizes = [0; 3];
        for (slot, value) in sizes.iter_mut().zip([d, h, w]) {
            let value = u32::try_from(value).ok().filter(|&value| value > 0);
            *slot = value.ok_or_else(fail)? as usize;
        }
        Ok(sizes)
    }

    fn volume(&self, shape: &[usize], input: usize) -> Result<Volume, OpError> {
        let shape: [usize; 5] = shape
            .try_into()
            .map_err(|_| shape_error!("input {input} must have rank 5, has shape {shape:?}"))?;
        let mut strides = [1usize; 5];
        for dim in (0..4).rev() {
            strides[dim] = strides[dim + 1].wrapping_mul(shape[dim + 1]);
        }
        Ok(Volume {
            sizes: self.axes().map(|axis| shape[axis]),
            strides: self.axes().map(|axis| strides[axis]),
        })
    }

    /// The shape of a tensor of volumes.
    fn shape(&self, sizes: [usize; 5]) -> [usize; 5] {
        let mut shape = [0; 5];
        for (axis, size) in self.axes().into_iter().zip(sizes) {
            shape[axis] = size;
        }
        shape
    }

    fn windows(&self, volume: &Volume, kernel: [usize; 3]) -> Result<[Window; 3], OpError> {
        let window = |dim: usize| {
            Window::new(
                volume.sizes[dim + 1],
                kernel[dim],
                self.strides[dim],
                self.dilations[dim],
                self.border,
            )
        };
        Ok([window(0)?, window(1)?, window(2)?])
    }
}

impl Volume {
    /// Calls `place(batch, [depth, row, column], offset of channel 0)`.
    fn places(&self, mut place: impl FnMut(usize, [usize; 3], usize)) {
        let [n, d, h, w, _] = self.sizes;
        for batch in 0..n {
            for depth in 0..d {
                for row in 0..h {
                    for column in 0..w {
                        let at = [depth, row, column];
                        place(batch, at, self.at(batch, at));
                    }
                }
            }
        }
    }

    fn at(&self, batch: usize, [depth, row, column]: [usize; 3]) -> usize {
        batch * self.strides[0]
            + depth * self.strides[1]
            + row * self.strides[2]
            + column * self.strides[3]
    }
}

/// Calls `f(tap, place in the input)` for the taps of a window that meet the input.
fn taps(windows: &[Window; 3], at: [usize; 3], mut f: impl FnMut(usize, [usize; 3])) {
    let [depths, rows, columns] = windows;
    for (tap_depth, depth) in depths.taps(at[0]) {
        for (tap_row, row) in rows.taps(at[1]) {
            for (tap_column, column) in columns.taps(at[2]) {
                let tap = (tap_depth * rows.kernel + tap_row) * columns.kernel + tap_column;
                f(tap, [depth, row, column]);
            }
        }
    }
}

/// The sizes of a filter.
fn filter_sizes(filter: &TensorView<'_>) -> Result<([usize; 3], [usize; 2]), OpError> {
    match *filter.shape() {
        [d, h, w, input, output] => Ok(([d, h, w], [input, output])),
        ref shape => Err(shape_error!(
            "the filter must have rank 5, has shape {shape:?}"
        )),
    }
}

/// `Conv3D`.
#[derive(Debug)]
struct Conv3d(Sliding);

pub(crate) fn conv3d(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Conv3d(Sliding::read(reader)?)))
}

impl Kernel for Conv3d {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, filter] = take(inputs)?;
        let y = output(outputs)?;
        expect_same_dtype(inputs)?;
        let source = self.0.volume(x.shape(), 0)?;
        let (kernel, [channels, out]) = filter_sizes(filter)?;
        if source.sizes[4] != channels {
            return Err(shape_error!(
                "a filter of shape {:?} does not fit {} channels",
                filter.shape(),
                source.sizes[4]
            ));
        }
        let windows = self.0.windows(&source, kernel)?;
        let [d, h, w] = windows.map(|window| window.count);
        let shape = self.0.shape([source.sizes[0], d, h, w, out]);
        reset(y, x.dtype(), &shape)?;
        if y.elements() == 0 {
            return Ok(());
        }
        let target = self.0.volume(&shape, 0)?;
        with_type!(reals, 0, x.dtype(), T => {
            let (x, filter) = (x.as_slice::<T>()?, filter.as_slice::<T>()?);
            let y = y.as_mut_slice::<T>()?;
            let mut sums = vec![<T as Number>::Wide::ZERO; out];
            target.places(|batch, at, to| {
                sums.fill(Number::ZERO);
                taps(&windows, at, |tap, place| {
                    let from = source.at(batch, place);
                    for channel in 0..channels {
                        let x = x[from + channel * source.strides[4]].wide();
                        let weights = &filter[(tap * channels + channel) * out..][..out];
                        for (sum, weight) in sums.iter_mut().zip(weights) {
                            *sum = sum.plus(x.times(weight.wide()));
                        }
                    }
                });
                for (channel, &sum) in sums.iter().enumerate() {
                    y[to + channel * target.strides[4]] = T::narrow(sum);
                }
            });
            Ok(())
        })
    }
}

/// `Conv3DBackpropInputV2`, known as a transposed convolution.
#[derive(Debug)]
struct Conv3dBackpropInput(Sliding);

pub(crate) fn conv3d_backprop_input(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Conv3dBackpropInput(Sliding::read(reader)?)))
}

impl Kernel for Conv3dBackpropInput {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [input_sizes, filter, gradient] = take(inputs)?;
        let y = output(outputs)?;
        expect_same_dtype(&inputs[1..])?;
        let source = self.0.volume(gradient.shape(), 2)?;
        let (kernel, [channels, filter_out]) = filter_sizes(filter)?;
        let wanted = Indices::vector(0, input_sizes)?;
        if wanted.len() != 5 {
            return Err(shape_error!("input_sizes must have 5 elements"));
        }
        let mut shape = [0; 5];
        for (slot, value) in shape.iter_mut().zip(wanted.iter()) {
            *slot = size("a size", value)?;
        }
        let target = self.0.volume(&shape, 0)?;
        let windows = self.0.windows(&target, kernel)?;
        let [d, h, w] = windows.map(|window| window.count);
        let expected = [target.sizes[0], d, h, w, filter_out];
        if source.sizes != expected || target.sizes[4] != channels {
            return Err(shape_error!(
                "input_sizes {shape:?} and a filter of shape {:?} do not fit a gradient of shape \
                 {:?}",
                filter.shape(),
                gradient.shape()
            ));
        }
        reset(y, gradient.dtype(), &shape)?;
        if y.elements() == 0 {
            return Ok(());
        }
        with_type!(reals, 2, gradient.dtype(), T => {
            let (filter, x) = (filter.as_slice::<T>()?, gradient.as_slice::<T>()?);
            let mut sums = vec![<T as Number>::Wide::ZERO; y.elements()];
            source.places(|batch, at, from| {
                taps(&windows, at, |tap, place| {
                    let to = target.at(batch, place);
                    for channel in 0..channels {
                        let weights = &filter[(tap * channels + channel) * filter_out..];
                        let sum = &mut sums[to + channel * target.strides[4]];
                        for (i, weight) in weights[..filter_out].iter().enumerate() {
                            let x = x[from + i * source.strides[4]].wide();
                            *sum = sum.plus(x.times(weight.wide()));
                        }
                    }
                });
            });
            for (slot, &sum) in y.as_mut_slice::<T>()?.iter_mut().zip(&sums) {
                *slot = T::narrow(sum);
            }
            Ok(())
        })
    }
}

/// `MaxPool3D` and `AvgPool3D`. Padding takes no part in either.
#[derive(Debug)]
struct Pool3d {
    sliding: Sliding,
    kernel: [usize; 3],
    average: bool,
}

pub(crate) fn pool3d(reader: &AttrReader<'_>, average: bool) -> Result<Box<dyn Kernel>, OpError> {
    let sliding = Sliding::read(reader)?;
    Ok(Box::new(Pool3d {
        kernel: sliding.spatial(reader, "ksize")?,
        sliding,
        average,
    }))
}

impl Kernel for Pool3d {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let y = output(outputs)?;
        let source = self.sliding.volume(x.shape(), 0)?;
        let windows = self.sliding.windows(&source, self.kernel)?;
        let [d, h, w] = windows.map(|window| window.count);
        let sizes = [source.sizes[0], d, h, w, source.sizes[4]];
        let shape = self.sliding.shape(sizes);
        reset(y, x.dtype(), &shape)?;
        if y.elements() == 0 {
            return Ok(());
        }
        let target = self.sliding.volume(&shape, 0)?;
        with_type!(reals, 0, x.dtype(), T => {
            self.pool::<T>(&source, &target, &windows, x.as_slice()?, y.as_mut_slice()?);
            Ok(())
        })
    }
}

impl Pool3d {
    fn pool<T: Real>(
        &self,
        source: &Volume,
        target: &Volume,
        windows: &[Window; 3],
        x: &[T],
        y: &mut [T],
    ) {
        target.places(|batch, at, to| {
            let count = product(&[0, 1, 2].map(|dim| windows[dim].taps(at[dim]).count()));
            let count = <T::Wide as Number>::from_f64(count as f64);
            for channel in 0..target.sizes[4] {
                let (mut largest, mut sum) = (T::LOWEST, T::Wide::ZERO);
                taps(windows, at, |_, place| {
                    let value = x[source.at(batch, place) + channel * source.strides[4]];
                    if self.average {
                        sum = sum.plus(value.wide());
                    } else {
                        largest = largest.greater(value);
                    }
                });
                y[to + channel * target.strides[4]] = if self.average {
                    T::narrow(sum.quotient(count))
                } else {
                    largest
                };
            }
        });
    }
}
