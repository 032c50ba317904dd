use tfjet_core::{AttrReader, DType, Tensor, TensorView};

use crate::arguments::{expect_dtype, integer, outputs, reset, scalar, take};
use crate::error::{shape_error, value_error};
use crate::non_max_suppression::{check_iou_threshold, iou};
use crate::{Kernel, OpError};

/// `CombinedNonMaxSuppression`: a suppression for each class of each image, then the best of all
/// classes. Of equal scores the lower class, then the lower box index comes first; TensorFlow
/// leaves that order to its standard library.
#[derive(Debug)]
struct CombinedNonMaxSuppression {
    pad_per_class: bool,
    clip_boxes: bool,
}

pub(crate) fn combined_non_max_suppression(
    reader: &AttrReader<'_>,
) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(CombinedNonMaxSuppression {
        pad_per_class: reader.bool_or("pad_per_class", false)?,
        clip_boxes: reader.bool_or("clip_boxes", true)?,
    }))
}

/// Sizes and limits of one run.
struct Limits {
    boxes: usize,
    classes: usize,
    /// 1 where all classes share their boxes, else the number of classes.
    box_sets: usize,
    per_class: usize,
    iou: f32,
    score: f32,
}

#[derive(Clone, Copy)]
struct Detection {
    corners: [f32; 4],
    score: f32,
    class: usize,
}

impl Limits {
    /// Appends what the suppression leaves of `class`, best first.
    fn class(
        &self,
        class: usize,
        boxes: &[[f32; 4]],
        scores: &[f32],
        order: &mut Vec<usize>,
        found: &mut Vec<Detection>,
    ) {
        let score = |index: usize| scores[index * self.classes + class];
        let corners = |index: usize| boxes[index * self.box_sets + class.min(self.box_sets - 1)];
        order.clear();
        order.extend((0..self.boxes).filter(|&index| score(index) > self.score));
        order.sort_by(|&i, &j| score(j).total_cmp(&score(i)));
        let first = found.len();
        for &index in &*order {
            if found.len() - first >= self.per_class {
                break;
            }
            let candidate = corners(index);
            let clear = found[first..]
                .iter()
                .rev()
                .all(|other| iou(candidate, other.corners) <= self.iou);
            if clear {
                found.push(Detection {
                    corners: candidate,
                    score: score(index),
                    class,
                });
            }
        }
    }
}

impl Kernel for CombinedNonMaxSuppression {
    fn output_count(&self) -> usize {
        4
    }

    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [boxes, scores, per_class, total, iou, score] = take(inputs)?;
        let [nmsed_boxes, nmsed_scores, nmsed_classes, valid] = self::outputs(outputs)?;
        expect_dtype(0, boxes, DType::F32)?;
        expect_dtype(1, scores, DType::F32)?;
        let (batch, count, box_sets, classes) = match (boxes.shape(), scores.shape()) {
            (&[batch, count, sets, 4], &[other_batch, other_count, classes])
                if batch == other_batch
                    && count == other_count
                    && (sets == 1 || sets == classes) =>
            {
                (batch, count, sets, classes)
            }
            (boxes, scores) => {
                return Err(shape_error!(
                    "boxes of shape {boxes:?} and scores of shape {scores:?}, expected \
                     [b, n, q, 4] and [b, n, c] with q being 1 or c"
                ));
            }
        };
        let positive = |what: &str, value: i64| match usize::try_from(value) {
            Ok(value) if value > 0 => Ok(value),
            _ => Err(value_error!("{what} must be positive, got {value}")),
        };
        let per_class = positive("max_output_size_per_class", integer(2, per_class)?)?;
        let mut total = positive("max_total_size", integer(3, total)?)?;
        if self.pad_per_class {
            total = total.min(per_class.saturating_mul(classes));
        }
        let limits = Limits {
            boxes: count,
            classes,
            box_sets,
            per_class: per_class.min(count),
            iou: scalar(4, iou)?,
            score: scalar(5, score)?,
        };
        check_iou_threshold(limits.iou.into())?;

        reset(nmsed_boxes, DType::F32, &[batch, total, 4])?;
        reset(nmsed_scores, DType::F32, &[batch, total])?;
        reset(nmsed_classes, DType::F32, &[batch, total])?;
        reset(valid, DType::I32, &[batch])?;
        let (mut order, mut found) = (Vec::new(), Vec::new());
        let (boxes, scores) = (boxes.as_slice::<f32>()?, scores.as_slice::<f32>()?);
        let boxes = boxes.as_chunks::<4>().0;
        let nmsed_boxes = nmsed_boxes.as_mut_slice::<f32>()?.as_chunks_mut::<4>().0;
        let nmsed_scores = nmsed_scores.as_mut_slice::<f32>()?;
        let nmsed_classes = nmsed_classes.as_mut_slice::<f32>()?;
        nmsed_boxes.fill([0.0; 4]);
        nmsed_scores.fill(0.0);
        nmsed_classes.fill(0.0);
        for (image, valid) in valid.as_mut_slice::<i32>()?.iter_mut().enumerate() {
            found.clear();
            let boxes = &boxes[image * count * box_sets..][..count * box_sets];
            let scores = &scores[image * count * classes..][..count * classes];
            for class in 0..classes {
                limits.class(class, boxes, scores, &mut order, &mut found);
            }
            found.sort_by(|a: &Detection, b| b.score.total_cmp(&a.score));
            found.truncate(total);
            for (slot, detection) in (image * total..).zip(&found) {
                nmsed_boxes[slot] = if self.clip_boxes {
                    detection.corners.map(|corner| corner.clamp(0.0, 1.0))
                } else {
                    detection.corners
                };
                nmsed_scores[slot] = detection.score;
                nmsed_classes[slot] = detection.class as f32;
            }
            *valid = found.len() as i32;
        }
        Ok(())
    }
}
