//! The error of 8-bit numbers, and the range of the least.

use tfjet_core::Quantization;

use super::Histogram;

/// The integral of the squared error from 0 to `x`, where `x` is not above 127 steps.
fn up_to(x: f64, step: f64) -> f64 {
    let nearest = (x / step).round();
    let rest = x - nearest * step;
    nearest * step.powi(3) / 12.0 + rest.powi(3) / 3.0
}

/// The integral of the squared error from `range` to `x`.
fn beyond(x: f64, range: f64) -> f64 {
    (x - range).powi(3) / 3.0
}

/// The sum of the squared errors of 8-bit numbers of `range`, all in units of a bin's width, where
/// the values of a bin are spread evenly over it.
fn error(counts: &[f64], range: f64) -> f64 {
    let step = range / f64::from(Quantization::LARGEST);
    let mut sum = 0.0;
    let mut low = 0.0;
    for (index, &count) in counts.iter().enumerate() {
        let (start, end) = (index as f64, (index + 1) as f64);
        if end <= range {
            let high = up_to(end, step);
            sum += count * (high - low);
            low = high;
        } else if start >= range {
            sum += count * (beyond(end, range) - beyond(start, range));
        } else {
            sum += count * (up_to(range, step) - low + beyond(end, range));
        }
    }
    sum
}

/// What is in each bin besides zeros, which 8 bits hold exactly.
fn counts(histogram: &Histogram) -> Vec<f64> {
    let mut counts: Vec<f64> = histogram.used().iter().map(|&bin| bin as f64).collect();
    if let Some(first) = counts.first_mut() {
        *first = (*first - histogram.zeros() as f64).max(0.0);
    }
    counts
}

/// The range of the least error: the largest magnitude, or a whole number of bins below it.
pub(super) fn range(histogram: &Histogram) -> Option<f32> {
    let magnitude = histogram.magnitude()?;
    let width = f64::from(histogram.bin_width());
    let counts = counts(histogram);
    let (mut best, mut least) = (magnitude, error(&counts, f64::from(magnitude) / width));
    for bins in (1..counts.len()).rev() {
        let error = error(&counts, bins as f64);
        if error < least {
            (best, least) = ((bins as f64 * width) as f32, error);
        }
    }
    Some(best)
}

impl Histogram {
    /// The mean of the squared errors that the finite values would get in 8 bits of `range`, which
    /// is above 0; values are taken to be spread evenly over their bin. 0 where there are none.
    pub fn error(&self, range: f32) -> f64 {
        let width = f64::from(self.bin_width());
        match self.count() {
            0 => 0.0,
            count => error(&counts(self), f64::from(range) / width) * width * width / count as f64,
        }
    }
}
