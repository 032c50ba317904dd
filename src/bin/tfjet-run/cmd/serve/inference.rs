//! From a frame to its results.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tfjet::core::{Manifest, Tensor};
use tfjet::exit::Usage;
use tfjet::runtime::Model;
use tfjet::video::{Frame, Overlay, Preprocessor, Results, Status, decode};
use tfjet_service::config::Config;
use tfjet_service::notify::Notifier;

use super::prepare;
use super::settings::Settings;

/// Most outputs that a decoder is given.
const MAX_OUTPUTS: usize = 32;

/// The model with what is before and behind it.
pub(crate) struct Inference {
    model: Model,
    manifest: Manifest,
    preprocessor: Preprocessor,
    overlay: Overlay,
    settings: Settings,
    input: Tensor,
    results: Results,
}

impl Inference {
    pub(super) fn new(model: Model, settings: Settings) -> anyhow::Result<Self> {
        let manifest = model.manifest().clone();
        let (Some(preprocess), [input]) = (&manifest.preprocess, manifest.inputs.as_slice()) else {
            bail!(no_frames(&manifest));
        };
        Ok(Self {
            preprocessor: Preprocessor::new(preprocess, input.dtype)?,
            overlay: Overlay::new(settings.labels.clone()),
            input: model.input_tensor(0),
            results: Results::default(),
            settings,
            manifest,
            model,
        })
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn set_settings(&mut self, settings: Settings) {
        self.overlay = Overlay::new(settings.labels.clone());
        self.settings = settings;
    }

    pub(super) fn results(&self) -> &Results {
        &self.results
    }

    /// Runs the model on a black frame, which is what takes long the first time.
    pub(super) fn warm_up(
        &mut self,
        config: &Config,
        notifier: &Notifier,
        watchdog: Option<Duration>,
        stop: &Arc<AtomicBool>,
    ) -> anyhow::Result<()> {
        notifier.status("running the model for the first time");
        if let Model::ByShape(cache) = &self.model {
            prepare::watch(config, notifier, watchdog, cache.watch(), stop);
        }
        let (width, height) = match &self.manifest.preprocess {
            Some(preprocess) => (preprocess.width, preprocess.height),
            None => (1, 1),
        };
        let frame = Frame::filled(width, height, [0; 3])?;
        self.run(&frame).context("first run of the model")
    }

    /// Fills the results with those of a frame.
    pub(super) fn run(&mut self, frame: &Frame) -> anyhow::Result<()> {
        let placement = self.preprocessor.run(frame, &mut self.input)?;
        let outputs = self.model.run(&[self.input.view()])?;
        let views: heapless::Vec<_, MAX_OUTPUTS> = outputs
            .iter()
            .map(|(_, view)| view)
            .take(MAX_OUTPUTS)
            .collect();
        decode(
            &self.settings.decoder,
            &views,
            &placement,
            &mut self.results,
        )?;
        self.settings.filter(&mut self.results);
        Ok(())
    }

    pub(super) fn draw(&self, frame: &mut Frame, status: Status) {
        self.overlay.draw(frame, &self.results, Some(status));
    }
}

/// A bundle that is not for frames.
pub(crate) fn no_frames(manifest: &Manifest) -> Usage {
    Usage(format!(
        "the bundle `{}` says no way from a frame to its {} inputs: convert it with --image-size",
        manifest.model,
        manifest.inputs.len()
    ))
}
