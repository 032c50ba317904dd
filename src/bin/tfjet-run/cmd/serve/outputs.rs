//! Sinks that run for months: files that are ended and begun anew.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail};
use tfjet::exit::Usage;
use tfjet::video::{Frame, Results, SinkOptions, SinkSpec, Sinks, VideoError};
use tfjet_service::config::{Config, Sink, TIME};
use tfjet_service::stamp;

use super::inference::Inference;

/// All sinks of a configuration.
pub(crate) struct Outputs {
    options: SinkOptions,
    outputs: Vec<Output>,
}

/// One sink.
struct Output {
    /// What the configuration says, with [`TIME`] in it.
    to: String,
    every: Option<Duration>,
    /// What it is now.
    text: String,
    spec: SinkSpec,
    sinks: Sinks,
    begun: Instant,
    /// The time of its first frame, from which a video file counts.
    first: Option<u64>,
    /// Is it to be begun anew, whatever its age?
    due: bool,
}

impl Outputs {
    pub(super) fn open(config: &Config, inference: &Inference) -> anyhow::Result<Self> {
        let specs = Self::specs(config)?;
        let manifest = inference.manifest();
        let options = SinkOptions {
            frame_rate: None,
            labels: inference.settings().labels.clone(),
            outputs: manifest.outputs.iter().map(|it| it.name.clone()).collect(),
        };
        let outputs = config.sinks.iter().zip(specs);
        let outputs = outputs.map(|(sink, (text, spec))| {
            Ok(Output {
                sinks: open(&text, &spec, &options)?,
                to: sink.to.clone(),
                every: sink.every.map(|every| every.0),
                begun: Instant::now(),
                first: None,
                due: false,
                text,
                spec,
            })
        });
        let outputs = outputs.collect::<anyhow::Result<_>>()?;
        Ok(Self { options, outputs })
    }

    /// The sinks that would be opened now, with their texts.
    pub(crate) fn specs(config: &Config) -> anyhow::Result<Vec<(String, SinkSpec)>> {
        let mut specs: Vec<(String, SinkSpec)> = Vec::with_capacity(config.sinks.len());
        for Sink { to, .. } in &config.sinks {
            let text = now(to);
            let spec: SinkSpec = text.parse().context("sink.to")?;
            if specs
                .iter()
                .any(|(_, earlier)| place(earlier) == place(&spec))
            {
                bail!(Usage(format!("sink.to: two sinks write {to}")));
            }
            specs.push((text, spec));
        }
        Ok(specs)
    }

    /// Files get this frame rate from their next beginning on; one that is not begun yet now.
    pub(super) fn set_frame_rate(&mut self, rate: Option<(u32, u32)>) -> anyhow::Result<()> {
        if rate.is_none() || rate == self.options.frame_rate {
            return Ok(());
        }
        self.options.frame_rate = rate;
        for output in &mut self.outputs {
            // A video file is begun by its first frame, so that nothing is lost.
            if output.first.is_none() && matches!(output.spec, SinkSpec::Video(_)) {
                output.sinks = open(&output.text, &output.spec, &self.options)?;
            }
        }
        Ok(())
    }

    /// Sinks that can be begun anew get the new labels; gives those that keep the old ones.
    pub(super) fn set_labels(&mut self, inference: &Inference) -> Vec<&str> {
        let labels = &inference.settings().labels;
        if *labels == self.options.labels {
            return Vec::new();
        }
        self.options.labels = labels.clone();
        let mut old = Vec::new();
        for output in &mut self.outputs {
            match &output.spec {
                SinkSpec::JsonLines(Some(_)) if !output.to.contains(TIME) => {
                    old.push(output.to.as_str());
                }
                SinkSpec::JsonLines(_) => output.due = true,
                // Their labels are those that are drawn into the frame.
                _ => {}
            }
        }
        old
    }

    pub(super) fn needs_overlay(&self, index: u64) -> bool {
        self.outputs.iter().any(|it| it.sinks.needs_overlay(index))
    }

    /// Gives a frame to all sinks; those whose time is over are begun anew with it.
    pub(super) fn write(&mut self, frame: &mut Frame, results: &Results) -> anyhow::Result<()> {
        for output in &mut self.outputs {
            output.write(frame, results, &self.options)?;
        }
        Ok(())
    }

    /// Puts all files in place.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        let mut result = Ok(());
        for output in self.outputs {
            let finished = output.sinks.finish();
            let finished = finished.with_context(|| format!("sink {}", output.text));
            // One that fails does not cost the others their files.
            if let Err(error) = finished {
                tracing::error!("{}", tfjet::exit::one_line(&error));
                result = result.and(Err(error));
            }
        }
        result
    }
}

impl Output {
    fn write(
        &mut self,
        frame: &mut Frame,
        results: &Results,
        options: &SinkOptions,
    ) -> anyhow::Result<()> {
        let old = self
            .every
            .is_some_and(|every| self.begun.elapsed() >= every);
        if old || self.due {
            self.renew(options)?;
        }
        match self.put(frame, results) {
            // A camera that came back with another size needs another file.
            Err(VideoError::FrameSize { .. }) if self.to.contains(TIME) => {
                self.renew(options)?;
                self.put(frame, results)?;
            }
            other => other?,
        }
        Ok(())
    }

    fn put(&mut self, frame: &mut Frame, results: &Results) -> Result<(), VideoError> {
        let pts = frame.pts_ns;
        let first = *self.first.get_or_insert(pts.unwrap_or_default());
        if matches!(self.spec, SinkSpec::Video(_)) {
            frame.pts_ns = pts.map(|pts| pts.saturating_sub(first));
        }
        let written = self.sinks.write(frame, results);
        frame.pts_ns = pts;
        written
    }

    /// Ends the file and begins the next, unless both would have the same name.
    fn renew(&mut self, options: &SinkOptions) -> anyhow::Result<()> {
        let text = now(&self.to);
        if text == self.text && self.to.contains(TIME) {
            return Ok(());
        }
        let old = std::mem::take(&mut self.sinks);
        old.finish()
            .with_context(|| format!("sink {}", self.text))?;
        self.spec = text.parse().context("sink.to")?;
        self.sinks = open(&text, &self.spec, options)?;
        tracing::info!(file = self.text, "a file is whole");
        self.text = text;
        self.begun = Instant::now();
        self.first = None;
        self.due = false;
        Ok(())
    }
}

fn open(text: &str, spec: &SinkSpec, options: &SinkOptions) -> anyhow::Result<Sinks> {
    Sinks::open(std::slice::from_ref(spec), options).with_context(|| format!("sink {text}"))
}

fn now(to: &str) -> String {
    to.replace(TIME, &stamp::utc(SystemTime::now()))
}

/// What a sink writes.
fn place(spec: &SinkSpec) -> String {
    match spec {
        SinkSpec::Png { path, .. } => path.display().to_string(),
        other => other.to_string(),
    }
}
