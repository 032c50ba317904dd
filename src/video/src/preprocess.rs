use half::f16;
use tfjet_core::{ColorOrder, DType, Element, ImageLayout, Preprocess, ResizeMode, Tensor};

use crate::{Frame, Placement, VideoError, frame::CHANNELS, scale::Scaler};

/// Largest width or height of a model's image.
const MAX_SIDE: usize = 1 << 14;

/// Value of each of the 256 levels of each channel, in the model's order of channels.
type Table<T> = Box<[[T; 256]; CHANNELS]>;

#[derive(Debug)]
enum Levels {
    F32(Table<f32>),
    F16(Table<f16>),
    U8(Table<u8>),
}

/// Turns frames into a model's input tensor: resize, colour order, `(x - mean) * scale`, layout,
/// type. Buffers are kept from frame to frame.
///
/// Pixel centres lie at halves, and a cubic or area kernel widens when scaling down, as in the
/// Python imaging library; a bilinear one keeps its two taps.
#[derive(Debug)]
pub struct Preprocessor {
    spec: Preprocess,
    dtype: DType,
    shape: [usize; 4],
    levels: Levels,
    /// The resized bytes are the tensor.
    as_is: bool,
    scaler: Scaler,
    /// The model's image as RGB, before colour order and scaling.
    image: Vec<u8>,
}

impl Preprocessor {
    /// Prepares for an input of type `dtype`: float32, float16 or uint8. Values for uint8 are
    /// rounded and clamped.
    pub fn new(spec: &Preprocess, dtype: DType) -> Result<Self, VideoError> {
        check(spec)?;
        let channels = match spec.color {
            ColorOrder::Rgb | ColorOrder::Bgr => CHANNELS,
            ColorOrder::Gray => 1,
        };
        let levels = match dtype {
            DType::F32 => Levels::F32(table(spec, |value| value)),
            DType::F16 => Levels::F16(table(spec, f16::from_f32)),
            DType::U8 => Levels::U8(table(spec, |value| value.round() as u8)),
            other => {
                return Err(VideoError::Preprocess(format!(
                    "an image input of {other} is not supported"
                )));
            }
        };
        Ok(Self {
            dtype,
            shape: match spec.layout {
                ImageLayout::Nhwc => [1, spec.height, spec.width, channels],
                ImageLayout::Nchw => [1, channels, spec.height, spec.width],
            },
            levels,
            as_is: dtype == DType::U8
                && spec.color == ColorOrder::Rgb
                && spec.layout == ImageLayout::Nhwc
                && spec.mean == [0.0; CHANNELS]
                && spec.scale == [1.0; CHANNELS],
            scaler: Scaler::new(spec),
            image: Vec::new(),
            spec: spec.clone(),
        })
    }

    /// Shape of the tensor that [`Preprocessor::run`] makes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Fills `out` from `frame` and says where the frame lies in the model's image.
    pub fn run(&mut self, frame: &Frame, out: &mut Tensor) -> Result<Placement, VideoError> {
        out.reset(self.dtype, &self.shape)?;
        if self.as_is {
            return self.scaler.run(frame, out.bytes_mut());
        }
        self.image
            .resize(self.spec.width * self.spec.height * CHANNELS, 0);
        let placement = self.scaler.run(frame, &mut self.image)?;
        match &self.levels {
            Levels::F32(table) => {
                let out = out.as_mut_slice()?;
                if !write_uniform(&self.spec, &self.image, out) {
                    write(&self.spec, table, &self.image, out);
                }
            }
            Levels::F16(table) => write(&self.spec, table, &self.image, out.as_mut_slice()?),
            Levels::U8(table) => write(&self.spec, table, &self.image, out.as_mut_slice()?),
        }
        Ok(placement)
    }
}

fn table<T: Element>(spec: &Preprocess, convert: impl Fn(f32) -> T) -> Table<T> {
    let mut table = Box::new([[T::default(); 256]; CHANNELS]);
    for ((levels, mean), scale) in table.iter_mut().zip(spec.mean).zip(spec.scale) {
        for (level, value) in (0u8..=255).zip(levels) {
            *value = convert((f32::from(level) - mean) * scale);
        }
    }
    table
}

