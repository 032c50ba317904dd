//! Detections matched by class and overlap rather than by row.

use serde::Serialize;

/// One detection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Row {
    pub(crate) class: i64,
    pub(crate) score: f64,
    /// Left, top, right, bottom.
    pub(crate) corners: [f64; 4],
}

/// Detections of one image in the model's order.
pub(crate) type Rows = Vec<Row>;

/// A row of numbers as the outputs hold them.
pub(crate) fn detection_row(class: f64, score: f64, corners: [f64; 4]) -> Row {
    Row {
        class: class.round() as i64,
        score,
        corners,
    }
}

/// How far a detection may differ.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DetectionTolerance {
    /// Of a score.
    pub(crate) score: f64,
    /// Of a corner, in the unit of the boxes.
    pub(crate) corner: f64,
    /// Least overlap of a matching pair.
    pub(crate) iou: f64,
}

/// How the detections compare.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct DetectionComparison {
    /// Rows of the reference that were compared.
    pub(crate) rows: usize,
    /// Largest difference of a score among matched rows.
    pub(crate) max_score: f64,
    /// Largest difference of a corner among matched rows.
    pub(crate) max_corner: f64,
    /// What does not agree, one line each.
    pub(crate) problems: Vec<String>,
}

/// Intersection over union of two boxes.
pub(crate) fn iou(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    let side = |low: f64, high: f64| (high - low).max(0.0);
    let area = |c: &[f64; 4]| side(c[0], c[2]) * side(c[1], c[3]);
    let shared = side(a[0].max(b[0]), a[2].min(b[2])) * side(a[1].max(b[1]), a[3].min(b[3]));
    let union = area(a) + area(b) - shared;
    match union > 0.0 {
        true => shared / union,
        false if a == b => 1.0,
        false => 0.0,
    }
}

/// Finds for each of the reference's rows ours of the same class and place. Ours may stand at
/// another rank only where the reference's scores between the two ranks lie within the tolerance.
pub(crate) fn match_rows(
    ours: &[Row],
    reference: &[Row],
    tolerance: DetectionTolerance,
) -> DetectionComparison {
    let mut result = DetectionComparison {
        rows: reference.len(),
        max_score: 0.0,
        max_corner: 0.0,
        problems: Vec::new(),
    };
    let mut taken = vec![false; ours.len()];
    for (rank, wanted) in reference.iter().enumerate() {
        let best = ours
            .iter()
            .enumerate()
            .filter(|(index, row)| !taken[*index] && row.class == wanted.class)
            .map(|(index, row)| {
                (
                    index,
                    iou(&row.corners, &wanted.corners),
                    index.abs_diff(rank),
                )
            })
            .filter(|(_, overlap, _)| *overlap >= tolerance.iou)
            .max_by(|a, b| a.1.total_cmp(&b.1).then(b.2.cmp(&a.2)));
        let Some((index, _, _)) = best else {
            result.problems.push(format!(
                "row {rank}: no detection of class {} with score {:.4} at {:.2?}",
                wanted.class, wanted.score, wanted.corners
            ));
            continue;
        };
        taken[index] = true;
        let found = &ours[index];
        let score = (found.score - wanted.score).abs();
        let corner = (0..4)
            .map(|i| (found.corners[i] - wanted.corners[i]).abs())
            .fold(0.0, f64::max);
        result.max_score = result.max_score.max(score);
        result.max_corner = result.max_corner.max(corner);
        if score > tolerance.score || score.is_nan() {
            result.problems.push(format!(
                "row {rank}: score {:.5}, the reference has {:.5}",
                found.score, wanted.score
            ));
        }
        if corner > tolerance.corner || corner.is_nan() {
            result.problems.push(format!(
                "row {rank}: box {:.3?}, the reference has {:.3?}",
                found.corners, wanted.corners
            ));
        }
        let (low, high) = (rank.min(index), rank.max(index).min(reference.len() - 1));
        let spread = (reference[low].score - reference[high].score).abs();
        if spread > tolerance.score {
            result.problems.push(format!(
                "row {rank}: found at rank {index}, and the scores between differ by {spread:.5}"
            ));
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE: DetectionTolerance = DetectionTolerance {
        score: 1e-3,
        corner: 0.5,
        iou: 0.5,
    };

    fn row(class: i64, score: f64, x: f64) -> Row {
        Row {
            class,
            score,
            corners: [x, 0.0, x + 10.0, 10.0],
        }
    }

    #[test]
    fn order_may_differ_only_among_equal_scores() {
        let reference = [row(0, 0.9, 0.0), row(0, 0.8999, 50.0), row(1, 0.5, 0.0)];
        let swapped = [reference[1], reference[0], reference[2]];
        assert!(
            match_rows(&swapped, &reference, TOLERANCE)
                .problems
                .is_empty()
        );
        let moved = [reference[2], reference[0], reference[1]];
        assert!(
            !match_rows(&moved, &reference, TOLERANCE)
                .problems
                .is_empty()
        );
    }

    #[test]
    fn class_score_and_place_must_agree() {
        let reference = [row(0, 0.9, 0.0)];
        for (ours, good) in [
            (row(0, 0.9005, 0.3), true),
            (row(1, 0.9, 0.0), false),
            (row(0, 0.8, 0.0), false),
            (row(0, 0.9, 1.0), false),
            (row(0, 0.9, 50.0), false),
        ] {
            let result = match_rows(&[ours], &reference, TOLERANCE);
            assert_eq!(result.problems.is_empty(), good, "{ours:?}");
        }
        assert!(!match_rows(&[], &reference, TOLERANCE).problems.is_empty());
    }
}
