//! How much memory a model takes, computed before it is loaded.

mod available;
mod network;
mod sizes;

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use tfjet_bundle::{Bundle, BundleError, EngineHeader};
use tfjet_core::{
    Layer, Manifest, NetworkSpec, Schedule, Step, Value, ValueSource, WeightsId, WeightsTable,
};

use crate::gpu::on_host;
use crate::steps::Steps;
use crate::{EngineSet, slots};

use sizes::Sizes;

pub use available::MemoryAvailable;

/// Smaller parts are 0.0 MiB.
const SHOWN: u64 = (1 << 20) / 20;

/// What ONNX Runtime takes whatever the model.
const CPU_LIBRARY: u64 = 12 << 20;

/// What ONNX Runtime takes for a model: copies of the weights, in the layouts that its kernels
/// read, two of those of convolutions and one of others; and the larger of what loading left over
/// and room for the tensors inside, both from an allocator whose blocks double. Measured on models
/// of 7 to 97 MiB of weights, where it gave 0.88 to 1.16 of what they took.
fn on_onnx_runtime(weights: SegmentWeights, tensors: u64) -> (u64, u64) {
    let copies = weights.convolutions.saturating_mul(2);
    let left_over = weights.convolutions.saturating_mul(3) / 5;
    let room = tensors.saturating_mul(5) / 2;
    (copies.saturating_add(weights.others), room.max(left_over))
}

/// What the segments run on.
#[derive(Debug, Clone, Copy)]
pub enum RunsOn<'a> {
    /// ONNX Runtime.
    Cpu,
    /// A GPU.
    Gpu {
        /// The engines that are loaded.
        engines: &'a EngineSet,
        /// The GPU shares the host's memory.
        integrated: bool,
    },
}

/// The memory that a model takes when it is loaded and runs. An estimate: what a library takes for
/// itself, such as the code and the context of CUDA and TensorRT, cannot be known before it is
/// loaded and is not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MemoryNeed {
    /// Bytes of the host's memory.
    pub host_bytes: u64,
    /// Bytes of the GPU's memory, on an integrated GPU of the memory that it shares with the host.
    pub device_bytes: u64,
    /// Bytes of its own that this process holds already.
    pub program_bytes: u64,
    /// What the bytes are for; none of them is zero. The sum is [`MemoryNeed::total`].
    pub parts: Vec<(String, u64)>,
    /// Some sizes are known when the model runs only, and count as 1: the model takes more.
    pub open: bool,
}

/// A model takes more memory than it may or can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not enough memory: {what} takes {}, {bound} {}; of it {parts}",
    mib(*need_bytes),
    mib(*bound_bytes)
)]
pub struct NotEnoughMemory {
    /// `the model`, or its part on one side.
    pub what: &'static str,
    /// Bytes that it takes.
    pub need_bytes: u64,
    /// What bounds it.
    pub bound: &'static str,
    /// Bytes that there may be.
    pub bound_bytes: u64,
    /// What takes how much.
    pub parts: String,
}

/// Adds parts up.
#[derive(Default)]
struct Sum(Vec<(String, u64)>);

impl Sum {
    fn add(&mut self, part: impl Into<String>, bytes: u64) {
        if bytes > 0 {
            self.0.push((part.into(), bytes));
        }
    }

    fn bytes(&self) -> u64 {
        let bytes = self.0.iter().map(|(_, bytes)| *bytes);
        bytes.fold(0, u64::saturating_add)
    }
}

