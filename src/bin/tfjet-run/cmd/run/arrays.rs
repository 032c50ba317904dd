//! A bundle over the arrays of a file, or of all files of a folder.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::Serialize;
use tfjet::core::{Tensor, TensorView};
use tfjet::exit::Usage;
use tfjet::runtime::{CacheCounters, Model, read_npz, write_npz};

use super::memory::peak_mib;
use super::{Cmd, millis};
use crate::backend::{BackendSummary, Opened, counters_text};

#[derive(Serialize)]
struct Measured {
    model: String,
    #[serde(flatten)]
    backend: BackendSummary,
    /// Files, where a folder was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<usize>,
    runs: usize,
    /// From the start of `main` to a loaded model.
    load_ms: f64,
    /// From the start of `main` to the first outputs.
    first_result_ms: f64,
    /// Of the runs of a file after its first; of the first where there is no other.
    median_ms: f64,
    p99_ms: f64,
    peak_rss_mib: Option<f64>,
    /// What the model did for shapes that came, with `--dynamic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    engine_cache: Option<CacheCounters>,
}

/// Files of arrays, and where the outputs go.
struct Files {
    /// For each file of inputs that of its outputs.
    list: Vec<(PathBuf, Option<PathBuf>)>,
    is_folder: bool,
}

impl Files {
    fn new(inputs: &Path, outputs: Option<&Path>) -> anyhow::Result<Self> {
        if !inputs.is_dir() {
            return Ok(Self {
                list: vec![(inputs.into(), outputs.map(Path::to_path_buf))],
                is_folder: false,
            });
        }
        let entries = std::fs::read_dir(inputs).and_then(|entries| {
            let paths = entries.map(|entry| Ok(entry?.path()));
            paths.collect::<std::io::Result<Vec<PathBuf>>>()
        });
        let mut paths = entries.with_context(|| inputs.display().to_string())?;
        paths.retain(|path| path.is_file() && path.extension().is_some_and(|it| it == "npz"));
        paths.sort();
        if paths.is_empty() {
            bail!("{}: no .npz file", inputs.display());
        }
        if let Some(folder) = outputs {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        let output = |input: &Path| Some(outputs?.join(input.file_name()?));
        Ok(Self {
            list: paths
                .into_iter()
                .map(|input| (input.clone(), output(&input)))
                .collect(),
            is_folder: true,
        })
    }

    /// An output that would replace an input is a slip.
    fn refuse_same(&self, bundle: &Path) -> anyhow::Result<()> {
        let place = |path: &Path| path.canonicalize().ok();
        for (input, output) in &self.list {
            let Some(output) = output.as_deref().and_then(place) else {
                continue;
            };
            let mut inputs = [input, bundle].into_iter();
            if let Some(input) = inputs.find(|input| place(input).as_ref() == Some(&output)) {
                bail!(Usage(format!(
                    "--outputs would replace its input {}",
                    input.display()
                )));
            }
        }
        Ok(())
    }
}

pub(super) fn run(cmd: &Cmd, inputs: &Path, opened: Opened, start: Instant) -> anyhow::Result<()> {
    let load = start.elapsed();
    let Opened { mut model, backend } = opened;
    let files = Files::new(inputs, cmd.outputs.as_deref())?;
    files.refuse_same(&cmd.bundle)?;
    let mut first = None;
    let mut times = Vec::new();
    for (input, output) in &files.list {
        let arrays = tfjet::arrays::inputs(&model.manifest().inputs, read_npz(input)?)
            .with_context(|| input.display().to_string())?;
        let views: Vec<TensorView<'_>> = arrays.iter().map(Tensor::view).collect();
        let measured = measure(&mut model, &views, cmd.repeat, || {
            first.get_or_insert_with(|| start.elapsed());
        });
        let measured = match files.is_folder {
            true => measured.with_context(|| input.display().to_string()),
            false => measured,
        };
        times.extend(measured?);
        if let Some(path) = output {
            let outputs = model.run(&views)?;
            let arrays: Vec<(String, TensorView<'_>)> = outputs
                .iter()
                .map(|(spec, view)| (format!("out:{}", spec.name), view))
                .collect();
            write_npz(path, &arrays)?;
        }
    }
    times.sort_unstable();
    let at = |part: f64| -> Duration {
        let index = (times.len().saturating_sub(1) as f64 * part).round() as usize;
        times.get(index).copied().unwrap_or_default()
    };
    let measured = Measured {
        model: model.manifest().model.clone(),
        backend,
        files: files.is_folder.then_some(files.list.len()),
        runs: files.list.len() * cmd.repeat as usize,
        load_ms: millis(load),
        first_result_ms: millis(first.unwrap_or_default()),
        median_ms: millis(at(0.5)),
        p99_ms: millis(at(0.99)),
        peak_rss_mib: peak_mib(),
        engine_cache: model.counters(),
    };
    let text = match cmd.json {
        true => serde_json::to_string(&measured)?,
        false => measured.text(),
    };
    writeln!(std::io::stdout(), "{text}").context("standard output")
}

/// Runs `repeat` times and calls `ran` after the first. Gives the times of all but the first run,
/// or of that where there is no other.
fn measure(
    model: &mut Model,
    views: &[TensorView<'_>],
    repeat: u32,
    ran: impl FnOnce(),
) -> anyhow::Result<Vec<Duration>> {
    let before = Instant::now();
    model.run(views)?;
    let mut times = vec![before.elapsed()];
    ran();
    if repeat > 1 {
        times.clear();
    }
    for _ in 1..repeat {
        let before = Instant::now();
        model.run(views)?;
        times.push(before.elapsed());
    }
    Ok(times)
}

impl Measured {
    fn text(&self) -> String {
        let files = self
            .files
            .map_or_else(String::new, |files| format!(" of {files} files"));
        let mut text = format!(
            "{}: {} runs{files} on {}, median {:.2} ms, p99 {:.2} ms, loaded in {:.0} ms, first \
             result after {:.0} ms",
            self.model,
            self.runs,
            self.backend.text(),
            self.median_ms,
            self.p99_ms,
            self.load_ms,
            self.first_result_ms
        );
        if let Some(counters) = &self.engine_cache {
            text += "\nshapes: ";
            text += &counters_text(counters);
        }
        text
    }
}
