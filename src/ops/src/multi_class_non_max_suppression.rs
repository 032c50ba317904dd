//! The post-processing of the TensorFlow Object Detection API in one op: non-maximum suppression
//! per class, clipping to a window, the best of all classes, padding.

mod merge;
mod window;

use tfjet_core::{AttrError, AttrReader, AttrValue, DType, Tensor, TensorView};

use crate::arguments::{expect_count, expect_dtype, product, reset};
use crate::error::shape_error;
use crate::non_max_suppression::check_iou_threshold;
use crate::{Kernel, OpError};

use merge::{Detection, Limits, merge};
use window::{Clip, Window};

/// `TfjetMultiClassNonMaxSuppression`, an op of tfjet's own, for one image.
///
/// Inputs: boxes `[k, 4]`, or `[k, q, 4]` with q being 1 or the number of classes c, as
/// `[y_min, x_min, y_max, x_max]`; scores `[k, c]`, or `[k]` for one class; the clip window `[4]`
/// where there is one; then one input for each of `fields`.
///
/// Outputs: boxes `[n, 4]`, scores `[n]`, classes `[n]` as float32, which are the columns of the
/// scores or their labels, the number of detections, and the rows of each field.
#[derive(Debug)]
struct MultiClassNonMaxSuppression {
    limits: Limits,
    clip: Clip,
    change_coordinate_frame: bool,
    pad: bool,
    /// Numbers of the classes; empty for those of the columns.
    labels: Vec<f32>,
    fields: Vec<Field>,
}

/// What the first axes of a field are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    /// A row for each box.
    Box,
    /// A row for each box and class.
    BoxAndClass,
}

/// Attributes: `iou_threshold`, `score_threshold`, `max_size_per_class`, `max_total_size`; `clip`,
/// which is `none`, `before` or `after` the suppression; `change_coordinate_frame`; `pad` to
/// `max_total_size` rows of zeros; `labels`, a number for each class; `fields`, a number for each, 0 where it has a row for each box
/// and 1 where it has one for each box and class.
pub(crate) fn multi_class_non_max_suppression(
    reader: &AttrReader<'_>,
) -> Result<Box<dyn Kernel>, OpError> {
    let positive = |name: &str| {
        let value = reader.int(name)?;
        match usize::try_from(value) {
            Ok(value) if value > 0 => Ok(value),
            _ => Err(wrong(name, value.to_string(), "1 or more")),
        }
    };
    let limits = Limits {
        per_class: positive("max_size_per_class")?,
        total: positive("max_total_size")?,
        iou: reader.float_or("iou_threshold", 0.5)?,
        score: reader.float_or("score_threshold", 0.0)?,
    };
    check_iou_threshold(limits.iou.into())?;
    let clip = match reader.str_or("clip", "none")? {
        "none" => Clip::None,
        "before" => Clip::Before,
        "after" => Clip::After,
        other => return Err(wrong("clip", other.into(), "none, before or after").into()),
    };
    let change_coordinate_frame = reader.bool_or("change_coordinate_frame", false)?;
    if change_coordinate_frame && clip == Clip::None {
        return Err(wrong(
            "change_coordinate_frame",
            "true".into(),
            "false without a window",
        )
        .into());
    }
    let fields = match reader.get("fields") {
        None => Vec::new(),
        Some(_) => {
            let field = |kind: &i64| match kind {
                0 => Ok(Field::Box),
                1 => Ok(Field::BoxAndClass),
                kind => Err(wrong("fields", kind.to_string(), "0 or 1")),
            };
            reader
                .ints("fields")?
                .iter()
                .map(field)
                .collect::<Result<_, _>>()?
        }
    };
    let labels = match reader.get("labels") {
        None => Vec::new(),
        Some(AttrValue::Floats(labels)) => labels.clone(),
        Some(_) => return Err(wrong("labels", "no floats".into(), "floats").into()),
    };
    Ok(Box::new(MultiClassNonMaxSuppression {
        limits,
        clip,
        change_coordinate_frame,
        pad: reader.bool_or("pad", false)?,
        labels,
        fields,
    }))
}

fn wrong(name: &str, value: String, expected: &'static str) -> AttrError {
    AttrError::Value {
        name: name.into(),
        value,
        expected,
    }
}

