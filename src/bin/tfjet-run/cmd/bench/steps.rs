//! How long each step of the schedule takes, those of loops and conditions under their own.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use tfjet::core::{Step, TensorView};
use tfjet::runtime::Session;

/// One step of the schedule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct StepRow {
    /// The function that it is a step of.
    function: Option<String>,
    /// Index among that function's steps, or the schedule's own.
    index: usize,
    /// Number of functions around it.
    depth: usize,
    /// `engine N`, or op and node.
    what: String,
    /// Of a run of the model: all runs of the step together, with those of its functions' steps.
    ms: f64,
    /// In the latest run of the model.
    runs: u64,
    /// Of a loop, in the latest run of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    passes: Option<u64>,
    /// The block on the GPU that it is part of. Its time stands with the block's first step.
    #[serde(skip_serializing_if = "Option::is_none")]
    block: Option<usize>,
}

impl StepRow {
    /// The steps of a schedule, each with its mean time over some runs.
    pub(super) fn measure(
        session: &mut Session,
        views: &[TensorView<'_>],
    ) -> anyhow::Result<Vec<Self>> {
        const RUNS: u32 = 20;
        let mut sums: Vec<Duration> = vec![Duration::ZERO; session.step_timings().len()];
        for _ in 0..RUNS {
            session.run(views)?;
            for (sum, timing) in sums.iter_mut().zip(session.step_timings()) {
                *sum += timing.duration;
            }
        }
        let timings: Vec<_> = session.step_timings().collect();
        let schedule = session.schedule();
        let rows = schedule.walk().into_iter().filter_map(|placed| {
            let timing = timings.get(placed.position)?;
            let function = placed.function.and_then(|id| schedule.function(id));
            Some(Self {
                function: function.map(|function| function.name.clone()),
                index: placed.index,
                depth: placed.depth,
                what: match placed.step {
                    Step::Engine { segment, .. } => format!("engine {segment}"),
                    step => format!("{} {}", step.kind(), step.node().unwrap_or_default()),
                },
                ms: sums.get(placed.position)?.as_secs_f64() * 1e3 / f64::from(RUNS),
                runs: timing.runs,
                passes: matches!(placed.step, Step::While { .. }).then_some(timing.passes),
                block: timing.block,
            })
        });
        Ok(rows.collect())
    }

    fn write(&self, to: &mut String) -> std::fmt::Result {
        write!(
            to,
            "  {:>9.4} ms {:>8} {:indent$}{} {}",
            self.ms,
            match self.runs {
                1 => String::new(),
                runs => format!("{runs} x"),
            },
            "",
            self.index,
            self.what,
            indent = 2 * self.depth
        )?;
        if let Some(passes) = self.passes {
            write!(to, ", {passes} passes")?;
        }
        if let Some(block) = self.block {
            write!(to, ", block {block} on the GPU")?;
        }
        writeln!(to)
    }
}

/// A line for each step.
pub(super) fn write(rows: &[StepRow], to: &mut String) -> std::fmt::Result {
    let own = rows.iter().filter(|row| row.depth == 0);
    let total: f64 = own.map(|row| row.ms).sum();
    writeln!(to, "{} steps, {total:.3} ms", rows.len())?;
    rows.iter().try_for_each(|row| row.write(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_functions_stand_under_their_own() {
        let row = |depth: usize, what: &str, ms, runs| StepRow {
            function: (depth > 0).then(|| "body".to_owned()),
            index: 3,
            depth,
            what: what.into(),
            ms,
            runs,
            passes: what.starts_with("While").then_some(4),
            block: what.starts_with("engine").then_some(0),
        };
        let rows = [row(0, "While loop", 1.5, 1), row(1, "engine 0", 1.25, 4)];
        let mut text = String::new();
        write(&rows, &mut text).unwrap();
        let expected = "2 steps, 1.500 ms\n     1.5000 ms          3 While loop, 4 passes\n     \
                        1.2500 ms      4 x   3 engine 0, block 0 on the GPU\n";
        assert_eq!(text, expected);
    }
}
