use tfjet_core::{Manifest, Tensor, TensorView};

use crate::{CacheCounters, Outputs, Session, SessionCache, SessionError};

/// What a program runs: one session for all shapes, or sessions by shapes.
#[derive(Debug)]
pub enum Model {
    /// One session.
    Fixed(Box<Session>),
    /// Sessions made as shapes come.
    ByShape(Box<SessionCache>),
}

impl Model {
    /// What the bundle is for.
    pub fn manifest(&self) -> &Manifest {
        match self {
            Self::Fixed(session) => session.manifest(),
            Self::ByShape(cache) => cache.manifest(),
        }
    }

    /// Runs the model on `inputs`, in the manifest's order.
    ///
    /// # Errors
    /// As [`Session::run`] and [`SessionCache::run`].
    pub fn run(&mut self, inputs: &[TensorView<'_>]) -> Result<Outputs<'_>, SessionError> {
        match self {
            Self::Fixed(session) => session.run(inputs),
            Self::ByShape(cache) => cache.run(inputs),
        }
    }

    /// An empty tensor for input `index`, as [`Session::input_tensor`] of the session that was used
    /// last gives it.
    pub fn input_tensor(&self, index: usize) -> Tensor {
        let session = self.session();
        session.map_or_else(Tensor::default, |session| session.input_tensor(index))
    }

    /// What the cache did so far; `None` for one session.
    pub fn counters(&self) -> Option<CacheCounters> {
        match self {
            Self::Fixed(_) => None,
            Self::ByShape(cache) => Some(cache.counters()),
        }
    }

    /// The one session, or the one that was used last; before the first run the one that is most
    /// likely next, and `None` where there is none yet.
    pub fn session(&self) -> Option<&Session> {
        match self {
            Self::Fixed(session) => Some(session),
            Self::ByShape(cache) => cache.session(),
        }
    }

    /// As [`Model::session`].
    pub fn session_mut(&mut self) -> Option<&mut Session> {
        match self {
            Self::Fixed(session) => Some(session),
            Self::ByShape(cache) => cache.session_mut(),
        }
    }

    /// Does a build run or wait? Takes in one that has ended, as a run does.
    pub fn building(&mut self) -> bool {
        match self {
            Self::Fixed(_) => false,
            Self::ByShape(cache) => cache.poll(),
        }
    }

    /// Bytes of the GPU's memory that all sessions hold, as [`Session::device_bytes`] counts them.
    pub fn device_bytes(&self) -> u64 {
        match self {
            Self::Fixed(session) => session.device_bytes(),
            Self::ByShape(cache) => cache.sessions().map(Session::device_bytes).sum(),
        }
    }

    /// Bytes of the buffers of all sessions, as [`Session::buffer_bytes`] counts them.
    pub fn buffer_bytes(&self) -> usize {
        match self {
            Self::Fixed(session) => session.buffer_bytes(),
            Self::ByShape(cache) => cache.sessions().map(Session::buffer_bytes).sum(),
        }
    }
}

impl From<Session> for Model {
    fn from(session: Session) -> Self {
        Self::Fixed(Box::new(session))
    }
}

impl From<SessionCache> for Model {
    fn from(cache: SessionCache) -> Self {
        Self::ByShape(Box::new(cache))
    }
}
