//! Calls on a network, its layers and its tensors.

use crate::sys::{Arguments, Handle, Return, Slot, Slots};
use crate::{Builder, BuilderConfig, HostMemory, TensorRtError};

use super::Network;

type Method = fn(&'static Slots) -> &'static Slot;

impl Network<'_> {
    /// Calls a method of `VNetworkDefinition` that makes a layer or a tensor.
    pub(super) fn make(
        &self,
        method: Method,
        arguments: impl Arguments,
    ) -> Result<Handle, TensorRtError> {
        make(&self.object, method, arguments)
    }

    /// Calls a method of `VNetworkDefinition` that returns nothing.
    pub(super) fn set(
        &self,
        method: Method,
        arguments: impl Arguments,
    ) -> Result<(), TensorRtError> {
        set(&self.object, method, arguments)
    }
}

/// Calls a method that makes or finds an object.
pub(super) fn make(
    object: &Handle,
    method: Method,
    arguments: impl Arguments,
) -> Result<Handle, TensorRtError> {
    // SAFETY: this module's parent calls methods of the class that the object is of. The object is
    // alive, since handles to it have the lifetime of the network that owns it; nothing of a
    // network is `Send`. Pointers among the arguments are objects of the same network, C strings,
    // and weights that the network keeps or borrows.
    unsafe { object.create(method, arguments) }
}

/// Calls a method that returns nothing.
pub(super) fn set(
    object: &Handle,
    method: Method,
    arguments: impl Arguments,
) -> Result<(), TensorRtError> {
    get(object, method, arguments)
}

/// Calls a method that returns a value.
pub(super) fn get<R: Return>(
    object: &Handle,
    method: Method,
    arguments: impl Arguments,
) -> Result<R, TensorRtError> {
    // SAFETY: as in `make`.
    unsafe { object.call(method, arguments) }
}

/// Calls a method that says with `false` that it failed.
pub(super) fn check(
    object: &Handle,
    method: Method,
    arguments: impl Arguments,
) -> Result<(), TensorRtError> {
    // SAFETY: as in `make`.
    unsafe { object.check(method, arguments) }
}

/// Builds an engine of a network.
pub(super) fn build(
    builder: &Builder,
    network: &Handle,
    config: &BuilderConfig<'_>,
) -> Result<HostMemory, TensorRtError> {
    // SAFETY: called by the network, which is of this builder and keeps or borrows its weights.
    unsafe { builder.build_serialized(*network, config) }
}
