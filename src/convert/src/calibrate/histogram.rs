/// How often values of each magnitude were seen.
///
/// There are [`Histogram::BINS`] bins of equal width from 0 on. The width is a power of two, the
/// smallest for which the largest magnitude has a bin; so values can be added in one pass: where a
/// larger one comes, bins are joined in pairs until it fits. The result depends on which values were
/// added, not on their order nor on how they were spread over histograms that were then merged.
///
/// Between 1,025 and 2,048 bins are in use, those above the largest magnitude are empty. (Where all
/// magnitudes are below 1e-35, fewer are.)
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    bins: Vec<u64>,
    /// The bins are `2^exponent` wide. Means nothing before a value other than 0 came.
    exponent: i32,
    min: Option<f32>,
    max: Option<f32>,
    count: u64,
    zeros: u64,
    not_finite: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

/// Widths below this are not used, so that a width and its inverse are normal numbers.
const LEAST_EXPONENT: i32 = f32::MIN_EXP - 1;

/// Places of the number of bins.
const LOG2_BINS: i32 = Histogram::BINS.ilog2() as i32;

/// The exponent of the narrowest bins that hold `magnitude`, which is finite and above 0.
fn exponent_for(magnitude: f32) -> i32 {
    let bits = (magnitude.to_bits() >> 23) as i32;
    (bits - 127 + 1 - LOG2_BINS).max(LEAST_EXPONENT)
}

/// For exponents of normal numbers.
fn power_of_two(exponent: i32) -> f32 {
    f32::from_bits(u32::try_from(exponent + 127).unwrap_or(0) << 23)
}

impl Histogram {
    /// Number of bins.
    pub const BINS: usize = 2048;

    /// A histogram of no values.
    pub fn new() -> Self {
        Self {
            bins: vec![0; Self::BINS],
            exponent: LEAST_EXPONENT,
            min: None,
            max: None,
            count: 0,
            zeros: 0,
            not_finite: 0,
        }
    }

    /// Adds values. What is infinite or no number is counted apart.
    pub fn add(&mut self, values: &[f32]) {
        let (mut low, mut high, mut finite) = (f32::INFINITY, f32::NEG_INFINITY, 0u64);
        for &value in values {
            if value.is_finite() {
                low = low.min(value);
                high = high.max(value);
                finite += 1;
            }
        }
        self.not_finite = self.not_finite.saturating_add(values.len() as u64 - finite);
        if finite == 0 {
            return;
        }
        self.count = self.count.saturating_add(finite);
        self.extend(low, high);
        let scale = power_of_two(-self.exponent);
        let mut zeros = 0;
        for &value in values {
            let magnitude = value.abs();
            if magnitude == 0.0 {
                zeros += 1;
            }
            if magnitude <= f32::MAX
                && let Some(bin) = self.bins.get_mut((magnitude * scale) as usize)
            {
                *bin = bin.saturating_add(1);
            }
        }
        self.zeros = self.zeros.saturating_add(zeros);
    }

    /// Adds what another histogram counted.
    pub fn merge(&mut self, other: &Self) {
        self.not_finite = self.not_finite.saturating_add(other.not_finite);
        let (Some(low), Some(high)) = (other.min, other.max) else {
            return;
        };
        self.count = self.count.saturating_add(other.count);
        self.zeros = self.zeros.saturating_add(other.zeros);
        self.extend(low, high);
        let shift = u32::try_from(self.exponent - other.exponent).unwrap_or(0);
        for (index, &count) in other.bins.iter().enumerate() {
            let place = index.checked_shr(shift).unwrap_or(0);
            if let Some(bin) = self.bins.get_mut(place) {
                *bin = bin.saturating_add(count);
            }
        }
    }

    /// Makes room for values from `low` to `high`.
    fn extend(&mut self, low: f32, high: f32) {
        self.min = Some(self.min.map_or(low, |min| min.min(low)));
        self.max = Some(self.max.map_or(high, |max| max.max(high)));
        let Some(magnitude) = self.magnitude() else {
            return;
        };
        let exponent = exponent_for(magnitude);
        let shift = u32::try_from(exponent - self.exponent).unwrap_or(0);
        self.exponent = exponent;
        if shift == 0 {
            return;
        }
        for index in 0..self.bins.len() {
            let count = std::mem::take(&mut self.bins[index]);
            let place = &mut self.bins[index.checked_shr(shift).unwrap_or(0)];
            *place = place.saturating_add(count);
        }
    }

    /// How many values fell into each bin: bin `i` holds magnitudes from `i` to below `i + 1` times
    /// the width. Zeros are in the first one.
    pub fn bins(&self) -> &[u64] {
        &self.bins
    }

    /// The bins up to that of the largest magnitude; none where every value is 0.
    pub fn used(&self) -> &[u64] {
        let Some(magnitude) = self.magnitude() else {
            return &[];
        };
        let last = (magnitude * power_of_two(-self.exponent)) as usize;
        self.bins.get(..=last).unwrap_or(&self.bins)
    }

    /// Width of a bin.
    pub fn bin_width(&self) -> f32 {
        power_of_two(self.exponent)
    }

    /// The smallest finite value.
    pub fn min(&self) -> Option<f32> {
        self.min
    }

    /// The largest finite value.
    pub fn max(&self) -> Option<f32> {
        self.max
    }

    /// The largest finite magnitude, where one is above 0.
    pub fn magnitude(&self) -> Option<f32> {
        let magnitude = self.min?.abs().max(self.max?.abs());
        (magnitude > 0.0).then_some(magnitude)
    }

    /// Number of finite values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many of the finite values are 0.
    pub fn zeros(&self) -> u64 {
        self.zeros
    }

    /// How many values are infinite or no number.
    pub fn not_finite(&self) -> u64 {
        self.not_finite
    }
}

#[cfg(test)]
mod tests;
