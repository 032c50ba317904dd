use tfjet_core::{AttrReader, DType, Tensor, TensorView};

use crate::arguments::{expect_dtype, integer, outputs, reset, scalar, take};
use crate::error::{shape_error, value_error};
use crate::non_max_suppression::{check_iou_threshold, iou};
use crate::{Kernel, OpError, tie_order};

/// `CombinedNonMaxSuppression`: a suppression for each class of each image, then the best of all
/// classes. TensorFlow leaves the order of equal scores to its standard library, whose order this
/// is.
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

/// Holds a place that a class does not fill.
const NOTHING: Detection = Detection {
    corners: [0.0; 4],
    score: f32::NEG_INFINITY,
    class: usize::MAX,
};

impl Limits {
    /// Fills `found` with what the suppression leaves of `class`, best first. Returns how many.
    fn class(
        &self,
        class: usize,
        boxes: &[[f32; 4]],
        scores: &[f32],
        candidates: &mut Vec<(f32, usize)>,
        found: &mut [Detection],
    ) -> usize {
        let worse = |a: (f32, usize), b: (f32, usize)| a.0 < b.0;
        candidates.clear();
        for index in 0..self.boxes {
            let score = scores[index * self.classes + class];
            if score > self.score {
                tie_order::push(candidates, (score, index), worse);
            }
        }
        let mut count = 0;
        while count < found.len()
            && let Some((score, index)) = tie_order::pop(candidates, worse)
        {
            let corners = boxes[index * self.box_sets + class.min(self.box_sets - 1)];
            let overlaps = |other: &Detection| iou(corners, other.corners) > self.iou;
            if !found[..count].iter().rev().any(overlaps) {
                found[count] = Detection {
                    corners,
                    score,
                    class,
                };
                count += 1;
            }
        }
        count
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
        let (mut candidates, mut found) = (Vec::new(), Vec::new());
        let (boxes, scores) = (boxes.as_slice::<f32>()?, scores.as_slice::<f32>()?);
        let boxes = boxes.as_chunks::<4>().0;
        let nmsed_boxes = nmsed_boxes.as_mut_slice::<f32>()?.as_chunks_mut::<4>().0;
        let nmsed_scores = nmsed_scores.as_mut_slice::<f32>()?;
        let nmsed_classes = nmsed_classes.as_mut_slice::<f32>()?;
        nmsed_boxes.fill([0.0; 4]);
        nmsed_scores.fill(0.0);
        nmsed_classes.fill(0.0);
        for (image, valid) in valid.as_mut_slice::<i32>()?.iter_mut().enumerate() {
            let boxes = &boxes[image * count * box_sets..][..count * box_sets];
            let scores = &scores[image * count * classes..][..count * classes];
            found.clear();
            found.resize(limits.per_class * classes, NOTHING);
            let mut detections = 0;
            for class in 0..classes {
                let own = &mut found[class * limits.per_class..][..limits.per_class];
                detections += limits.class(class, boxes, scores, &mut candidates, own);
            }
            tie_order::sort(&mut found, |a, b| b.score < a.score);
            found.truncate(detections.min(total));
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
