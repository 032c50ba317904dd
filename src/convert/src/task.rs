//! What a model is for: how an image becomes its input and what its outputs mean.

use tfjet_core::{
    BoxColumns, ColorOrder, Decoder, Dim, ImageLayout, InputSpec, OutputSpec, Preprocess,
    ResizeFilter, ResizeMode,
};

use crate::ConvertError;
use crate::passes::FoldedImage;

/// Pre-processing as the user gives it; sizes and layout follow from the model's input.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageOptions {
    /// Name of the input; `None` for the only one that takes an image.
    pub input: Option<String>,
    /// Width and height, where the model leaves them open.
    pub size: Option<(usize, usize)>,
    /// How the frame is fitted.
    pub resize: ResizeMode,
    /// How pixels are interpolated.
    pub filter: ResizeFilter,
    /// Order of the channels.
    pub color: ColorOrder,
    /// Subtracted, on the 0..255 scale.
    pub mean: [f32; 3],
    /// Multiplied after.
    pub scale: [f32; 3],
    /// A model that takes no image is an error.
    pub required: bool,
}

impl Default for ImageOptions {
    fn default() -> Self {
        Self {
            input: None,
            size: None,
            resize: ResizeMode::Stretch,
            filter: ResizeFilter::Bilinear,
            color: ColorOrder::Rgb,
            mean: [0.0; 3],
            scale: [1.0; 3],
            required: false,
        }
    }
}

/// What the outputs mean, with outputs by name.
#[derive(Debug, Clone, PartialEq)]
pub enum DecoderOptions {
    /// Outputs as they are.
    Raw,
    /// Top classes of an output.
    Classify {
        /// Output name; `None` for the only output.
        output: Option<String>,
        /// How many.
        top_k: usize,
    },
    /// The Object Detection API's four outputs, by name.
    DetectSsd {
        /// Boxes.
        boxes: String,
        /// Scores.
        scores: String,
        /// Classes.
        classes: String,
        /// Number of detections, where the model gives it.
        count: Option<String>,
        /// Subtracted from a class to index the labels.
        class_offset: i32,
        /// Lowest score shown.
        threshold: f32,
    },
    /// A row per detection.
    DetectRows {
        /// Output name; `None` for the only output.
        output: Option<String>,
        /// Which column means what.
        columns: BoxColumns,
        /// Boxes are in 0..1.
        normalized: bool,
        /// Lowest score shown.
        threshold: f32,
    },
}

/// What a model is for.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// How an image becomes an input; `None` where no image is meant.
    pub image: Option<ImageOptions>,
    /// What the outputs mean.
    pub decoder: DecoderOptions,
    /// Names of the classes.
    pub labels: Vec<String>,
}

impl Default for Task {
    fn default() -> Self {
        Self {
            image: Some(ImageOptions::default()),
            decoder: DecoderOptions::Raw,
            labels: Vec::new(),
        }
    }
}

impl ImageOptions {
    /// With what the graph did after it.
    fn followed_by(&self, folded: &FoldedImage) -> Self {
        let mut image = Self {
            input: Some(folded.input.clone()),
            size: Some(folded.size),
            filter: folded.filter.unwrap_or(self.filter),
            ..self.clone()
        };
        for channel in 0..3 {
            // (x - mean) * scale, then * a + b
            let scale = f64::from(self.scale[channel]) * folded.scale[channel];
            image.scale[channel] = scale as f32;
            let shift = if scale == 0.0 {
                0.0
            } else {
                folded.shift[channel] / scale
            };
            image.mean[channel] = (f64::from(self.mean[channel]) - shift) as f32;
        }
        image
    }
}

fn task_error<T>(reason: impl Into<String>) -> Result<T, ConvertError> {
    Err(ConvertError::Task(reason.into()))
}

