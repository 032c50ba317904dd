use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use tfjet::convert::calibrate::Method;
use tfjet::convert::{Report, emit, lower_file};

use super::convert::model_name;
use super::model::{ModelArgs, at, known};
use super::task::TaskArgs;
use super::{print, write_file};
use crate::calibration::{Collected, CpuArgs, SampleArgs, Unreadable, collect, in_memory};

/// Release of TensorRT whose name a cache gets, as JetPack 5 has it.
const TENSORRT: u32 = 8502;

/// Find the ranges of a model's activations, for INT8
///
/// Runs the model in FP32 over images, prepared as the bundle's will be, or over arrays, and writes
/// the ranges of all tensors as a table for `tfjet convert --precision int8 --calibration TABLE`.
/// The table is text and fits every target. Pre-processing flags are those of `convert`.
#[derive(Debug, Args)]
pub(crate) struct Cmd {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    samples: SampleArgs,
    /// The table to write [default: MODEL.calibration in the current folder]
    #[arg(short, long, value_name = "TABLE")]
    out: Option<PathBuf>,
    /// How a range is chosen from the values: entropy, percentile:99.99, min-max or mse
    #[arg(long, value_name = "METHOD", default_value = "entropy")]
    method: Method,
    #[command(flatten)]
    task: TaskArgs,
    /// Also write the ranges as TensorRT's calibration cache
    #[arg(long, value_name = "FILE")]
    write_tensorrt_cache: Option<PathBuf>,
    #[command(flatten)]
    cpu: CpuArgs,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Summary {
    model: String,
    fingerprint: String,
    method: String,
    /// Where files came from, how many were run, and of how many they were picked.
    #[serde(skip)]
    folder: PathBuf,
    samples: usize,
    found: usize,
    unreadable: Vec<Unreadable>,
    tensors: usize,
    /// Tensors that have a range.
    ranges: usize,
    warnings: Vec<String>,
    table: PathBuf,
    tensorrt_cache: Option<PathBuf>,
}

impl Cmd {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let path = &self.model.model;
        let known = known(path);
        let mut options = self.model.graph.options(known.as_ref())?;
        options.take_ranges = true;
        let task = self.task.apply(self.model.graph.task(known.as_ref()))?;
        let name = known.map_or_else(|| model_name(path), |entry| entry.name);
        let lowered = lower_file(path, &options).map_err(at(path))?;
        let report = Report::new(&lowered, &options.partition);
        let writer = emit(lowered.clone(), &name, &task, &report).map_err(at(path))?;
        let bundle = in_memory(&writer)?;
        let mut samples = self.samples.open(&bundle.manifest()?)?;
        let cpu = self.cpu.load()?;
        let Collected { table, warnings } =
            collect(&cpu, &bundle, &lowered, &name, &mut samples, self.method)
                .with_context(|| path.display().to_string())?;
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        let out = self
            .out
            .unwrap_or_else(|| format!("{name}.calibration").into());
        write_file(&out, table.to_text().as_bytes())?;
        if let Some(file) = &self.write_tensorrt_cache {
            write_file(file, table.to_tensorrt_cache(TENSORRT).as_bytes())?;
        }
        let summary = Summary {
            model: name,
            fingerprint: table.model,
            method: table.method,
            folder: samples.folder().into(),
            samples: table.samples,
            found: samples.found(),
            unreadable: samples.unreadable(),
            tensors: table.tensors.len(),
            ranges: table
                .tensors
                .values()
                .filter(|it| it.range.is_some())
                .count(),
            warnings,
            table: out,
            tensorrt_cache: self.write_tensorrt_cache,
        };
        print(&match self.json {
            true => serde_json::to_string(&summary)? + "\n",
            false => summary.text(),
        })?;
        Ok(tfjet::exit::GOOD)
    }
}

impl Summary {
    fn text(&self) -> String {
        let mut text = format!(
            "model      {} ({})\nsamples    {} of {} files in {}",
            self.model,
            self.fingerprint,
            self.samples,
            self.found,
            self.folder.display()
        );
        if !self.unreadable.is_empty() {
            text += &format!(", {} cannot be read", self.unreadable.len());
        }
        text += &format!(
            "\nranges     {} of {} tensors, {}\n",
            self.ranges, self.tensors, self.method
        );
        text += &format!("wrote      {}\n", self.table.display());
        if let Some(file) = &self.tensorrt_cache {
            text += &format!(
                "wrote      {}, TensorRT's calibration cache\n",
                file.display()
            );
        }
        text
    }
}
