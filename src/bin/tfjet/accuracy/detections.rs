//! Which of the reference's detections are still there.

use serde::Serialize;

use crate::compare::{Row, Rows, iou};

/// A lost detection whose partner lies less than this below the lowest score is only shy.
const NEAR: f64 = 0.1;

/// Most images with lost detections that a report names.
const MAX_IMAGES: usize = 100;

/// When two detections are the same.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Matching {
    /// Lowest score that counts, on both sides.
    pub(crate) score: f64,
    /// Least overlap, intersection over union.
    pub(crate) iou: f64,
}

/// How detections compare.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct DetectionReport {
    #[serde(flatten)]
    pub(crate) matching: Matching,
    /// Detections of the reference.
    pub(crate) reference: usize,
    /// Ours.
    pub(crate) ours: usize,
    /// Pairs of the same class and place.
    pub(crate) matched: usize,
    /// Of the reference's, in percent; 100 where it has none.
    pub(crate) kept_percent: f64,
    /// Ours that the reference has not.
    pub(crate) extra: usize,
    /// Lost ones that ours has with a score up to 0.1 below the lowest that counts.
    pub(crate) just_below: usize,
    /// Of matched pairs.
    pub(crate) mean_iou: f64,
    pub(crate) max_score_difference: f64,
    /// Images with lost detections.
    pub(crate) lost_images: usize,
    /// The first of them.
    pub(crate) lost: Vec<LostReport>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LostReport {
    pub(crate) sample: String,
    pub(crate) lost: usize,
}

/// For each of the reference's rows, the highest scores first, the row of ours of the same class
/// that overlaps it most, each taken once.
fn pairs<'a>(reference: &'a [Row], ours: &'a [Row], least: f64) -> Vec<(&'a Row, Option<usize>)> {
    let mut order: Vec<&Row> = reference.iter().collect();
    order.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut taken = vec![false; ours.len()];
    order
        .into_iter()
        .map(|wanted| {
            let free = ours
                .iter()
                .enumerate()
                .filter(|(index, row)| !taken[*index] && row.class == wanted.class);
            let overlaps = free.map(|(index, row)| (index, iou(&row.corners, &wanted.corners)));
            let best = overlaps
                .filter(|(_, overlap)| *overlap >= least)
                .max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
            let index = best.map(|(index, _)| index);
            if let Some(index) = index {
                taken[index] = true;
            }
            (wanted, index)
        })
        .collect()
}

/// Counts over all samples.
#[derive(Debug)]
pub(crate) struct Detections {
    matching: Matching,
    reference: usize,
    ours: usize,
    matched: usize,
    just_below: usize,
    sum_iou: f64,
    max_score: f64,
    lost_images: usize,
    lost: Vec<LostReport>,
}

impl Detections {
    pub(crate) fn new(matching: Matching) -> Self {
        Self {
            matching,
            reference: 0,
            ours: 0,
            matched: 0,
            just_below: 0,
            sum_iou: 0.0,
            max_score: 0.0,
            lost_images: 0,
            lost: Vec::new(),
        }
    }

    /// Takes the rows of one image, of whatever score.
    pub(crate) fn add(&mut self, sample: &str, reference: &[Row], ours: &[Row]) {
        let Matching { score, iou: least } = self.matching;
        let above = |rows: &[Row], score: f64| -> Rows {
            rows.iter()
                .filter(|row| row.score >= score)
                .copied()
                .collect()
        };
        let (reference, shown) = (above(reference, score), above(ours, score));
        let pairs_shown = pairs(&reference, &shown, least);
        self.reference += reference.len();
        self.ours += shown.len();
        let mut lost: Rows = Vec::new();
        for (wanted, found) in pairs_shown {
            let Some(found) = found.and_then(|index| shown.get(index)) else {
                lost.push(*wanted);
                continue;
            };
            self.matched += 1;
            self.sum_iou += iou(&found.corners, &wanted.corners);
            self.max_score = self.max_score.max((found.score - wanted.score).abs());
        }
        if lost.is_empty() {
            return;
        }
        let mut shy = above(ours, score - NEAR);
        shy.retain(|row| row.score < score);
        let near = pairs(&lost, &shy, least);
        self.just_below += near.iter().filter(|(_, found)| found.is_some()).count();
        self.lost_images += 1;
        if self.lost.len() < MAX_IMAGES {
            self.lost.push(LostReport {
                sample: sample.into(),
                lost: lost.len(),
            });
        }
    }

