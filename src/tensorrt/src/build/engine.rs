use std::rc::Rc;

use tfjet_core::NetworkSpec;

use super::numbers::Numbers;
use super::progress::Listener;
use super::{BuildOptions, BuildProgress, WeightsSource, fill, profiles};
use crate::network::Network;
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
/// [`build_network`](super::build_network) says.
///
/// A `timing_cache` of an earlier build makes this one faster; one that does not fit the library
/// or the GPU is left out with a warning.
///
/// # Errors
///
/// [`TensorRtError::Layer`] and [`TensorRtError::Network`] for a network that is not well-formed
/// or that the version cannot express, [`TensorRtError::NoRanges`] and [`TensorRtError::Quantization`]
/// for INT8 without a quantization or with another network's, [`TensorRtError::NoInt8`] on a GPU
/// without it, [`TensorRtError::Profile`] for profiles that do not fit the network,
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
        let numbers = Numbers::new(self.version(), spec, options)?;
        if numbers.has_int8() && !self.has_fast_int8()? {
            let version = self.version();
            return Err(TensorRtError::NoInt8 { version });
        }
        let network = Network::new(self)?;
        let constrained = fill(&network, weights, &numbers)?;
        let listener = Listener::new(progress);
        let mut config = self.config()?;
        configure(&mut config, options)?;
        set_precisions(&mut config, &numbers, constrained)?;
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

/// The flags by which a weakly typed network's layers may compute in fewer bits.
pub(super) fn set_precisions(
    config: &mut BuilderConfig<'_>,
    numbers: &Numbers<'_>,
    constrained: bool,
) -> Result<(), TensorRtError> {
    if !numbers.has_constraints() {
        return Ok(());
    }
    config.set_fp16(numbers.fp16())?;
    if numbers.has_int8() {
        config.set_int8()?;
    }
    match constrained {
        true => config.set_precision_constraints(numbers.pinned),
        false => Ok(()),
    }
}

fn configure(config: &mut BuilderConfig<'_>, options: &BuildOptions) -> Result<(), TensorRtError> {
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
