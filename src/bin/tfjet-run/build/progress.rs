//! How a build goes: what its process says, and where that is told.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// How often the line on a terminal changes.
const REDRAW: Duration = Duration::from_millis(250);
/// How often a line appears where there is no terminal.
const REPORT: Duration = Duration::from_secs(30);

/// What the building process prints, one JSON object a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Message {
    /// How far it is.
    Progress {
        /// The library's name of the phase.
        phase: String,
        /// Steps done.
        step: u32,
        /// Steps in the phase; 0 where unknown.
        steps: u32,
    },
    /// Why it ends without an engine.
    Error {
        /// One line.
        text: String,
        /// Its exit code.
        code: u8,
    },
}

/// How one segment's build goes.
pub(crate) struct Progress {
    title: String,
    begin: Instant,
    drawn: Instant,
    phase: Option<Phase>,
    place: Place,
}

/// Where it is told.
enum Place {
    /// On a line of a terminal that is drawn over.
    Terminal,
    /// On lines of the standard error.
    Lines,
    /// In a text that others read.
    Shared(SharedProgress),
}

/// How a build goes, for other threads; empty where none runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedProgress(Arc<Mutex<String>>);

impl SharedProgress {
    pub(crate) fn text(&self) -> String {
        self.lock().clone()
    }

    pub(crate) fn set(&self, text: &str) {
        text.clone_into(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        // Each change leaves the text whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Phase {
    name: String,
    step: u32,
    steps: u32,
    begin: Instant,
}

impl Progress {
    /// On the standard error. Begins, and says so where that is no terminal.
    pub(crate) fn shown(title: String) -> Self {
        if std::io::stderr().is_terminal() {
            return Self::new(title, Place::Terminal);
        }
        let _ = writeln!(std::io::stderr(), "{title}");
        Self::new(title, Place::Lines)
    }

    /// In a text that others read.
    pub(crate) fn shared(title: String, shared: SharedProgress) -> Self {
        shared.set(&title);
        Self::new(title, Place::Shared(shared))
    }

    /// Nowhere.
    #[cfg(test)]
    pub(crate) fn quiet() -> Self {
        Self::shared(String::new(), SharedProgress::default())
    }

    fn new(title: String, place: Place) -> Self {
        let begin = Instant::now();
        Self {
            title,
            begin,
            drawn: begin,
            phase: None,
            place,
        }
    }

    /// Takes note of what the building process said.
    pub(super) fn update(&mut self, name: &str, step: u32, steps: u32) {
        match &mut self.phase {
            Some(phase) if phase.name == name && phase.step <= step => {
                (phase.step, phase.steps) = (step, steps);
            }
            phase => {
                *phase = Some(Phase {
                    name: name.into(),
                    step,
                    steps,
                    begin: Instant::now(),
                });
            }
        }
    }

    /// Tells it again when it is time to.
    pub(super) fn draw(&mut self) {
        let pause = match self.place {
            Place::Terminal | Place::Shared(_) => REDRAW,
            Place::Lines => REPORT,
        };
        if self.drawn.elapsed() < pause {
            return;
        }
        self.drawn = Instant::now();
        let phase = self
            .phase
            .as_ref()
            .map(|it| describe(it, it.begin.elapsed()));
        let line = format!(
            "{}: {} s{}",
            self.title,
            self.begin.elapsed().as_secs(),
            phase.unwrap_or_default()
        );
        let mut stderr = std::io::stderr();
        let _ = match &self.place {
            Place::Terminal => write!(stderr, "\r\x1b[K{line}").and_then(|()| stderr.flush()),
            Place::Lines => writeln!(stderr, "{line}"),
            Place::Shared(shared) => {
                shared.set(&line);
                Ok(())
            }
        };
    }

    /// Takes the line away, and gives the time since the begin.
    pub(super) fn end(self) -> Duration {
        match &self.place {
            Place::Terminal => {
                let _ = write!(std::io::stderr(), "\r\x1b[K");
            }
            Place::Lines => {}
            Place::Shared(shared) => shared.set(""),
        }
        self.begin.elapsed()
    }
}

/// The phase with its steps, and how long the rest of them takes at this pace.
fn describe(phase: &Phase, elapsed: Duration) -> String {
    let Phase {
        name, step, steps, ..
    } = phase;
    if *steps == 0 {
        return format!(", {name}");
    }
    let rest = match (*step, steps.checked_sub(*step)) {
        (0, _) | (_, None | Some(0)) => String::new(),
        (step, Some(left)) => {
            let seconds = elapsed.as_secs_f64() / f64::from(step) * f64::from(left);
            format!(", about {seconds:.0} s left in it")
        }
    };
    format!(", {name} {step}/{steps}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_only_what_the_library_counts() {
        for (step, steps, expected) in [
            (0, 0, ", tactics"),
            (0, 8, ", tactics 0/8"),
            (2, 8, ", tactics 2/8, about 30 s left in it"),
            (8, 8, ", tactics 8/8"),
            (9, 8, ", tactics 9/8"),
        ] {
            let phase = Phase {
                name: "tactics".into(),
                step,
                steps,
                begin: Instant::now(),
            };
            assert_eq!(describe(&phase, Duration::from_secs(10)), expected);
        }
    }

    #[test]
    fn a_shared_text_has_the_phase_and_is_empty_in_the_end() {
        let shared = SharedProgress::default();
        let mut progress = Progress::shared("building".into(), shared.clone());
        assert_eq!(shared.text(), "building");
        progress.update("tactics", 0, 8);
        progress.drawn -= REDRAW;
        progress.draw();
        assert_eq!(shared.text(), "building: 0 s, tactics 0/8");
        progress.update("tactics", 1, 8);
        progress.draw();
        assert_eq!(shared.text(), "building: 0 s, tactics 0/8");
        progress.end();
        assert_eq!(shared.text(), "");
    }

    #[test]
    fn messages_are_one_line_of_json() {
        let message = Message::Error {
            text: "no\nway".into(),
            code: 4,
        };
        let line = serde_json::to_string(&message).unwrap();
        assert_eq!(line, r#"{"error":{"text":"no\nway","code":4}}"#);
        assert_eq!(serde_json::from_str::<Message>(&line).unwrap(), message);
    }
}