impl MemoryNeed {
    /// What `bundle` takes on `runs_on` for `inputs`, shapes in the manifest's order. Without them
    /// open sizes are those of the pre-processing's image, and 1.
    ///
    /// Of the bundle only structured sections are read, no weights and no engines.
    ///
    /// # Errors
    /// Where one of these sections is missing or damaged, or no target is chosen.
    pub fn of(
        bundle: &Bundle,
        runs_on: &RunsOn<'_>,
        inputs: Option<&[Vec<usize>]>,
    ) -> Result<Self, BundleError> {
        let (manifest, schedule) = (bundle.manifest()?, bundle.schedule()?);
        let networks = (0..)
            .take(bundle.segment_count())
            .map(|segment| bundle.network(segment))
            .collect::<Result<Vec<_>, _>>()?;
        let table = bundle.weights_table()?;
        let mut sizes = Sizes::of(&manifest, inputs);
        let (mut host, mut device) = (Sum::default(), Sum::default());
        match runs_on {
            RunsOn::Cpu => {
                let weights = table.entries.iter().map(|entry| entry.len_bytes);
                host.add("weights", weights.fold(0, u64::saturating_add));
                if !networks.is_empty() {
                    let tensors = networks.iter().fold(0u64, |sum, network| {
                        sum.saturating_add(network::peak(network, &mut sizes))
                    });
                    let (copies, room) =
                        on_onnx_runtime(SegmentWeights::of(&networks, &table), tensors);
                    host.add("ONNX Runtime", CPU_LIBRARY);
                    host.add("ONNX Runtime's copies of weights", copies);
                    host.add("ONNX Runtime's room for tensors", room);
                }
                host.add("inputs", inputs_of(&manifest, &mut sizes));
                host.add("tensors between steps", buffers(&schedule, &mut sizes));
            }
            RunsOn::Gpu {
                engines,
                integrated,
            } => {
                for ((segment, header), network) in (0..).zip(engines.headers()).zip(&networks) {
                    let bytes = engines.engine(segment).map_or(0, |(_, bytes)| bytes.len());
                    device.add(format!("engine of {}", network.name), bytes as u64);
                    let bytes = engine_tensors(network, header, &mut sizes);
                    device.add(format!("tensors inside {}", network.name), bytes);
                }
                let constants = constants(&schedule, &mut sizes);
                let between = buffers(&schedule, &mut sizes).saturating_add(constants);
                device.add("tensors between steps", between);
                let inputs = inputs_of(&manifest, &mut sizes);
                match integrated {
                    true => host.add("inputs", inputs),
                    false => {
                        device.add("inputs", inputs);
                        host.add("inputs and tensors between steps", inputs + between);
                    }
                }
            }
        }
        let program_bytes = available::program_bytes().unwrap_or_default();
        let (host_bytes, device_bytes) = (host.bytes(), device.bytes());
        let mut parts = Sum(host.0);
        parts.0.append(&mut device.0);
        parts.add("this program so far", program_bytes);
        Ok(Self {
            host_bytes,
            device_bytes,
            program_bytes,
            parts: parts.0,
            open: sizes.is_open(),
        })
    }

    /// Bytes of all.
    pub fn total(&self) -> u64 {
        let model = self.host_bytes.saturating_add(self.device_bytes);
        model.saturating_add(self.program_bytes)
    }

    /// Is this much memory allowed, and there?
    ///
    /// `limit_bytes` bounds all that the process takes on host and device.
    ///
    /// # Errors
    /// [`NotEnoughMemory`] with what is needed, what bounds it, and the parts.
    pub fn check(
        &self,
        limit_bytes: Option<u64>,
        available: &MemoryAvailable,
    ) -> Result<(), NotEnoughMemory> {
        let model = self.host_bytes.saturating_add(self.device_bytes);
        let there = match available.device {
            Some(device) => [
                ("the model on the host", self.host_bytes, available.host),
                ("the model on the GPU", self.device_bytes, Some(device)),
            ],
            None => [
                ("the model", model, available.host),
                ("the model", model, None),
            ],
        };
        let limit = ("the program", self.total(), limit_bytes, "the limit is");
        let there = there.map(|(what, need, bound)| (what, need, bound, "free are"));
        for (what, need_bytes, bound_bytes, bound) in [limit].into_iter().chain(there) {
            if let Some(bound_bytes) = bound_bytes.filter(|bound| need_bytes > *bound) {
                return Err(NotEnoughMemory {
                    what,
                    need_bytes,
                    bound,
                    bound_bytes,
                    parts: self.parts_text(),
                });
            }
        }
        Ok(())
    }