fn check(spec: &Preprocess) -> Result<(), VideoError> {
    for (side, value) in [("width", spec.width), ("height", spec.height)] {
        if value == 0 || value > MAX_SIDE {
            return Err(VideoError::Preprocess(format!(
                "{side} is {value}, expected 1 to {MAX_SIDE}"
            )));
        }
    }
    if let ResizeMode::CenterCrop(fraction) = spec.resize
        && !(fraction > 0.0 && fraction <= 1.0)
    {
        return Err(VideoError::Preprocess(format!(
            "centre crop is {fraction}, expected more than 0 and at most 1"
        )));
    }
    if !(spec.mean.iter().chain(&spec.scale)).all(|value| value.is_finite()) {
        return Err(VideoError::Preprocess(
            "mean or scale is not a finite number".to_owned(),
        ));
    }
    Ok(())
}

/// Luma after ITU-R BT.601, rounded.
fn luma(pixel: &[u8]) -> u8 {
    let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
    ((r * 19595 + g * 38470 + b * 7471 + (1 << 15)) >> 16) as u8
}

fn write<T: Element>(spec: &Preprocess, table: &[[T; 256]; CHANNELS], image: &[u8], out: &mut [T]) {
    let pixels = image.chunks_exact(CHANNELS);
    let order = match spec.color {
        ColorOrder::Rgb => [0, 1, 2],
        ColorOrder::Bgr => [2, 1, 0],
        ColorOrder::Gray => {
            for (value, pixel) in out.iter_mut().zip(pixels) {
                *value = table[0][usize::from(luma(pixel))];
            }
            return;
        }
    };
    match spec.layout {
        ImageLayout::Nhwc => {
            for (values, pixel) in out.chunks_exact_mut(CHANNELS).zip(pixels) {
                for channel in 0..CHANNELS {
                    values[channel] = table[channel][usize::from(pixel[order[channel]])];
                }
            }
        }
        ImageLayout::Nchw => {
            let planes = out.chunks_exact_mut(spec.width * spec.height);
            for ((plane, table), channel) in planes.zip(table).zip(order) {
                for (value, pixel) in plane.iter_mut().zip(image.chunks_exact(CHANNELS)) {
                    *value = table[usize::from(pixel[channel])];
                }
            }
        }
    }
}

/// The common case without a table, which the compiler turns into vector code: RGB, NHWC, the
/// same mean and scale for all channels.
fn write_uniform(spec: &Preprocess, image: &[u8], out: &mut [f32]) -> bool {
    let ([mean, mean_g, mean_b], [scale, scale_g, scale_b]) = (spec.mean, spec.scale);
    let uniform = mean == mean_g && mean == mean_b && scale == scale_g && scale == scale_b;
    if !uniform || spec.color != ColorOrder::Rgb || spec.layout != ImageLayout::Nhwc {
        return false;
    }
    for (value, &level) in out.iter_mut().zip(image) {
        *value = (f32::from(level) - mean) * scale;
    }
    true
}

#[cfg(test)]
mod tests {
    use tfjet_core::ResizeFilter;

    use super::*;

    fn spec(width: usize, height: usize, resize: ResizeMode) -> Preprocess {
        Preprocess {
            input: 0,
            width,
            height,
            resize,
            filter: ResizeFilter::Nearest,
            color: ColorOrder::Rgb,
            mean: [0.0; 3],
            scale: [1.0; 3],
            layout: ImageLayout::Nhwc,
        }
    }

    fn run(spec: &Preprocess, dtype: DType, frame: &Frame) -> (Tensor, Placement) {
        let mut out = Tensor::default();
        let placement = Preprocessor::new(spec, dtype)
            .unwrap()
            .run(frame, &mut out)
            .unwrap();
        (out, placement)
    }

