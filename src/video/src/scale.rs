use fast_image_resize::{
    CropBoxError, FilterType, ImageBufferError, ResizeAlg, ResizeError, ResizeOptions, Resizer,
    images::{TypedCroppedImage, TypedCroppedImageMut, TypedImage, TypedImageRef},
    pixels::U8x3,
};
use tfjet_core::{Preprocess, ResizeFilter, ResizeMode};

use crate::{Frame, Placement, VideoError, frame::CHANNELS};

/// Fits frames into the model's image.
#[derive(Debug)]
pub(crate) struct Scaler {
    model: (usize, usize),
    mode: ResizeMode,
    filter: ResizeFilter,
    resizer: Resizer,
    /// A frame of which only the width is scaled.
    between: Vec<u8>,
}

impl Scaler {
    /// For the model's image of `spec`, whose sizes were checked.
    pub(crate) fn new(spec: &Preprocess) -> Self {
        Self {
            model: (spec.width, spec.height),
            mode: spec.resize,
            filter: spec.filter,
            resizer: Resizer::new(),
            between: Vec::new(),
        }
    }

    /// Scales `frame` into `image`, packed RGB of the model's size.
    pub(crate) fn run(&mut self, frame: &Frame, image: &mut [u8]) -> Result<Placement, VideoError> {
        let (model, source) = (self.model, (frame.width(), frame.height()));
        if source.0 == 0 || source.1 == 0 {
            return Err(VideoError::Preprocess("the frame is empty".to_owned()));
        }
        if let ResizeMode::Letterbox(fill) = self.mode {
            image.fill(fill);
        }
        let mut from = Area::whole(source);
        let mut to = Area::whole(model);
        match self.mode {
            ResizeMode::Stretch => {}
            ResizeMode::Letterbox(_) => {
                to.size = fit(source, model);
                to.at = ((model.0 - to.size.0) / 2, (model.1 - to.size.1) / 2);
            }
            ResizeMode::CenterCrop(fraction) => {
                let length = source.0.min(source.1) as f64 * f64::from(fraction);
                (from.at.0, from.size.0) = centered(source.0, length);
                (from.at.1, from.size.1) = centered(source.1, length);
            }
        }
        self.scale(frame.pixels(), from, image, to)?;
        let scale = (ratio(from.size.0, to.size.0), ratio(from.size.1, to.size.1));
        Ok(Placement {
            model,
            source,
            offset: (
                to.at.0 as f32 - from.at.0 as f32 / scale.0,
                to.at.1 as f32 - from.at.1 as f32 / scale.1,
            ),
            scale,
        })
    }

    fn scale(
        &mut self,
        pixels: &[u8],
        from: Area,
        image: &mut [u8],
        to: Area,
    ) -> Result<(), VideoError> {
        let algorithm = match self.filter {
            ResizeFilter::Nearest => ResizeAlg::Nearest,
            ResizeFilter::Bilinear => ResizeAlg::Interpolation(FilterType::Bilinear),
            ResizeFilter::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
            ResizeFilter::Area => ResizeAlg::Convolution(FilterType::Box),
        };
        let options = ResizeOptions::new().use_alpha(false).resize_alg(algorithm);
        if self.filter != ResizeFilter::Bicubic {
            return resize(&mut self.resizer, pixels, from, image, to, &options);
        }
        // A cubic kernel overshoots, and what is cut off between the two passes depends on their
        // order: the Python imaging library scales the width first.
        let between = Area::whole((to.size.0, from.size.1));
        self.between
            .resize(between.size.0 * between.size.1 * CHANNELS, 0);
        let narrow = &mut self.between;
        resize(&mut self.resizer, pixels, from, narrow, between, &options)?;
        resize(&mut self.resizer, narrow, between, image, to, &options)
    }
}

/// A part of an image.
#[derive(Debug, Clone, Copy)]
struct Area {
    image: (usize, usize),
    at: (usize, usize),
    size: (usize, usize),
}

impl Area {
    fn whole(image: (usize, usize)) -> Self {
        Self {
            image,
            at: (0, 0),
            size: image,
        }
    }
}

/// The one place that calls the resizer: its code is large and made for each pair of types.
fn resize(
    resizer: &mut Resizer,
    pixels: &[u8],
    from: Area,
    image: &mut [u8],
    to: Area,
    options: &ResizeOptions,
) -> Result<(), VideoError> {
    let source =
        TypedImageRef::<U8x3>::from_buffer(side(from.image.0), side(from.image.1), pixels)?;
    let (at, size) = (from.at, from.size);
    let source =
        TypedCroppedImage::new(source, side(at.0), side(at.1), side(size.0), side(size.1))?;
    let target = TypedImage::<U8x3>::from_buffer(side(to.image.0), side(to.image.1), image)?;
    let (at, size) = (to.at, to.size);
    let mut target =
        TypedCroppedImageMut::new(target, side(at.0), side(at.1), side(size.0), side(size.1))?;
    Ok(resizer.resize_typed(&source, &mut target, options)?)
}

fn side(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn ratio(a: usize, b: usize) -> f32 {
    a as f32 / b as f32
}

/// The largest size of the aspect of `source` inside `model`.
fn fit(source: (usize, usize), model: (usize, usize)) -> (usize, usize) {
    let scaled = |side: usize, to: usize, from: usize, limit: usize| {
        ((side * to * 2 + from) / (from * 2)).clamp(1, limit)
    };
    if source.0 * model.1 >= source.1 * model.0 {
        (model.0, scaled(source.1, model.0, source.0, model.1))
    } else {
        (scaled(source.0, model.1, source.1, model.0), model.1)
    }
}

/// Start and length of a centred stretch of about `length` pixels out of `size`. Both ends are
/// rounded, to even on a tie, as the Python imaging library's `crop` rounds a box.
fn centered(size: usize, length: f64) -> (usize, usize) {
    let start = ((size as f64 - length) / 2.0).round_ties_even() as usize;
    let end = ((size as f64 + length) / 2.0).round_ties_even() as usize;
    let start = start.min(size - 1);
    (start, end.clamp(start + 1, size) - start)
}

macro_rules! preprocess_error {
    ($($error:ty),*) => {
        $(impl From<$error> for VideoError {
            fn from(error: $error) -> Self {
                Self::Preprocess(error.to_string())
            }
        })*
    };
}

preprocess_error!(ResizeError, ImageBufferError, CropBoxError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_aspect() {
        for (source, model, expected) in [
            ((768, 576), (512, 512), (512, 384)),
            ((576, 768), (512, 512), (384, 512)),
            ((1, 30000), (512, 512), (1, 512)),
            ((100, 100), (512, 300), (300, 300)),
        ] {
            assert_eq!(fit(source, model), expected, "{source:?} into {model:?}");
        }
        assert_eq!(centered(10, 7.0), (2, 6));
        assert_eq!(centered(1, 0.01), (0, 1));
    }
}