impl Task {
    /// The pre-processing for these inputs. Without a named input, a model that takes no image
    /// has none.
    ///
    /// What was `folded` out of the graph comes after what the user asked for.
    pub(crate) fn preprocess(
        &self,
        inputs: &[InputSpec],
        folded: Option<&FoldedImage>,
    ) -> Result<Option<Preprocess>, ConvertError> {
        let Some(image) = &self.image else {
            return Ok(None);
        };
        let image = &folded.map_or_else(|| image.clone(), |folded| image.followed_by(folded));
        let index = match &image.input {
            Some(name) => match inputs.iter().position(|input| input.name == *name) {
                Some(index) => index,
                None => return task_error(format!("the model has no input `{name}`")),
            },
            None => match inputs.iter().position(|input| image_axes(input).is_some()) {
                Some(index) => index,
                None if image.required => {
                    let names: Vec<&str> = inputs.iter().map(|i| i.name.as_str()).collect();
                    return task_error(format!(
                        "no input takes an image of 1 or 3 channels: {}",
                        names.join(", ")
                    ));
                }
                None => return Ok(None),
            },
        };
        let input = &inputs[index];
        let Some((layout, [height, width])) = image_axes(input) else {
            return task_error(format!(
                "input `{}` takes no image of 1 or 3 channels",
                input.name
            ));
        };
        let (width, height) = match (image.size, width, height) {
            (Some(size), None, None) => size,
            (Some((w, h)), width, height) => {
                if width.is_some_and(|width| width != w) || height.is_some_and(|height| height != h)
                {
                    return task_error(format!(
                        "--image-size {w}x{h} does not fit input `{}`",
                        input.name
                    ));
                }
                (w, h)
            }
            (None, Some(width), Some(height)) => (width, height),
            (None, _, _) => return Ok(None),
        };
        Ok(Some(Preprocess {
            input: index,
            width,
            height,
            resize: image.resize,
            filter: image.filter,
            color: image.color,
            mean: image.mean,
            scale: image.scale,
            layout,
        }))
    }

    /// The decoder for these outputs.
    pub(crate) fn decoder(&self, outputs: &[OutputSpec]) -> Result<Decoder, ConvertError> {
        let find = |name: &Option<String>| match name {
            Some(name) => outputs
                .iter()
                .position(|output| output.name == *name)
                .ok_or_else(|| ConvertError::Task(format!("the model has no output `{name}`"))),
            None if outputs.len() == 1 => Ok(0),
            None => task_error(format!(
                "the model has {} outputs: name the one to decode with --decode-output",
                outputs.len()
            )),
        };
        Ok(match &self.decoder {
            DecoderOptions::Raw => Decoder::Raw,
            DecoderOptions::Classify { output, top_k } => Decoder::Classify {
                output: find(output)?,
                top_k: *top_k,
            },
            DecoderOptions::DetectSsd {
                boxes,
                scores,
                classes,
                count,
                class_offset,
                threshold,
            } => {
                let require = |name: &String| find(&Some(name.clone()));
                Decoder::DetectSsd {
                    boxes: require(boxes)?,
                    scores: require(scores)?,
                    classes: require(classes)?,
                    count: count.as_ref().map(require).transpose()?,
                    class_offset: *class_offset,
                    threshold: *threshold,
                }
            }
            DecoderOptions::DetectRows {
                output,
                columns,
                normalized,
                threshold,
            } => Decoder::DetectRows {
                output: find(output)?,
                columns: *columns,
                normalized: *normalized,
                threshold: *threshold,
            },
        })
    }
}

/// Layout, height and width of an input that takes an image.
fn image_axes(input: &InputSpec) -> Option<(ImageLayout, [Option<usize>; 2])> {
    let shape = input.shape.as_ref()?;
    let [batch, a, b, c] = shape.dims() else {
        return None;
    };
    if batch.fixed().is_some_and(|batch| batch != 1) {
        return None;
    }
    let is_color = |dim: &Dim| matches!(dim.fixed(), Some(1 | 3));
    if is_color(c) {
        Some((ImageLayout::Nhwc, [a.fixed(), b.fixed()]))
    } else if is_color(a) {
        Some((ImageLayout::Nchw, [b.fixed(), c.fixed()]))
    } else {
        None
    }
}