impl MultiClassNonMaxSuppression {
    fn window(&self, inputs: &[TensorView<'_>]) -> Result<Option<Window>, OpError> {
        if self.clip == Clip::None {
            return Ok(None);
        }
        expect_dtype(2, &inputs[2], DType::F32)?;
        let corners = match (inputs[2].shape(), inputs[2].as_slice::<f32>()?) {
            ([4], &[y_min, x_min, y_max, x_max]) => [y_min, x_min, y_max, x_max],
            (shape, _) => {
                return Err(shape_error!("a window of shape {shape:?}, expected [4]"));
            }
        };
        Ok(Some(Window::new(corners, self.change_coordinate_frame)))
    }
}

impl Kernel for MultiClassNonMaxSuppression {
    fn output_count(&self) -> usize {
        4 + self.fields.len()
    }

    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let fixed = 2 + usize::from(self.clip != Clip::None);
        expect_count(inputs, fixed + self.fields.len())?;
        let expected = self.output_count();
        let actual = outputs.len();
        let Some((out_boxes, [out_scores, out_classes, out_count, out_fields @ ..])) =
            outputs.split_first_mut().filter(|_| actual == expected)
        else {
            return Err(OpError::OutputCount { expected, actual });
        };
        expect_dtype(0, &inputs[0], DType::F32)?;
        expect_dtype(1, &inputs[1], DType::F32)?;
        let (count, classes) = match inputs[1].shape() {
            &[count] => (count, 1),
            &[count, classes] => (count, classes),
            shape => return Err(shape_error!("scores of shape {shape:?}, expected [k, c]")),
        };
        let sets = match inputs[0].shape() {
            &[rows, 4] if rows == count => 1,
            &[rows, sets, 4] if rows == count && (sets == 1 || sets == classes) => sets,
            shape => {
                return Err(shape_error!(
                    "boxes of shape {shape:?} and scores of shape {:?}, expected [k, q, 4] and \
                     [k, c] with q being 1 or c",
                    inputs[1].shape()
                ));
            }
        };
        if !self.labels.is_empty() && self.labels.len() != classes {
            let labels = self.labels.len();
            return Err(shape_error!("{labels} labels for {classes} classes"));
        }
        if u32::try_from(count.saturating_mul(classes)).is_err() {
            return Err(shape_error!(
                "{count} boxes of {classes} classes are too many"
            ));
        }
        let window = self.window(inputs)?;
        let boxes = inputs[0].as_slice::<f32>()?.as_chunks::<4>().0;
        let found = merge(
            inputs[1].as_slice()?,
            (count, classes),
            &self.limits,
            |index, class| {
                let corners = boxes[index * sets + class.min(sets - 1)];
                match (&window, self.clip) {
                    (Some(window), Clip::Before) => window.clip(corners),
                    _ => Some(corners),
                }
            },
            |corners| match (&window, self.clip) {
                (Some(window), Clip::After) => window.clip(corners),
                _ => Some(corners),
            },
        );
        let rows = if self.pad {
            self.limits.total
        } else {
            found.len()
        };
        reset(out_boxes, DType::F32, &[rows, 4])?;
        let slots = out_boxes.as_mut_slice::<f32>()?.as_chunks_mut::<4>().0;
        slots.fill([0.0; 4]);
        for (slot, detection) in slots.iter_mut().zip(&found) {
            *slot = detection.corners;
        }
        let column = |output: &mut Tensor, of: &dyn Fn(&Detection) -> f32| {
            reset(output, DType::F32, &[rows])?;
            let slots = output.as_mut_slice::<f32>()?;
            slots.fill(0.0);
            for (slot, detection) in slots.iter_mut().zip(&found) {
                *slot = of(detection);
            }
            Ok::<_, OpError>(())
        };
        column(out_scores, &|detection| detection.score)?;
        column(out_classes, &|detection| {
            let label = self.labels.get(detection.class);
            label.copied().unwrap_or(detection.class as f32)
        })?;
        reset(out_count, DType::I32, &[])?;
        out_count.as_mut_slice::<i32>()?.fill(found.len() as i32);
        let fields = self.fields.iter().zip(&inputs[fixed..]);
        for (number, ((field, input), output)) in fields.zip(out_fields).enumerate() {
            let (sets, rest) = match (field, input.shape()) {
                (Field::Box, [of, rest @ ..]) if *of == count => (1, rest),
                (Field::BoxAndClass, [of, sets, rest @ ..])
                    if *of == count && (*sets == 1 || *sets == classes) =>
                {
                    (*sets, rest)
                }
                (_, shape) => {
                    return Err(shape_error!(
                        "input {} of shape {shape:?} has no row for each of {count} boxes",
                        fixed + number
                    ));
                }
            };
            let mut shape = vec![rows];
            shape.extend_from_slice(rest);
            reset(output, input.dtype(), &shape)?;
            let bytes = product(rest) * input.dtype().size_bytes();
            if bytes == 0 {
                continue;
            }
            output.bytes_mut().fill(0);
            let slots = output.bytes_mut().chunks_exact_mut(bytes);
            for (slot, detection) in slots.zip(&found) {
                let row = detection.index * sets + detection.class.min(sets - 1);
                slot.copy_from_slice(&input.bytes()[row * bytes..][..bytes]);
            }
        }
        Ok(())
    }
}
