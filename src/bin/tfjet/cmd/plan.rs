use std::path::PathBuf;

use clap::Args;
use tfjet::convert::{Report, lower_file, svg};

use super::model::{ModelArgs, at, format_name, known};
use super::{print, write_file};

/// Show what would run in an engine, what would not, and why
#[derive(Debug, Args)]
pub(crate) struct Cmd {
    #[command(flatten)]
    model: ModelArgs,
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
        let report = Report::new(&lowered, &options.partition);
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
                self.text(&report, &lowered)?;
            }
            None => self.text(&report, &lowered)?,
        }
        Ok(tfjet::exit::GOOD)
    }

    fn text(&self, report: &Report, lowered: &tfjet::convert::Lowered) -> anyhow::Result<()> {
        let path = self.model.model.display().to_string();
        print(&report.to_text(&path, &format_name(lowered.format)))
    }
}
