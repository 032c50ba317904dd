use std::path::PathBuf;

use clap::Args;
use tfjet::convert::{Estimate, Lowered, Report, lower_file, svg};
use tfjet::core::{EngineKind, Target};
use tfjet::exit::Usage;

use super::model::{ModelArgs, at, format_name, known};
use super::{print, write_file};

/// Show what would run in an engine, what would not, and why
///
/// With the target of a board also what its TensorRT refuses, and an estimate of the time of a
/// frame and of the memory. The estimate is a roofline, nothing is measured; docs/boards.md
/// compares it with published numbers.
#[derive(Debug, Args)]
pub(crate) struct Cmd {
    #[command(flatten)]
    model: ModelArgs,
    /// Estimate for this power mode of the target, see `tfjet targets NAME` [default: its fastest]
    #[arg(long, value_name = "MODE")]
    power_mode: Option<String>,
    /// Write the report as JSON to FILE, or to the standard output and nothing else there
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    json: Option<Option<PathBuf>>,
    /// Write one line per source node
    #[arg(long, value_name = "FILE", require_equals = true)]
    csv: Option<PathBuf>,
    /// Draw the graph, segments coloured
    #[arg(long, value_name = "FILE", require_equals = true)]
    svg: Option<PathBuf>,
}

impl Cmd {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let path = &self.model.model;
        let known = known(path);
        let options = self.model.graph.options(known.as_ref())?;
        let lowered = lower_file(path, &options).map_err(at(path))?;
        let target = &options.partition.target;
        let mut report = Report::new(&lowered, &options.partition);
        if let Some(estimate) = self.estimate(&lowered, target)? {
            report.add_board(&lowered, &options.partition, estimate);
        }
        if let Some(file) = &self.csv {
            write_file(file, report.to_csv().as_bytes())?;
        }
        if let Some(file) = &self.svg {
            write_file(file, svg(&lowered).as_bytes())?;
        }
        let json = report.to_json() + "\n";
        match &self.json {
            Some(None) => print(&json)?,
            Some(Some(file)) => {
                write_file(file, json.as_bytes())?;
                self.text(&report, &lowered, target)?;
            }
            None => self.text(&report, &lowered, target)?,
        }
        Ok(tfjet::exit::GOOD)
    }

    /// None where ONNX Runtime runs the segments: of a CPU nothing is known.
    fn estimate(&self, lowered: &Lowered, target: &Target) -> anyhow::Result<Option<Estimate>> {
        let mode = self.power_mode.as_deref();
        if target.engine == EngineKind::Cpu && mode.is_none() {
            return Ok(None);
        }
        match Estimate::new(lowered, target, mode) {
            Ok(estimate) => Ok(Some(estimate)),
            Err(unknown) => Err(Usage(unknown.to_string()).into()),
        }
    }

    fn text(&self, report: &Report, lowered: &Lowered, target: &Target) -> anyhow::Result<()> {
        let path = self.model.model.display().to_string();
        let mut text = report.to_text(&path, &format_name(lowered.format));
        if let Some(board) = &report.board {
            text.push_str(&board.estimate.to_text(target));
        }
        print(&text)
    }
}
