//! `tfjet-run bench`: how fast a bundle is on this machine, and where the time goes.

mod inputs;
mod layers;
mod report;
mod steps;
mod timing;

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use tfjet::bundle::Bundle;
use tfjet::core::{Tensor, TensorView};
use tfjet::exit::Usage;
use tfjet::runtime::{Model, Session, SessionOptions};
use tfjet::shapes::ShapeFlag;

use crate::backend::{BackendArgs, Opened};
use report::{Copies, Layers, Report, Resident};
use steps::StepRow;
use timing::Percentiles;

/// Measure a bundle on this machine
///
/// Two figures: host to host, with the input copied to the device and the outputs copied back in
/// each run; and, where the whole model runs on the GPU, with the input resident on the device, as
/// trtexec measures with --noDataTransfers.
#[derive(Debug, Args)]
pub(crate) struct Cmd {
    bundle: PathBuf,
    /// Shape of an input whose sizes the model leaves open, repeatable; of NAME=MIN:OPT:MAX, as for
    /// prepare, OPT
    #[arg(long, value_name = "NAME=1x224x224x3")]
    shape: Vec<ShapeFlag>,
    /// Arrays to run on, as NAME or in:NAME, instead of noise
    #[arg(long, value_name = "IN.npz", conflicts_with = "shape")]
    inputs: Option<PathBuf>,
    /// Seconds to measure for
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = seconds)]
    duration: Duration,
    /// Seconds to run before
    #[arg(long, value_name = "SECONDS", default_value = "0.5", value_parser = seconds)]
    warm_up: Duration,
    /// Sessions that run at the same time, each on a stream of its own
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=64))]
    streams: u16,
    /// Enqueue engines and kernels piece by piece, without CUDA graphs
    #[arg(long)]
    no_graphs: bool,
    /// Time each layer of the engines and say which leave Tensor Cores idle
    #[arg(long)]
    layers: bool,
    /// Time each step of the schedule, also those of loops and conditions; --layers does so where
    /// the model has any
    #[arg(long)]
    steps: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    backend: BackendArgs,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse::<f64>()
        .ok()
        .filter(|s| (0.0..=86400.0).contains(s));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "expected seconds, 0 to 86400".into())
}

/// Runs once and waits for the engines that are built meanwhile, so that they are what is measured.
fn settle(model: &mut Model, given: &[Tensor]) -> anyhow::Result<()> {
    if let Model::ByShape(sessions) = model {
        let views: Vec<TensorView<'_>> = given.iter().map(Tensor::view).collect();
        sessions.run(&views)?;
        sessions.finish_builds();
    }
    Ok(())
}

/// What one model measured.
struct Lane {
    latencies: Vec<Duration>,
    wall: Duration,
    copies: Option<Copies>,
    resident: Result<Resident, String>,
}

