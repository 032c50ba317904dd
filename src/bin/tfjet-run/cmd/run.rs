//! `tfjet-run run`: a bundle over frames, or over arrays of a file.

mod arrays;
mod frames;
mod memory;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::bail;
use clap::Args;
use tfjet::bundle::Bundle;
use tfjet::exit::Usage;
use tfjet::runtime::SessionOptions;

use crate::backend::BackendArgs;

/// Run a bundle over a video, a camera, images, or arrays
#[derive(Debug, Args)]
pub(crate) struct Cmd {
    bundle: PathBuf,
    /// Where frames come from: a video file, an image or a folder of images, /dev/videoN,
    /// rtsp://..., videotestsrc, or gst:PIPELINE
    #[arg(long, value_name = "SOURCE", conflicts_with = "inputs")]
    source: Option<String>,
    /// Where results go, repeatable: FILE.mkv|mp4|avi|webm, FILE.jsonl or - (JSON Lines), FILE.png
    /// or FILE.png@N (one frame), FOLDER/ (a PNG per frame), display, fake
    #[arg(
        long,
        value_name = "SINK",
        requires = "source",
        conflicts_with = "inputs"
    )]
    sink: Vec<String>,
    /// Stop after this many frames
    #[arg(long, value_name = "N", requires = "source", conflicts_with = "inputs")]
    frames: Option<u64>,
    /// Arrays to run on, as NAME or in:NAME, instead of frames; a folder for all of its .npz files
    #[arg(long, value_name = "IN.npz|DIR")]
    inputs: Option<PathBuf>,
    /// Where the outputs go, as out:NAME; a folder where the inputs are one
    #[arg(
        long,
        value_name = "OUT.npz|DIR",
        requires = "inputs",
        conflicts_with = "source"
    )]
    outputs: Option<PathBuf>,
    /// Run the arrays of a file this many times and measure
    #[arg(long, value_name = "N", default_value = "1", requires = "inputs", conflicts_with = "source", value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    backend: BackendArgs,
}

impl Cmd {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let start = Instant::now();
        if self.source.is_none() && self.inputs.is_none() {
            bail!(Usage(
                "give --source for frames or --inputs for arrays".into()
            ));
        }
        let bundle = Arc::new(Bundle::open(&self.bundle)?);
        let opened = self.backend.open(bundle, &SessionOptions::default())?;
        match (&self.source, &self.inputs) {
            (Some(source), _) => frames::run(&self, source, opened),
            (None, Some(inputs)) => arrays::run(&self, inputs, opened, start),
            (None, None) => Ok(()),
        }
    }
}

fn millis(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
