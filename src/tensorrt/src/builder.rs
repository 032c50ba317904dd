use std::rc::Rc;

use crate::sys::{Handle, Owned};
use crate::{
    BuilderConfig, Flavor, HostMemory, Library, OptimizationProfile, TensorRtError, Version,
};

/// Makes networks, configurations and engines (`IBuilder`).
///
/// TensorRT lets one thread at a time use a builder and what it made, so they stay on their thread.
#[derive(Debug, Clone)]
pub struct Builder {
    object: Rc<Owned>,
}

impl Builder {
    /// A builder of the library. TensorRT (not TensorRT-RTX) needs a CUDA driver and a GPU for it.
    ///
    /// # Errors
    ///
    /// [`TensorRtError::CallFailed`] with the library's words, such as where there is no driver;
    /// [`TensorRtError::SelfCheck`] where the library is not what it says.
    pub fn new(library: &Library) -> Result<Self, TensorRtError> {
        Ok(Self {
            object: Rc::new(library.create_builder()?),
        })
    }

    #[cfg(test)]
    pub(crate) fn of(object: Owned) -> Self {
        Self {
            object: Rc::new(object),
        }
    }

    /// The library's version.
    pub fn version(&self) -> Version {
        self.object.api().version
    }

    /// Is FP16 faster than FP32 on this GPU (`platformHasFastFp16`)? TensorRT-RTX, which may build
    /// without a GPU, says yes.
    pub fn has_fast_fp16(&self) -> Result<bool, TensorRtError> {
        if !self.object.api().has(|s| &s.builder.platform_has_fast_fp16) {
            return Ok(true);
        }
        // SAFETY: the builder is alive, on its thread.
        unsafe { self.object.call(|s| &s.builder.platform_has_fast_fp16, ()) }
    }

    /// Is INT8 faster than FP32 on this GPU (`platformHasFastInt8`)? TensorRT-RTX says yes.
    pub fn has_fast_int8(&self) -> Result<bool, TensorRtError> {
        if !self.object.api().has(|s| &s.builder.platform_has_fast_int8) {
            return Ok(true);
        }
        // SAFETY: the builder is alive, on its thread.
        unsafe { self.object.call(|s| &s.builder.platform_has_fast_int8, ()) }
    }

    /// How many deep learning accelerators there are (`getNbDLACores`).
    pub fn dla_cores(&self) -> Result<u32, TensorRtError> {
        // SAFETY: the builder is alive, on its thread.
        let cores: i32 = unsafe { self.object.call(|s| &s.builder.get_nb_dla_cores, ()) }?;
        Ok(u32::try_from(cores).unwrap_or(0))
    }

    /// How an engine is to be built, with TensorRT's defaults (`createBuilderConfig`).
    pub fn config<'p>(&self) -> Result<BuilderConfig<'p>, TensorRtError> {
        // SAFETY: the builder is alive, on its thread.
        let config = unsafe { self.object.create(|s| &s.builder.create_builder_config, ()) }?;
        // SAFETY: TensorRT lets the caller delete it.
        let config = unsafe { Owned::new(config) };
        Ok(BuilderConfig::new(config, Rc::clone(&self.object)))
    }

    /// An empty profile (`createOptimizationProfile`).
    pub fn profile(&self) -> Result<OptimizationProfile, TensorRtError> {
        // SAFETY: the builder is alive, on its thread. It owns the profile.
        let profile = unsafe {
            self.object
                .create(|s| &s.builder.create_optimization_profile, ())
        }?;
        Ok(OptimizationProfile::new(profile, Rc::clone(&self.object)))
    }

    /// An empty `INetworkDefinition`: explicit batch; strongly typed in TensorRT-RTX, which has no
    /// other. It must be dropped before the builder that is returned with it.
    pub(crate) fn network_definition(&self) -> Result<(Owned, Rc<Owned>), TensorRtError> {
        // Bit 0 is kEXPLICIT_BATCH in TensorRT and kSTRONGLY_TYPED in TensorRT-RTX 1.7.
        const FLAGS: u32 = 1;
        // SAFETY: the builder is alive, on its thread.
        let network = unsafe {
            self.object
                .create(|s| &s.builder.create_network_v2, (FLAGS,))
        }?;
        // SAFETY: TensorRT lets the caller delete it.
        let network = unsafe { Owned::new(network) };
        Ok((network, Rc::clone(&self.object)))
    }

    /// Builds and serializes an engine (`buildSerializedNetwork`).
    ///
    /// # Errors
    ///
    /// [`TensorRtError::CallFailed`] with what the library logged.
    ///
    /// # Safety
    ///
    /// `network` is an `INetworkDefinition` of this builder, alive, with the weights that it was
    /// given.
    pub(crate) unsafe fn build_serialized(
        &self,
        network: Handle,
        config: &BuilderConfig<'_>,
    ) -> Result<HostMemory, TensorRtError> {
        // SAFETY: builder, network and configuration are alive, on their thread; what the
        // configuration refers to is kept by it.
        let engine = unsafe {
            self.object.create(
                |s| &s.builder.build_serialized_network,
                (network, config.handle()),
            )
        }?;
        // SAFETY: the memory is the caller's to delete.
        let engine = unsafe { Owned::new(engine) };
        // SAFETY: it is an `IHostMemory`.
        unsafe { HostMemory::new(engine) }
    }

    /// Do networks of this library take each tensor's type as given, with no `BuilderFlag` for
    /// precisions?
    pub fn is_strongly_typed(&self) -> bool {
        self.version().flavor == Flavor::TensorRtRtx
    }
}