    #[test]
    fn colour_order_layout_scaling_and_type() {
        let frame = Frame::from_rgb(2, 1, &[10, 20, 30, 40, 50, 60]).unwrap();
        let base = spec(2, 1, ResizeMode::Stretch);
        let cases: [(ColorOrder, ImageLayout, &[usize], &[f32]); 5] = [
            (
                ColorOrder::Rgb,
                ImageLayout::Nhwc,
                &[1, 1, 2, 3],
                &[10., 20., 30., 40., 50., 60.],
            ),
            (
                ColorOrder::Bgr,
                ImageLayout::Nhwc,
                &[1, 1, 2, 3],
                &[30., 20., 10., 60., 50., 40.],
            ),
            (
                ColorOrder::Rgb,
                ImageLayout::Nchw,
                &[1, 3, 1, 2],
                &[10., 40., 20., 50., 30., 60.],
            ),
            (
                ColorOrder::Bgr,
                ImageLayout::Nchw,
                &[1, 3, 1, 2],
                &[30., 60., 20., 50., 10., 40.],
            ),
            (
                ColorOrder::Gray,
                ImageLayout::Nhwc,
                &[1, 1, 2, 1],
                &[18., 48.],
            ),
        ];
        for (color, layout, shape, expected) in cases {
            let spec = Preprocess {
                color,
                layout,
                ..base.clone()
            };
            let (f32s, _) = run(&spec, DType::F32, &frame);
            assert_eq!(f32s.shape(), shape);
            assert_eq!(
                f32s.as_slice::<f32>().unwrap(),
                expected,
                "{color:?} {layout:?}"
            );
            let (u8s, _) = run(&spec, DType::U8, &frame);
            let bytes: Vec<u8> = expected.iter().map(|&value| value as u8).collect();
            assert_eq!(u8s.as_slice::<u8>().unwrap(), bytes);
        }
        let scaled = Preprocess {
            color: ColorOrder::Bgr,
            mean: [10.0, 20.0, 30.0],
            scale: [1.0, 0.5, 2.0],
            ..base
        };
        let (f16s, _) = run(&scaled, DType::F16, &frame);
        let expected = [20.0, 0.0, -40.0, 50.0, 15.0, 20.0].map(f16::from_f32);
        assert_eq!(f16s.as_slice::<f16>().unwrap(), expected);
        let (u8s, _) = run(&scaled, DType::U8, &frame);
        assert_eq!(u8s.as_slice::<u8>().unwrap(), [20, 0, 0, 50, 15, 20]);
    }

    #[test]
    fn uniform_and_table_paths_agree() {
        let pixels: Vec<u8> = (0..=255).flat_map(|level| [level; 3]).collect();
        let frame = Frame::from_rgb(256, 1, &pixels).unwrap();
        let uniform = Preprocess {
            mean: [127.0; 3],
            scale: [1.0 / 128.0; 3],
            ..spec(256, 1, ResizeMode::Stretch)
        };
        let bgr = Preprocess {
            color: ColorOrder::Bgr,
            ..uniform.clone()
        };
        assert_eq!(
            run(&uniform, DType::F32, &frame).0,
            run(&bgr, DType::F32, &frame).0
        );
    }

    #[test]
    fn letterbox_centres_and_maps_back() {
        let frame = Frame::filled(200, 100, [255, 0, 0]).unwrap();
        let (out, placement) = run(&spec(100, 100, ResizeMode::Letterbox(7)), DType::U8, &frame);
        let pixels = out.as_slice::<u8>().unwrap();
        let row = |y: usize| &pixels[y * 300..y * 300 + 3];
        assert_eq!(
            (row(24), row(25), row(74), row(75)),
            (
                &[7, 7, 7][..],
                &[255, 0, 0][..],
                &[255, 0, 0][..],
                &[7, 7, 7][..]
            )
        );
        assert_eq!(placement.to_source(50.0, 25.0), (100.0, 0.0));
        assert_eq!(
            placement.box_to_source([0.0, 0.0, 100.0, 100.0]),
            [0.0, 0.0, 200.0, 100.0]
        );
    }

    #[test]
    fn centre_crop_maps_back() {
        let frame = Frame::filled(300, 100, [0; 3]).unwrap();
        let (_, placement) = run(
            &spec(50, 50, ResizeMode::CenterCrop(0.5)),
            DType::U8,
            &frame,
        );
        let (x1, y1) = placement.to_source(0.0, 0.0);
        let (x2, y2) = placement.to_source(50.0, 50.0);
        assert_eq!([x1, y1, x2, y2], [125.0, 25.0, 175.0, 75.0]);
    }

    #[test]
    fn refuses_bad_specs() {
        let good = spec(8, 8, ResizeMode::Stretch);
        let bad = [
            Preprocess {
                width: 0,
                ..good.clone()
            },
            Preprocess {
                height: 1 << 20,
                ..good.clone()
            },
            Preprocess {
                resize: ResizeMode::CenterCrop(f32::NAN),
                ..good.clone()
            },
            Preprocess {
                scale: [1.0, f32::INFINITY, 1.0],
                ..good.clone()
            },
        ];
        for spec in bad {
            assert!(Preprocessor::new(&spec, DType::F32).is_err(), "{spec:?}");
        }
        assert!(Preprocessor::new(&good, DType::I64).is_err());
        let mut preprocessor = Preprocessor::new(&good, DType::F32).unwrap();
        assert!(
            preprocessor
                .run(&Frame::new(), &mut Tensor::default())
                .is_err()
        );
    }
}
