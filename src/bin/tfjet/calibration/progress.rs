//! How far a long piece of work is, on the standard error.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How often the line changes in a terminal, and how often there is a new one elsewhere.
const IN_TERMINAL: Duration = Duration::from_millis(200);
const ELSEWHERE: Duration = Duration::from_secs(20);

/// One line that says how much is done and how long the rest takes: over and over in a terminal,
/// else now and then, and not at all where the work is short.
pub(crate) struct Progress {
    what: String,
    total: usize,
    begin: Instant,
    shown: Instant,
    terminal: bool,
    width: usize,
}

impl Progress {
    /// Work of `total` steps.
    pub(crate) fn new(what: impl Into<String>, total: usize) -> Self {
        let now = Instant::now();
        Self {
            what: what.into(),
            total,
            begin: now,
            shown: now,
            terminal: std::io::stderr().is_terminal(),
            width: 0,
        }
    }

    /// `done` steps are done.
    pub(crate) fn show(&mut self, done: usize) {
        let pause = match self.terminal {
            true => IN_TERMINAL,
            false => ELSEWHERE,
        };
        if self.shown.elapsed() < pause {
            return;
        }
        self.shown = Instant::now();
        let line = line(&self.what, done, self.total, self.begin.elapsed());
        let mut out = std::io::stderr();
        let _ = match self.terminal {
            true => write!(out, "\r{line:<width$}", width = self.width),
            false => writeln!(out, "{line}"),
        };
        self.width = line.chars().count();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.terminal && self.width > 0 {
            let mut out = std::io::stderr();
            let _ = write!(out, "\r{:width$}\r", "", width = self.width);
        }
    }
}

fn line(what: &str, done: usize, total: usize, elapsed: Duration) -> String {
    let left = match done {
        0 => String::new(),
        done => {
            let each = elapsed.as_secs_f64() / done as f64;
            format!(
                ", {} left",
                duration(each * total.saturating_sub(done) as f64)
            )
        }
    };
    format!("{what}: {done} of {total}{left}")
}

/// Seconds for people.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_as_long_for_each_step_as_what_is_done() {
        let at = |done| line("calibrating", done, 40, Duration::from_secs(30));
        assert_eq!(at(0), "calibrating: 0 of 40");
        assert_eq!(at(10), "calibrating: 10 of 40, 2 min left");
        assert_eq!(at(30), "calibrating: 30 of 40, 10 s left");
        assert_eq!(at(41), "calibrating: 41 of 40, 0 s left");
        assert_eq!(duration(7200.0), "2.0 h");
    }
}
