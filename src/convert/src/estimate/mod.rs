//! How long a frame takes on a board and what memory it needs, before anybody has the board.
//!
//! A roofline: a kernel takes as long as its arithmetic or its memory traffic, whichever is longer,
//! at a stated share of the board's peaks, and a moment to be launched. `docs/boards.md` compares
//! it with what others measured.

mod kernels;
mod memory;
mod text;
mod work;

use serde::Serialize;
use tfjet_core::{Dim, EngineKind, PowerMode, Precision, Target};

use crate::partition::parts;
use crate::stages::Lowered;

pub use kernels::Kernel;
pub use memory::MemoryEstimate;

/// How much of a board's peaks a kernel reaches. The same for all boards and models;
/// `docs/boards.md` says how they were found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Factors {
    /// Share of the peak that CUDA cores reach.
    pub cuda_cores: f64,
    /// Share of the peak that tensor cores reach.
    pub tensor_cores: f64,
    /// How much less Winograd's algorithm multiplies in a 3 by 3 convolution of floats: 36 against
    /// 16 multiplications for four pixels.
    pub winograd: f64,
    /// Share of the memory's bandwidth.
    pub bandwidth: f64,
    /// Time that each kernel takes beside its work, µs.
    pub launch_us: f64,
}

/// The factors in use.
pub const FACTORS: Factors = Factors {
    cuda_cores: 0.4,
    tensor_cores: 0.3,
    winograd: 36.0 / 16.0,
    bandwidth: 0.7,
    launch_us: 20.0,
};

/// A run in one precision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FrameEstimate {
    /// Of the engines.
    pub precision: Precision,
    /// Time of all segments for one run, ms.
    pub ms: f64,
    /// Of that, kernels that wait for arithmetic.
    pub arithmetic_ms: f64,
    /// Of that, kernels that wait for memory.
    pub memory_ms: f64,
    /// Of that, launches.
    pub launch_ms: f64,
}

/// What a board is estimated to do with a model's segments.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// The power mode, where the target has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_mode: Option<PowerMode>,
    /// Shares of the peaks that were taken.
    pub factors: Factors,
    /// Frames in one run: the batch of the first image, 1 where it is open.
    pub batch: u64,
    /// One for each of the target's precisions; empty where there is a reason for none.
    pub frames: Vec<FrameEstimate>,
    /// Why there are no times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without_times: Option<String>,
    /// Are sizes open, a batch aside? They count as 1 everywhere.
    pub open: bool,
    /// One for each of the target's precisions.
    pub memory: Vec<MemoryEstimate>,
    /// Memory of the board, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_of_target: Option<u64>,
    /// What runs, in order.
    pub kernels: Vec<Kernel>,
    /// Share of the model's operations inside the segments, 0..=1; the rest runs on the CPU and is
    /// not in the times.
    pub inside: f64,
}

/// No power mode of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{target}` has no power mode `{name}`{}", match known.as_str() {
    "" => String::new(),
    known => format!("; it has {known}"),
})]
pub struct UnknownPowerMode {
    /// The target.
    pub target: String,
    /// The name given.
    pub name: String,
    /// The names that it has.
    pub known: String,
}

impl Estimate {
    /// The estimate of a lowered model, in a power mode by name or in the target's first.
    ///
    /// # Errors
    /// A power mode that the target has not.
    pub fn new(
        lowered: &Lowered,
        target: &Target,
        power_mode: Option<&str>,
    ) -> Result<Self, UnknownPowerMode> {
        let mode = match power_mode {
            None => target.power_modes.first(),
            Some(name) => Some(target.power_mode(name).ok_or_else(|| UnknownPowerMode {
                target: target.name.clone(),
                name: name.into(),
                known: names(target),
            })?),
        };
        let mut grouped: Vec<kernels::Grouped> = lowered
            .networks
            .iter()
            .enumerate()
            .map(|(segment, network)| kernels::group(segment, network, &lowered.weights))
            .collect();
        let parts = parts(&lowered.typed, &lowered.partition);
        let runs = parts.iter().flat_map(|part| {
            let segments = part.partition.segments.iter();
            segments.map(|_| part.runs)
        });
        for (grouped, runs) in grouped.iter_mut().zip(runs) {
            let kernels = grouped.kernels.iter_mut();
            kernels.for_each(|kernel| kernel.runs = runs);
        }
        let networks: Vec<_> = lowered.networks.iter().zip(&grouped).collect();
        let memory = target
            .precisions
            .iter()
            .map(|precision| memory::memory(&networks, &lowered.weights, *precision))
            .collect();
        let kernels: Vec<Kernel> = grouped.into_iter().flat_map(|g| g.kernels).collect();
        let board = Board::new(target, mode);
        let open = open_sizes(lowered);
        let (frames, without_times) = match (open.as_slice(), board) {
            ([], Ok(board)) => {
                let frames = target.precisions.iter();
                (
                    frames.filter_map(|p| board.frame(&kernels, *p)).collect(),
                    None,
                )
            }
            ([], Err(reason)) => (Vec::new(), Some(reason)),
            (open, _) => {
                let reason = format!(
                    "the model leaves {} open: give the sizes with --input",
                    open.join(", ")
                );
                (Vec::new(), Some(reason))
            }
        };
        let gib = |gib: u32| u64::from(gib) << 30;
        Ok(Self {
            power_mode: mode.cloned(),
            factors: FACTORS,
            batch: batch(lowered),
            frames,
            without_times,
            open: !open.is_empty(),
            memory,
            memory_of_target: target.memory_gib.map(gib),
            kernels,
            inside: lowered.partition.flops_inside(),
        })
    }
}

