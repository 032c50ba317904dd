use std::rc::Rc;

use tfjet_core::NetworkSpec;

use super::progress::Listener;
use super::{BuildOptions, BuildProgress, Precision, WeightsSource, build_network, profiles};
use crate::{Builder, BuilderConfig, Library, TensorRtError, TimingCache};

/// What a build makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltEngine {
    /// The serialized engine.
    pub engine: Vec<u8>,
    /// Kernel timings for later builds with the same library on the same GPU.
    pub timing_cache: Option<Vec<u8>>,
}

/// Builds an engine of a network: inputs and outputs are named and typed as
/// [`build_network`] says.
///
/// A `timing_cache` of an earlier build makes this one faster; one that does not fit the library
/// or the GPU is left out with a warning.
///
/// # Errors
///
/// [`TensorRtError::Layer`] and [`TensorRtError::Network`] for a network that is not well-formed
/// or that the version cannot express, [`TensorRtError::Profile`] for profiles that do not fit it,
/// [`TensorRtError::CallFailed`] with the library's words where the build fails.
pub fn build_engine(
    library: &Library,
    spec: &NetworkSpec,
    weights: &dyn WeightsSource,
    options: &BuildOptions,
    timing_cache: Option<&[u8]>,
    progress: &mut (dyn FnMut(BuildProgress) + Send),
) -> Result<BuiltEngine, TensorRtError> {
    Builder::new(library)?.build(spec, weights, options, timing_cache, progress)
}

impl Builder {
    /// As [`build_engine`], with a builder that serves several builds: making one takes seconds.
    ///
    /// # Errors
    ///
    /// As [`build_engine`].
    pub fn build(
        &self,
        spec: &NetworkSpec,
        weights: &dyn WeightsSource,
        options: &BuildOptions,
        timing_cache: Option<&[u8]>,
        progress: &mut (dyn FnMut(BuildProgress) + Send),
    ) -> Result<BuiltEngine, TensorRtError> {
        let network = build_network(self, spec, weights, options.precision)?;
        let listener = Listener::new(progress);
        let mut config = self.config()?;
        configure(self, &mut config, options)?;
        profiles::add(self, &mut config, spec, &options.profiles)?;
        let cache = timings(&mut config, timing_cache)?;
        let engine = if config.has_progress() {
            config.set_progress(listener.events())?;
            network.build(&config)?
        } else {
            listener.ticking(|| network.build(&config))?
        };
        Ok(BuiltEngine {
            engine: engine.to_vec(),
            timing_cache: Some(cache.serialize()?.to_vec()),
        })
    }
}

fn configure(
    builder: &Builder,
    config: &mut BuilderConfig<'_>,
    options: &BuildOptions,
) -> Result<(), TensorRtError> {
    if !builder.is_strongly_typed() {
        config.set_fp16(options.precision == Precision::Fp16)?;
    }
    config.set_tf32(options.tf32)?;
    if let Some(bytes) = options.workspace_bytes {
        config.set_workspace_bytes(bytes)?;
    }
    if let Some(mask) = options.tactic_sources {
        config.set_tactic_sources(mask)?;
    }
    if let Some(core) = options.dla_core {
        const GPU_FALLBACK: bool = true;
        config.set_dla(core, GPU_FALLBACK)?;
    }
    if options.detailed {
        config.set_detailed_profiling()?;
    }
    if let Some(level) = options.optimization_level {
        config.set_optimization_level(level)?;
    }
    if let Some((major, minor)) = options.compute_capability {
        config.set_compute_capability(major, minor)?;
    }
    Ok(())
}

fn timings(
    config: &mut BuilderConfig<'_>,
    bytes: Option<&[u8]>,
) -> Result<Rc<TimingCache>, TensorRtError> {
    if let Some(bytes) = bytes {
        let set = config.create_timing_cache(bytes).and_then(|cache| {
            let cache = Rc::new(cache);
            config.set_timing_cache(&cache)?;
            Ok(cache)
        });
        match set {
            Ok(cache) => return Ok(cache),
            Err(error) => tracing::warn!("the timing cache is not used: {error}"),
        }
    }
    let cache = Rc::new(config.create_timing_cache(&[])?);
    config.set_timing_cache(&cache)?;
    Ok(cache)
}
