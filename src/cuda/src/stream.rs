//! Streams: queues of work for the device.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::ffi::c_void;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys::GraphTemplate;
use crate::sys::StreamHandle;
use crate::{Access, Context, CudaError, Graph, Scope};

/// What the work of a scope or graph uses.
#[derive(Default)]
pub(crate) struct Used {
    /// Objects that must stay alive.
    pub(crate) objects: Vec<Arc<dyn Any + Send + Sync>>,
    /// Views of host memory.
    pub(crate) views: Vec<View>,
}

/// Host memory as the device sees it, borrowed by a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) address: u64,
    pub(crate) len: usize,
    pub(crate) access: Access,
}

impl View {
    /// Whether who borrowed `self` may do what needs `other`.
    fn covers(&self, other: &Self) -> bool {
        let Some(offset) = other.address.checked_sub(self.address) else {
            return false;
        };
        let inside = offset.saturating_add(other.len as u64) <= self.len as u64;
        inside && (self.access == Access::Write || other.access == Access::Read)
    }
}

static NEXT_STREAM: AtomicU64 = AtomicU64::new(0);

/// A queue of work, done in order and independently of other streams.
///
/// Work is enqueued inside [`Stream::scope`], or recorded inside [`Stream::capture`]. A stream may
/// move between threads but is used by one at a time.
pub struct Stream {
    handle: StreamHandle,
    id: u64,
    phase: Cell<Phase>,
    // The vectors' memory serves one scope after the other.
    used: RefCell<Used>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Scope,
    Capture,
}

impl Stream {
    /// A stream that does not wait for CUDA's default stream.
    ///
    /// # Errors
    /// [`CudaError::Call`]
    pub fn new(context: &Context) -> Result<Self, CudaError> {
        Ok(Self {
            handle: StreamHandle::create(context)?,
            id: NEXT_STREAM.fetch_add(1, Ordering::Relaxed),
            phase: Cell::new(Phase::Idle),
            used: RefCell::default(),
        })
    }

    /// The context that it belongs to.
    pub fn context(&self) -> &Context {
        self.handle.context()
    }

    /// The driver's `CUstream`, valid while `self` is.
    pub fn raw(&self) -> *mut c_void {
        self.handle.raw().cast()
    }

    /// Waits until everything enqueued so far has finished.
    ///
    /// # Errors
    /// [`CudaError::Call`], also for work that failed; [`CudaError::NotInCapture`] within
    /// [`Stream::capture`].
    pub fn synchronize(&self) -> Result<(), CudaError> {
        if self.phase.get() == Phase::Capture {
            return Err(CudaError::NotInCapture {
                what: "waiting for the stream",
            });
        }
        self.handle.synchronize()
    }

    /// Calls `work` to enqueue on this stream, and waits until the device has finished all of it,
    /// also where `work` panics. So the device may use host memory that was borrowed for `'env`,
    /// and nothing else can touch that memory meanwhile.
    ///
    /// # Errors
    /// [`CudaError::StreamBusy`] within a scope or capture of this stream, and
    /// [`CudaError::Call`] for work that failed on the device; then the contents of what it wrote
    /// are undefined.
    pub fn scope<'env, R>(
        &self,
        work: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
    ) -> Result<R, CudaError> {
        let turn = self.begin(Phase::Scope)?;
        let result = work(&Scope::new(self, false));
        turn.finish()?;
        Ok(result)
    }

    /// Records what `work` enqueues into a graph instead of doing it. The graph keeps alive what
    /// the work uses, and runs on this stream only. Views of mapped host memory ([`Scope::device_region`]) stay its callers': to
    /// [replay](Scope::replay) the graph, a scope must make views of the same memory again.
    ///
    /// Kernels must have been loaded before, and memory allocated: the driver does neither while it
    /// records on this thread.
    ///
    /// # Errors
    /// [`CudaError::Capture`] where `work` fails, [`CudaError::StreamBusy`] within a scope or
    /// capture of this stream, [`CudaError::MissingEntryPoint`] for a driver without graphs, and
    /// [`CudaError::Call`].
    pub fn capture<'env>(
        &self,
        work: impl for<'scope> FnOnce(
            &'scope Scope<'scope, 'env>,
        ) -> Result<(), Box<dyn Error + Send + Sync>>,
    ) -> Result<Graph, CudaError> {
        let turn = self.begin(Phase::Capture)?;
        let result = work(&Scope::new(self, true));
        let template = turn.end_capture();
        result.map_err(CudaError::Capture)?;
        let (template, used) = template?;
        Ok(Graph::new(
            template.instantiate()?,
            template.node_count()?,
            self.id,
            used,
        ))
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn handle(&self) -> &StreamHandle {
        &self.handle
    }

    pub(crate) fn retain(&self, object: Arc<dyn Any + Send + Sync>) {
        self.used.borrow_mut().objects.push(object);
    }

    pub(crate) fn add_view(&self, view: View) {
        self.used.borrow_mut().views.push(view);
    }

    /// Whether the open scope borrowed the host memory of every view.
    pub(crate) fn covers(&self, views: &[View]) -> bool {
        let used = self.used.borrow();
        let mut needed = views.iter();
        needed.all(|needed| used.views.iter().any(|view| view.covers(needed)))
    }

    fn begin(&self, phase: Phase) -> Result<Turn<'_>, CudaError> {
        if self.phase.get() != Phase::Idle {
            return Err(CudaError::StreamBusy);
        }
        if phase == Phase::Capture {
            self.handle.begin_capture()?;
        }
        self.phase.set(phase);
        Ok(Turn {
            stream: self,
            ended: false,
        })
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("context", self.context())
            .finish_non_exhaustive()
    }
}

/// An open scope or capture, which ends when this is dropped.
struct Turn<'a> {
    stream: &'a Stream,
    ended: bool,
}

impl Turn<'_> {
    /// Waits for the work. A failure means that the device has given up all work of the context, so
    /// also then it uses no memory any more.
    fn finish(mut self) -> Result<(), CudaError> {
        self.ended = true;
        self.stream.handle.synchronize()
    }

    fn end_capture(mut self) -> Result<(GraphTemplate, Used), CudaError> {
        self.ended = true;
        let template = self.stream.handle.end_capture()?;
        Ok((template, self.stream.used.take()))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let ended = match self.stream.phase.get() {
                Phase::Capture => self.stream.handle.end_capture().map(drop),
                Phase::Scope | Phase::Idle => self.stream.handle.synchronize(),
            };
            if let Err(error) = ended {
                tracing::warn!("{error}");
            }
        }
        let mut used = self.stream.used.take();
        used.objects.clear();
        used.views.clear();
        self.stream.used.replace(used);
        self.stream.phase.set(Phase::Idle);
    }
}
