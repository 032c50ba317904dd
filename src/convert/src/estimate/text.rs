//! The estimate for a terminal.

use std::fmt::Write as _;

use tfjet_core::{Precision, Target};

use super::{Board, Estimate, Kernel};

/// How many of the longest kernels are named.
const LONGEST: usize = 3;

impl Estimate {
    /// Lines for a terminal.
    pub fn to_text(&self, target: &Target) -> String {
        let mut text = String::new();
        let mode = self
            .power_mode
            .as_ref()
            .map_or_else(String::new, |mode| format!(" in power mode {}", mode.name));
        let _ = match &self.without_times {
            Some(reason) => writeln!(text, "estimate   none: {reason}"),
            None => writeln!(
                text,
                "estimate   {}{mode}; not measured, docs/boards.md says how far off it can be",
                match self.batch {
                    1 => "one frame".into(),
                    batch => format!("a batch of {batch}"),
                }
            ),
        };
        for frame in &self.frames {
            let _ = writeln!(
                text,
                "  {:<8} {:.1} ms, {:.1} frames/s: arithmetic {:.1} ms, memory {:.1} ms, {} launches {:.1} ms",
                frame.precision.to_string(),
                frame.ms,
                1e3 * self.batch as f64 / frame.ms,
                frame.arithmetic_ms,
                frame.memory_ms,
                self.kernels.len(),
                frame.launch_ms,
            );
        }
        if let Some(frame) = self.frames.iter().min_by(|a, b| a.ms.total_cmp(&b.ms)) {
            let longest = self.longest(target, frame.precision);
            let longest: Vec<String> = longest
                .into_iter()
                .map(|(kernel, ms)| format!("`{}` ({}) {ms:.2} ms", kernel.name, kernel.kind))
                .collect();
            let _ = writeln!(
                text,
                "  longest  in {}: {}",
                frame.precision,
                longest.join(", ")
            );
            if self.inside < 0.9995 {
                let _ = writeln!(
                    text,
                    "  not in it: ops outside the segments, {:.1} % of the operations",
                    100.0 * (1.0 - self.inside)
                );
            }
        }
        let board = match self.memory_of_target {
            Some(bytes) => format!(" of {}", mib(bytes)),
            None => String::new(),
        };
        let _ = writeln!(
            text,
            "memory    {board} estimated; not in it: the system, CUDA, TensorRT, ops outside the segments"
        );
        for memory in &self.memory {
            let _ = writeln!(
                text,
                "  {:<8} {}{}: weights {}, {}; while building {}{}",
                memory.precision.to_string(),
                mib(memory.running),
                self.share(memory.running),
                mib(memory.weights),
                match self.open {
                    true => "and what the open sizes add".into(),
                    false => format!(
                        "activations {}, inputs and outputs {}",
                        mib(memory.activations),
                        mib(memory.buffers)
                    ),
                },
                mib(memory.building),
                self.share(memory.building),
            );
        }
        text
    }

    /// ` (1.3 %)`, and a word where that is too much.
    fn share(&self, bytes: u64) -> String {
        match self.memory_of_target {
            None => String::new(),
            Some(all) if bytes > all => " (DOES NOT FIT)".into(),
            Some(all) => format!(" ({:.1} %)", 100.0 * bytes as f64 / all as f64),
        }
    }

    fn longest(&self, target: &Target, precision: Precision) -> Vec<(&Kernel, f64)> {
        let Ok(board) = Board::new(target, self.power_mode.as_ref()) else {
            return Vec::new();
        };
        let mut times: Vec<(&Kernel, f64)> = self
            .kernels
            .iter()
            .filter_map(|kernel| {
                let (arithmetic, memory) = board.kernel_ms(kernel, precision)?;
                Some((kernel, arithmetic.max(memory)))
            })
            .collect();
        times.sort_by(|a, b| b.1.total_cmp(&a.1));
        times.truncate(LONGEST);
        times
    }
}

fn mib(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    match mib {
        mib if mib < 10.0 => format!("{mib:.1} MiB"),
        mib if mib < 10240.0 => format!("{mib:.0} MiB"),
        mib => format!("{:.0} GiB", mib / 1024.0),
    }
}
