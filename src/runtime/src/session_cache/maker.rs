use std::thread;
use std::time::{Duration, SystemTime};

use super::ShapeKey;
use crate::{Session, SessionError};

/// Makes the sessions of a [`SessionCache`](super::SessionCache).
///
/// All of it is called from the thread that runs the cache, so only [`SessionMaker::load`] and
/// [`SessionMaker::covering`] should take time.
pub trait SessionMaker: Send {
    /// A session for these shapes from what was built before (in the bundle or a cache on disk);
    /// `None` where it has to be built. Damage that building again repairs is `None` too.
    ///
    /// # Errors
    /// [`SessionError`] where what was built cannot be loaded. The shapes are then left alone for
    /// as long as after a failed build.
    fn load(&mut self, shapes: &ShapeKey) -> Result<Option<Session>, SessionError>;

    /// Begins to build what [`SessionMaker::load`] needs, with batches from 1 to that of the
    /// shapes, and returns at once.
    ///
    /// # Errors
    /// Why that cannot be begun, in one line.
    fn build(&mut self, shapes: &ShapeKey) -> Result<Box<dyn PendingBuild>, String>;

    /// Shapes that [`SessionMaker::load`] has something for, as far as that is known: a request is
    /// served by the smallest of them that [`serves`](ShapeKey::serves) it.
    fn built(&mut self) -> Vec<ShapeKey> {
        Vec::new()
    }

    /// Does the session that [`SessionMaker::covering`] gives take these shapes?
    fn covers(&self, shapes: &ShapeKey) -> bool {
        let _ = shapes;
        false
    }

    /// The session that was prepared beforehand for a range of shapes, if there is one that takes
    /// these. It is asked for once: the cache keeps the session, for the shapes that it was asked
    /// for, those which they serve, and those that [`SessionMaker::covers`] names.
    ///
    /// # Errors
    /// [`SessionError`] where it cannot be loaded; it is not asked for again.
    fn covering(&mut self, shapes: &ShapeKey) -> Result<Option<Session>, SessionError> {
        let _ = shapes;
        Ok(None)
    }

    /// The failed build of these shapes that outlived the process, if there is one.
    fn failure(&self, shapes: &ShapeKey) -> Option<BuildFailure> {
        let _ = shapes;
        None
    }

    /// Keeps a failed build for [`SessionMaker::failure`] of later processes.
    fn remember_failure(&mut self, shapes: &ShapeKey, failure: &BuildFailure) {
        let _ = (shapes, failure);
    }
}

/// A build that runs on its own, in a child process. Dropping it ends the process.
pub trait PendingBuild: Send {
    /// How it ended, with the reason in one line where it failed; `None` while it runs. Does not
    /// wait.
    fn poll(&mut self) -> Option<Result<(), String>>;

    /// How long it has been running, or ran.
    fn elapsed(&self) -> Duration;

    /// What it is at, for people; `None` where that is not known.
    fn progress(&self) -> Option<String> {
        None
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// Why it failed, in one line.
    fn wait(&mut self) -> Result<(), String> {
        loop {
            match self.poll() {
                Some(result) => return result,
                None => thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

/// A build that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildFailure {
    /// Why, in one line.
    pub reason: String,
    /// When.
    pub at: SystemTime,
}

impl BuildFailure {
    /// A failure of now.
    pub fn now(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            at: SystemTime::now(),
        }
    }

    /// For how long the build is still to be left alone, where that is `retry_after` from the
    /// failure on; `None` where that time is over. A failure of the future, from before the clock
    /// was set, is over.
    pub fn remaining(&self, retry_after: Duration) -> Option<Duration> {
        let age = self.at.elapsed().ok()?;
        retry_after.checked_sub(age).filter(|left| !left.is_zero())
    }
}
