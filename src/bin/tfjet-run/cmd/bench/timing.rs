//! Percentiles of measured durations.

use std::time::Duration;

use serde::Serialize;

/// Milliseconds of many runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Percentiles {
    pub(super) min: f64,
    pub(super) mean: f64,
    pub(super) median: f64,
    pub(super) p90: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

impl Percentiles {
    /// Of at least one duration; `None` for none.
    pub(super) fn of(durations: &[Duration]) -> Option<Self> {
        let mut ms: Vec<f64> = durations
            .iter()
            .map(|one| one.as_secs_f64() * 1e3)
            .collect();
        ms.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*ms.first()?, *ms.last()?);
        let at = |part: f64| {
            let index = ((ms.len() - 1) as f64 * part).round() as usize;
            ms.get(index).copied().unwrap_or(max)
        };
        Some(Self {
            min,
            mean: ms.iter().sum::<f64>() / ms.len() as f64,
            median: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_runs() {
        let durations: Vec<Duration> = (1..=101).rev().map(Duration::from_millis).collect();
        let found = Percentiles::of(&durations).unwrap();
        assert_eq!((found.min, found.median, found.max), (1.0, 51.0, 101.0));
        assert_eq!((found.p90, found.p95, found.p99), (91.0, 96.0, 100.0));
        assert!((found.mean - 51.0).abs() < 1e-9);
        assert_eq!(Percentiles::of(&[]), None);
    }
}
