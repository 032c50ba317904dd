//! The frame loop: source, pre-processing, session, decoder, overlay, sinks.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::Serialize;
use tfjet::core::{Manifest, Tensor};
use tfjet::exit::Usage;
use tfjet::runtime::{CacheCounters, Latency, Model};
use tfjet::video::{
    Frame, Labels, Overlay, Placement, Preprocessor, Results, SinkOptions, SinkSpec, Sinks, Source,
    SourceOptions, Status, VideoError, decode,
};

use super::memory::peak_mib;
use super::{Cmd, millis};
use crate::backend::{BackendSummary, Opened, counters_text};

/// What a run came to.
#[derive(Serialize)]
struct Summary {
    model: String,
    #[serde(flatten)]
    backend: BackendSummary,
    segments: usize,
    residual: usize,
    frames: u64,
    fps: f64,
    latency_p50_ms: f64,
    latency_p99_ms: f64,
    dropped: u64,
    /// Rows that the decoder left aside because a number in them is not finite.
    not_finite: usize,
    /// Detections beyond what a frame can hold.
    left_out: usize,
    peak_rss_mib: Option<f64>,
    /// What the model did for shapes that came, with `--dynamic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    engine_cache: Option<CacheCounters>,
}

/// How often the progress line changes.
const PROGRESS: Duration = Duration::from_millis(500);

/// Most outputs that a decoder is given.
const MAX_OUTPUTS: usize = 32;

/// What the loop reuses from frame to frame.
struct Loop {
    model: Model,
    manifest: Manifest,
    preprocessor: Preprocessor,
    overlay: Overlay,
    frame: Frame,
    input: Tensor,
    results: Results,
    latency: Latency,
    begin: Instant,
    frames: u64,
    not_finite: usize,
    left_out: usize,
}

pub(super) fn run(cmd: &Cmd, text: &str, opened: Opened) -> anyhow::Result<()> {
    let Opened { model, backend } = opened;
    let manifest = model.manifest().clone();
    let (Some(preprocess), [input]) = (&manifest.preprocess, manifest.inputs.as_slice()) else {
        bail!(Usage(format!(
            "the bundle `{}` says no way from a frame to its {} inputs: convert it with \
             --image-size, or run it with --inputs",
            manifest.model,
            manifest.inputs.len()
        )));
    };
    let specs: Vec<SinkSpec> = cmd
        .sink
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, VideoError>>()?;
    let options = SourceOptions::new(text);
    let stop = options.stop.clone();
    let builds = match &model {
        Model::Fixed(_) => None,
        Model::ByShape(sessions) => Some(sessions.watch()),
    };
    let stop = move || {
        stop.stop();
        if let Some(builds) = &builds {
            builds.stop();
        }
    };
    ctrlc::set_handler(stop).context("signal handler")?;
    let mut source = Source::open(&options)?;
    let labels = Labels::new(manifest.labels.clone(), &manifest.decoder);
    let sink_options = SinkOptions {
        frame_rate: source.frame_rate(),
        labels: labels.clone(),
        outputs: manifest
            .outputs
            .iter()
            .map(|output| output.name.clone())
            .collect(),
    };
    let mut sinks = Sinks::open(&specs, &sink_options)?;
    let mut frame_loop = Loop {
        preprocessor: Preprocessor::new(preprocess, input.dtype)?,
        overlay: Overlay::new(labels),
        frame: Frame::new(),
        input: Tensor::default(),
        results: Results::default(),
        latency: Latency::new(),
        begin: Instant::now(),
        frames: 0,
        not_finite: 0,
        left_out: 0,
        manifest,
        model,
    };
    let limit = cmd.frames.unwrap_or(u64::MAX);
    frame_loop
        .run(&mut source, &mut sinks, limit)
        .with_context(|| {
            format!(
                "stopped after {} frames, no output was kept",
                frame_loop.frames
            )
        })?;
    sinks.finish()?;
    let summary = frame_loop.summary(source.dropped(), backend);
    print(
        &summary,
        cmd.json,
        specs.contains(&SinkSpec::JsonLines(None)),
    )
}

