//! A bundle over the arrays of a file.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::Serialize;
use tfjet::core::{Tensor, TensorView};
use tfjet::exit::Usage;
use tfjet::runtime::{read_npz, write_npz};

use super::memory::peak_mib;
use super::{Cmd, millis};
use crate::backend::{BackendSummary, Opened};

#[derive(Serialize)]
struct Measured {
    model: String,
    #[serde(flatten)]
    backend: BackendSummary,
    runs: u32,
    /// From the start of `main` to a loaded session.
    load_ms: f64,
    /// From the start of `main` to the first outputs.
    first_result_ms: f64,
    /// Of the runs after the first; of the first where there is no other.
    median_ms: f64,
    p99_ms: f64,
    peak_rss_mib: Option<f64>,
}

/// An output that would replace an input is a slip.
fn refuse_same(output: &Path, inputs: &[&Path]) -> anyhow::Result<()> {
    let place = |path: &Path| path.canonicalize().ok();
    if let Some(input) = inputs
        .iter()
        .find(|input| place(output).is_some_and(|o| place(input) == Some(o)))
    {
        bail!(Usage(format!(
            "--outputs would replace its input {}",
            input.display()
        )));
    }
    Ok(())
}

pub(super) fn run(cmd: &Cmd, file: &Path, opened: Opened, start: Instant) -> anyhow::Result<()> {
    let load = start.elapsed();
    let Opened {
        mut session,
        backend,
    } = opened;
    if let Some(outputs) = &cmd.outputs {
        refuse_same(outputs, &[file, &cmd.bundle])?;
    }
    let inputs = tfjet::arrays::inputs(&session.manifest().inputs, read_npz(file)?)
        .with_context(|| file.display().to_string())?;
    let views: Vec<TensorView<'_>> = inputs.iter().map(Tensor::view).collect();
    let before = Instant::now();
    session.run(&views)?;
    let mut times = vec![before.elapsed()];
    let first = start.elapsed();
    if cmd.repeat > 1 {
        times.clear();
    }
    for _ in 1..cmd.repeat {
        let before = Instant::now();
        session.run(&views)?;
        times.push(before.elapsed());
    }
    times.sort_unstable();
    let at = |part: f64| -> Duration {
        let index = ((times.len() - 1) as f64 * part).round() as usize;
        times.get(index).copied().unwrap_or_default()
    };
    let measured = Measured {
        model: session.manifest().model.clone(),
        backend,
        runs: cmd.repeat,
        load_ms: millis(load),
        first_result_ms: millis(first),
        median_ms: millis(at(0.5)),
        p99_ms: millis(at(0.99)),
        peak_rss_mib: peak_mib(),
    };
    if let Some(path) = &cmd.outputs {
        let outputs = session.run(&views)?;
        let arrays: Vec<(String, TensorView<'_>)> = outputs
            .iter()
            .map(|(spec, view)| (format!("out:{}", spec.name), view))
            .collect();
        write_npz(path, &arrays)?;
    }
    let text = if cmd.json {
        serde_json::to_string(&measured)?
    } else {
        format!(
            "{}: {} runs on {}, median {:.2} ms, p99 {:.2} ms, loaded in {:.0} ms, first result \
             after {:.0} ms",
            measured.model,
            measured.runs,
            measured.backend.text(),
            measured.median_ms,
            measured.p99_ms,
            measured.load_ms,
            measured.first_result_ms
        )
    };
    writeln!(std::io::stdout(), "{text}").context("standard output")
}
