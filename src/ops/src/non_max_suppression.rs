use std::cmp::Ordering;
use std::collections::BinaryHeap;

use tfjet_core::{AttrReader, DType, Tensor, TensorView};

use crate::arguments::{expect_count, expect_same_dtype, float, integer, reset, size};
use crate::error::{shape_error, value_error};
use crate::number::{Float, Real, with_type};
use crate::{Kernel, OpError};

/// Which `NonMaxSuppression`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(crate) enum Version {
    V1,
    V2,
    V3,
    V4,
    V5,
}

/// `NonMaxSuppression` and its later versions.
///
/// Candidates come by falling score, of equal scores the lower index first. A candidate counts
/// where its score is above the score threshold, and goes where its overlap with a selected box
/// is above the IoU threshold. With a sigma above 0 an overlap lowers the score instead.
#[derive(Debug)]
struct NonMaxSuppression {
    version: Version,
    /// The attribute of the first version.
    iou_threshold: f32,
    pad_to_max_output_size: bool,
}

pub(crate) fn non_max_suppression(
    reader: &AttrReader<'_>,
    version: Version,
) -> Result<Box<dyn Kernel>, OpError> {
    let iou_threshold = match version {
        Version::V1 => reader.float_or("iou_threshold", 0.5)?,
        _ => 0.0,
    };
    let pad_to_max_output_size =
        version >= Version::V4 && reader.bool_or("pad_to_max_output_size", false)?;
    Ok(Box::new(NonMaxSuppression {
        version,
        iou_threshold,
        pad_to_max_output_size,
    }))
}

/// Overlap of two boxes of `[y, x, y, x]`, corners in any order: intersection over union.
pub(crate) fn iou(a: [f32; 4], b: [f32; 4]) -> f32 {
    let edges = |[y0, x0, y1, x1]: [f32; 4]| [y0.min(y1), x0.min(x1), y0.max(y1), x0.max(x1)];
    let area = |[top, left, bottom, right]: [f32; 4]| (bottom - top) * (right - left);
    let (a, b) = (edges(a), edges(b));
    let (area_a, area_b) = (area(a), area(b));
    if area_a <= 0.0 || area_b <= 0.0 {
        return 0.0;
    }
    let height = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let width = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    let intersection = height * width;
    intersection / (area_a + area_b - intersection)
}

/// A box that may yet be selected; the greatest comes first.
#[derive(Debug, Clone, Copy)]
struct Candidate<T> {
    score: T,
    index: usize,
    /// The selected boxes before this one have been compared.
    compared: usize,
}

impl<T: PartialOrd> Ord for Candidate<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score
            .partial_cmp(&other.score)
            .unwrap_or(Ordering::Equal)
            .then(other.index.cmp(&self.index))
    }
}

impl<T: PartialOrd> PartialOrd for Candidate<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: PartialOrd> PartialEq for Candidate<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T: PartialOrd> Eq for Candidate<T> {}

struct Thresholds<T> {
    iou: T,
    score: T,
    sigma: T,
}

/// Selected boxes with their scores, at most `limit`.
fn suppress<T: Real>(
    boxes: &[[T; 4]],
    scores: &[T],
    limit: usize,
    thresholds: &Thresholds<T>,
) -> Vec<(usize, T)> {
    let of = |index: usize| boxes[index].map(|edge| edge.to_f32());
    let mut candidates: BinaryHeap<_> = scores
        .iter()
        .enumerate()
        .filter(|&(_, &score)| score > thresholds.score)
        .map(|(index, &score)| Candidate {
            score,
            index,
            compared: 0,
        })
        .collect();
    let soft = thresholds.sigma > T::ZERO;
    let scale = if soft {
        T::from_f64(-0.5).quotient(thresholds.sigma)
    } else {
        T::ZERO
    };
    let mut selected: Vec<(usize, T)> = Vec::new();
    while selected.len() < limit {
        let Some(mut candidate) = candidates.pop() else {
            break;
        };
        let original = candidate.score;
        let candidate_box = of(candidate.index);
        let mut suppressed = false;
        for &(other, _) in selected[candidate.compared..].iter().rev() {
            let overlap = T::from_f64(iou(candidate_box, of(other)).into());
            if soft {
                let exponent = scale.times(overlap).times(overlap);
                let weight = T::narrow(exponent.wide().exp());
                candidate.score = candidate.score.times(weight);
            } else if overlap > thresholds.iou {
                suppressed = true;
                break;
            }
            if candidate.score <= thresholds.score {
                break;
            }
        }
        candidate.compared = selected.len();
        if suppressed {
            continue;
        }
        if candidate.score == original {
            selected.push((candidate.index, candidate.score));
        } else if candidate.score > thresholds.score {
            candidates.push(candidate);
        }
    }
    selected
}