impl Loop {
    fn run(&mut self, source: &mut Source, sinks: &mut Sinks, limit: u64) -> anyhow::Result<()> {
        let show_progress = std::io::stderr().is_terminal();
        let mut shown = self.begin;
        while self.frames < limit && source.next_frame(&mut self.frame)? {
            let arrived = Instant::now();
            let placement = self.preprocessor.run(&self.frame, &mut self.input)?;
            self.infer(&placement)
                .with_context(|| format!("frame {}", self.frame.index))?;
            let took = arrived.elapsed();
            self.latency.push(took);
            self.not_finite += self.results.not_finite;
            self.left_out += self.results.left_out;
            self.frames += 1;
            if sinks.needs_overlay(self.frame.index) {
                let status = Status {
                    fps: self.fps() as f32,
                    latency_ms: millis(took) as f32,
                };
                self.overlay
                    .draw(&mut self.frame, &self.results, Some(status));
            }
            sinks.write(&self.frame, &self.results)?;
            if show_progress && shown.elapsed() > PROGRESS {
                shown = Instant::now();
                let _ = write!(
                    std::io::stderr(),
                    "\r{} frames, {:.1} fps ",
                    self.frames,
                    self.fps()
                );
            }
        }
        if show_progress {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
        Ok(())
    }

    fn infer(&mut self, placement: &Placement) -> anyhow::Result<()> {
        let outputs = self.model.run(&[self.input.view()])?;
        let views: heapless::Vec<_, MAX_OUTPUTS> = outputs
            .iter()
            .map(|(_, view)| view)
            .take(MAX_OUTPUTS)
            .collect();
        decode(&self.manifest.decoder, &views, placement, &mut self.results)?;
        Ok(())
    }

    fn fps(&self) -> f64 {
        self.frames as f64 / self.begin.elapsed().as_secs_f64().max(1e-9)
    }

    fn summary(&self, dropped: u64, backend: BackendSummary) -> Summary {
        let latency = self.latency.summary();
        Summary {
            model: self.manifest.model.clone(),
            backend,
            segments: self.manifest.summary.segments.len(),
            residual: self.manifest.summary.residual,
            frames: self.frames,
            fps: self.fps(),
            latency_p50_ms: latency.map_or(0.0, |latency| millis(latency.p50)),
            latency_p99_ms: latency.map_or(0.0, |latency| millis(latency.p99)),
            dropped,
            not_finite: self.not_finite,
            left_out: self.left_out,
            peak_rss_mib: peak_mib(),
            engine_cache: self.model.counters(),
        }
    }
}

/// Prints the summary, to the standard error where the standard output holds JSON Lines.
fn print(summary: &Summary, json: bool, to_stderr: bool) -> anyhow::Result<()> {
    let text = if json {
        serde_json::to_string(summary)?
    } else {
        format!(
            "model    {}\ndevice   {}\nsegments {} ({} ops outside)\nframes   {} at {:.1} fps\n\
             latency  p50 {:.1} ms, p99 {:.1} ms\ndropped  {}{}{}",
            summary.model,
            summary.backend.text(),
            summary.segments,
            summary.residual,
            summary.frames,
            summary.fps,
            summary.latency_p50_ms,
            summary.latency_p99_ms,
            summary.dropped,
            match (summary.not_finite, summary.left_out) {
                (0, 0) => String::new(),
                (n, l) => format!("\nignored  {n} rows that are not finite, {l} beyond the limit"),
            },
            summary
                .engine_cache
                .as_ref()
                .map_or_else(String::new, |it| format!(
                    "\nshapes   {}",
                    counters_text(it)
                )),
        )
    };
    let written = match to_stderr {
        true => writeln!(std::io::stderr(), "{text}"),
        false => writeln!(std::io::stdout(), "{text}"),
    };
    written.context("standard output")
}
