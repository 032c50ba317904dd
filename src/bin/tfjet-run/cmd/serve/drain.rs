//! The end at SIGTERM: in good order, but within its time.

use std::io::Write as _;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tfjet::exit;
use tfjet_service::notify::Notifier;

use super::state::{Phase, State};

/// From the signal to the end.
const LIMIT: Duration = Duration::from_millis(1900);

/// From the signal to where a loop of the model begins no further pass, so that sinks can still
/// finish their files.
const PATIENCE: Duration = Duration::from_millis(1000);

/// Ends the process where it does not end by itself.
pub(super) struct Drain {
    state: Arc<State>,
    notifier: Notifier,
    /// Stops the loops of the model.
    stop_model: Arc<AtomicBool>,
}

impl Drain {
    pub(super) fn new(
        state: &Arc<State>,
        notifier: &Notifier,
        stop_model: &Arc<AtomicBool>,
    ) -> Self {
        Self {
            state: state.clone(),
            notifier: notifier.clone(),
            stop_model: stop_model.clone(),
        }
    }

    /// The process was asked to end.
    pub(super) fn begin(&self) {
        self.notifier.stopping();
        let (state, stop_model) = (self.state.clone(), self.stop_model.clone());
        let started = thread::Builder::new().name("drain".into()).spawn(move || {
            thread::sleep(PATIENCE);
            stop_model.store(true, Ordering::Relaxed);
            thread::sleep(LIMIT - PATIENCE);
            let code = match state.phase() {
                // There is nothing to lose.
                Phase::Starting | Phase::Done => exit::GOOD,
                Phase::Serving | Phase::Draining => {
                    tracing::error!(
                        "a sink or the model did not end within {} ms; what it was writing is lost",
                        LIMIT.as_millis()
                    );
                    exit::BAD_INPUT
                }
            };
            let _ = std::io::stderr().flush();
            process::exit(code.into());
        });
        if let Err(error) = started {
            tracing::warn!("nobody watches over the end: {error}");
        }
    }
}
