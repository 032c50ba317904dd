//! `ResizeBicubic` and `ResizeArea`: each row and column of the result is a weighted sum of some of
//! the image's.

use tfjet_core::{AttrError, AttrReader, DType, Tensor, TensorView};

use crate::arguments::{Indices, output, reset, take};
use crate::binary::DataFormat;
use crate::error::{shape_error, value_error};
use crate::number::{Number, with_type};
use crate::window::Image;
use crate::{Kernel, OpError};

/// How the weights come about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Method {
    /// Four neighbours, by cubic functions.
    Bicubic,
    /// What the result's pixel covers.
    Area,
}

#[derive(Debug)]
struct Resize {
    method: Method,
    align_corners: bool,
    half_pixel_centers: bool,
}

pub(crate) fn resize(reader: &AttrReader<'_>, method: Method) -> Result<Box<dyn Kernel>, OpError> {
    let align_corners = reader.bool_or("align_corners", false)?;
    let half_pixel_centers =
        method == Method::Bicubic && reader.bool_or("half_pixel_centers", false)?;
    if align_corners && half_pixel_centers {
        return Err(AttrError::Value {
            name: "half_pixel_centers".into(),
            value: "true".into(),
            expected: "false where align_corners is true",
        }
        .into());
    }
    Ok(Box::new(Resize {
        method,
        align_corners,
        half_pixel_centers,
    }))
}

/// Steps of TensorFlow's table of cubic weights.
const TABLE: f32 = 1024.0;

impl Resize {
    /// The elements with their weights that make each element of a side.
    fn side(&self, input: usize, output: usize) -> Vec<Vec<(usize, f32)>> {
        let scale = if self.align_corners && output > 1 {
            (input - 1) as f32 / (output - 1) as f32
        } else {
            input as f32 / output as f32
        };
        (0..output)
            .map(|at| match self.method {
                Method::Bicubic => self.cubic(at, scale, input),
                Method::Area => covered(at, scale, input),
            })
            .collect()
    }

    fn cubic(&self, at: usize, scale: f32, input: usize) -> Vec<(usize, f32)> {
        let place = if self.half_pixel_centers {
            (at as f32 + 0.5) * scale - 0.5
        } else {
            at as f32 * scale
        };
        let floor = place.floor();
        let offset = ((place - floor) * TABLE).round_ties_even() / TABLE;
        // Catmull-Rom where pixels have centers, else the function that TensorFlow had first.
        let a = if self.half_pixel_centers { -0.5 } else { -0.75 };
        let near = |x: f32| ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
        let far = |x: f32| ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a;
        let weights = [
            far(offset + 1.0),
            near(offset),
            near(1.0 - offset),
            far(2.0 - offset),
        ];
        let first = floor as i64 - 1;
        let last = input as i64 - 1;
        let places = (first..first + 4).map(|place| (place.clamp(0, last) as usize, place));
        let mut taps: Vec<(usize, f32)> = places
            .zip(weights)
            .map(|((at, place), weight)| {
                let outside = self.half_pixel_centers && at as i64 != place;
                (at, if outside { 0.0 } else { weight })
            })
            .collect();
        if self.half_pixel_centers {
            let sum: f32 = taps.iter().map(|(_, weight)| weight).sum();
            if sum.abs() >= 1000.0 * f32::MIN_POSITIVE {
                taps.iter_mut().for_each(|(_, weight)| *weight /= sum);
            }
        }
        taps
    }
}

/// The elements that lie between two places, by how much of each does.
fn covered(at: usize, scale: f32, input: usize) -> Vec<(usize, f32)> {
    let (start, end) = (at as f32 * scale, (at + 1) as f32 * scale);
    let (first, behind) = (start.floor() as i64, end.ceil() as i64);
    let last = input as i64 - 1;
    (first..behind)
        .map(|place| {
            let edge = place as f32;
            let weight = if edge < start {
                if edge + 1.0 > end {
                    scale
                } else {
                    edge + 1.0 - start
                }
            } else if edge + 1.0 > end {
                end - edge
            } else {
                1.0
            };
            (place.clamp(0, last) as usize, weight / scale)
        })
        .collect()
}

impl Kernel for Resize {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, new_size] = take(inputs)?;
        let y = output(outputs)?;
        let image = Image::of(0, x.shape(), DataFormat::Nhwc)?;
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
        let [batch, height, width, channels] = image.sizes;
        if height == 0 || width == 0 {
            return Err(shape_error!(
                "an image of shape {:?} has no pixels",
                x.shape()
            ));
        }
        reset(y, DType::F32, &[batch, sizes[0], sizes[1], channels])?;
        if y.elements() == 0 {
            return Ok(());
        }
        let rows = self.side(height, sizes[0]);
        let columns = self.side(width, sizes[1]);
        let line = sizes[1] * channels;
        with_type!(numbers, 0, x.dtype(), T => {
            let x = x.as_slice::<T>()?;
            let mut sums = vec![0.0f32; width * channels];
            let targets = y.as_mut_slice::<f32>()?.chunks_exact_mut(line);
            for (at, target) in targets.enumerate() {
                sums.fill(0.0);
                for &(row, weight) in &rows[at % sizes[0]] {
                    let from = image.at(at / sizes[0], row, 0);
                    for (sum, x) in sums.iter_mut().zip(&x[from..from + width * channels]) {
                        *sum += x.to_f32() * weight;
                    }
                }
                for (pixel, taps) in target.chunks_exact_mut(channels).zip(&columns) {
                    pixel.fill(0.0);
                    for &(column, weight) in taps {
                        let from = &sums[column * channels..(column + 1) * channels];
                        for (slot, sum) in pixel.iter_mut().zip(from) {
                            *slot += sum * weight;
                        }
                    }
                }
            }
            Ok(())
        })
    }
}
