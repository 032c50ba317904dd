use std::fmt;
use std::time::Duration;

/// Why a block was enqueued piece by piece and not replayed as a CUDA graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PlainReason {
    /// [`SessionOptions::cuda_graphs`](crate::SessionOptions::cuda_graphs) is off.
    SwitchedOff,
    /// The first run with these shapes or addresses; the next one records a graph.
    FirstRun,
    /// Recording failed before; the log says why.
    CaptureFailed,
    /// An engine waits for the device while it is enqueued: it has a layer whose size follows from
    /// values ([`Layer::Nms`](tfjet_core::Layer::Nms)).
    WaitsForValues,
}

impl fmt::Display for PlainReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SwitchedOff => "switched off",
            Self::FirstRun => "first run with these shapes",
            Self::CaptureFailed => "recording a graph failed",
            Self::WaitsForValues => "an engine has sizes that follow from values",
        })
    }
}

/// What the device's part of the latest run was, over all blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GpuStats {
    /// Blocks of steps that ran on the device.
    pub blocks: usize,
    /// Those of them that were replayed as a CUDA graph.
    pub graphs: usize,
    /// Why the last block that was not replayed was not.
    pub plain: Option<PlainReason>,
    /// Attempts to record a graph that failed since the session was loaded.
    pub failed_captures: usize,
    /// Tensors copied from the host.
    pub uploads: usize,
    /// Their bytes.
    pub upload_bytes: usize,
    /// Tensors copied to the host.
    pub downloads: usize,
    /// Their bytes.
    pub download_bytes: usize,
    /// Tensors in host memory that the device used in place.
    pub in_place: usize,
    /// How long the host took to enqueue engines and kernels, or graphs.
    pub enqueue: Duration,
    /// How long the device took; only with
    /// [`SessionOptions::device_times`](crate::SessionOptions::device_times).
    pub times: Option<GpuTimes>,
}

/// Times of the device, measured with events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GpuTimes {
    /// Copies from the host.
    pub upload: Duration,
    /// Engines and kernels.
    pub compute: Duration,
    /// Copies to the host.
    pub download: Duration,
}

impl GpuStats {
    /// Those of a new run; what is counted since the session was loaded stays.
    pub(crate) fn begin(&mut self) {
        *self = Self {
            failed_captures: self.failed_captures,
            ..Self::default()
        };
    }
}

/// Mean time of one layer of an engine.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerTime {
    /// The engine's segment.
    pub segment: u32,
    /// TensorRT's name of the layer.
    pub layer: String,
    /// Mean over the runs, in milliseconds.
    pub ms: f32,
}
