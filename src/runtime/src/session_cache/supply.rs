//! How a cache comes by a session for shapes that it has none for.

use std::thread;
use std::time::{Duration, Instant};

use super::builds::Ended;
use super::{BuildFailure, Covering, OnMiss, Server, SessionCache, ShapeKey, not_built};
use crate::SessionError;

/// How often a run that waits says so.
const REMIND: Duration = Duration::from_secs(10);
/// The longest pause of a run that waits between two looks.
const MAX_PAUSE: Duration = Duration::from_millis(50);

/// What can be had for shapes without an entry.
enum Supply {
    Entry(u64),
    /// A build will serve them.
    Building,
    /// Nothing, for this reason.
    Refused(String),
}

impl SessionCache {
    /// What serves shapes that have no entry.
    pub(super) fn server(&mut self, shapes: &ShapeKey) -> Result<Server, SessionError> {
        loop {
            match self.supply(shapes) {
                Supply::Entry(id) => return Ok(Server::Entry(id)),
                Supply::Refused(reason) => return self.stand_in(shapes, reason),
                Supply::Building => {}
            }
            let mut failed = None;
            if self.options.on_miss != OnMiss::Block {
                failed = self.advance_for(shapes);
                if let Some(entry) = self.entries.find(|own| own.serves(shapes)) {
                    return Ok(Server::Entry(entry.id));
                }
                if let Ok(server) = self.stand_in(shapes, "") {
                    return Ok(server);
                }
            }
            if let Some(reason) = failed.or_else(|| self.wait_for(shapes)) {
                return self.stand_in(shapes, reason);
            }
        }
    }

    /// Loads, finds or asks for a session for these shapes.
    fn supply(&mut self, shapes: &ShapeKey) -> Supply {
        if let Some(entry) = self.entries.find(|own| own.serves(shapes)) {
            return Supply::Entry(entry.id);
        }
        if shapes.is_empty() {
            return Supply::Refused("no engine is built for inputs without elements".into());
        }
        let is_coming = self.builds.serves(shapes);
        if is_coming && self.builds.is_absent(shapes) {
            return Supply::Building;
        }
        match self.refusals.reason(shapes) {
            Some(_) if is_coming => return Supply::Building,
            Some(reason) => return Supply::Refused(reason.into()),
            None => {}
        }
        match self.load_built(shapes) {
            Ok(Some(id)) => return Supply::Entry(id),
            Ok(None) => self.builds.note_absent(shapes),
            Err(error) => {
                let reason = format!("what was built cannot be loaded: {error}");
                self.refuse(shapes, reason.clone());
                return Supply::Refused(reason);
            }
        }
        if is_coming {
            return Supply::Building;
        }
        let retry_after = self.options.retry_failed_after;
        if let Some(failure) = self.maker.failure(shapes)
            && let Some(left) = failure.remaining(retry_after)
        {
            let reason = failure.reason;
            tracing::warn!(%shapes, "an earlier build failed: {reason}");
            self.refusals.add(shapes.clone(), reason.clone(), left);
            return Supply::Refused(reason);
        }
        if self.builds.watch().is_stopped() {
            return Supply::Refused("builds were stopped".into());
        }
        let on_miss = self.options.on_miss;
        let reason = match on_miss {
            OnMiss::NeverBuild => "they were not prepared, and nothing is to be built",
            OnMiss::Block if self.covers(shapes) => "an engine for a range of shapes takes them",
            OnMiss::Block | OnMiss::Fallback => {
                self.builds.add(shapes.clone());
                return Supply::Building;
            }
        };
        tracing::info!(%shapes, "no engine of their own: {reason}");
        self.refusals
            .add(shapes.clone(), reason.into(), retry_after);
        Supply::Refused(reason.into())
    }

    /// What serves shapes that have no session of their own for `reason`.
    fn stand_in(
        &mut self,
        shapes: &ShapeKey,
        reason: impl Into<String>,
    ) -> Result<Server, SessionError> {
        if self.covers(shapes) {
            return Ok(Server::Covering);
        }
        match self.fallback {
            Some(_) => Ok(Server::Fallback),
            None => Err(not_built(shapes, reason)),
        }
    }

