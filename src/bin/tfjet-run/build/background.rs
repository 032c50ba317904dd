//! Engines that are built while frames are served.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tfjet::runtime::PendingBuild;

use super::progress::SharedProgress;
use super::{EngineBuilder, Interrupted, Progress, Wanted, Workplace};

/// The builds of a bundle's segments, one after the other, in child processes that a thread
/// watches. Dropping it ends the one that runs.
pub(crate) struct BackgroundBuild {
    thread: Option<JoinHandle<Result<(), String>>>,
    result: Option<Result<(), String>>,
    stop: Arc<AtomicBool>,
    progress: SharedProgress,
    begin: Instant,
    took: Option<Duration>,
}

impl BackgroundBuild {
    /// Begins to build those of the engines that the cache does not have. `interrupted` tells
    /// whether somebody ended the build.
    pub(crate) fn start(
        builder: Arc<EngineBuilder>,
        wanted: Vec<Wanted>,
        interrupted: Arc<AtomicBool>,
    ) -> std::io::Result<Self> {
        interrupted.store(false, Ordering::Relaxed);
        let (stop, progress) = (Arc::<AtomicBool>::default(), SharedProgress::default());
        let (stopped, shown) = (Arc::clone(&stop), progress.clone());
        let thread = std::thread::Builder::new()
            .name("engine builds".into())
            .spawn(move || {
                let built = build(&builder, &wanted, &shown, &stopped);
                built.map_err(|error| {
                    interrupted.store(error.is::<Interrupted>(), Ordering::Relaxed);
                    tfjet::exit::one_line(&error)
                })
            })?;
        Ok(Self {
            thread: Some(thread),
            result: None,
            stop,
            progress,
            begin: Instant::now(),
            took: None,
        })
    }

    fn join(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        let result = thread.join();
        self.result = Some(result.unwrap_or_else(|_| Err("the building thread panicked".into())));
        self.took = Some(self.begin.elapsed());
    }
}

fn build(
    builder: &EngineBuilder,
    wanted: &[Wanted],
    shown: &SharedProgress,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let workplace = Workplace::new(builder.cache().dir())?;
    for wanted in wanted {
        if builder.find(wanted)?.is_some() {
            continue;
        }
        shown.set(&format!("{} is built by another process", wanted.title()));
        let gives_up = || stop.load(Ordering::Relaxed);
        let lock = builder.cache().lock(&wanted.key(), gives_up)?;
        let _lock = lock.context("stopped while another process built the engine")?;
        if builder.find(wanted)?.is_some() {
            continue;
        }
        let progress = Progress::shared(builder.title(wanted), shown.clone());
        builder.build(wanted, &workplace, progress, stop)?;
    }
    Ok(())
}

impl PendingBuild for BackgroundBuild {
    fn poll(&mut self) -> Option<Result<(), String>> {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            self.join();
        }
        self.result.clone()
    }

    fn elapsed(&self) -> Duration {
        self.took.unwrap_or_else(|| self.begin.elapsed())
    }

    fn progress(&self) -> Option<String> {
        Some(self.progress.text()).filter(|text| !text.is_empty())
    }

    fn wait(&mut self) -> Result<(), String> {
        self.join();
        self.result.clone().unwrap_or(Ok(()))
    }
}

impl Drop for BackgroundBuild {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.join();
    }
}
