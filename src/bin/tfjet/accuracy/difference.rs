//! How far numbers lie from the reference's.

use serde::Serialize;

/// A tensor that is all noise has no less than this, in dB.
const LOWEST_DB: f64 = -100.0;

/// Outputs of more elements are not looked at element by element.
const MAX_ELEMENTS: usize = 1 << 20;

/// Energy of a tensor and of its difference to the reference, over all samples.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(crate) struct SignalToNoise {
    signal: f64,
    noise: f64,
    /// Elements that are no finite number on one side only, or differ as infinities, or are there on
    /// one side only. They are in neither sum.
    pub(crate) not_finite: u64,
}

/// The ratio of signal to quantization noise, 10 log10(signal / noise), in dB; `None` where there is
/// no noise at all.
pub(crate) fn db(signal: f64, noise: f64) -> Option<f64> {
    (noise != 0.0).then(|| (10.0 * (signal / noise).log10()).max(LOWEST_DB))
}

impl SignalToNoise {
    /// Takes the elements of one sample.
    pub(crate) fn add(&mut self, reference: &[f32], ours: &[f32]) {
        for (&reference, &ours) in reference.iter().zip(ours) {
            self.add_one(f64::from(reference), f64::from(ours));
        }
        self.not_finite += reference.len().abs_diff(ours.len()) as u64;
    }

    fn add_one(&mut self, reference: f64, ours: f64) {
        if reference.is_finite() && ours.is_finite() {
            self.signal += reference * reference;
            self.noise += (reference - ours) * (reference - ours);
        } else if !(reference == ours || reference.is_nan() && ours.is_nan()) {
            self.not_finite += 1;
        }
    }

    /// The ratio in dB; `None` where there is no noise.
    pub(crate) fn db(&self) -> Option<f64> {
        db(self.signal, self.noise)
    }

    /// The noise as a part of the signal: infinite where not all is finite, or all is noise. `None`
    /// where there is neither.
    pub(crate) fn noise(&self) -> Option<f64> {
        match (self.not_finite, self.signal + self.noise) {
            (0, 0.0) => None,
            (0, _) => Some(self.noise / self.signal),
            _ => Some(f64::INFINITY),
        }
    }

    /// Orders from the worst to the best: numbers that are not finite, then the lowest ratio.
    pub(crate) fn order(&self) -> (std::cmp::Reverse<u64>, Db) {
        (std::cmp::Reverse(self.not_finite), Db(self.db()))
    }
}

/// A ratio in dB that can be ordered; none at all is the highest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Db(pub(crate) Option<f64>);

impl Eq for Db {}

impl Ord for Db {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let value = |it: &Self| it.0.unwrap_or(f64::INFINITY);
        value(self).total_cmp(&value(other))
    }
}

impl PartialOrd for Db {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// A ratio in dB for people.
pub(crate) fn db_text(db: Option<f64>) -> String {
    db.map_or_else(|| "equal".into(), |db| format!("{db:.1} dB"))
}

/// How one output differs, ours less the reference's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct OutputReport {
    pub(crate) name: String,
    /// Elements that were compared, all samples together.
    pub(crate) elements: u64,
    /// Lowest, highest and mean difference, and the mean of its magnitude.
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) mean: f64,
    pub(crate) mean_abs: f64,
    /// Signal to quantization noise; null where all elements are equal.
    pub(crate) sqnr_db: Option<f64>,
    pub(crate) not_finite: u64,
    /// Samples whose output has another shape than the reference's; they are not compared.
    pub(crate) other_shapes: u64,
    /// The element with the largest difference.
    pub(crate) worst: Option<ElementReport>,
    /// By element of the output, for plots.
    #[serde(skip)]
    pub(crate) by_element: Vec<[f64; 3]>,
}

/// Lowest, highest and mean difference of one element over the samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ElementReport {
    /// Its place in the output.
    pub(crate) index: Vec<usize>,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) mean: f64,
}

/// Sums of the differences of one output.
#[derive(Debug, Default)]
pub(crate) struct OutputDifference {
    ratio: SignalToNoise,
    elements: u64,
    min: f64,
    max: f64,
    sum: f64,
    sum_abs: f64,
    other_shapes: u64,
    samples: u64,
    /// Of all samples so far, where they have one shape and are not too large.
    shape: Option<Vec<usize>>,
    by_element: Vec<[f64; 3]>,
}

impl OutputDifference {
    /// Takes one sample.
    pub(crate) fn add(
        &mut self,
        (reference, reference_shape): (&[f64], &[usize]),
        (ours, shape): (&[f64], &[usize]),
    ) {
        if reference_shape != shape || reference.len() != ours.len() {
            self.other_shapes += 1;
            return;
        }
        if self.samples == 0 && ours.len() <= MAX_ELEMENTS {
            self.shape = Some(shape.to_vec());
            self.by_element = vec![[0.0; 3]; ours.len()];
        } else if self.shape.as_deref() != Some(shape) {
            self.shape = None;
            self.by_element = Vec::new();
        }
        let is_first = self.elements == 0;
        if is_first {
            (self.min, self.max) = (f64::INFINITY, f64::NEG_INFINITY);
        }
        for (index, (&reference, &ours)) in reference.iter().zip(ours).enumerate() {
            self.ratio.add_one(reference, ours);
            let difference = match reference == ours {
                true => 0.0,
                false => ours - reference,
            };
            if !difference.is_finite() {
                continue;
            }
            self.elements += 1;
            self.min = self.min.min(difference);
            self.max = self.max.max(difference);
            self.sum += difference;
            self.sum_abs += difference.abs();
            if let Some([min, max, sum]) = self.by_element.get_mut(index) {
                if self.samples == 0 {
                    (*min, *max) = (difference, difference);
                }
                *min = min.min(difference);
                *max = max.max(difference);
                *sum += difference;
            }
        }
        self.samples += 1;
    }

