use tfjet_core::{AttrError, AttrReader, DType, Tensor, TensorView};

use crate::arguments::{Indices, expect_dtype, output, reset, size, take};
use crate::binary::DataFormat;
use crate::error::{shape_error, value_error};
use crate::number::{Number, with_type};
use crate::window::Image;
use crate::{Kernel, OpError};

/// `CropAndResize`: boxes `[y1, x1, y2, x2]` of NHWC images, in parts of the image, each resized
/// to one size. What lies outside becomes `extrapolation_value`.
#[derive(Debug)]
struct CropAndResize {
    bilinear: bool,
    outside: f32,
}

pub(crate) fn crop_and_resize(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    let bilinear = match reader.str_or("method", "bilinear")? {
        "bilinear" => true,
        "nearest" => false,
        other => {
            return Err(AttrError::Value {
                name: "method".into(),
                value: other.into(),
                expected: "bilinear or nearest",
            }
            .into());
        }
    };
    Ok(Box::new(CropAndResize {
        bilinear,
        outside: reader.float_or("extrapolation_value", 0.0)?,
    }))
}

/// Places along one side of a box.
struct Side {
    first: f32,
    step: f32,
    last: f32,
}

impl Side {
    fn new(low: f32, high: f32, input: usize, crop: usize) -> Self {
        let last = (input - 1) as f32;
        if crop > 1 {
            Self {
                first: low * last,
                step: (high - low) * last / (crop - 1) as f32,
                last,
            }
        } else {
            Self {
                first: 0.5 * (low + high) * last,
                step: 0.0,
                last,
            }
        }
    }

    /// Where element `i` lies, if that is inside.
    fn at(&self, i: usize) -> Option<f32> {
        let place = self.first + i as f32 * self.step;
        (place >= 0.0 && place <= self.last).then_some(place)
    }
}

impl Kernel for CropAndResize {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [image_view, boxes, box_images, crop_size] = take(inputs)?;
        let crops = output(outputs)?;
        let image = Image::of(0, image_view.shape(), DataFormat::Nhwc)?;
        let [batch, height, width, channels] = image.sizes;
        expect_dtype(1, boxes, DType::F32)?;
        expect_dtype(2, box_images, DType::I32)?;
        let &[count, 4] = boxes.shape() else {
            return Err(shape_error!(
                "boxes of shape {:?}, expected [n, 4]",
                boxes.shape()
            ));
        };
        if box_images.shape() != [count] {
            return Err(shape_error!(
                "images of shape {:?} for {count} boxes",
                box_images.shape()
            ));
        }
        if height == 0 || width == 0 {
            return Err(shape_error!(
                "an image of shape {:?} has no pixels",
                image_view.shape()
            ));
        }
        let sizes = Indices::vector(3, crop_size)?;
        if sizes.len() != 2 || sizes.iter().any(|size| size <= 0) {
            return Err(value_error!(
                "the size must be two positive numbers, got {:?}",
                sizes.iter().collect::<Vec<_>>()
            ));
        }
        let crop = [size("a size", sizes.get(0))?, size("a size", sizes.get(1))?];
        let of = box_images.as_slice::<i32>()?;
        let inside = |&&of: &&i32| !usize::try_from(of).is_ok_and(|of| of < batch);
        if let Some(of) = of.iter().find(inside) {
            return Err(value_error!("image {of} is outside [0, {batch})"));
        }
        reset(crops, DType::F32, &[count, crop[0], crop[1], channels])?;
        if crops.elements() == 0 {
            return Ok(());
        }
        let boxes = boxes.as_slice::<f32>()?.as_chunks::<4>().0;
        let crops = crops.as_mut_slice::<f32>()?;
        with_type!(numbers, 0, image_view.dtype(), T => {
            let x = image_view.as_slice::<T>()?;
            let each = crops.chunks_exact_mut(crop[0] * crop[1] * channels);
            for ((crop_of, corners), target) in of.iter().zip(boxes).zip(each) {
                self.crop(&image, x, *crop_of as usize, corners, crop, target);
            }
            Ok(())
        })
    }
}

impl CropAndResize {
    fn crop<T: Number>(
        &self,
        image: &Image,
        x: &[T],
        batch: usize,
        &[y1, x1, y2, x2]: &[f32; 4],
        [height, width]: [usize; 2],
        target: &mut [f32],
    ) {
        let channels = image.sizes[3];
        let rows = Side::new(y1, y2, image.sizes[1], height);
        let columns = Side::new(x1, x2, image.sizes[2], width);
        for (at, pixel) in target.chunks_exact_mut(channels).enumerate() {
            let (Some(row), Some(column)) = (rows.at(at / width), columns.at(at % width)) else {
                pixel.fill(self.outside);
                continue;
            };
            let corner = |row: f32, column: f32| {
                let from = image.at(batch, row as usize, column as usize);
                &x[from..from + channels]
            };
            if !self.bilinear {
                for (slot, x) in pixel.iter_mut().zip(corner(row.round(), column.round())) {
                    *slot = x.to_f32();
                }
                continue;
            }
            let (top, bottom) = (row.floor(), row.ceil());
            let (left, right) = (column.floor(), column.ceil());
            let (down, across) = (row - top, column - left);
            let (a, b) = (corner(top, left), corner(top, right));
            let (c, d) = (corner(bottom, left), corner(bottom, right));
            let upper = a.iter().zip(b).map(|(a, b)| blend(a, b, across));
            let lower = c.iter().zip(d).map(|(c, d)| blend(c, d, across));
            for ((slot, upper), lower) in pixel.iter_mut().zip(upper).zip(lower) {
                *slot = upper + (lower - upper) * down;
            }
        }
    }
}

fn blend<T: Number>(low: &T, high: &T, fraction: f32) -> f32 {
    let low = low.to_f32();
    low + (high.to_f32() - low) * fraction
}
