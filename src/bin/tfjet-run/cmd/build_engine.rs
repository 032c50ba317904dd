//! `tfjet-run build-engine`: one segment's build, which `prepare` and `--dynamic` run in a process of
//! its own.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use tfjet::bundle::{Bundle, replace_file};
use tfjet::core::{TensorView, WeightsId, WeightsTable};
use tfjet::cuda::{Context, Driver};
use tfjet::runtime::segment_numbers;
use tfjet::tensorrt::{
    BuildOptions, Flavor, Precision, Profile, ShapeRange, WeightsSource, build_engine,
};

use crate::build::{BuildFlags, Message};
use crate::tensorrt;

/// Build the engine of one segment
#[derive(Debug, Args)]
pub(crate) struct Cmd {
    bundle: PathBuf,
    /// Which of the bundle's targets, where it is for several
    #[arg(long)]
    target: Option<String>,
    #[arg(long)]
    precision: Precision,
    #[command(flatten)]
    flags: BuildFlags,
    #[arg(long)]
    segment: u32,
    #[arg(long, default_value = "0")]
    device: u32,
    /// The library's file
    #[arg(long)]
    tensorrt: PathBuf,
    /// Its kind and version
    #[arg(long)]
    library: String,
    /// For each profile, for each input, three shapes, as JSON
    #[arg(long)]
    profiles: String,
    /// The timing cache to start from, where it is there, and to write
    #[arg(long)]
    timing: PathBuf,
    /// Where the engine goes
    #[arg(long)]
    engine: PathBuf,
}

/// The weights section.
struct Weights<'a> {
    bundle: &'a Bundle,
    table: &'a WeightsTable,
}

impl WeightsSource for Weights<'_> {
    fn weights(&self, id: WeightsId) -> Option<TensorView<'_>> {
        self.bundle.weights_view(self.table.get(id)?).ok()
    }
}

impl Cmd {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let result = self.build();
        if let Err(error) = &result {
            say(&Message::Error {
                text: tfjet::exit::one_line(error),
                code: tfjet::exit::code(error),
            });
        }
        result
    }

    fn build(&self) -> anyhow::Result<()> {
        let mut bundle = Bundle::open(&self.bundle)?;
        if let Some(target) = &self.target {
            bundle = bundle.select(target)?;
        }
        let (network, table) = (bundle.network(self.segment)?, bundle.weights_table()?);
        if !table.entries.is_empty() {
            bundle.weights()?;
        }
        let library = tensorrt::library(Some(&self.tensorrt))?;
        let version = library.version();
        if version.key() != self.library {
            let (path, expected) = (self.tensorrt.display(), &self.library);
            bail!("{path} is {version}, expected {expected}");
        }
        // TensorRT takes the GPU whose context is current.
        let _context = match version.flavor {
            Flavor::TensorRt => {
                let context = Context::new(&Driver::load()?, self.device)?;
                context.make_current()?;
                Some(context)
            }
            Flavor::TensorRtRtx => None,
        };
        let options = BuildOptions {
            precision: self.precision,
            quantization: segment_numbers(&bundle, self.segment, &network)?,
            pin_precisions: self.flags.pin_precisions,
            quantization_form: self.flags.quantization,
            tf32: !self.flags.no_tf32,
            workspace_bytes: self.flags.workspace.map(|mib| u64::from(mib) << 20),
            tactic_sources: self.flags.tactic_sources,
            dla_core: self.flags.dla_core,
            profiles: profiles(&self.profiles)?,
            detailed: self.flags.detailed,
            ..BuildOptions::default()
        };
        let weights = Weights {
            bundle: &bundle,
            table: &table,
        };
        let known = std::fs::read(&self.timing).ok();
        let built = build_engine(
            &library,
            &network,
            &weights,
            &options,
            known.as_deref(),
            &mut |progress| {
                say(&Message::Progress {
                    phase: progress.phase,
                    step: progress.step,
                    steps: progress.steps,
                });
            },
        )?;
        write(&self.engine, &built.engine)?;
        match &built.timing_cache {
            Some(bytes) => write(&self.timing, bytes),
            None => Ok(()),
        }
    }
}

fn profiles(text: &str) -> anyhow::Result<Vec<Profile>> {
    let profiles: Vec<Vec<[Vec<usize>; 3]>> = serde_json::from_str(text).context("--profiles")?;
    let profile = |inputs: Vec<[Vec<usize>; 3]>| {
        let ranges = inputs
            .into_iter()
            .map(|[min, opt, max]| ShapeRange { min, opt, max });
        Profile(ranges.collect())
    };
    Ok(profiles.into_iter().map(profile).collect())
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    replace_file(path, |file| file.write_all(bytes)).with_context(|| path.display().to_string())
}

/// Prints a message for the process that waits; where it is gone, there is nobody to build for.
fn say(message: &Message) {
    let Ok(line) = serde_json::to_string(message) else {
        return;
    };
    let mut stdout = std::io::stdout().lock();
    let written = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    if written.is_err() {
        std::process::exit(i32::from(tfjet::exit::NOT_PREPARED));
    }
}
