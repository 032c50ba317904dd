//! What can be enqueued on a stream.

use std::any::Any;
use std::ffi::c_void;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::kernel::Argument;
use crate::stream::View;
use crate::{Access, Context, CudaError, Event, Graph, Kernel, KernelArgument, Region, Stream};

static NEXT_SCOPE: AtomicU64 = AtomicU64::new(0);

/// An open scope of a [`Stream`]: work that is enqueued through it has finished on the device when
/// the scope ends, or, in [`Stream::capture`], is recorded and not done.
///
/// `'env` is what the work may borrow. As in [`std::thread::scope`] it is invariant and outlives the
/// scope, so nothing that was lent to the device can be used before the scope has ended:
///
/// ```compile_fail,E0506
/// # fn f(stream: &tfjet_cuda::Stream, region: &tfjet_cuda::Region) {
/// let mut host = [0; 4];
/// stream.scope(|scope| {
///     scope.download(&mut host, region).unwrap();
///     host[0] = 1;
/// });
/// # }
/// ```
///
/// Nor can what ends with the closure be lent:
///
/// ```compile_fail,E0597
/// # fn f(stream: &tfjet_cuda::Stream, region: &tfjet_cuda::Region) {
/// stream.scope(|scope| {
///     let host = [0; 4];
///     scope.upload(region, &host).unwrap();
/// });
/// # }
/// ```
pub struct Scope<'scope, 'env> {
    stream: &'scope Stream,
    capturing: bool,
    id: u64,
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl<'scope, 'env> Scope<'scope, 'env> {
    pub(crate) fn new(stream: &'scope Stream, capturing: bool) -> Self {
        Self {
            stream,
            capturing,
            id: NEXT_SCOPE.fetch_add(1, Ordering::Relaxed),
            scope: PhantomData,
            env: PhantomData,
        }
    }

    /// The driver's `CUstream`. Who enqueues on it by other means must [retain](Scope::retain) what
    /// that work uses, and take addresses from [`Scope::admit`].
    pub fn stream_raw(&self) -> *mut c_void {
        self.stream.raw()
    }

    /// The context that the stream belongs to.
    pub fn context(&self) -> &Context {
        self.stream.context()
    }

    /// Whether the work is recorded into a graph.
    pub fn is_capturing(&self) -> bool {
        self.capturing
    }

    /// Copies `from` to the start of `to`.
    ///
    /// # Errors
    /// [`CudaError::Length`] where `to` is too short, [`CudaError::NotInCapture`] while recording,
    /// [`CudaError::Region`], [`CudaError::ForeignContext`] and [`CudaError::Call`].
    pub fn upload(&self, to: &Region, from: &'env [u8]) -> Result<(), CudaError> {
        self.not_in_capture("a copy from host memory")?;
        fits(from.len(), to.len_bytes())?;
        let address = self.admit(to, Access::Write)?;
        if from.is_empty() {
            return Ok(());
        }
        // SAFETY: `from` is borrowed for `'env`, which outlives the scope, and `admit` keeps `to`;
        // the scope does not end before the copy has.
        unsafe { self.stream.handle().upload(address, from) }
    }

    /// Copies the start of `from` to `to`, as long as `to` is.
    ///
    /// # Errors
    /// As [`Scope::upload`], with [`CudaError::Length`] where `from` is too short.
    pub fn download(&self, to: &'env mut [u8], from: &Region) -> Result<(), CudaError> {
        self.not_in_capture("a copy to host memory")?;
        fits(to.len(), from.len_bytes())?;
        let address = self.admit(from, Access::Read)?;
        if to.is_empty() {
            return Ok(());
        }
        // SAFETY: `to` is borrowed for `'env`, which outlives the scope, and `admit` keeps `from`;
        // the scope does not end before the copy has.
        unsafe { self.stream.handle().download(to, address) }
    }

    /// Copies all of `from` to the start of `to`; the two must not overlap.
    ///
    /// # Errors
    /// As [`Scope::upload`], and [`CudaError::Region`] where they overlap.
    pub fn copy(&self, to: &Region, from: &Region) -> Result<(), CudaError> {
        let len = from.len_bytes();
        fits(len, to.len_bytes())?;
        let to = self.admit(to, Access::Write)?;
        let from = self.admit(from, Access::Read)?;
        if len == 0 {
            return Ok(());
        }
        if to.abs_diff(from) < len as u64 {
            return Err(CudaError::Region {
                reason: "source and destination of a copy overlap",
            });
        }
        // SAFETY: `admit` keeps both; the scope, or the graph, does not end before the copy has.
        unsafe { self.stream.handle().copy(to, from, len) }
    }

    /// Fills `to` with zeros.
    ///
    /// # Errors
    /// [`CudaError::Region`], [`CudaError::ForeignContext`] and [`CudaError::Call`].
    pub fn fill_zero(&self, to: &Region) -> Result<(), CudaError> {
        let address = self.admit(to, Access::Write)?;
        if to.len_bytes() == 0 {
            return Ok(());
        }
        // SAFETY: `admit` keeps it; the scope, or the graph, does not end before this has.
        unsafe { self.stream.handle().fill_zero(address, to.len_bytes()) }
    }

    /// How the device sees `host`, for reading, if that is part of a mapped
    /// [`PinnedBuffer`](crate::PinnedBuffer) of this context; nothing for other memory. The region
    /// is good for this scope only.
    pub fn device_region(&self, host: &'env [u8]) -> Option<Region> {
        self.view(host, Access::Read)
    }

    /// As [`Scope::device_region`], for writing.
    pub fn device_region_mut(&self, host: &'env mut [u8]) -> Option<Region> {
        self.view(host, Access::Write)
    }

    fn view(&self, host: &[u8], access: Access) -> Option<Region> {
        let context = self.context();
        let view = View {
            address: context.device_address(host.as_ptr().addr(), host.len())?,
            len: host.len(),
            access,
        };
        self.stream.add_view(view);
        Some(Region::of_scope(context, self.id, view))
    }

    /// The address of `region` for work of this scope, which keeps the region's memory alive.
    ///
    /// # Errors
    /// [`CudaError::ForeignContext`], and [`CudaError::Region`] for a view of host memory that this
    /// scope did not make, or that was borrowed for reading and would be written.
    pub fn admit(&self, region: &Region, access: Access) -> Result<u64, CudaError> {
        region.check(self.context(), self.id, access)?;
        if let Some(owner) = region.owner() {
            self.retain(owner);
        }
        Ok(region.address())
    }

    /// Launches `kernel` on `grid` blocks of `block` threads each.
    ///
    /// # Errors
    /// [`CudaError::Region`] and [`CudaError::ForeignContext`] for an argument or the kernel, and
    /// [`CudaError::Call`].
    ///
    /// # Safety
    /// `arguments` are those of the kernel in number, order and size, and the kernel stays within
    /// the regions: it reads those given as [`KernelArgument::Read`] and reads or writes those
    /// given as [`KernelArgument::Write`], and has no other memory.
    pub unsafe fn launch(
        &self,
        kernel: &Kernel,
        grid: (u32, u32, u32),
        block: (u32, u32, u32),
        arguments: &[KernelArgument<'_>],
    ) -> Result<(), CudaError> {
        if kernel.context_id() != self.context().id() {
            return Err(CudaError::ForeignContext { what: "a kernel" });
        }
        let mut values = arguments
            .iter()
            .map(|argument| argument.value(self))
            .collect::<Result<Vec<Argument>, CudaError>>()?;
        let mut pointers: Vec<*mut c_void> = values.iter_mut().map(Argument::as_mut_ptr).collect();
        self.retain(kernel.owner());
        let function = kernel.function();
        // SAFETY: the caller answers for the arguments and for what the kernel does with them;
        // `admit` keeps the regions and `retain` the module until the work has finished.
        unsafe {
            self.stream
                .handle()
                .launch(function, grid, block, &mut pointers)
        }
    }

    /// Launches a graph, which is kept alive until the scope ends. Of mapped host memory that the
    /// graph uses, this scope must have made views already, with the same access or for writing.
    ///
    /// # Errors
    /// [`CudaError::NotInCapture`] while recording, [`CudaError::ForeignStream`] on another stream
    /// than that which recorded it, whose objects may serve one stream only, and
    /// [`CudaError::Region`] for host memory that this scope has not borrowed; [`CudaError::Call`].
    pub fn replay(&self, graph: &Graph) -> Result<(), CudaError> {
        self.not_in_capture("another graph")?;
        if graph.stream_id() != self.stream.id() {
            return Err(CudaError::ForeignStream);
        }
        if !self.stream.covers(graph.views()) {
            return Err(CudaError::Region {
                reason: "the graph uses host memory of which this scope has made no view",
            });
        }
        self.retain(graph.owner());
        // SAFETY: the graph owns the objects that it refers to, and the scope keeps the graph; the
        // host memory that it refers to is borrowed for `'env`.
        unsafe { graph.lock().launch(self.stream.handle()) }
    }

    /// Records `event` after what was enqueued so far.
    ///
    /// # Errors
    /// [`CudaError::NotInCapture`] while recording a graph, [`CudaError::ForeignContext`] and
    /// [`CudaError::Call`].
    pub fn record(&self, event: &Event) -> Result<(), CudaError> {
        self.not_in_capture("an event")?;
        if event.handle().context().id() != self.context().id() {
            return Err(CudaError::ForeignContext { what: "an event" });
        }
        self.stream.handle().record(event.handle())
    }

    /// Lets what is enqueued from now on wait for what `event` recorded last; for nothing where
    /// nothing was.
    ///
    /// # Errors
    /// As [`Scope::record`]; the event may be another context's.
    pub fn wait(&self, event: &Event) -> Result<(), CudaError> {
        self.not_in_capture("an event")?;
        self.stream.handle().wait(event.handle())
    }

    /// Keeps `object` until the work has finished: until the scope ends, or, while recording, until
    /// the graph and its last launch do.
    pub fn retain(&self, object: Arc<dyn Any + Send + Sync>) {
        self.stream.retain(object);
    }

    /// Waits until everything enqueued so far has finished.
    ///
    /// # Errors
    /// As [`Stream::synchronize`].
    pub fn synchronize(&self) -> Result<(), CudaError> {
        self.stream.synchronize()
    }

    fn not_in_capture(&self, what: &'static str) -> Result<(), CudaError> {
        if self.capturing {
            return Err(CudaError::NotInCapture { what });
        }
        Ok(())
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("stream", self.stream)
            .field("capturing", &self.capturing)
            .finish_non_exhaustive()
    }
}

fn fits(needed: usize, available: usize) -> Result<(), CudaError> {
    if needed > available {
        return Err(CudaError::Length { needed, available });
    }
    Ok(())
}
