use std::time::Duration;

use serde::Serialize;

/// What happens to a request whose shapes have no session yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnMiss {
    /// It waits for the build. Shapes that a session prepared for a range of them takes are served
    /// by that one, and nothing is built.
    Block,
    /// The session prepared for a range of shapes, or else the fallback, serves it while the build
    /// runs in the background. Where there is neither, it waits.
    #[default]
    Fallback,
    /// As [`OnMiss::Fallback`], and nothing is ever built.
    NeverBuild,
}

/// How a [`SessionCache`](super::SessionCache) goes about its sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionCacheOptions {
    /// How many sessions are held; the one that was not used for longest goes. At least 1.
    pub capacity: usize,
    /// What happens to a request whose shapes have no session.
    pub on_miss: OnMiss,
    /// How long shapes whose build failed are left alone.
    pub retry_failed_after: Duration,
}

impl Default for SessionCacheOptions {
    fn default() -> Self {
        Self {
            capacity: 4,
            on_miss: OnMiss::default(),
            retry_failed_after: Duration::from_secs(60 * 60),
        }
    }
}

/// What a [`SessionCache`](super::SessionCache) did so far.
///
/// Each run whose inputs fit the model is one of `hits` and `misses`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct CacheCounters {
    /// Runs that found a session for their shapes in memory.
    pub hits: u64,
    /// Runs that did not.
    pub misses: u64,
    /// Sessions loaded from what had been built before, in this process or an earlier one.
    pub loads: u64,
    /// Sessions that made room for others.
    pub evictions: u64,
    /// Builds that ended well.
    pub builds: u64,
    /// Builds that failed, those that could not be started included.
    pub failed_builds: u64,
    /// Seconds that all of these builds took together.
    pub build_seconds: f64,
    /// Runs served by the session that is prepared for a range of shapes.
    pub covered_runs: u64,
    /// Runs served by the fallback.
    pub fallback_runs: u64,
    /// Sessions held now, without the fallback and the one for a range of shapes.
    pub entries: usize,
    /// Builds that run or wait now.
    pub pending: usize,
}