    /// The parts that show in a number of MiB, the largest first.
    fn parts_text(&self) -> String {
        let shows = |part: &&(String, u64)| part.1 >= SHOWN;
        let mut parts: Vec<&(String, u64)> = self.parts.iter().filter(shows).collect();
        parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let texts = parts
            .iter()
            .map(|(part, bytes)| format!("{part} {}", mib(*bytes)));
        texts.collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for MemoryNeed {
    /// `about 46.2 MiB: weights 13.3 MiB, ...`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = if self.open { "at least" } else { "about" };
        write!(f, "{about} {}: {}", mib(self.total()), self.parts_text())
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn inputs_of(manifest: &Manifest, sizes: &mut Sizes) -> u64 {
    let inputs = manifest.inputs.iter();
    inputs.fold(0u64, |sum, input| {
        sum.saturating_add(sizes.bytes(input.shape.as_ref(), input.dtype))
    })
}

/// Bytes of the weights that networks use, each array once.
struct SegmentWeights {
    /// Kernels of convolutions.
    convolutions: u64,
    others: u64,
}

impl SegmentWeights {
    fn of(networks: &[NetworkSpec], table: &WeightsTable) -> Self {
        let layers = || networks.iter().flat_map(|network| &network.layers);
        let kernels: BTreeSet<WeightsId> = layers()
            .filter_map(|layer| match layer.layer {
                Layer::Convolution { kernel, .. } => Some(kernel),
                _ => None,
            })
            .collect();
        let mut others: BTreeSet<WeightsId> =
            layers().flat_map(|layer| layer.layer.weights()).collect();
        others.retain(|id| !kernels.contains(id));
        let bytes = |ids: BTreeSet<WeightsId>| {
            let entries = ids.into_iter().filter_map(|id| table.get(id));
            entries.fold(0u64, |sum, entry| sum.saturating_add(entry.len_bytes))
        };
        Self {
            convolutions: bytes(kernels),
            others: bytes(others),
        }
    }
}

/// Bytes of the buffers that a session makes for the values of a schedule.
fn buffers(schedule: &Schedule, sizes: &mut Sizes) -> u64 {
    let steps = Steps::new(schedule);
    let items = on_host(&steps);
    let in_place: Vec<Option<usize>> = schedule.all_steps().map(in_place).collect();
    let slots = slots::assign(&steps, &items, &in_place);
    let mut buffers = vec![0u64; slots.count];
    let mut hold = |slot: Option<usize>, value: &Value| {
        if let Some(buffer) = slot.and_then(|slot| buffers.get_mut(slot)) {
            *buffer = (*buffer).max(sizes.bytes(value.shape.as_ref(), value.dtype));
        }
    };
    for (value, slot) in schedule.values.iter().zip(&slots.of_value) {
        hold(*slot, value);
    }
    for (&(step, position), &slot) in &slots.staged {
        let output = steps.get(step).outputs().get(position);
        if let Some(value) = output.and_then(|id| schedule.value(*id)) {
            hold(Some(slot), value);
        }
    }
    buffers.into_iter().fold(0, u64::saturating_add)
}

/// The input whose place the step's output may take.
fn in_place(step: &Step) -> Option<usize> {
    match step {
        Step::Residual { op_type, attrs, .. } => tfjet_ops::kernel(op_type, attrs).ok()?.in_place(),
        Step::Engine { .. } | Step::While { .. } | Step::If { .. } => None,
    }
}

/// Bytes of the constants that residual ops read.
fn constants(schedule: &Schedule, sizes: &mut Sizes) -> u64 {
    let constants = schedule
        .values
        .iter()
        .filter(|value| matches!(value.source, ValueSource::Constant(_)));
    constants.fold(0, |sum, value| {
        sum.saturating_add(sizes.bytes(value.shape.as_ref(), value.dtype))
    })
}

/// Bytes of the tensors inside an engine, which holds as many as its largest profile takes.
fn engine_tensors(network: &NetworkSpec, header: &EngineHeader, sizes: &mut Sizes) -> u64 {
    let half = ["fp16", "int8"].contains(&header.precision.as_str());
    let mut largest = 0;
    for profile in &header.profiles {
        let mut bound = sizes.clone();
        for (id, [_, _, max]) in network.inputs.iter().zip(profile) {
            if let Some(tensor) = network.tensor(*id) {
                bound.bind(&tensor.shape, max);
            }
        }
        largest = largest.max(network::peak(network, &mut bound));
    }
    if header.profiles.is_empty() {
        largest = network::peak(network, sizes);
    }
    if half { largest / 2 } else { largest }
}

/// A shape whose sizes are all known has them as numbers.
fn sizes_of(shape: &[usize]) -> Vec<u64> {
    shape.iter().map(|&size| size as u64).collect()
}
