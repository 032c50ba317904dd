//! Sessions by the shapes of their inputs, made as requests come.

mod builds;
mod entries;
mod key;
mod maker;
mod options;
mod refusals;
mod supply;

use std::fmt;

use tfjet_core::{Manifest, TensorView};

use crate::inputs::InputCheck;
use crate::{Outputs, Session, SessionError};
use builds::Builds;
use entries::Entries;
use refusals::Refusals;

pub use builds::{BuildWatch, Building};
pub use key::ShapeKey;
pub use maker::{BuildFailure, PendingBuild, SessionMaker};
pub use options::{CacheCounters, OnMiss, SessionCacheOptions};

/// Sessions by the shapes of their inputs, the least recently used ones dropped; those that are not
/// built yet are built in the background, one at a time, while other sessions serve.
///
/// A request is served by the session of the smallest batch that [`serves`](ShapeKey::serves) it.
/// Where there is none, a session is loaded from what was built before; where nothing was,
/// [`OnMiss`] says what happens. Shapes whose build fails are left alone for
/// [`SessionCacheOptions::retry_failed_after`], and shapes without elements are never built. A
/// session that fails to run a request leaves it to the fallback; after three in a row it goes.
///
/// Dropping the cache ends its builds.
pub struct SessionCache {
    manifest: Manifest,
    check: InputCheck,
    maker: Box<dyn SessionMaker>,
    options: SessionCacheOptions,
    entries: Entries,
    covering: Covering,
    fallback: Option<Box<Session>>,
    builds: Builds,
    refusals: Refusals,
    counters: CacheCounters,
    last: Option<Server>,
}

/// The session that is prepared for a range of shapes.
enum Covering {
    Unasked,
    Absent,
    Loaded {
        session: Box<Session>,
        shapes: ShapeKey,
        /// Runs that failed since the last one that did not.
        failed_runs: u32,
    },
}

/// What serves a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    /// The entry of this id.
    Entry(u64),
    Covering,
    Fallback,
}

/// A session that fails so many runs in a row is not used any more.
const MAX_FAILED_RUNS: u32 = 3;

impl SessionCache {
    /// A cache of sessions of the model that `manifest` describes. `fallback` takes all of its
    /// shapes.
    pub fn new(
        manifest: Manifest,
        maker: Box<dyn SessionMaker>,
        fallback: Option<Session>,
        options: SessionCacheOptions,
    ) -> Self {
        Self {
            check: InputCheck::new(&manifest.inputs),
            manifest,
            maker,
            entries: Entries::new(options.capacity),
            options,
            covering: Covering::Unasked,
            fallback: fallback.map(Box::new),
            builds: Builds::default(),
            refusals: Refusals::new(),
            counters: CacheCounters::default(),
            last: None,
        }
    }

