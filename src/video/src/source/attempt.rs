use std::{
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use super::{Source, SourceOptions, StopHandle};
use crate::{VideoError, mask_secrets};

/// How often a pause looks at the stop handle.
const POLL: Duration = Duration::from_millis(20);

/// Longest wait for a source to close.
const CLOSE: Duration = Duration::from_secs(1);

/// One attempt to open a source, in a thread of its own. Dropped, the thread ends as soon as the
/// source lets it.
#[derive(Debug)]
pub(super) struct Attempt {
    result: Receiver<Result<Source, VideoError>>,
    stop: StopHandle,
    name: String,
    /// Results that come earlier are held back.
    not_before: Option<Instant>,
}

impl Attempt {
    /// Closes `old`, pauses, then opens the source.
    pub(super) fn start(old: Option<Source>, pause: Duration, options: &SourceOptions) -> Self {
        let stop = StopHandle::default();
        let own = SourceOptions {
            stop: stop.clone(),
            ..options.clone()
        };
        let (sender, result) = mpsc::sync_channel(1);
        let failed = sender.clone();
        let spawned = thread::Builder::new()
            .name("tfjet-source".to_owned())
            .spawn(move || {
                drop(old);
                let end = Instant::now() + pause;
                while Instant::now() < end && !own.stop.is_stopped() {
                    thread::sleep(POLL.min(end.saturating_duration_since(Instant::now())));
                }
                if !own.stop.is_stopped() {
                    // Nobody waits for a source that was stopped meanwhile.
                    let _ = sender.send(Source::open(&own));
                }
            });
        let name = mask_secrets(&options.text);
        let mut not_before = None;
        if let Err(error) = spawned {
            not_before = Some(Instant::now() + pause);
            let error = VideoError::MissingDevice {
                device: name.clone(),
                reason: format!("no thread to open it: {error}"),
            };
            // The channel has room for one result.
            let _ = failed.send(Err(error));
        }
        Self {
            result,
            stop,
            name,
            not_before,
        }
    }

    /// The result, once it is there; waits at most `wait`.
    pub(super) fn wait(&mut self, wait: Duration) -> Option<Result<Source, VideoError>> {
        if let Some(early) = self.not_before
            && let Some(left) = early.checked_duration_since(Instant::now())
        {
            thread::sleep(left.min(wait));
            return None;
        }
        match self.result.recv_timeout(wait) {
            Ok(result) => {
                // The source is on its own from here.
                self.stop = StopHandle::default();
                Some(result)
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(VideoError::MissingDevice {
                device: self.name.clone(),
                reason: "it could not be opened".to_owned(),
            })),
        }
    }

    /// Closes a source, but does not wait long for one that hangs.
    pub(super) fn close(source: Source) {
        let name = source.name().to_owned();
        let (sender, closed) = mpsc::sync_channel::<()>(1);
        let spawned = thread::Builder::new()
            .name("tfjet-close".to_owned())
            .spawn(move || {
                drop(source);
                drop(sender);
            });
        if spawned.is_ok() && closed.recv_timeout(CLOSE) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!(source = name, "the source does not close");
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.stop.stop();
    }
}
