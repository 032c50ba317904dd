use tfjet_core::{AttrError, AttrReader, DType, Tensor, TensorView};

use crate::arguments::{Indices, output, reset, take};
use crate::binary::DataFormat;
use crate::error::{shape_error, value_error};
use crate::number::{Number, with_size, with_type};
use crate::window::Image;
use crate::{Kernel, OpError};

/// `ResizeBilinear` (the result is `float32`) and `ResizeNearestNeighbor`, of NHWC images.
#[derive(Debug)]
struct Resize {
    bilinear: bool,
    align_corners: bool,
    half_pixel_centers: bool,
}

pub(crate) fn resize(reader: &AttrReader<'_>, bilinear: bool) -> Result<Box<dyn Kernel>, OpError> {
    let align_corners = reader.bool_or("align_corners", false)?;
    let half_pixel_centers = reader.bool_or("half_pixel_centers", false)?;
    if align_corners && half_pixel_centers {
        return Err(AttrError::Value {
            name: "half_pixel_centers".into(),
            value: "true".into(),
            expected: "false where align_corners is true",
        }
        .into());
    }
    Ok(Box::new(Resize {
        bilinear,
        align_corners,
        half_pixel_centers,
    }))
}

/// The two elements along one dimension between which a result lies.
#[derive(Clone, Copy)]
struct Between {
    lower: usize,
    upper: usize,
    /// Weight of the upper one.
    fraction: f32,
}

impl Resize {
    fn scale(&self, input: usize, output: usize) -> f32 {
        if self.align_corners && output > 1 {
            (input - 1) as f32 / (output - 1) as f32
        } else {
            input as f32 / output as f32
        }
    }

    fn nearest(&self, at: usize, scale: f32, input: usize) -> usize {
        let position = if self.half_pixel_centers {
            ((at as f32 + 0.5) * scale).floor()
        } else if self.align_corners {
            (at as f32 * scale).round()
        } else {
            (at as f32 * scale).floor()
        };
        (position as usize).min(input - 1)
    }

    fn between(&self, at: usize, scale: f32, input: usize) -> Between {
        let position = if self.half_pixel_centers {
            (at as f32 + 0.5) * scale - 0.5
        } else {
            at as f32 * scale
        };
        let floor = position.floor();
        Between {
            lower: (floor.max(0.0) as usize).min(input - 1),
            upper: (position.ceil().max(0.0) as usize).min(input - 1),
            fraction: position - floor,
        }
    }
}

impl Kernel for Resize {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, new_size] = take(inputs)?;
        let y = output(outputs)?;
        let from = Image::of(0, x.shape(), DataFormat::Nhwc)?;
        let new_size = Indices::vector(1, new_size)?;
        let sizes = match (new_size.len() == 2).then(|| [new_size.get(0), new_size.get(1)]) {
            Some([height, width]) if height > 0 && width > 0 => [height as usize, width as usize],
            _ => {
                return Err(value_error!(
                    "the size must be two positive numbers, got {:?}",
                    new_size.iter().collect::<Vec<_>>()
                ));
            }
        };
        let [batch, height, width, channels] = from.sizes;
        if height == 0 || width == 0 {
            return Err(shape_error!(
                "an image of shape {:?} has no pixels",
                x.shape()
            ));
        }
        let shape = [batch, sizes[0], sizes[1], channels];
        let dtype = if self.bilinear { DType::F32 } else { x.dtype() };
        reset(y, dtype, &shape)?;
        if y.elements() == 0 {
            return Ok(());
        }
        let to = Image::new(shape, DataFormat::Nhwc);
        if self.bilinear {
            return with_type!(numbers, 0, x.dtype(), T => {
                self.interpolate::<T>(&from, x.as_slice()?, &to, y.as_mut_slice()?);
                Ok(())
            });
        }
        let scales = [self.scale(height, sizes[0]), self.scale(width, sizes[1])];
        let columns: Vec<usize> = (0..sizes[1])
            .map(|column| self.nearest(column, scales[1], width))
            .collect();
        with_size!(x.dtype(), N => {
            let x = x.bytes().as_chunks::<N>().0;
            let y = y.bytes_mut().as_chunks_mut::<N>().0;
            let lines = y.chunks_exact_mut(sizes[1] * channels);
            for (line, target) in lines.enumerate() {
                let row = self.nearest(line % sizes[0], scales[0], height);
                let source = &x[from.at(line / sizes[0], row, 0)..][..width * channels];
                for (pixel, &column) in target.chunks_exact_mut(channels).zip(&columns) {
                    pixel.copy_from_slice(&source[column * channels..][..channels]);
                }
            }
        });
        Ok(())
    }
}

impl Resize {
    fn interpolate<T: Number>(&self, from: &Image, x: &[T], to: &Image, y: &mut [f32]) {
        let [_, height, width, channels] = from.sizes;
        let [_, rows, columns, _] = to.sizes;
        let scale = self.scale(width, columns);
        let columns: Vec<Between> = (0..columns)
            .map(|column| self.between(column, scale, width))
            .collect();
        let scale = self.scale(height, rows);
        let line = columns.len() * channels;
        // The two lines of the image that were stretched last, and where they are in `x`.
        let mut stretched = [vec![0.0; line], vec![0.0; line]];
        let mut places = [usize::MAX; 2];
        for (at, target) in y.chunks_exact_mut(line).enumerate() {
            let between = self.between(at % rows, scale, height);
            let place = |row: usize| from.at(at / rows, row, 0);
            let wanted = [place(between.lower), place(between.upper)];
            if wanted[0] == places[1] {
                stretched.swap(0, 1);
                places.swap(0, 1);
            }
            for n in 0..2 {
                if n == 1 && wanted[1] == wanted[0] {
                    continue;
                }
                if wanted[n] != places[n] {
                    let source = &x[wanted[n]..wanted[n] + width * channels];
                    stretch(source, &columns, channels, &mut stretched[n]);
                    places[n] = wanted[n];
                }
            }
            let [top, bottom] = &stretched;
            let bottom = if wanted[1] == wanted[0] { top } else { bottom };
            for ((slot, &top), &bottom) in target.iter_mut().zip(top).zip(bottom) {
                *slot = blend(top, bottom, between.fraction);
            }
        }
    }
}

fn blend(low: f32, high: f32, fraction: f32) -> f32 {
    low + (high - low) * fraction
}

/// One line of an image with other columns.
fn stretch<T: Number>(source: &[T], columns: &[Between], channels: usize, target: &mut [f32]) {
    match channels {
        1 => stretch_pixels::<T, 1>(source, columns, target),
        3 => stretch_pixels::<T, 3>(source, columns, target),
        4 => stretch_pixels::<T, 4>(source, columns, target),
        _ => {
            for (pixel, column) in target.chunks_exact_mut(channels).zip(columns) {
                let lower = &source[column.lower * channels..][..channels];
                let upper = &source[column.upper * channels..][..channels];
                for ((slot, low), high) in pixel.iter_mut().zip(lower).zip(upper) {
                    *slot = blend(low.to_f32(), high.to_f32(), column.fraction);
                }
            }
        }
    }
}

fn stretch_pixels<T: Number, const N: usize>(
    source: &[T],
    columns: &[Between],
    target: &mut [f32],
) {
    let source = source.as_chunks::<N>().0;
    for (pixel, column) in target.as_chunks_mut::<N>().0.iter_mut().zip(columns) {
        let (lower, upper) = (&source[column.lower], &source[column.upper]);
        for n in 0..N {
            pixel[n] = blend(lower[n].to_f32(), upper[n].to_f32(), column.fraction);
        }
    }
}