impl NonMaxSuppression {
    fn input_count(&self) -> usize {
        match self.version {
            Version::V1 => 3,
            Version::V2 => 4,
            Version::V3 | Version::V4 => 5,
            Version::V5 => 6,
        }
    }

    fn select<T: Real>(
        &self,
        inputs: &[TensorView<'_>],
        outputs: &mut [Tensor],
    ) -> Result<(), OpError> {
        let (boxes, scores) = (&inputs[0], &inputs[1]);
        let threshold = |input: usize| inputs.get(input).map(|view| float(input, view)).transpose();
        let iou = threshold(3)?.unwrap_or(self.iou_threshold.into());
        check_iou_threshold(iou)?;
        let sigma = threshold(5)?.unwrap_or(0.0);
        if sigma < 0.0 || sigma.is_nan() {
            return Err(value_error!("the sigma must not be negative, got {sigma}"));
        }
        let thresholds = Thresholds {
            iou: T::from_f64(iou),
            score: match threshold(4)? {
                Some(score) => T::from_f64(score),
                None => T::FINITE_LOWEST,
            },
            sigma: T::from_f64(sigma),
        };
        let limit = size("the output size", integer(2, &inputs[2])?)?;
        let selected = suppress(
            boxes.as_slice::<T>()?.as_chunks::<4>().0,
            scores.as_slice::<T>()?,
            limit,
            &thresholds,
        );
        let len = if self.pad_to_max_output_size {
            limit
        } else {
            selected.len()
        };
        let (indices, rest) = outputs.split_first_mut().ok_or(OpError::OutputCount {
            expected: self.output_count(),
            actual: 0,
        })?;
        reset(indices, DType::I32, &[len])?;
        let slots = indices.as_mut_slice::<i32>()?;
        slots.fill(0);
        for (slot, &(index, _)) in slots.iter_mut().zip(&selected) {
            *slot = index as i32;
        }
        if self.version == Version::V5
            && let Some(scores) = rest.first_mut()
        {
            reset(scores, T::DTYPE, &[len])?;
            let slots = scores.as_mut_slice::<T>()?;
            slots.fill(T::ZERO);
            for (slot, &(_, score)) in slots.iter_mut().zip(&selected) {
                *slot = score;
            }
        }
        if let Some(valid) = rest.last_mut() {
            reset(valid, DType::I32, &[])?;
            valid.as_mut_slice::<i32>()?.fill(selected.len() as i32);
        }
        Ok(())
    }
}

/// Fails for an IoU threshold outside `[0, 1]`.
pub(crate) fn check_iou_threshold(iou: f64) -> Result<(), OpError> {
    if (0.0..=1.0).contains(&iou) {
        Ok(())
    } else {
        Err(value_error!(
            "the IoU threshold must be in [0, 1], got {iou}"
        ))
    }
}

impl Kernel for NonMaxSuppression {
    fn output_count(&self) -> usize {
        match self.version {
            Version::V4 => 2,
            Version::V5 => 3,
            _ => 1,
        }
    }

    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        expect_count(inputs, self.input_count())?;
        if outputs.len() != self.output_count() {
            return Err(OpError::OutputCount {
                expected: self.output_count(),
                actual: outputs.len(),
            });
        }
        expect_same_dtype(&inputs[..2])?;
        let (boxes, scores) = (inputs[0].shape(), inputs[1].shape());
        let fits = matches!((boxes, scores), (&[boxes, 4], &[scores]) if boxes == scores);
        if !fits || i32::try_from(inputs[1].elements()).is_err() {
            return Err(shape_error!(
                "boxes of shape {boxes:?} and scores of shape {scores:?}, expected [n, 4] and [n]"
            ));
        }
        with_type!(reals, 0, inputs[0].dtype(), T => self.select::<T>(inputs, outputs))
    }
}
