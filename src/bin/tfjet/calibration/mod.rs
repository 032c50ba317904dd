//! Which numbers a model's layers compute in, and what that costs: samples, calibration, the
//! ranking of layers, and the search for the fewest that must stay in floats.

mod collect;
mod cpu;
mod evaluate;
mod flags;
mod numbers;
mod probe;
mod progress;
mod samples;
mod search;
mod sensitivity;

pub(crate) use collect::{Collected, collect, list};
pub(crate) use cpu::{Cpu, CpuArgs, in_memory};
pub(crate) use evaluate::{Evaluation, Question, detections, emulated, score_rows};
pub(crate) use flags::{PrecisionArgs, parse_count, parse_percent};
pub(crate) use numbers::Numbers;
pub(crate) use probe::Probe;
pub(crate) use progress::Progress;
pub(crate) use samples::{FEW, SampleArgs, Samples, Unreadable, floats};
pub(crate) use sensitivity::{Ranked, Weighted, rank};
