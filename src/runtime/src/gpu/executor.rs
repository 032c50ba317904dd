//! The blocks of a session, with the stream and the memory that they share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tfjet_core::{Tensor, TensorView};
use tfjet_cuda::kernels::Kernels;
use tfjet_cuda::{Event, Region, Stream};

use super::block::Block;
use super::constants::DeviceConstants;
use super::state::BlockError;
use super::{Gpu, GpuError, GpuStats, LayerTime};
use crate::SessionOptions;
use crate::sources::Constants;

/// A value that a block left on the device.
pub(super) struct Resident {
    pub(super) shape: Vec<usize>,
    pub(super) region: Region,
}

/// What a block needs of its session.
pub(super) struct Environment<'a> {
    pub(super) gpu: &'a Gpu,
    pub(super) stream: &'a Stream,
    pub(super) constants: &'a Constants,
    pub(super) max_shapes: usize,
    pub(super) use_graphs: bool,
    /// Number of the loop's run that the block is in.
    pub(super) loop_run: u64,
    /// One for each point of a block's run that is timed.
    pub(super) events: Option<&'a [Event]>,
}

impl Environment<'_> {
    pub(super) fn kernels(&self) -> Result<&Kernels, GpuError> {
        let kernels = self.gpu.kernels();
        kernels
            .map(Arc::as_ref)
            .map_err(|reason| GpuError::Op(reason.to_owned()))
    }

    /// A copy of a constant, on the host.
    pub(super) fn constant(&self, constant: usize) -> Result<Tensor, GpuError> {
        let view = self.constants.view(constant);
        let view = view.map_err(|error| GpuError::Op(error.to_string()))?;
        Ok(view.to_tensor())
    }
}

/// Runs blocks.
pub(crate) struct GpuExecutor {
    gpu: Gpu,
    blocks: Vec<Block>,
    /// For each value of the schedule.
    residents: Vec<Option<Resident>>,
    constants: DeviceConstants,
    max_shapes: usize,
    use_graphs: bool,
    /// The number of the latest run of a loop, and of the one that goes on.
    loop_runs: u64,
    loop_run: u64,
    events: Option<Vec<Event>>,
    /// Where the engines report the times of their layers, while they do.
    layers: Option<LayerSums>,
    stats: GpuStats,
    stream: Stream,
}

impl GpuExecutor {
    pub(crate) fn new(
        gpu: &Gpu,
        blocks: Vec<Block>,
        values: usize,
        constants: DeviceConstants,
        options: &SessionOptions,
    ) -> Result<Self, GpuError> {
        let events = || -> Result<Vec<Event>, GpuError> {
            let events = (0..4).map(|_| Event::new(gpu.context(), true));
            Ok(events.collect::<Result<_, _>>()?)
        };
        Ok(Self {
            stream: Stream::new(gpu.context())?,
            gpu: gpu.clone(),
            blocks,
            residents: (0..values).map(|_| None).collect(),
            constants,
            max_shapes: options.max_shapes,
            use_graphs: options.cuda_graphs,
            loop_runs: 0,
            loop_run: 0,
            events: if options.device_times {
                Some(events()?)
            } else {
                None
            },
            layers: None,
            stats: GpuStats::default(),
        })
    }

    pub(crate) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Begins a run of the session.
    pub(crate) fn begin(&mut self) {
        self.stats.begin();
    }

    /// Begins a run of a loop: what a loop does not change is uploaded once in each. Returns the
    /// number of the run of the loop around it.
    pub(crate) fn enter_loop(&mut self) -> u64 {
        self.loop_runs += 1;
        std::mem::replace(&mut self.loop_run, self.loop_runs)
    }

    /// Ends it.
    pub(crate) fn leave_loop(&mut self, outer: u64) {
        self.loop_run = outer;
    }

    /// Runs one block.
    pub(crate) fn run(
        &mut self,
        block: usize,
        constants: &Constants,
        inputs: &[TensorView<'_>],
        outputs: &mut [Tensor],
    ) -> Result<(), BlockError> {
        self.gpu.context().make_current()?;
        let env = Environment {
            gpu: &self.gpu,
            stream: &self.stream,
            constants,
            max_shapes: self.max_shapes,
            use_graphs: self.use_graphs && self.layers.is_none(),
            loop_run: self.loop_run,
            events: self.events.as_deref(),
        };
        self.blocks[block].run(&env, &mut self.residents, inputs, outputs, &mut self.stats)
    }

    /// Does the device's work of the only block `count` times.
    pub(crate) fn replay(&mut self, constants: &Constants, count: usize) -> Result<(), BlockError> {
        self.stats.begin();
        self.gpu.context().make_current()?;
        let env = Environment {
            gpu: &self.gpu,
            stream: &self.stream,
            constants,
            max_shapes: self.max_shapes,
            use_graphs: self.use_graphs && self.layers.is_none(),
            loop_run: self.loop_run,
            events: self.events.as_deref(),
        };
        match self.blocks.as_mut_slice() {
            [block] if block.has_run() => block.replay(&env, count, &mut self.stats),
            [_] => Err(GpuError::Replay("the session has not run yet").into()),
            _ => Err(GpuError::Replay("the model is no single block").into()),
        }
    }

    /// From now on the engines of the latest shapes report the time of each layer and no graphs
    /// are used, or not any more. Returns what was reported until now.
    pub(crate) fn profile(&mut self, is_on: bool) -> Result<Vec<LayerTime>, GpuError> {
        self.gpu.context().make_current()?;
        let sums = is_on.then(LayerSums::default);
        for block in &mut self.blocks {
            block.set_profiler(sums.as_ref())?;
        }
        let ended = std::mem::replace(&mut self.layers, sums).unwrap_or_default();
        let ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
        let means = ended
            .iter()
            .map(|((segment, layer), (sum, count))| LayerTime {
                segment: *segment,
                layer: layer.clone(),
                ms: sum / *count as f32,
            });
        Ok(means.collect())
    }

    pub(crate) fn stats(&self) -> &GpuStats {
        &self.stats
    }

    /// What TensorRT's inspector tells about a segment's engine.
    pub(crate) fn inspect(&self, segment: u32) -> Option<Result<String, GpuError>> {
        let engine = self.blocks.iter().find_map(|block| block.engine(segment))?;
        if let Err(error) = self.gpu.context().make_current() {
            return Some(Err(error.into()));
        }
        Some(engine.inspect_json().map_err(GpuError::from))
    }

    /// Bytes on the device: buffers, constants, and the memory of contexts, but not the engines'
    /// weights.
    pub(crate) fn device_bytes(&self) -> u64 {
        let blocks: u64 = self.blocks.iter().map(Block::device_bytes).sum();
        blocks + self.constants.len_bytes()
    }

    pub(crate) fn blocks(&self) -> usize {
        self.blocks.len()
    }
}

impl Drop for GpuExecutor {
    fn drop(&mut self) {
        // TensorRT frees in the thread's current context, whichever that is.
        if let Err(error) = self.gpu.context().make_current() {
            tracing::warn!(%error, "engines are freed outside their context");
        }
        self.blocks.clear();
    }
}

/// Milliseconds and runs of each segment's layers.
pub(super) type LayerSums = Arc<Mutex<BTreeMap<(u32, String), (f32, u32)>>>;
