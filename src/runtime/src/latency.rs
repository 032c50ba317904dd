use std::time::Duration;

use heapless::HistoryBuf;

/// How many latencies a [`Latency`] holds.
pub const LATENCY_WINDOW: usize = 4096;

/// The latest [`LATENCY_WINDOW`] latencies, in nanoseconds. Holds 32 KiB in place and never
/// allocates on [`Latency::push`].
#[derive(Debug, Clone, Default)]
pub struct Latency {
    window: HistoryBuf<u64, LATENCY_WINDOW>,
    count: u64,
}

/// What a [`Latency`] amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatencySummary {
    /// Latencies pushed so far, those that left the window included.
    pub count: u64,
    /// Mean over the window.
    pub mean: Duration,
    /// Half of the window took no longer.
    pub p50: Duration,
    /// 99 of 100 in the window took no longer.
    pub p99: Duration,
    /// The longest in the window.
    pub max: Duration,
}

impl Latency {
    /// An empty window.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a latency; where the window is full, the oldest leaves it. More than 584 years count
    /// as 584 years.
    pub fn push(&mut self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.window.write(nanoseconds);
        self.count = self.count.saturating_add(1);
    }

    /// Latencies pushed so far, those that left the window included.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Percentiles by nearest rank, over a sorted copy of the window; `None` before the first
    /// push.
    pub fn summary(&self) -> Option<LatencySummary> {
        let mut sorted = self.window.as_slice().to_vec();
        sorted.sort_unstable();
        let max = *sorted.last()?;
        let sum: u128 = sorted.iter().copied().map(u128::from).sum();
        let mean = u64::try_from(sum / sorted.len() as u128).unwrap_or(u64::MAX);
        let percentile = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100);
            let nanoseconds = sorted.get(rank.saturating_sub(1)).copied();
            Duration::from_nanos(nanoseconds.unwrap_or(max))
        };
        Some(LatencySummary {
            count: self.count,
            mean: Duration::from_nanos(mean),
            p50: percentile(50),
            p99: percentile(99),
            max: Duration::from_nanos(max),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(latencies: impl IntoIterator<Item = u64>) -> Option<[u64; 5]> {
        let mut latency = Latency::new();
        for nanoseconds in latencies {
            latency.push(Duration::from_nanos(nanoseconds));
        }
        let summary = latency.summary()?;
        let times = [summary.mean, summary.p50, summary.p99, summary.max];
        let [mean, p50, p99, max] = times.map(|time| u64::try_from(time.as_nanos()).unwrap());
        Some([summary.count, mean, p50, p99, max])
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        assert_eq!(summary([]), None);
        assert_eq!(summary([7]), Some([1, 7, 7, 7, 7]));
        assert_eq!(summary([30, 10]), Some([2, 20, 10, 30, 30]));
        assert_eq!(summary((1..=100).rev()), Some([100, 50, 50, 99, 100]));
        assert_eq!(summary((1..=1000).rev()), Some([1000, 500, 500, 990, 1000]));
    }

    #[test]
    fn old_latencies_leave_the_window() {
        let window = LATENCY_WINDOW as u64;
        let spike_then_flat = std::iter::once(1_000_000).chain((0..window).map(|_| 5));
        assert_eq!(summary(spike_then_flat), Some([window + 1, 5, 5, 5, 5]));
    }

    #[test]
    fn the_longest_durations_count_as_the_longest_number() {
        let mut latency = Latency::new();
        latency.push(Duration::MAX);
        latency.push(Duration::MAX);
        let longest = Duration::from_nanos(u64::MAX);
        let summary = latency.summary().unwrap();
        assert_eq!((summary.mean, summary.max), (longest, longest));
    }
}
