//! What a classifier says, beside what the reference says and what is true.

use serde::Serialize;

/// The values of k for which top-k recall is told.
const KS: [usize; 3] = [1, 5, 10];

/// Most changed answers that a report names.
const MAX_CHANGED: usize = 100;

/// How a classifier compares.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ClassReport {
    /// The output that was read.
    pub(crate) output: String,
    /// Rows of it, all samples together.
    pub(crate) rows: usize,
    /// Rows whose best class is the reference's.
    pub(crate) agree: usize,
    pub(crate) agreement_percent: f64,
    pub(crate) recall: Vec<RecallReport>,
    /// Against the true classes, where they are known.
    pub(crate) truth: Option<TruthReport>,
    /// Rows whose best class is another, the first of them.
    pub(crate) changed: Vec<Changed>,
}

/// How many of our best classes it takes to have all of the reference's `k` best.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct RecallReport {
    pub(crate) k: usize,
    pub(crate) mean_needed: f64,
    pub(crate) max_needed: usize,
    /// Rows where `k` of ours are enough: the same `k` classes.
    pub(crate) exact_percent: f64,
}

/// Rows whose true class is among the best, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct TruthReport {
    /// Rows of known class.
    pub(crate) rows: usize,
    pub(crate) reference_top1: f64,
    pub(crate) reference_top5: f64,
    pub(crate) top1: f64,
    pub(crate) top5: f64,
    /// What top-1 loses, in percent points; negative where it gains.
    pub(crate) drop: f64,
}

/// A row whose best class is not the reference's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Changed {
    pub(crate) sample: String,
    pub(crate) reference: usize,
    pub(crate) ours: usize,
    pub(crate) truth: Option<usize>,
}

/// Class numbers from the highest to the lowest score; equal ones by number, and what is no number
/// last.
pub(crate) fn ranking(scores: &[f64]) -> Vec<usize> {
    let score = |index: &usize| match scores[*index] {
        score if score.is_nan() => f64::NEG_INFINITY,
        score => score,
    };
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| score(b).total_cmp(&score(a)).then(a.cmp(b)));
    order
}

/// How many of `ours` it takes to have the first `k` of `reference`; both are rankings of the same
/// classes.
fn needed(reference: &[usize], ours: &[usize], k: usize) -> usize {
    let wanted = &reference[..k.min(reference.len())];
    let last = ours.iter().rposition(|class| wanted.contains(class));
    last.map_or(0, |last| last + 1)
}

/// Counts over all samples.
#[derive(Debug, Default)]
pub(crate) struct Classes {
    rows: usize,
    agree: usize,
    /// For each of [`KS`]: the sum, the largest, and rows where k are enough.
    needed: [(usize, usize, usize); KS.len()],
    classes: usize,
    known: usize,
    /// Right in the reference, its five best, ours, our five best.
    right: [usize; 4],
    changed: Vec<Changed>,
}

impl Classes {
    /// Takes a row of scores. `truth` is the true class, where it is known.
    pub(crate) fn add(
        &mut self,
        sample: &str,
        reference: &[f64],
        ours: &[f64],
        truth: Option<usize>,
    ) {
        let (reference, ours) = (ranking(reference), ranking(ours));
        let (Some(&expected), Some(&found)) = (reference.first(), ours.first()) else {
            return;
        };
        self.rows += 1;
        self.classes = reference.len();
        if expected == found {
            self.agree += 1;
        } else if self.changed.len() < MAX_CHANGED {
            self.changed.push(Changed {
                sample: sample.into(),
                reference: expected,
                ours: found,
                truth,
            });
        }
        for (k, (sum, largest, exact)) in KS.into_iter().zip(&mut self.needed) {
            let needed = needed(&reference, &ours, k);
            *sum += needed;
            *largest = (*largest).max(needed);
            *exact += usize::from(needed <= k);
        }
        if let Some(truth) = truth {
            self.known += 1;
            let top5 = |ranking: &[usize]| ranking.iter().take(5).any(|class| *class == truth);
            let right = [
                expected == truth,
                top5(&reference),
                found == truth,
                top5(&ours),
            ];
            for (count, right) in self.right.iter_mut().zip(right) {
                *count += usize::from(right);
            }
        }
    }

