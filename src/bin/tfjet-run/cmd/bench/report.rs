//! What a measurement found, as text and JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use tfjet::core::{Tensor, TensorView};
use tfjet::runtime::{CacheCounters, Model, Session};

use super::Lane;
use super::layers::LayerRow;
use super::steps::{self, StepRow};
use super::timing::Percentiles;
use crate::backend::{BackendSummary, counters_text};

#[derive(Debug, Serialize)]
pub(super) struct Report {
    model: String,
    #[serde(flatten)]
    backend: BackendSummary,
    inputs: Vec<Input>,
    /// First dimension of the first input.
    batch: usize,
    streams: usize,
    load_ms: f64,
    /// Of all streams together.
    device_bytes: u64,
    host_to_host: HostToHost,
    /// With the inputs on the device; absent where that cannot be measured.
    resident: Option<ResidentTotal>,
    no_resident: Option<String>,
    layers: Option<Layers>,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<Vec<StepRow>>,
    /// What the first stream's model did for shapes that came, with `--dynamic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    engine_cache: Option<CacheCounters>,
}

#[derive(Debug, Serialize)]
struct Input {
    name: String,
    shape: Vec<usize>,
}

#[derive(Debug, Serialize)]
struct HostToHost {
    runs: usize,
    per_second: f64,
    images_per_second: f64,
    latency_ms: Percentiles,
    /// Of the first stream.
    copies: Option<Copies>,
}

/// One run taken apart, the mean of several.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Copies {
    host_to_device_ms: f64,
    host_to_device_bytes: usize,
    compute_ms: f64,
    device_to_host_ms: f64,
    device_to_host_bytes: usize,
    enqueue_ms: f64,
    blocks: usize,
    cuda_graphs: usize,
    /// Why a block is not a CUDA graph.
    plain: Option<String>,
}

impl Copies {
    pub(super) fn measure(
        session: &mut Session,
        views: &[TensorView<'_>],
    ) -> anyhow::Result<Option<Self>> {
        const RUNS: u32 = 20;
        let mut sums = [Duration::ZERO; 4];
        for _ in 0..RUNS {
            session.run(views)?;
            let Some(stats) = session.gpu_stats() else {
                return Ok(None);
            };
            let times = stats.times.unwrap_or_default();
            let parts = [times.upload, times.compute, times.download, stats.enqueue];
            for (sum, part) in sums.iter_mut().zip(parts) {
                *sum += part;
            }
        }
        let [upload, compute, download, enqueue] = sums.map(|sum| millis(sum) / f64::from(RUNS));
        Ok(session.gpu_stats().map(|stats| Self {
            host_to_device_ms: upload,
            host_to_device_bytes: stats.upload_bytes,
            compute_ms: compute,
            device_to_host_ms: download,
            device_to_host_bytes: stats.download_bytes,
            enqueue_ms: enqueue,
            blocks: stats.blocks,
            cuda_graphs: stats.graphs,
            plain: stats.plain.map(|reason| reason.to_string()),
        }))
    }
}

/// Runs with the inputs on the device, of one stream.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Resident {
    runs: usize,
    /// Of the host's clock.
    wall_ms: f64,
    /// Of the device's events.
    event_ms: f64,
    enqueue_ms: f64,
    cuda_graph: bool,
}

impl Resident {
    pub(super) fn new(
        session: &Session,
        runs: usize,
        wall: Duration,
        enqueue: Duration,
        device: Duration,
    ) -> Self {
        let each = |sum: Duration| millis(sum) / runs.max(1) as f64;
        Self {
            runs,
            wall_ms: each(wall),
            event_ms: each(device),
            enqueue_ms: each(enqueue),
            cuda_graph: session.gpu_stats().is_some_and(|stats| stats.graphs > 0),
        }
    }
}

#[derive(Debug, Serialize)]
struct ResidentTotal {
    per_second: f64,
    images_per_second: f64,
    streams: Vec<Resident>,
}

/// Layers of all engines.
#[derive(Debug, Serialize)]
pub(super) struct Layers {
    total_ms: f32,
    /// Of the layers that multiply without Tensor Cores.
    tensor_cores_idle_ms: f32,
    /// Layers by the type of what they read, of those whose type the engine tells.
    precisions: BTreeMap<String, PrecisionShare>,
    rows: Vec<LayerRow>,
}

/// Layers of one type.
#[derive(Debug, Default, PartialEq, Serialize)]
struct PrecisionShare {
    layers: usize,
    ms: f32,
}

impl Layers {
    pub(super) fn new(rows: Vec<LayerRow>) -> Self {
        let sum = |rows: &mut dyn Iterator<Item = &LayerRow>| rows.filter_map(|row| row.ms).sum();
        let mut precisions = BTreeMap::<String, PrecisionShare>::new();
        for row in rows.iter().filter(|row| !row.precision.is_empty()) {
            let share = precisions.entry(row.precision.clone()).or_default();
            share.layers += 1;
            share.ms += row.ms.unwrap_or_default();
        }
        Self {
            precisions,
            total_ms: sum(&mut rows.iter()),
            tensor_cores_idle_ms: sum(&mut rows
                .iter()
                .filter(|row| row.tensor_cores_idle.is_some())),
            rows,
        }
    }
}

