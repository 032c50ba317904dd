//! The frame loop: source, inference, sinks, and what the service manager is told of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tfjet::exit::{self, Failed};
use tfjet::runtime::SessionError;
use tfjet::video::{Frame, Next, Status, SupervisedSource, mask_secrets};
use tfjet_service::config::Config;
use tfjet_service::log::Logs;
use tfjet_service::notify::{Notifier, Watchdog};
use tfjet_service::signals::Signal;

use super::inference::Inference;
use super::outputs::Outputs;
use super::settings::Settings;
use super::state::{Phase, State};

/// Longest wait for a frame before signals are looked at.
const WAIT: Duration = Duration::from_millis(100);

/// How often the service manager's status line changes.
const REPORT: Duration = Duration::from_secs(5);

/// All that the loop works with.
pub(super) struct Frames {
    pub(super) path: PathBuf,
    pub(super) config: Config,
    /// The logs, where the configuration says what is logged.
    pub(super) logs: Option<Logs>,
    pub(super) notifier: Notifier,
    pub(super) watchdog: Watchdog,
    pub(super) signals: Receiver<Signal>,
    pub(super) state: Arc<State>,
    pub(super) inference: Inference,
    pub(super) outputs: Outputs,
    pub(super) source: SupervisedSource,
}

impl Frames {
    /// Serves until the source ends or the process is asked to end.
    pub(super) fn run(&mut self) -> anyhow::Result<()> {
        let mut frame = Frame::new();
        let wait = self
            .watchdog
            .timeout()
            .map_or(WAIT, |timeout| WAIT.min(timeout / 8));
        let mut last = Instant::now();
        let mut reported: Option<(Instant, bool)> = None;
        loop {
            match self.signals.try_recv() {
                Ok(Signal::Stop) => return Ok(()),
                Ok(Signal::Reload) => self.reload(),
                Err(_) => {}
            }
            match self.source.next_frame(&mut frame, wait)? {
                Next::Frame => {
                    match self.serve(&mut frame) {
                        Err(error) if is_stop(&error) => {
                            let why = exit::one_line(&error);
                            tracing::warn!("frame {} is lost: {why}", frame.index);
                            return Ok(());
                        }
                        served => served.with_context(|| format!("frame {}", frame.index))?,
                    }
                    last = Instant::now();
                }
                Next::Waiting if last.elapsed() < self.config.source_timeout.0 => {}
                Next::Waiting => bail!(self.given_up()),
                Next::End => return Ok(()),
            }
            self.watchdog.feed();
            self.state.round(&self.source);
            let lost = self.source.lost_since().is_some();
            if reported.is_none_or(|(at, was)| at.elapsed() > REPORT || was != lost) {
                reported = Some((Instant::now(), lost));
                self.notifier.status(&self.state.now().text());
            }
        }
    }

    fn serve(&mut self, frame: &mut Frame) -> anyhow::Result<()> {
        let arrived = Instant::now();
        self.inference.run(frame)?;
        let took = arrived.elapsed();
        self.outputs.set_frame_rate(self.source.frame_rate())?;
        if self.outputs.needs_overlay(frame.index) {
            let status = Status {
                fps: self.state.fps() as f32,
                latency_ms: took.as_secs_f32() * 1e3,
            };
            self.inference.draw(frame, status);
        }
        self.outputs.write(frame, self.inference.results())?;
        self.state
            .frame(took, self.inference.results(), self.inference.model());
        Ok(())
    }

    fn given_up(&self) -> Failed {
        Failed {
            code: exit::MISSING,
            text: format!(
                "{}: no frame for {} s, which is source_timeout: {}",
                self.source.name(),
                self.config.source_timeout.0.as_secs(),
                self.source.last_error().unwrap_or("it does not open")
            ),
        }
    }

    /// Reads the configuration again. A bad one changes nothing.
    fn reload(&mut self) {
        self.notifier.reloading();
        let result = self.read_again();
        self.state.reloaded(result.is_ok());
        match result {
            Ok(()) => tracing::info!("{} was read again", self.path.display()),
            Err(error) => tracing::error!(
                "{}; the configuration stays as it was",
                mask_secrets(&exit::one_line(&error))
            ),
        }
        self.notifier.ready();
    }

    fn read_again(&mut self) -> anyhow::Result<()> {
        let config = Config::read(&self.path, mask_secrets)?;
        let settings = Settings::new(&config, self.inference.manifest())?;
        if let Some(logs) = &self.logs {
            logs.set_filter(&super::filter(&config))
                .map_err(anyhow::Error::msg)?;
        }
        self.inference.set_settings(settings);
        for to in self.outputs.set_labels(&self.inference) {
            tracing::warn!("{to} keeps its labels until the next start");
        }
        let later = self.config.needs_restart(&config);
        if !later.is_empty() {
            tracing::warn!(
                "{}: changed, which takes effect at the next start",
                later.join(", ")
            );
        }
        self.config.take_reloadable(&config);
        Ok(())
    }

    /// Ends the sinks, whose files are whole after, then the source.
    pub(super) fn finish(self, ended: anyhow::Result<()>) -> anyhow::Result<()> {
        self.notifier.stopping();
        self.state.set_phase(Phase::Draining);
        let finished = self.outputs.finish();
        self.state.set_phase(Phase::Done);
        let now = self.state.now();
        tracing::info!(
            frames = now.frames,
            seconds = now.begin.elapsed().as_secs_f32(),
            dropped = now.source.dropped,
            reconnects = now.source.reconnects,
            "served {} frames",
            now.frames
        );
        drop(self.source);
        ended.and(finished)
    }
}

/// Was a loop of the model told to stop?
fn is_stop(error: &anyhow::Error) -> bool {
    let failed = error.downcast_ref::<SessionError>();
    failed.is_some_and(SessionError::is_stopped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_was_stopped_is_no_failure() {
        let in_loop = |source: SessionError| SessionError::InLoop {
            node: "map/while".into(),
            pass: 7,
            source: Box::new(source),
        };
        let stopped = anyhow::Error::from(in_loop(SessionError::Stopped)).context("the model");
        assert!(is_stop(&stopped));
        let text = "the model: in pass 7 of loop `map/while`: stopped";
        assert_eq!(exit::one_line(&stopped), text);
        let failed = in_loop(SessionError::NoBackend { segments: 1 });
        assert!(!is_stop(&failed.into()));
        assert!(!is_stop(&anyhow::anyhow!("stopped")));
    }
}