impl Cmd {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let bundle = Arc::new(Bundle::open(&self.bundle)?);
        let options = SessionOptions {
            cuda_graphs: !self.no_graphs,
            device_times: true,
            ..SessionOptions::default()
        };
        let start = Instant::now();
        let Opened { model, backend } = self.backend.open(bundle.clone(), &options)?;
        let load = start.elapsed();
        if self.layers && matches!(&model, Model::Fixed(session) if session.gpu_blocks() == 0) {
            bail!(Usage(
                "--layers times engines of TensorRT; this session runs on the CPU".into()
            ));
        }
        let inputs = inputs::fill(&model, &self.shape, self.inputs.as_deref())?;
        let mut models = vec![model];
        for _ in 1..self.streams {
            models.push(self.backend.open(bundle.clone(), &options)?.model);
        }
        self.note("measuring");
        let lanes = self.measure(&mut models, &inputs)?;
        let layers = match self.layers {
            true => Some(self.time_layers(&mut models, &inputs)?),
            false => None,
        };
        let steps = self.time_steps(&mut models, &inputs)?;
        let mut report = Report::new(&models, backend, &inputs, load, &lanes, layers)?;
        report.set_steps(steps);
        let text = match self.json {
            true => serde_json::to_string(&report)? + "\n",
            false => report.text(),
        };
        std::io::stdout()
            .write_all(text.as_bytes())
            .context("standard output")
    }

    fn note(&self, what: &str) {
        if self.json {
            return;
        }
        let expected = (self.warm_up + self.duration) * 2;
        let _ = writeln!(
            std::io::stderr(),
            "{what}, about {:.1} s",
            expected.as_secs_f64()
        );
    }

    /// Runs all models at the same time, each on its own thread.
    fn measure(&self, models: &mut [Model], inputs: &[Tensor]) -> anyhow::Result<Vec<Lane>> {
        let start = Barrier::new(models.len());
        std::thread::scope(|threads| {
            let start = &start;
            let running: Vec<_> = models
                .iter_mut()
                .map(|model| threads.spawn(move || self.lane(model, inputs, start)))
                .collect();
            running
                .into_iter()
                .map(|thread| match thread.join() {
                    Ok(lane) => lane,
                    Err(_) => bail!("a measuring thread panicked"),
                })
                .collect()
        })
    }

    fn lane(&self, model: &mut Model, given: &[Tensor], start: &Barrier) -> anyhow::Result<Lane> {
        let warm = settle(model, given).and_then(|()| {
            let filled = inputs::in_session_memory(model, given)?;
            let views: Vec<TensorView<'_>> = filled.iter().map(Tensor::view).collect();
            let until = Instant::now() + self.warm_up;
            for _ in 0..3 {
                model.run(&views)?;
            }
            while Instant::now() < until {
                model.run(&views)?;
            }
            Ok(filled)
        });
        start.wait();
        let filled = warm?;
        let views: Vec<TensorView<'_>> = filled.iter().map(Tensor::view).collect();
        let mut latencies = Vec::new();
        let begin = Instant::now();
        while latencies.is_empty() || begin.elapsed() < self.duration {
            let before = Instant::now();
            model.run(&views)?;
            latencies.push(before.elapsed());
        }
        let wall = begin.elapsed();
        // That of the runs before.
        let session = model.session_mut().context("no session has run")?;
        let copies = Copies::measure(session, &views)?;
        let resident = self.resident(session, &latencies);
        Ok(Lane {
            latencies,
            wall,
            copies,
            resident,
        })
    }

    /// The device's part alone, over and over.
    fn resident(&self, session: &mut Session, latencies: &[Duration]) -> Result<Resident, String> {
        let median = Percentiles::of(latencies).map_or(1.0, |all| all.median.max(0.01));
        let batch = (100.0 / median).clamp(4.0, 2000.0) as usize;
        session.replay(batch).map_err(|error| error.to_string())?;
        let (mut runs, mut enqueue, begin) = (0, Duration::ZERO, Instant::now());
        let mut device = Duration::ZERO;
        while begin.elapsed() < self.duration {
            session.replay(batch).map_err(|error| error.to_string())?;
            runs += batch;
            if let Some(stats) = session.gpu_stats() {
                enqueue += stats.enqueue;
                device += stats.times.map_or(Duration::ZERO, |times| times.compute);
            }
        }
        let wall = begin.elapsed();
        Ok(Resident::new(session, runs, wall, enqueue, device))
    }

    fn time_steps(
        &self,
        models: &mut [Model],
        given: &[Tensor],
    ) -> anyhow::Result<Option<Vec<StepRow>>> {
        let Some(session) = models.first_mut().and_then(Model::session_mut) else {
            return Ok(None);
        };
        let has_functions = !session.schedule().functions.is_empty();
        if !(self.steps || self.layers && has_functions) {
            return Ok(None);
        }
        let views: Vec<TensorView<'_>> = given.iter().map(Tensor::view).collect();
        StepRow::measure(session, &views).map(Some)
    }

    fn time_layers(&self, models: &mut [Model], given: &[Tensor]) -> anyhow::Result<Layers> {
        let Some(session) = models.first_mut().and_then(Model::session_mut) else {
            return Ok(Layers::new(Vec::new()));
        };
        let views: Vec<TensorView<'_>> = given.iter().map(Tensor::view).collect();
        const RUNS: usize = 20;
        let times = session.layer_times(&views, RUNS)?;
        let mut segments: Vec<u32> = times.iter().map(|time| time.segment).collect();
        segments.sort_unstable();
        segments.dedup();
        let mut rows = Vec::new();
        for segment in segments {
            let inspected = session.inspect(segment).transpose()?.unwrap_or_default();
            let of_segment: Vec<(String, f32)> = times
                .iter()
                .filter(|time| time.segment == segment)
                .map(|time| (time.layer.clone(), time.ms))
                .collect();
            rows.extend(layers::rows(&inspected, &of_segment).map_err(anyhow::Error::msg)?);
        }
        Ok(Layers::new(rows))
    }
}
