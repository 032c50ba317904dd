//! What the frame loop tells, for the pages that others read.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tfjet::core::Manifest;
use tfjet::runtime::{CacheCounters, Latency, Model};
use tfjet::video::{Results, SupervisedSource, mask_secrets};
use tfjet_service::config::Config;
use tfjet_service::metrics::Histogram;

use crate::backend::BackendSummary;

/// Upper bounds of the latency's buckets in seconds.
const LATENCIES: &[f64] = &[
    0.001, 0.002, 0.005, 0.01, 0.02, 0.033, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
];

/// The span over which frames per second are counted.
const RECENT: Duration = Duration::from_secs(5);

/// Most frames that are counted in it.
const MAX_RECENT: usize = 1024;

/// A loop that does not come round for so long is stalled, where no watchdog says it otherwise.
const STALLED: Duration = Duration::from_secs(10);

/// The state of the service.
#[derive(Debug)]
pub(crate) struct State {
    inner: Mutex<Inner>,
    /// After this long without a round of the loop the service is stalled.
    stalled_after: Duration,
}

/// How far the process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Before the first inference.
    Starting,
    Serving,
    /// Sinks are being ended.
    Draining,
    /// All that was written is in place.
    Done,
}

/// All that there is to tell.
#[derive(Debug, Clone)]
pub(crate) struct Inner {
    pub(crate) phase: Phase,
    pub(crate) begin: Instant,
    /// When the loop last came round.
    pub(crate) round: Instant,
    pub(crate) about: About,
    pub(crate) frames: u64,
    pub(crate) latency: Latency,
    pub(crate) latencies: Histogram,
    recent: VecDeque<Instant>,
    pub(crate) not_finite: u64,
    pub(crate) left_out: u64,
    pub(crate) source: Source,
    pub(crate) cache: Option<CacheCounters>,
    pub(crate) device_bytes: u64,
    pub(crate) buffer_bytes: u64,
    pub(crate) reloads: u64,
    pub(crate) bad_reloads: u64,
}

/// What does not change.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    pub(crate) model: String,
    pub(crate) device: String,
    pub(crate) library: String,
    pub(crate) precision: String,
    /// Masked.
    pub(crate) source: String,
}

/// How the source is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Source {
    pub(crate) dropped: u64,
    pub(crate) reconnects: u64,
    pub(crate) lost_since: Option<Instant>,
    /// Masked.
    pub(crate) error: Option<String>,
    /// Elements, for people.
    pub(crate) path: Option<String>,
}

