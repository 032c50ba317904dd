//! The end at SIGTERM: in good order, but within its time.

use std::io::Write as _;
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tfjet::exit;
use tfjet_service::notify::Notifier;

use super::state::{Phase, State};

/// From the signal to the end.
const LIMIT: Duration = Duration::from_millis(1900);

/// Ends the process where it does not end by itself.
pub(super) struct Drain {
    state: Arc<State>,
    notifier: Notifier,
}

impl Drain {
    pub(super) fn new(state: &Arc<State>, notifier: &Notifier) -> Self {
        Self {
            state: state.clone(),
            notifier: notifier.clone(),
        }
    }

    /// The process was asked to end.
    pub(super) fn begin(&self) {
        self.notifier.stopping();
        let state = self.state.clone();
        let started = thread::Builder::new().name("drain".into()).spawn(move || {
            thread::sleep(LIMIT);
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
