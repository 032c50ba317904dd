//! `tfjet-run serve`: a bundle over a source, as a service.

mod drain;
mod engine;
mod frames;
mod inference;
mod outputs;
mod pages;
mod prepare;
mod settings;
mod state;

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use tfjet::exit::Usage;
use tfjet::runtime::{SessionOptions, StopSignal};
use tfjet::video::mask_secrets;
use tfjet_service::config::Config;
use tfjet_service::log::{LogOptions, Logs};
use tfjet_service::notify::{Notifier, Watchdog};
use tfjet_service::signals::{self, Signal};

pub(crate) use self::inference::no_frames;
pub(crate) use self::outputs::Outputs;
pub(crate) use self::settings::{Settings, check_source};

use self::drain::Drain;
use self::frames::Frames;
use self::inference::Inference;
use self::pages::Pages;
use self::settings::frame_source;
use self::state::State;

/// Run a bundle as a service, as a configuration file says
///
/// Tells a service manager when it serves, feeds its watchdog, waits for a source that is lost,
/// ends in good order at SIGTERM and reads thresholds and labels again at SIGHUP.
#[derive(Debug, Args)]
pub(crate) struct Cmd {
    /// The configuration, a TOML file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// What a configuration logs, unless `TFJET_LOG` says otherwise.
fn filter(config: &Config) -> String {
    format!("{},tfjet_cpu::library=off", config.log)
}

/// The file of a configuration and what it says; relative paths in it start at its folder, which
/// becomes the working directory.
pub(crate) fn read(path: &Path) -> anyhow::Result<(PathBuf, Config)> {
    let path = std::path::absolute(path).with_context(|| path.display().to_string())?;
    let config = Config::read(&path, mask_secrets).map_err(|error| Usage(error.to_string()))?;
    if let Some(folder) = path.parent() {
        env::set_current_dir(folder).with_context(|| folder.display().to_string())?;
    }
    Ok((path, config))
}

impl Cmd {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let begin = Instant::now();
        let (path, config) = read(&self.config)?;
        let variable = env::var("TFJET_LOG").ok();
        let logs = Logs::begin(&LogOptions {
            identifier: "tfjet-run",
            filter: variable.clone().unwrap_or_else(|| filter(&config)),
            mask: mask_secrets,
        })
        .map_err(|error| anyhow::anyhow!("logs: {error}"))?;
        let notifier = Notifier::from_env(mask_secrets).context("NOTIFY_SOCKET")?;
        let watchdog = Watchdog::from_env(&notifier);
        let state = Arc::new(State::new(watchdog.timeout()));
        let stop = Arc::new(AtomicBool::new(false));
        let stop_model = Arc::new(AtomicBool::new(false));
        let drain = Drain::new(&state, &notifier, &stop_model);
        let asked = stop.clone();
        let signals = signals::listen(move |signal| {
            if signal == Signal::Stop {
                asked.store(true, Ordering::Relaxed);
                drain.begin();
            }
        })
        .context("signal handlers")?;
        if let Some(address) = config.metrics {
            let pages = Pages::new(&state);
            let address = tfjet_service::http::serve(address, move |path| pages.answer(path))
                .with_context(|| format!("metrics: {address}"))?;
            tracing::info!(%address, "/metrics and /healthz are at http://{address}");
        }

        let options = SessionOptions {
            stop: StopSignal::new(stop_model),
            ..SessionOptions::default()
        };
        let opened = engine::open(&config, &options, &notifier, &stop)?;
        let settings = Settings::new(&config, opened.model.manifest())?;
        state.set_backend(opened.model.manifest(), &opened.backend, &config);
        let mut inference = Inference::new(opened.model, settings)?;
        inference.warm_up(&config, &notifier, watchdog.timeout(), &stop)?;
        let outputs = Outputs::open(&config, &inference)?;
        let source = frame_source(&config)?;

        if stop.load(Ordering::Relaxed) {
            return outputs.finish();
        }
        tracing::info!(
            seconds = begin.elapsed().as_secs_f32(),
            device = opened.backend.text(),
            "{} serves {}",
            config.bundle.display(),
            config.source,
        );
        state.serve();
        notifier.ready();
        let mut frames = Frames {
            path,
            config,
            logs: variable.is_none().then_some(logs),
            notifier,
            watchdog,
            signals,
            state,
            inference,
            outputs,
            source,
        };
        let ended = frames.run();
        frames.finish(ended)
    }
}