    /// What there is to say.
    pub(crate) fn report(self, name: &str) -> OutputReport {
        let count = self.elements.max(1) as f64;
        let samples = self.samples.max(1) as f64;
        let mean = |[min, max, sum]: [f64; 3]| [min, max, sum / samples];
        let by_element: Vec<[f64; 3]> = self.by_element.into_iter().map(mean).collect();
        let size = |it: &[f64; 3]| it[0].abs().max(it[1].abs());
        let worst = by_element
            .iter()
            .enumerate()
            .max_by(|a, b| size(a.1).total_cmp(&size(b.1)).then(b.0.cmp(&a.0)));
        let worst = worst.filter(|(_, element)| size(element) > 0.0);
        let is_empty = self.elements == 0;
        OutputReport {
            name: name.into(),
            elements: self.elements,
            min: if is_empty { 0.0 } else { self.min },
            max: if is_empty { 0.0 } else { self.max },
            mean: self.sum / count,
            mean_abs: self.sum_abs / count,
            sqnr_db: self.ratio.db(),
            not_finite: self.ratio.not_finite,
            other_shapes: self.other_shapes,
            worst: worst.map(|(index, &[min, max, mean])| ElementReport {
                index: place(index, self.shape.as_deref().unwrap_or(&[])),
                min,
                max,
                mean,
            }),
            by_element,
        }
    }
}

/// The place of an element in a tensor of this shape.
fn place(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut place: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&size| {
            let at = index % size.max(1);
            index /= size.max(1);
            at
        })
        .collect();
    place.reverse();
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_that_of_the_energies() {
        let mut ratio = SignalToNoise::default();
        ratio.add(&[3.0, 4.0], &[3.0, 4.5]);
        // 25 / 0.25
        assert!((ratio.db().unwrap() - 20.0).abs() < 1e-9);
        ratio.add(&[5.0], &[5.5]);
        // 50 / 0.5: samples add up
        assert!((ratio.db().unwrap() - 20.0).abs() < 1e-9);
    }

    #[test]
    fn equal_tensors_have_no_noise_and_come_last() {
        let ratio = |reference: &[f32], ours: &[f32]| {
            let mut ratio = SignalToNoise::default();
            ratio.add(reference, ours);
            ratio
        };
        let equal = ratio(
            &[1.0, f32::NAN, f32::INFINITY],
            &[1.0, f32::NAN, f32::INFINITY],
        );
        assert_eq!((equal.db(), equal.not_finite), (None, 0));
        let lost = ratio(&[1.0, 2.0], &[f32::NAN, 2.0]);
        assert_eq!((lost.db(), lost.not_finite), (None, 1));
        let from_nothing = ratio(&[0.0], &[1.0]);
        assert_eq!(from_nothing.db(), Some(LOWEST_DB));
        let good = ratio(&[1.0], &[1.001]);
        let mut all = [equal, good, lost, from_nothing];
        all.sort_by_key(SignalToNoise::order);
        assert_eq!(all, [lost, from_nothing, good, equal]);
    }

    #[test]
    fn what_is_missing_or_all_noise_is_the_worst() {
        let noise = |reference: &[f32], ours: &[f32]| {
            let mut ratio = SignalToNoise::default();
            ratio.add(reference, ours);
            ratio.noise()
        };
        assert_eq!(noise(&[2.0, 0.0], &[2.0, 1.0]), Some(0.25));
        assert_eq!(noise(&[0.0], &[0.0]), None);
        for (reference, ours) in [
            (&[0.0][..], &[1.0][..]),
            (&[1.0], &[f32::NAN]),
            (&[1.0, 2.0], &[1.0]),
        ] {
            assert_eq!(noise(reference, ours), Some(f64::INFINITY), "{ours:?}");
        }
        assert_eq!(db(1.0, f64::INFINITY), Some(LOWEST_DB));
    }

    #[test]
    fn differences_are_kept_for_each_element() {
        let mut difference = OutputDifference::default();
        let shape = [2, 2];
        difference.add(
            (&[1.0, 2.0, 3.0, 4.0], &shape),
            (&[1.0, 2.5, 3.0, 3.0], &shape),
        );
        difference.add(
            (&[1.0, 2.0, 3.0, 4.0], &shape),
            (&[1.0, 1.5, 3.0, 5.0], &shape),
        );
        difference.add((&[1.0], &[1]), (&[1.0, 2.0], &[2]));
        let report = difference.report("y");
        assert_eq!((report.elements, report.other_shapes), (8, 1));
        assert_eq!([report.min, report.max, report.mean], [-1.0, 1.0, 0.0]);
        assert_eq!(report.mean_abs, 3.0 / 8.0);
        let worst = report.worst.unwrap();
        assert_eq!((worst.index, worst.min, worst.max), (vec![1, 1], -1.0, 1.0));
        assert_eq!(report.by_element[1], [-0.5, 0.5, 0.0]);
    }

    #[test]
    fn equal_outputs_have_no_worst_element() {
        let mut difference = OutputDifference::default();
        difference.add((&[1.0, f64::NAN], &[2]), (&[1.0, 1.0], &[2]));
        let report = difference.report("y");
        assert_eq!(
            (report.not_finite, report.worst, report.sqnr_db),
            (1, None, None)
        );
        assert_eq!(OutputDifference::default().report("y").min, 0.0);
    }
}