impl State {
    /// A service that starts, watched by a watchdog with this timeout.
    pub(super) fn new(watchdog: Option<Duration>) -> Self {
        let now = Instant::now();
        Self {
            stalled_after: watchdog.unwrap_or(STALLED),
            inner: Mutex::new(Inner {
                phase: Phase::Starting,
                begin: now,
                round: now,
                about: About::default(),
                frames: 0,
                latency: Latency::new(),
                latencies: Histogram::new(LATENCIES),
                recent: VecDeque::new(),
                not_finite: 0,
                left_out: 0,
                source: Source::default(),
                cache: None,
                device_bytes: 0,
                buffer_bytes: 0,
                reloads: 0,
                bad_reloads: 0,
            }),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.lock().phase
    }

    pub(super) fn set_backend(
        &self,
        manifest: &Manifest,
        backend: &BackendSummary,
        config: &Config,
    ) {
        self.lock().about = About {
            model: manifest.model.clone(),
            device: backend.device.clone(),
            library: backend.library.clone().unwrap_or_default(),
            precision: backend.precision.clone(),
            source: mask_secrets(&config.source),
        };
    }

    pub(super) fn serve(&self) {
        let mut inner = self.lock();
        inner.phase = Phase::Serving;
        inner.round = Instant::now();
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.lock().phase = phase;
    }

    /// A frame was finished.
    pub(super) fn frame(&self, took: Duration, results: &Results, model: &Model) {
        let mut inner = self.lock();
        inner.frames += 1;
        inner.latency.push(took);
        inner.latencies.push(took);
        if inner.recent.len() >= MAX_RECENT {
            inner.recent.pop_front();
        }
        inner.recent.push_back(Instant::now());
        inner.not_finite += results.not_finite as u64;
        inner.left_out += results.left_out as u64;
        inner.cache = model.counters();
        inner.device_bytes = model.device_bytes();
        inner.buffer_bytes = model.buffer_bytes() as u64;
    }

    /// The loop came round, and its watchdog was fed.
    pub(super) fn round(&self, source: &SupervisedSource) {
        let mut inner = self.lock();
        inner.round = Instant::now();
        inner.source.dropped = source.dropped();
        inner.source.reconnects = source.reconnects();
        inner.source.lost_since = source.lost_since();
        if inner.source.error.as_deref() != source.last_error() {
            inner.source.error = source.last_error().map(str::to_owned);
        }
        if inner.source.path.is_none() {
            inner.source.path = source.path();
        }
    }

    pub(super) fn reloaded(&self, good: bool) {
        let mut inner = self.lock();
        match good {
            true => inner.reloads += 1,
            false => inner.bad_reloads += 1,
        }
    }

    /// Frames per second over the last seconds.
    pub(super) fn fps(&self) -> f64 {
        self.lock().fps()
    }

    /// All of it as it is now.
    pub(super) fn now(&self) -> Inner {
        self.lock().clone()
    }

    /// Has the loop not come round for too long?
    pub(super) fn is_stalled(&self, inner: &Inner) -> bool {
        inner.phase == Phase::Serving && inner.round.elapsed() > self.stalled_after
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each change leaves the state whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Frames per second over the last seconds.
    pub(super) fn fps(&self) -> f64 {
        let now = Instant::now();
        let age = |at: &Instant| now.saturating_duration_since(*at);
        let recent = self.recent.iter().filter(|at| age(at) <= RECENT).count();
        let span = match self.recent.front() {
            // The frames before it were forgotten, or there were none.
            Some(first) if age(first) < RECENT => age(first),
            _ => RECENT,
        };
        match recent {
            0 | 1 => 0.0,
            _ => (recent - 1) as f64 / span.as_secs_f64().max(1e-3),
        }
    }

    /// A line for people.
    pub(super) fn text(&self) -> String {
        if let Some(since) = self.source.lost_since {
            let why = self.source.error.as_deref().unwrap_or("not open yet");
            return format!("no source for {} s: {why}", since.elapsed().as_secs());
        }
        let latency = self
            .latency
            .summary()
            .map_or(0.0, |it| it.p50.as_secs_f64());
        format!(
            "{:.1} fps, {:.1} ms a frame, {} frames, {} dropped",
            self.fps(),
            latency * 1e3,
            self.frames,
            self.source.dropped
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_per_second_are_those_of_the_last_seconds() {
        let state = State::new(None);
        let mut inner = state.now();
        assert_eq!(inner.fps(), 0.0);
        let now = Instant::now();
        let ago = |millis| now - Duration::from_millis(millis);
        inner.recent = (0..=20).rev().map(|at| ago(at * 50)).collect();
        assert!((19.0..=20.1).contains(&inner.fps()), "{}", inner.fps());
        inner.recent = [ago(60_000), ago(1000), ago(500), ago(1)].into();
        assert!((0.3..=0.5).contains(&inner.fps()), "{}", inner.fps());
        inner.recent = [ago(60_000), ago(50_000)].into();
        assert_eq!(inner.fps(), 0.0);
    }

    #[test]
    fn a_loop_that_does_not_come_round_is_stalled() {
        let state = State::new(Some(Duration::from_millis(20)));
        std::thread::sleep(Duration::from_millis(40));
        assert!(!state.is_stalled(&state.now()), "it has not begun");
        state.serve();
        assert!(!state.is_stalled(&state.now()));
        std::thread::sleep(Duration::from_millis(40));
        assert!(state.is_stalled(&state.now()));
    }
}