    /// What there is to say.
    pub(crate) fn report(self) -> DetectionReport {
        DetectionReport {
            matching: self.matching,
            reference: self.reference,
            ours: self.ours,
            matched: self.matched,
            kept_percent: match self.reference {
                0 => 100.0,
                all => 100.0 * self.matched as f64 / all as f64,
            },
            extra: self.ours - self.matched,
            just_below: self.just_below,
            mean_iou: match self.matched {
                0 => 0.0,
                matched => self.sum_iou / matched as f64,
            },
            max_score_difference: self.max_score,
            lost_images: self.lost_images,
            lost: self.lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::detection_row;

    const MATCHING: Matching = Matching {
        score: 0.3,
        iou: 0.7,
    };

    fn row(class: i64, score: f64, x: f64) -> Row {
        detection_row(class as f64, score, [x, 0.0, x + 10.0, 10.0])
    }

    fn report(reference: &[Row], ours: &[Row]) -> DetectionReport {
        let mut detections = Detections::new(MATCHING);
        detections.add("a", reference, ours);
        detections.report()
    }

    #[test]
    fn class_place_and_score_decide_what_is_kept() {
        let reference = [row(1, 0.9, 0.0), row(2, 0.5, 50.0), row(1, 0.2, 80.0)];
        for (ours, kept, extra, below) in [
            (vec![row(2, 0.4, 50.5), row(1, 0.8, 1.0)], 2, 0, 0),
            // another class, another place, too low
            (vec![row(3, 0.9, 0.0), row(2, 0.5, 50.0)], 1, 1, 0),
            (vec![row(1, 0.9, 3.0), row(2, 0.5, 50.0)], 1, 1, 0),
            (vec![row(1, 0.9, 0.0), row(2, 0.25, 50.0)], 1, 0, 1),
            (vec![row(1, 0.9, 0.0), row(2, 0.15, 50.0)], 1, 0, 0),
            (vec![], 0, 0, 0),
            (vec![row(1, f64::NAN, 0.0)], 0, 0, 0),
        ] {
            let report = report(&reference, &ours);
            assert_eq!(report.reference, 2);
            assert_eq!(
                (report.matched, report.extra, report.just_below),
                (kept, extra, below),
                "{ours:?}"
            );
        }
    }

    #[test]
    fn a_detection_is_matched_once() {
        let twice = [row(1, 0.9, 0.0), row(1, 0.8, 0.5)];
        let report = report(&twice, &twice[..1]);
        assert_eq!((report.matched, report.kept_percent), (1, 50.0));
        assert_eq!(report.lost[0].lost, 1);
    }

    #[test]
    fn images_are_counted_beyond_those_that_are_named() {
        let mut detections = Detections::new(MATCHING);
        for image in 0..=MAX_IMAGES {
            detections.add(&image.to_string(), &[row(1, 0.9, 0.0)], &[]);
        }
        let report = detections.report();
        assert_eq!(report.lost_images, MAX_IMAGES + 1);
        assert_eq!(report.lost.len(), MAX_IMAGES);
    }

    #[test]
    fn nothing_to_keep_is_all_kept() {
        assert_eq!(report(&[], &[row(1, 0.9, 0.0)]).kept_percent, 100.0);
        assert_eq!(report(&[row(1, 0.1, 0.0)], &[]).kept_percent, 100.0);
    }
}