impl Report {
    pub(super) fn new(
        models: &[Model],
        backend: BackendSummary,
        inputs: &[Tensor],
        load: Duration,
        lanes: &[Lane],
        layers: Option<Layers>,
    ) -> anyhow::Result<Self> {
        let first = models.first().map(Model::manifest);
        let specs = first.map_or(&[][..], |manifest| &manifest.inputs);
        let batch = inputs
            .first()
            .and_then(|input| input.shape().first().copied());
        let batch = batch.unwrap_or(1);
        let all: Vec<Duration> = lanes
            .iter()
            .flat_map(|lane| lane.latencies.clone())
            .collect();
        let latency_ms = Percentiles::of(&all)
            .ok_or_else(|| anyhow::anyhow!("no run ended in the time given"))?;
        let per_second: f64 = lanes
            .iter()
            .map(|lane| lane.latencies.len() as f64 / lane.wall.as_secs_f64())
            .sum();
        let resident: Result<Vec<Resident>, String> =
            lanes.iter().map(|lane| lane.resident.clone()).collect();
        let (resident, no_resident) = match resident {
            Ok(streams) => {
                let per_second = streams
                    .iter()
                    .map(|stream| 1e3 / stream.wall_ms)
                    .sum::<f64>();
                let total = ResidentTotal {
                    per_second,
                    images_per_second: per_second * batch as f64,
                    streams,
                };
                (Some(total), None)
            }
            Err(reason) => (None, Some(reason)),
        };
        Ok(Self {
            model: first.map_or_else(String::new, |manifest| manifest.model.clone()),
            backend,
            inputs: specs
                .iter()
                .zip(inputs)
                .map(|(spec, input)| Input {
                    name: spec.name.clone(),
                    shape: input.shape().to_vec(),
                })
                .collect(),
            batch,
            streams: lanes.len(),
            load_ms: millis(load),
            device_bytes: models.iter().map(Model::device_bytes).sum(),
            host_to_host: HostToHost {
                runs: all.len(),
                per_second,
                images_per_second: per_second * batch as f64,
                latency_ms,
                copies: lanes.first().and_then(|lane| lane.copies.clone()),
            },
            resident,
            no_resident,
            layers,
            steps: None,
            engine_cache: models.first().and_then(Model::counters),
        })
    }

    pub(super) fn set_steps(&mut self, steps: Option<Vec<StepRow>>) {
        self.steps = steps;
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, to: &mut String) -> std::fmt::Result {
        writeln!(to, "{} on {}", self.model, self.backend.text())?;
        for input in &self.inputs {
            writeln!(to, "  {} {:?}", input.name, input.shape)?;
        }
        writeln!(
            to,
            "loaded in {:.0} ms, {:.1} MiB on the device, {} stream{}",
            self.load_ms,
            self.device_bytes as f64 / f64::from(1 << 20),
            self.streams,
            if self.streams == 1 { "" } else { "s" },
        )?;
        let host = &self.host_to_host;
        let at = &host.latency_ms;
        writeln!(
            to,
            "host to host: {:.1} runs/s, {:.1} images/s; latency ms min {:.3}, median {:.3}, p90 {:.3}, p95 {:.3}, p99 {:.3}, max {:.3}",
            host.per_second,
            host.images_per_second,
            at.min,
            at.median,
            at.p90,
            at.p95,
            at.p99,
            at.max,
        )?;
        if let Some(copies) = &host.copies {
            writeln!(
                to,
                "  to the device {:.3} ms ({} bytes), compute {:.3} ms, to the host {:.3} ms ({} bytes), enqueue {:.3} ms; {} of {} blocks as CUDA graphs{}",
                copies.host_to_device_ms,
                copies.host_to_device_bytes,
                copies.compute_ms,
                copies.device_to_host_ms,
                copies.device_to_host_bytes,
                copies.enqueue_ms,
                copies.cuda_graphs,
                copies.blocks,
                copies
                    .plain
                    .as_ref()
                    .map_or_else(String::new, |why| format!(" ({why})")),
            )?;
        }
        match (&self.resident, &self.no_resident) {
            (Some(total), _) => {
                writeln!(
                    to,
                    "input resident on the device: {:.1} runs/s, {:.1} images/s",
                    total.per_second, total.images_per_second
                )?;
                for stream in &total.streams {
                    writeln!(
                        to,
                        "  {:.4} ms by the clock, {:.4} ms by events, {:.4} ms to enqueue, {}",
                        stream.wall_ms,
                        stream.event_ms,
                        stream.enqueue_ms,
                        if stream.cuda_graph {
                            "CUDA graph"
                        } else {
                            "no CUDA graph"
                        },
                    )?;
                }
            }
            (None, Some(reason)) => {
                writeln!(to, "input resident on the device: not measured, {reason}")?
            }
            (None, None) => {}
        }
        if let Some(counters) = &self.engine_cache {
            writeln!(to, "shapes: {}", counters_text(counters))?;
        }
        if let Some(rows) = &self.steps {
            steps::write(rows, to)?;
        }
        self.layers
            .as_ref()
            .map_or(Ok(()), |layers| layers.write(to))
    }
}

impl Layers {
    fn write(&self, to: &mut String) -> std::fmt::Result {
        writeln!(
            to,
            "{} layers, {:.3} ms one by one; {:.3} ms of it multiply without Tensor Cores",
            self.rows.len(),
            self.total_ms,
            self.tensor_cores_idle_ms
        )?;
        for (precision, PrecisionShare { layers, ms }) in &self.precisions {
            writeln!(to, "  {precision:<5} {layers} layers, {ms:.3} ms")?;
        }
        for row in &self.rows {
            writeln!(
                to,
                "  {:>9} {:<5} {}{}{}",
                row.ms.map_or_else(String::new, |ms| format!("{ms:.4} ms")),
                row.precision,
                row.name,
                if row.kernel.is_empty() {
                    String::new()
                } else {
                    format!(" | {}", row.kernel)
                },
                row.tensor_cores_idle
                    .as_ref()
                    .map_or_else(String::new, |why| format!(" | Tensor Cores idle: {why}")),
            )?;
        }
        Ok(())
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
