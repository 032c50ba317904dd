//! Graphs.

use std::ptr;

use super::context::freed;
use super::stream::StreamHandle;
use super::{CUgraph, CUgraphExec};
use crate::{Context, CudaError};

/// A recorded graph that cannot run yet.
pub(crate) struct GraphTemplate {
    context: Context,
    raw: CUgraph,
}

impl GraphTemplate {
    /// # Safety
    /// `raw` is a graph that nobody else destroys.
    pub(super) unsafe fn own(context: &Context, raw: CUgraph) -> Self {
        Self {
            context: context.clone(),
            raw,
        }
    }

    pub(crate) fn node_count(&self) -> Result<usize, CudaError> {
        let api = self.context.driver().api();
        let get_nodes = api.optional("cuGraphGetNodes", api.cuGraphGetNodes)?;
        let mut count = 0;
        // SAFETY: with no array given it writes the number of nodes alone.
        let code = unsafe { get_nodes(self.raw, ptr::null_mut(), &raw mut count) };
        api.check("cuGraphGetNodes", code)?;
        Ok(count)
    }

    /// A graph that can run, by the newest call that the driver has.
    pub(crate) fn instantiate(&self) -> Result<GraphHandle, CudaError> {
        self.context.make_current()?;
        let api = self.context.driver().api();
        let mut raw: CUgraphExec = ptr::null_mut();
        if let Some(instantiate) = api.cuGraphInstantiateWithFlags {
            // SAFETY: writes one pointer; the graph is alive; no flag is set.
            let code = unsafe { instantiate(&raw mut raw, self.raw, 0) };
            api.check("cuGraphInstantiateWithFlags", code)?;
        } else {
            let (call, instantiate) = match api.cuGraphInstantiate_v2 {
                Some(instantiate) => ("cuGraphInstantiate_v2", Some(instantiate)),
                None => ("cuGraphInstantiate", api.cuGraphInstantiate),
            };
            let instantiate = api.optional(call, instantiate)?;
            let (node, log) = (ptr::null_mut(), ptr::null_mut());
            // SAFETY: writes one pointer; the graph is alive; node and log may be null.
            let code = unsafe { instantiate(&raw mut raw, self.raw, node, log, 0) };
            api.check(call, code)?;
        }
        Ok(GraphHandle {
            context: self.context.clone(),
            raw,
        })
    }
}

impl Drop for GraphTemplate {
    fn drop(&mut self) {
        let driver = self.context.driver();
        if let Some(destroy) = driver.api().cuGraphDestroy {
            // SAFETY: made by `end_capture`; graphs instantiated from it do not need it.
            freed(driver, "cuGraphDestroy", unsafe { destroy(self.raw) });
        }
    }
}

/// A graph that can run.
pub(crate) struct GraphHandle {
    context: Context,
    raw: CUgraphExec,
}

// SAFETY: any thread may use it, one at a time, see `launch`.
unsafe impl Send for GraphHandle {}

impl GraphHandle {
    /// Enqueues the graph's work.
    ///
    /// # Safety
    /// Everything that the graph refers to is alive until the work has finished.
    pub(crate) unsafe fn launch(&mut self, stream: &StreamHandle) -> Result<(), CudaError> {
        self.context.make_current()?;
        let api = self.context.driver().api();
        let launch = api.optional("cuGraphLaunch", api.cuGraphLaunch)?;
        // SAFETY: graph and stream are alive; the caller keeps what the graph refers to.
        let code = unsafe { launch(self.raw, stream.raw()) };
        api.check("cuGraphLaunch", code)
    }
}

impl Drop for GraphHandle {
    fn drop(&mut self) {
        let driver = self.context.driver();
        if self.context.make_current().is_ok()
            && let Some(destroy) = driver.api().cuGraphExecDestroy
        {
            // SAFETY: made by `instantiate`; scopes keep it alive until its work has finished.
            freed(driver, "cuGraphExecDestroy", unsafe { destroy(self.raw) });
        }
    }
}
