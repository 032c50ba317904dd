//! Engines that are built while a service starts.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tfjet::exit::{self, Failed};
use tfjet::runtime::BuildWatch;
use tfjet_service::config::{Config, Dynamic, Engine};
use tfjet_service::notify::{EXTENSION, Notifier};

use super::engine::build_flags;

/// How often a build is looked at.
const POLL: Duration = Duration::from_millis(100);

/// Builds the engines as `tfjet-run prepare` does, in a process of its own, and has the service
/// manager wait for it. `program` is this one.
pub(super) fn run(
    program: &Path,
    config: &Config,
    notifier: &Notifier,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let Engine {
        gpu,
        precision,
        tensorrt,
        cache,
        ..
    } = &config.engine;
    let mut command = Command::new(program);
    command.arg("prepare").arg(&config.bundle);
    command.arg("--device").arg(gpu.to_string());
    if let Some(precision) = precision {
        command.arg("--precision").arg(precision.text());
    }
    if let Some(tensorrt) = tensorrt {
        command.arg("--tensorrt").arg(tensorrt);
    }
    if let Some(cache) = cache {
        command.arg("--cache").arg(cache);
    }
    command.args(build_flags(&config.engine));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let begin = Instant::now();
    notifier.status("building engines");
    tracing::info!("building engines; this takes minutes");
    let child = command.spawn().context("prepare")?;
    let mut child = Ended(child);
    let mut extended = None;
    loop {
        if let Some(status) = child.0.try_wait().context("prepare")? {
            if status.success() {
                let seconds = begin.elapsed().as_secs_f32();
                tracing::info!(seconds, "the engines are built");
                return Ok(());
            }
            bail!(Failed {
                code: status
                    .code()
                    .and_then(|it| it.try_into().ok())
                    .unwrap_or(exit::NOT_PREPARED),
                text: "the engines could not be built; what `prepare` said is above".into(),
            });
        }
        if stop.load(Ordering::Relaxed) {
            bail!(not_built("stopped by a signal while engines were built"));
        }
        if begin.elapsed() > config.prepare_timeout.0 {
            bail!(not_built(format!(
                "the build took longer than prepare_timeout, {} s",
                config.prepare_timeout.0.as_secs()
            )));
        }
        if extended.is_none_or(|at: Instant| at.elapsed() > EXTENSION / 3) {
            extended = Some(Instant::now());
            notifier.extend(EXTENSION);
            notifier.status(&format!(
                "building engines for {} s",
                begin.elapsed().as_secs()
            ));
        }
        thread::sleep(POLL);
    }
}

fn not_built(text: impl Into<String>) -> Failed {
    Failed {
        code: exit::NOT_PREPARED,
        text: text.into(),
    }
}