    /// What there is to say of the output of this name; `None` without a row.
    pub(crate) fn report(self, output: &str) -> Option<ClassReport> {
        if self.rows == 0 {
            return None;
        }
        let percent = |count: usize, of: usize| 100.0 * count as f64 / of as f64;
        let ks = KS.into_iter().zip(self.needed);
        let recall =
            ks.filter(|(k, _)| *k < self.classes.max(2))
                .map(|(k, (sum, max_needed, exact))| RecallReport {
                    k,
                    mean_needed: sum as f64 / self.rows as f64,
                    max_needed,
                    exact_percent: percent(exact, self.rows),
                });
        let truth = (self.known > 0).then(|| {
            let [reference_top1, reference_top5, top1, top5] =
                self.right.map(|count| percent(count, self.known));
            TruthReport {
                rows: self.known,
                reference_top1,
                reference_top5,
                top1,
                top5,
                drop: percent(self.right[0], self.known) - percent(self.right[2], self.known),
            }
        });
        Some(ClassReport {
            output: output.into(),
            rows: self.rows,
            agree: self.agree,
            agreement_percent: percent(self.agree, self.rows),
            recall: recall.collect(),
            truth,
            changed: self.changed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scores_rank_by_class_and_nan_is_last() {
        assert_eq!(ranking(&[0.1, f64::NAN, 0.7, 0.7]), [2, 3, 0, 1]);
    }

    #[test]
    fn recall_counts_how_many_of_ours_cover_the_references() {
        let reference = [4, 2, 0, 1, 3];
        assert_eq!(needed(&reference, &reference, 3), 3);
        // 4 is our third, 2 our first
        assert_eq!(needed(&reference, &[2, 0, 4, 1, 3], 1), 3);
        assert_eq!(needed(&reference, &[2, 0, 4, 1, 3], 2), 3);
        assert_eq!(needed(&reference, &[3, 1, 0, 2, 4], 2), 5);
        assert_eq!(needed(&reference, &[3, 1, 0, 2, 4], 9), 5);
    }

    #[test]
    fn rows_are_counted_against_reference_and_truth() {
        let mut classes = Classes::default();
        let scores = |best: usize, second: usize| {
            let mut scores = vec![0.0; 7];
            (scores[best], scores[second]) = (0.6, 0.3);
            scores
        };
        classes.add("a", &scores(1, 2), &scores(1, 2), Some(1));
        classes.add("b", &scores(1, 2), &scores(2, 1), Some(1));
        classes.add("c", &scores(1, 2), &scores(2, 1), None);
        classes.add("d", &scores(3, 6), &scores(3, 6), Some(6));
        let report = classes.report("y").unwrap();
        assert_eq!((report.rows, report.agree), (4, 2));
        assert_eq!(report.agreement_percent, 50.0);
        let [one, five] = report.recall[..] else {
            panic!("{:?}", report.recall)
        };
        assert_eq!((one.k, one.mean_needed, one.max_needed), (1, 1.5, 2));
        assert_eq!((five.k, five.exact_percent), (5, 100.0));
        let truth = report.truth.unwrap();
        assert_eq!(truth.rows, 3);
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(truth.reference_top1, 200.0 / 3.0) && close(truth.top1, 100.0 / 3.0));
        assert!(close(truth.top5, 100.0) && close(truth.drop, 100.0 / 3.0));
        let changed: Vec<&str> = report.changed.iter().map(|it| it.sample.as_str()).collect();
        assert_eq!(changed, ["b", "c"]);
        assert_eq!(Classes::default().report("y"), None);
    }
}