fn names(target: &Target) -> String {
    let names: Vec<&str> = target.power_modes.iter().map(|m| m.name.as_str()).collect();
    names.join(", ")
}

/// Sizes of the model's inputs that are known only at run time, without those of a batch: `wire
/// axis 1`. A batch counts as one.
fn open_sizes(lowered: &Lowered) -> Vec<String> {
    let mut open = Vec::new();
    for input in &lowered.typed.graph.inputs {
        let shape = lowered.typed.fact(input.wire).shape.as_ref();
        let dims = shape.map_or(&[][..], |shape| shape.dims());
        for (axis, dim) in dims.iter().enumerate().skip(1) {
            if let Dim::Symbolic(_) = dim {
                open.push(format!("axis {axis} of `{}`", input.name));
            }
        }
    }
    open
}

fn batch(lowered: &Lowered) -> u64 {
    let shapes = lowered.typed.graph.inputs.iter();
    let mut shapes = shapes.filter_map(|input| lowered.typed.fact(input.wire).shape.as_ref());
    let image = shapes.find(|shape| shape.rank() == 4);
    let first = image.and_then(|shape| shape.dims().first());
    first.and_then(Dim::fixed).unwrap_or(1) as u64
}

/// Peaks of a board in one of its power modes.
struct Board<'a> {
    target: &'a Target,
    peak: tfjet_core::Peak,
    /// Of the first mode's arithmetic.
    gpu: f64,
    /// Bytes in a second.
    bandwidth: f64,
}

impl<'a> Board<'a> {
    fn new(target: &'a Target, mode: Option<&PowerMode>) -> Result<Self, String> {
        match (target.peak_tflops, target.bandwidth_gb_s) {
            (Some(peak), Some(bandwidth)) => Ok(Self {
                target,
                peak,
                gpu: mode.map_or(1.0, |mode| target.gpu_share(mode)),
                bandwidth: f64::from(bandwidth)
                    * 1e9
                    * mode.map_or(1.0, |mode| target.memory_share(mode)),
            }),
            _ if target.engine == EngineKind::Cpu => Err("only GPUs are estimated".into()),
            _ => Err("the target means no one GPU: it has no `peak-tflops`".into()),
        }
    }

    fn frame(&self, kernels: &[Kernel], precision: Precision) -> Option<FrameEstimate> {
        let mut frame = FrameEstimate {
            precision,
            ms: 0.0,
            arithmetic_ms: 0.0,
            memory_ms: 0.0,
            launch_ms: kernels.iter().map(|kernel| kernel.runs as f64).sum::<f64>()
                * FACTORS.launch_us
                / 1e3,
        };
        for kernel in kernels {
            let (arithmetic, memory) = self.kernel_ms(kernel, precision)?;
            let runs = kernel.runs as f64;
            let (arithmetic, memory) = (arithmetic * runs, memory * runs);
            if arithmetic > memory {
                frame.arithmetic_ms += arithmetic;
            } else {
                frame.memory_ms += memory;
            }
        }
        frame.ms = frame.arithmetic_ms + frame.memory_ms + frame.launch_ms;
        Some(frame)
    }

    /// How long a kernel computes and how long it waits for memory, ms.
    fn kernel_ms(&self, kernel: &Kernel, precision: Precision) -> Option<(f64, f64)> {
        let tensor_cores = self.target.has_tensor_cores();
        let on_tensor_cores =
            tensor_cores && kernel.product.is_some() && precision != Precision::Fp32;
        let (peak, share) = match (on_tensor_cores, tensor_cores) {
            (true, _) => (self.peak.of(precision)?, FACTORS.tensor_cores),
            (false, false) => (self.peak.of(precision)?, FACTORS.cuda_cores),
            // The peak of 16 and 8 bits is the tensor cores'. CUDA cores take two or four such
            // numbers in place of one of 32 bits.
            (false, true) => {
                let numbers = 4.0 / memory::float_bytes(precision) as f32;
                (self.peak.fp32? * numbers, FACTORS.cuda_cores)
            }
        };
        let less = match kernel.winograd && precision != Precision::Int8 {
            true => FACTORS.winograd,
            false => 1.0,
        };
        let floats = kernel.weights.saturating_add(kernel.elements);
        let bytes = floats.saturating_mul(memory::float_bytes(precision));
        let bytes = bytes.saturating_add(kernel.other_bytes);
        Some((
            kernel.flops as f64 / less / (f64::from(peak) * self.gpu * share * 1e9),
            bytes as f64 / (self.bandwidth * FACTORS.bandwidth) * 1e3,
        ))
    }
}

#[cfg(test)]
mod tests;