/// Ends the process when it is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Both fail only where it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sees to builds while the model runs: ends them when the process is asked to end, and, where runs
/// wait for them, has the service manager wait as well, `prepare_timeout` long for each.
pub(super) fn watch(
    config: &Config,
    notifier: &Notifier,
    watchdog: Option<Duration>,
    builds: BuildWatch,
    stop: &Arc<AtomicBool>,
) {
    let waits = config.engine.dynamic == Some(Dynamic::Block);
    let (notifier, stop, limit) = (notifier.clone(), stop.clone(), config.prepare_timeout.0);
    let pause = watchdog.map_or(EXTENSION, |timeout| timeout.min(EXTENSION)) / 4;
    let started = thread::Builder::new().name("builds".into()).spawn(move || {
        let mut told: Option<Instant> = None;
        loop {
            thread::sleep(POLL);
            if stop.load(Ordering::Relaxed) {
                builds.stop();
                return;
            }
            let Some(building) = builds.building() else {
                continue;
            };
            if building.since.elapsed() > limit {
                let shapes = building.shapes;
                tracing::error!(%shapes, "the build took longer than prepare_timeout");
                builds.stop();
                return;
            }
            if waits && told.is_none_or(|at| at.elapsed() > pause) {
                told = Some(Instant::now());
                notifier.extend(EXTENSION);
                notifier.watchdog();
                let progress = building.progress.unwrap_or_default();
                notifier.status(&format!("building for {}: {progress}", building.shapes));
            }
        }
    });
    if let Err(error) = started {
        tracing::warn!("nobody looks after builds: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixDatagram;
    use std::path::PathBuf;

    use super::*;

    struct Tried {
        result: anyhow::Result<()>,
        told: Vec<String>,
        /// What the program was called with.
        arguments: String,
        took: Duration,
    }

    /// Runs a stand-in for `prepare` that ends as the script says.
    fn try_with(script: &str, more: &str, stop_after: Option<Duration>) -> Tried {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| -> PathBuf { folder.path().join(name) };
        let manager = UnixDatagram::bind(file("notify")).unwrap();
        manager.set_nonblocking(true).unwrap();
        let arguments = file("arguments");
        let text = format!(
            "#!/bin/sh\necho \"$@\" > {}\n{script}\n",
            arguments.display()
        );
        std::fs::write(file("program"), text).unwrap();
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(file("program"), mode).unwrap();
        let text = format!("bundle = \"a.jet\"\nsource = \"b\"\n{more}");
        let config = Config::parse(&text, str::to_owned).unwrap();
        let notifier = Notifier::to(file("notify").as_os_str(), str::to_owned).unwrap();
        let stop = AtomicBool::new(false);
        let begin = Instant::now();
        let result = thread::scope(|scope| {
            if let Some(after) = stop_after {
                let stop = &stop;
                scope.spawn(move || {
                    thread::sleep(after);
                    stop.store(true, Ordering::Relaxed);
                });
            }
            run(&file("program"), &config, &notifier, &stop)
        });
        let took = begin.elapsed();
        let mut told = Vec::new();
        let mut buffer = [0; 512];
        while let Ok(len) = manager.recv(&mut buffer) {
            told.push(String::from_utf8_lossy(&buffer[..len]).into_owned());
        }
        Tried {
            result,
            told,
            arguments: std::fs::read_to_string(arguments).unwrap_or_default(),
            took,
        }
    }

    #[test]
    fn the_manager_waits_while_engines_are_built() {
        let more = "prepare = true\n[engine]\ngpu = 1\nprecision = \"fp16\"\ncache = \"c\"\n\
                    workspace = 64\ntactic_sources = \"none\"\ndla_core = 0";
        let tried = try_with("sleep 0.3", more, None);
        tried.result.unwrap();
        assert_eq!(
            tried.arguments,
            "prepare a.jet --device 1 --precision fp16 --cache c --workspace=64 \
             --tactic-sources=0x0 --dla-core=0\n"
        );
        let extended = "EXTEND_TIMEOUT_USEC=60000000\n";
        assert!(
            tried.told.iter().any(|line| line == extended),
            "{:?}",
            tried.told
        );
        assert!(
            tried
                .told
                .iter()
                .any(|line| line.starts_with("STATUS=building engines"))
        );
    }

    #[test]
    fn a_build_that_fails_keeps_its_exit_code() {
        for (script, code) in [
            ("exit 4", 4),
            ("exit 5", 5),
            ("kill -9 $$", exit::NOT_PREPARED),
        ] {
            let error = try_with(script, "", None).result.unwrap_err();
            assert_eq!(exit::code(&error), code, "{script}: {error}");
        }
    }

    #[test]
    fn a_build_ends_with_the_service_and_at_its_timeout() {
        let stopped = try_with("exec sleep 20", "", Some(Duration::from_millis(200)));
        let error = stopped.result.unwrap_err();
        assert!(error.to_string().contains("stopped by a signal"), "{error}");
        assert!(stopped.took < Duration::from_secs(2), "{:?}", stopped.took);
        let late = try_with("exec sleep 20", "prepare_timeout = 0.2", None);
        let error = late.result.unwrap_err();
        assert!(
            error.to_string().contains("longer than prepare_timeout"),
            "{error}"
        );
        assert_eq!(exit::code(&error), exit::NOT_PREPARED);
        assert!(late.took < Duration::from_secs(2), "{:?}", late.took);
    }
}
