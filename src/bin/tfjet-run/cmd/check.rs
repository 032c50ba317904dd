//! `tfjet-run check`: is a configuration of `serve` good?

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use tfjet::bundle::Bundle;
use tfjet::engines::check_precision;
use tfjet::tensorrt;
use tfjet::video::mask_secrets;
use tfjet_service::config::Precision;

use super::serve::{self, Outputs, Settings};

/// Check a configuration of `serve`
///
/// Looks at every key, the bundle, its labels and classes, the source and the sinks. Opens neither
/// a camera nor a GPU.
#[derive(Debug, Args)]
pub(crate) struct Cmd {
    file: PathBuf,
    /// Look at the file alone, not at the bundle and the other files that it names
    #[arg(long)]
    file_only: bool,
}

impl Cmd {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let shown = self.file.display();
        let (_, config) = serve::read(&self.file)?;
        let sinks = Outputs::specs(&config)?;
        let mut text = format!("{shown} is good\n");
        if !self.file_only {
            let bundle = Bundle::open(&config.bundle).context("bundle")?;
            bundle.verify().context("bundle")?;
            let manifest = bundle.manifest().context("bundle")?;
            if config.engine.precision == Some(Precision::Int8) && bundle.targets()?.len() == 1 {
                check_precision(&bundle, tensorrt::Precision::Int8)?;
            }
            if manifest.preprocess.is_none() || manifest.inputs.len() != 1 {
                bail!(serve::no_frames(&manifest));
            }
            Settings::new(&config, &manifest)?;
            serve::check_source(&config)?;
            text += &format!("bundle {} ({})\n", config.bundle.display(), manifest.model);
        }
        text += &format!("source {}\n", mask_secrets(&config.source));
        for (sink, _) in sinks {
            text += &format!("sink   {sink}\n");
        }
        write!(std::io::stdout(), "{text}").context("standard output")
    }
}
