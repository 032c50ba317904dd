use std::collections::HashMap;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::ProgressEvent;

/// How far a build is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildProgress {
    /// What is being done, in TensorRT's words; `Building` where the version does not tell.
    pub phase: String,
    /// Steps of the phase that are done.
    pub step: u32,
    /// Steps of the phase; 0 where they are not known.
    pub steps: u32,
    /// Since the build began.
    pub elapsed: Duration,
}

/// How often a build that does not tell its progress is reported.
const TICK: Duration = Duration::from_secs(1);

/// Who is told, by one thread at a time.
pub(super) struct Listener<'p> {
    start: Instant,
    report: Mutex<&'p mut (dyn FnMut(BuildProgress) + Send)>,
}

impl<'p> Listener<'p> {
    pub(super) fn new(report: &'p mut (dyn FnMut(BuildProgress) + Send)) -> Self {
        Self {
            start: Instant::now(),
            report: Mutex::new(report),
        }
    }

    fn tell(&self, phase: &str, step: u32, steps: u32) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report(BuildProgress {
            phase: phase.into(),
            step,
            steps,
            elapsed: self.start.elapsed(),
        });
    }

    /// Takes the library's events; never cancels the build.
    pub(super) fn events<'a>(&'a self) -> Box<dyn FnMut(ProgressEvent<'_>) -> bool + Send + 'a> {
        let mut steps = HashMap::new();
        Box::new(move |event| {
            match event {
                ProgressEvent::Start {
                    phase, steps: all, ..
                } => {
                    steps.insert(phase.to_owned(), all);
                    self.tell(phase, 0, all);
                }
                ProgressEvent::Step { phase, step } => {
                    let all = steps.get(phase).copied().unwrap_or(0);
                    self.tell(phase, step.saturating_add(1), all);
                }
                ProgressEvent::Finish { phase } => {
                    steps.remove(phase);
                }
            }
            true
        })
    }

    /// Does `work`, and meanwhile tells from a thread how long it takes.
    pub(super) fn ticking<R>(&self, work: impl FnOnce() -> R) -> R {
        let (done, waiting) = channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                while waiting.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                    self.tell("Building", 0, 0);
                }
            });
            let result = work();
            drop(done);
            result
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_become_steps_of_their_phase() {
        let mut seen = Vec::new();
        let mut report = |progress: BuildProgress| {
            seen.push((progress.phase, progress.step, progress.steps));
        };
        let listener = Listener::new(&mut report);
        let mut events = listener.events();
        let start = |phase, steps| ProgressEvent::Start {
            phase,
            parent: None,
            steps,
        };
        assert!(events(start("a", 3)));
        assert!(events(start("b", 2)));
        assert!(events(ProgressEvent::Step {
            phase: "b",
            step: 1
        }));
        assert!(events(ProgressEvent::Finish { phase: "b" }));
        assert!(events(ProgressEvent::Step {
            phase: "a",
            step: 0
        }));
        drop(events);
        let expected = [("a", 0, 3), ("b", 0, 2), ("b", 2, 2), ("a", 1, 3)];
        assert_eq!(
            seen,
            expected.map(|(phase, step, steps)| (phase.to_owned(), step, steps))
        );
    }
}
