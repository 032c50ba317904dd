//! How a build goes, on the standard error.

use std::io::{IsTerminal as _, Write as _};
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

/// The line of one segment's build.
pub(super) struct Progress {
    title: String,
    begin: Instant,
    drawn: Instant,
    phase: Option<Phase>,
    terminal: bool,
}

struct Phase {
    name: String,
    step: u32,
    steps: u32,
    begin: Instant,
}

impl Progress {
    /// Begins, and says so where there is no terminal.
    pub(super) fn begin(title: String) -> Self {
        let terminal = std::io::stderr().is_terminal();
        if !terminal {
            let _ = writeln!(std::io::stderr(), "{title}");
        }
        let begin = Instant::now();
        Self {
            title,
            begin,
            drawn: begin,
            phase: None,
            terminal,
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

    /// Draws the line again when it is time to.
    pub(super) fn draw(&mut self) {
        let pause = if self.terminal { REDRAW } else { REPORT };
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
        let _ = match self.terminal {
            true => write!(stderr, "\r\x1b[K{line}").and_then(|()| stderr.flush()),
            false => writeln!(stderr, "{line}"),
        };
    }

    /// Takes the line away, and gives the time since the begin.
    pub(super) fn end(self) -> Duration {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
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