    /// Does the session for a range of shapes take these? Loads it where that was not done yet.
    fn covers(&mut self, shapes: &ShapeKey) -> bool {
        match &self.covering {
            Covering::Absent => false,
            Covering::Loaded { shapes: own, .. } => own.serves(shapes) || self.maker.covers(shapes),
            Covering::Unasked => match self.maker.covering(shapes) {
                Ok(Some(session)) => {
                    self.counters.loads += 1;
                    self.covering = Covering::Loaded {
                        session: Box::new(session),
                        shapes: shapes.clone(),
                        failed_runs: 0,
                    };
                    true
                }
                Ok(None) => false,
                Err(error) => {
                    tracing::warn!(%shapes, "the engines for a range of shapes cannot be loaded: {error}");
                    self.covering = Covering::Absent;
                    false
                }
            },
        }
    }

    /// Loads the smallest session that serves these shapes from what was built before.
    fn load_built(&mut self, shapes: &ShapeKey) -> Result<Option<u64>, SessionError> {
        let built = self.maker.built().into_iter();
        if let Some(nearest) = built.filter(|built| built.serves(shapes)).min() {
            self.counters.evictions += self.entries.make_room();
            if nearest == *shapes {
                return self.load(shapes);
            }
            match self.load(&nearest) {
                Ok(Some(id)) => return Ok(Some(id)),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(shapes = %nearest, "what was built cannot be loaded: {error}");
                }
            }
        }
        self.load(shapes)
    }

    fn load(&mut self, shapes: &ShapeKey) -> Result<Option<u64>, SessionError> {
        let start = Instant::now();
        let Some(session) = self.maker.load(shapes)? else {
            return Ok(None);
        };
        tracing::debug!(%shapes, took = ?start.elapsed(), "loaded a session");
        self.counters.loads += 1;
        self.counters.evictions += self.entries.make_room();
        self.builds.forget_served_by(shapes);
        Ok(Some(self.entries.insert(shapes.clone(), session)))
    }

    /// Leaves shapes alone for a while, and says so once.
    pub(super) fn refuse(&mut self, shapes: &ShapeKey, reason: String) {
        let retry_after = self.options.retry_failed_after;
        tracing::warn!(%shapes, ?retry_after, "no engine: {reason}");
        self.refusals.add(shapes.clone(), reason, retry_after);
    }

    /// Takes in a build that has ended, and begins the next. Gives the shapes of one that failed,
    /// and the reason.
    pub(super) fn advance(&mut self) -> Option<(ShapeKey, String)> {
        let Ended {
            shapes,
            result,
            took,
        } = self.builds.poll(&mut *self.maker)?;
        self.counters.build_seconds += took.as_secs_f64();
        let reason = match result {
            Ok(()) => {
                self.counters.builds += 1;
                tracing::info!(%shapes, ?took, "a build ended well");
                // Another process may have built it before, and this one may have loaded that.
                if self.entries.list().iter().any(|it| it.shapes == shapes) {
                    return None;
                }
                // Before the load, so that there are never more than the capacity.
                self.counters.evictions += self.entries.make_room();
                match self.load(&shapes) {
                    Ok(Some(_)) => return None,
                    Ok(None) => "the build ended well and left nothing to load".into(),
                    Err(error) => format!("what was built cannot be loaded: {error}"),
                }
            }
            Err(reason) => {
                self.counters.failed_builds += 1;
                let failure = BuildFailure::now(reason);
                self.maker.remember_failure(&shapes, &failure);
                failure.reason
            }
        };
        self.refuse(&shapes, reason.clone());
        Some((shapes, reason))
    }

    /// As [`SessionCache::advance`], with the reason where a build of these shapes failed.
    fn advance_for(&mut self, shapes: &ShapeKey) -> Option<String> {
        let (failed, reason) = self.advance()?;
        (failed == *shapes).then_some(reason)
    }

    /// Waits until no build is to serve these shapes any more. Gives the reason where their own
    /// build failed.
    fn wait_for(&mut self, shapes: &ShapeKey) -> Option<String> {
        let mut failed = None;
        self.wait(|cache| {
            failed = cache.advance_for(shapes);
            failed.is_some() || !cache.builds.serves(shapes)
        });
        failed
    }

    /// Waits until `is_over`, and says from time to time that it does.
    pub(super) fn wait(&mut self, mut is_over: impl FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        let mut reminded = start;
        let mut pause = Duration::from_millis(1);
        while !is_over(self) {
            if reminded.elapsed() >= REMIND {
                reminded = Instant::now();
                if let Some(building) = self.builds.watch().building() {
                    let progress = building.progress.unwrap_or_default();
                    let took = building.since.elapsed();
                    tracing::info!(shapes = %building.shapes, ?took, progress, "waiting for a build");
                }
            }
            thread::sleep(pause);
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }
}