    /// What the bundle is for.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Runs the model on `inputs`, in the manifest's order.
    ///
    /// # Errors
    /// As [`Session::run`], and [`SessionError::NotBuilt`] where there is no session for the shapes
    /// and no fallback.
    pub fn run(&mut self, inputs: &[TensorView<'_>]) -> Result<Outputs<'_>, SessionError> {
        self.check.check(&self.manifest.inputs, inputs)?;
        self.poll();
        let server = match self.entries.find(|shapes| shapes.serves_inputs(inputs)) {
            Some(entry) => {
                self.counters.hits += 1;
                Server::Entry(entry.id)
            }
            None => {
                self.counters.misses += 1;
                self.server(&ShapeKey::of(inputs))?
            }
        };
        let server = self.run_on(server, inputs)?;
        self.last = Some(server);
        match self.session_of(server) {
            Some(session) => Ok(Outputs::new(session)),
            None => Err(gone(inputs)),
        }
    }

    /// Takes in a build that has ended and begins the next, as each run does. Does any run or wait?
    pub fn poll(&mut self) -> bool {
        self.advance();
        self.builds.len() > 0
    }

    /// Waits until no build runs or waits.
    pub fn finish_builds(&mut self) {
        self.wait(|cache| !cache.poll());
    }

    /// Sees and stops the builds from another thread.
    pub fn watch(&self) -> BuildWatch {
        self.builds.watch().clone()
    }

    /// What happened so far.
    pub fn counters(&self) -> CacheCounters {
        CacheCounters {
            entries: self.entries.list().len(),
            pending: self.builds.len(),
            ..self.counters
        }
    }

    /// Shapes of the sessions that are held, the one that was used last first.
    pub fn keys(&self) -> Vec<ShapeKey> {
        let entries = self.entries.list().iter();
        entries.map(|entry| entry.shapes.clone()).collect()
    }

    /// Shapes that are left alone at present, and why.
    pub fn refused(&self) -> impl Iterator<Item = (&ShapeKey, &str)> {
        self.refusals.iter()
    }

    /// The session that was used last; before the first run, and where that one is gone, another one
    /// that is held.
    pub fn session(&self) -> Option<&Session> {
        self.session_of(self.in_use()?)
    }

    /// As [`SessionCache::session`].
    pub fn session_mut(&mut self) -> Option<&mut Session> {
        self.session_of_mut(self.in_use()?)
    }

    fn in_use(&self) -> Option<Server> {
        let last = self.last.filter(|last| self.session_of(*last).is_some());
        last.or_else(|| self.servers().next())
    }

    /// All sessions that are held, the fallback last.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.servers().filter_map(|server| self.session_of(server))
    }

    fn servers(&self) -> impl Iterator<Item = Server> {
        let entries = self.entries.list().iter();
        let entries = entries.map(|entry| Server::Entry(entry.id));
        let shared = [Server::Covering, Server::Fallback].into_iter();
        entries.chain(shared.filter(|server| self.session_of(*server).is_some()))
    }

    fn session_of(&self, server: Server) -> Option<&Session> {
        match server {
            Server::Entry(id) => self.entries.get(id).map(|entry| &*entry.session),
            Server::Covering => match &self.covering {
                Covering::Loaded { session, .. } => Some(session),
                Covering::Unasked | Covering::Absent => None,
            },
            Server::Fallback => self.fallback.as_deref(),
        }
    }

    fn session_of_mut(&mut self, server: Server) -> Option<&mut Session> {
        match server {
            Server::Entry(id) => self.entries.get_mut(id).map(|entry| &mut *entry.session),
            Server::Covering => match &mut self.covering {
                Covering::Loaded { session, .. } => Some(session),
                Covering::Unasked | Covering::Absent => None,
            },
            Server::Fallback => self.fallback.as_deref_mut(),
        }
    }

    /// Runs `inputs` on a session, or where that fails on the fallback. Gives the one that served.
    fn run_on(
        &mut self,
        server: Server,
        inputs: &[TensorView<'_>],
    ) -> Result<Server, SessionError> {
        let Some(session) = self.session_of_mut(server) else {
            return Err(gone(inputs));
        };
        let error = match session.run(inputs).map(drop) {
            Ok(()) => {
                self.served(server);
                return Ok(server);
            }
            Err(error) => error,
        };
        if server == Server::Fallback {
            return Err(error);
        }
        let Some(fallback) = &mut self.fallback else {
            return Err(error);
        };
        // Where the fallback fails too, the inputs are at fault and not the session.
        fallback.run(inputs)?;
        self.served(Server::Fallback);
        self.failed(server, &error);
        Ok(Server::Fallback)
    }

    fn served(&mut self, server: Server) {
        match server {
            Server::Entry(id) => {
                if let Some(entry) = self.entries.get_mut(id) {
                    entry.failed_runs = 0;
                }
            }
            Server::Covering => {
                self.counters.covered_runs += 1;
                if let Covering::Loaded { failed_runs, .. } = &mut self.covering {
                    *failed_runs = 0;
                }
            }
            Server::Fallback => self.counters.fallback_runs += 1,
        }
    }

    /// A session failed a run that the fallback could do.
    fn failed(&mut self, server: Server, error: &SessionError) {
        let (shapes, failed_runs) = match (server, &mut self.covering) {
            (Server::Entry(id), _) => match self.entries.get_mut(id) {
                Some(entry) => (&entry.shapes, &mut entry.failed_runs),
                None => return,
            },
            (
                Server::Covering,
                Covering::Loaded {
                    shapes,
                    failed_runs,
                    ..
                },
            ) => (&*shapes, failed_runs),
            _ => return,
        };
        *failed_runs += 1;
        if *failed_runs == 1 {
            tracing::warn!(%shapes, "a run failed, the fallback serves it: {error}");
        }
        if *failed_runs < MAX_FAILED_RUNS {
            return;
        }
        match server {
            Server::Entry(id) => {
                if let Some(entry) = self.entries.remove(id) {
                    let reason = format!("{MAX_FAILED_RUNS} runs in a row failed: {error}");
                    self.refuse(&entry.shapes, reason);
                }
            }
            _ => {
                tracing::warn!(%shapes, "{MAX_FAILED_RUNS} runs in a row failed: {error}");
                self.covering = Covering::Absent;
            }
        }
    }
}

fn gone(inputs: &[TensorView<'_>]) -> SessionError {
    not_built(&ShapeKey::of(inputs), "its session is gone")
}

fn not_built(shapes: &ShapeKey, reason: impl Into<String>) -> SessionError {
    SessionError::NotBuilt {
        shapes: shapes.to_string(),
        reason: reason.into(),
    }
}

impl fmt::Debug for SessionCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionCache")
            .field("model", &self.manifest.model)
            .field("options", &self.options)
            .field("keys", &self.keys())
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}
