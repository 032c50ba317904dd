use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tfjet::bundle::Bundle;

use super::print;

/// Check every byte of a bundle
#[derive(Debug, Args)]
pub(crate) struct Cmd {
    bundle: PathBuf,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Verified {
    sections: usize,
    targets: usize,
    segments: usize,
    steps: usize,
    functions: usize,
    weights: usize,
    engines: usize,
    len_bytes: usize,
}

impl Cmd {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let report = Bundle::open(&self.bundle)?.verify()?;
        let verified = Verified {
            sections: report.sections,
            targets: report.targets,
            segments: report.segments,
            steps: report.steps,
            functions: report.functions,
            weights: report.weights,
            engines: report.engines,
            len_bytes: report.len_bytes,
        };
        if self.json {
            print(&(serde_json::to_string(&verified)? + "\n"))?;
        } else {
            print(&format!(
                "{}: good; {} sections, {}{} segments, {} steps{}, {} weights, {} engines, {} bytes\n",
                self.bundle.display(),
                verified.sections,
                match verified.targets {
                    1 => String::new(),
                    targets => format!("{targets} targets, "),
                },
                verified.segments,
                verified.steps,
                match verified.functions {
                    0 => String::new(),
                    functions => format!(" with {functions} functions"),
                },
                verified.weights,
                verified.engines,
                verified.len_bytes,
            ))?;
        }
        Ok(tfjet::exit::GOOD)
    }
}
