//! CUDA graphs: work recorded once and launched as a whole.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::stream::{Used, View};
use crate::sys::GraphHandle;

/// Work that [`Stream::capture`](crate::Stream::capture) recorded, and everything that it uses.
/// Clones share it.
#[derive(Clone)]
pub struct Graph(Arc<Inner>);

struct Inner {
    // Dropped before `used`, which it refers to.
    handle: Mutex<GraphHandle>,
    used: Used,
    nodes: usize,
    stream: u64,
}

impl Graph {
    pub(crate) fn new(handle: GraphHandle, nodes: usize, stream: u64, used: Used) -> Self {
        Self(Arc::new(Inner {
            stream,
            handle: Mutex::new(handle),
            used,
            nodes,
        }))
    }

    /// How many kernels, copies and fills it has.
    pub fn node_count(&self) -> usize {
        self.0.nodes
    }

    /// The stream that recorded it.
    pub(crate) fn stream_id(&self) -> u64 {
        self.0.stream
    }

    /// The host memory that it needs.
    pub(crate) fn views(&self) -> &[View] {
        &self.0.used.views
    }

    /// The graph, for one thread at a time.
    pub(crate) fn lock(&self) -> MutexGuard<'_, GraphHandle> {
        self.0.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn owner(&self) -> Arc<dyn Any + Send + Sync> {
        self.0.clone()
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph")
            .field("nodes", &self.0.nodes)
            .field("views", &self.0.used.views)
            .finish_non_exhaustive()
    }
}
