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
        with_size!(x.dtype(), N => {
            let x = x.bytes().as_chunks::<N>().0;
            let y = y.bytes_mut().as_chunks_mut::<N>().0;
            to.places(|batch, row, column| {
                let row_from = self.nearest(row, scales[0], height);
                let column_from = self.nearest(column, scales[1], width);
                let (at, from) = (
                    to.at(batch, row, column),
                    from.at(batch, row_from, column_from),
                );
                y[at..at + channels].copy_from_slice(&x[from..from + channels]);
            });
        });
        Ok(())
    }
}

impl Resize {
    fn interpolate<T: Number>(&self, from: &Image, x: &[T], to: &Image, y: &mut [f32]) {
        let [_, height, width, channels] = from.sizes;
        let scales = [
            self.scale(height, to.sizes[1]),
            self.scale(width, to.sizes[2]),
        ];
        to.places(|batch, row, column| {
            let rows = self.between(row, scales[0], height);
            let columns = self.between(column, scales[1], width);
            let corner = |row: usize, column: usize| {
                let at = from.at(batch, row, column);
                x[at..at + channels].iter().map(|x| x.to_f64() as f32)
            };
            let top = corner(rows.lower, columns.lower).zip(corner(rows.lower, columns.upper));
            let bottom = corner(rows.upper, columns.lower).zip(corner(rows.upper, columns.upper));
            let at = to.at(batch, row, column);
            let blend = |(low, high): (f32, f32), fraction: f32| low + (high - low) * fraction;
            for (y, (top, bottom)) in y[at..at + channels].iter_mut().zip(top.zip(bottom)) {
                let edges = (
                    blend(top, columns.fraction),
                    blend(bottom, columns.fraction),
                );
                *y = blend(edges, rows.fraction);
            }
        });
    }
}
