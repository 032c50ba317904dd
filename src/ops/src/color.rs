//! Colours of images: `RGBToHSV`, `HSVToRGB`, `AdjustContrastv2`, `AdjustHue`, `AdjustSaturation`.

use tfjet_core::{Tensor, TensorView};

use crate::arguments::{float, output, product, reset, take};
use crate::error::shape_error;
use crate::number::{Number, with_type};
use crate::{Kernel, OpError};

/// Hue, saturation and value, each of 0 to 1.
fn to_hsv([r, g, b]: [f64; 3]) -> [f64; 3] {
    let value = r.max(g).max(b);
    let range = value - r.min(g).min(b);
    let saturation = if value > 0.0 { range / value } else { 0.0 };
    if range <= 0.0 {
        return [0.0, saturation, value];
    }
    let sixth = 1.0 / (6.0 * range);
    let hue = if r == value {
        sixth * (g - b)
    } else if g == value {
        sixth * (b - r) + 2.0 / 6.0
    } else {
        sixth * (r - g) + 4.0 / 6.0
    };
    [if hue < 0.0 { hue + 1.0 } else { hue }, saturation, value]
}

fn to_rgb([hue, saturation, value]: [f64; 3]) -> [f64; 3] {
    let h = hue * 6.0;
    let ramps = [
        (h - 3.0).abs() - 1.0,
        2.0 - (h - 2.0).abs(),
        2.0 - (h - 4.0).abs(),
    ];
    ramps.map(|ramp| value * (1.0 - saturation + saturation * ramp.clamp(0.0, 1.0)))
}

/// A function of each pixel, which may depend on a second input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Color {
    RgbToHsv,
    HsvToRgb,
    AdjustHue,
    AdjustSaturation,
}

pub(crate) fn color(color: Color) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(color))
}

impl Color {
    fn pixel(self, pixel: [f64; 3], by: f64) -> [f64; 3] {
        match self {
            Self::RgbToHsv => to_hsv(pixel),
            Self::HsvToRgb => to_rgb(pixel),
            Self::AdjustHue => {
                let [hue, saturation, value] = to_hsv(pixel);
                to_rgb([(hue + by).rem_euclid(1.0), saturation, value])
            }
            Self::AdjustSaturation => {
                let [hue, saturation, value] = to_hsv(pixel);
                to_rgb([hue, (saturation * by).clamp(0.0, 1.0), value])
            }
        }
    }
}

impl Kernel for Color {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let (x, by) = match self {
            Self::RgbToHsv | Self::HsvToRgb => {
                let [x] = take(inputs)?;
                (x, 0.0)
            }
            Self::AdjustHue | Self::AdjustSaturation => {
                let [x, by] = take(inputs)?;
                (x, float(1, by)?)
            }
        };
        let y = output(outputs)?;
        if x.shape().last() != Some(&3) {
            return Err(shape_error!("shape {:?} holds no pixels of 3", x.shape()));
        }
        reset(y, x.dtype(), x.shape())?;
        with_type!(reals, 0, x.dtype(), T => {
            let pixels = x.as_slice::<T>()?.as_chunks::<3>().0;
            for (y, x) in y.as_mut_slice::<T>()?.as_chunks_mut::<3>().0.iter_mut().zip(pixels) {
                *y = self.pixel(x.map(Number::to_f64), by).map(T::from_f64);
            }
            Ok(())
        })
    }
}

/// `AdjustContrastv2`: each channel's distance from its mean over the image, times a factor.
#[derive(Debug)]
struct AdjustContrast;

pub(crate) fn adjust_contrast() -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(AdjustContrast))
}

impl Kernel for AdjustContrast {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, factor] = take(inputs)?;
        let y = output(outputs)?;
        let factor = float(1, factor)?;
        let [outer @ .., height, width, channels] = x.shape() else {
            return Err(shape_error!("shape {:?} holds no images", x.shape()));
        };
        reset(y, x.dtype(), x.shape())?;
        if x.elements() == 0 {
            return Ok(());
        }
        let (pixels, channels) = (height * width, *channels);
        with_type!(reals, 0, x.dtype(), T => {
            let (x, y) = (x.as_slice::<T>()?, y.as_mut_slice::<T>()?);
            for image in 0..product(outer) {
                let first = image * pixels * channels;
                for channel in first..first + channels {
                    let places = (0..pixels).map(|pixel| channel + pixel * channels);
                    let mean = places.clone().map(|at| x[at].to_f64()).sum::<f64>();
                    let mean = mean / pixels as f64;
                    for at in places {
                        y[at] = T::from_f64((x[at].to_f64() - mean) * factor + mean);
                    }
                }
            }
            Ok(())
        })
    }
}
