//! A network definition that is being filled.

mod arithmetic;
#[allow(unsafe_code, reason = "calls methods of the library's objects")]
mod call;
mod codes;
mod moving;
mod quantize;
mod weights;
mod window;

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;

use tfjet_core::Tensor;

use crate::profile::c_name;
use crate::sys::{Dims, Handle, Owned};
use crate::{Builder, BuilderConfig, DataType, HostMemory, TensorRtError, Version};

pub use moving::{Outside, Part, Reshape, Sizes};
pub use weights::Weights;
pub use window::{Convolved, Kernel, Window};

/// An `INetworkDefinition` with an explicit batch axis: strongly typed on TensorRT-RTX, where the
/// types of inputs, weights and casts decide in which precision a layer computes, and weakly typed
/// on TensorRT 8 and 10, where the builder's flags do.
///
/// Weights of lifetime `'w` are borrowed, not copied; converted ones belong to the network. Both
/// stay in place until the network is gone, as building an engine demands.
pub struct Network<'w> {
    object: Owned,
    kept: RefCell<Vec<Arc<Tensor>>>,
    borrowed: PhantomData<&'w [u8]>,
    builder: Builder,
}

/// A tensor of a network (`ITensor`).
#[derive(Debug, Clone, Copy)]
pub struct TensorRef<'n> {
    handle: Handle,
    /// The network that it is of.
    network: *const (),
    lives: PhantomData<&'n ()>,
}

/// A layer of a network (`ILayer`).
#[derive(Debug, Clone, Copy)]
pub struct LayerRef<'n> {
    handle: Handle,
    network: *const (),
    lives: PhantomData<&'n ()>,
}

impl PartialEq for TensorRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.handle.as_ptr() == other.handle.as_ptr()
    }
}

impl Eq for TensorRef<'_> {}

impl std::fmt::Debug for Network<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

impl<'w> Network<'w> {
    /// An empty network.
    ///
    /// # Errors
    ///
    /// [`TensorRtError`] where the library fails.
    pub fn new(builder: &Builder) -> Result<Self, TensorRtError> {
        let (object, _) = builder.network_definition()?;
        Ok(Self {
            object,
            kept: RefCell::default(),
            borrowed: PhantomData,
            builder: builder.clone(),
        })
    }

    /// Builds and serializes an engine of the network.
    ///
    /// # Errors
    ///
    /// [`TensorRtError::CallFailed`] with what the library logged.
    pub fn build(&self, config: &BuilderConfig<'_>) -> Result<HostMemory, TensorRtError> {
        call::build(&self.builder, &self.object, config)
    }

    /// The version of the library that the network is of.
    pub fn version(&self) -> Version {
        self.object.api().version
    }

    /// Where the library's log is now, for [`Network::errors_since`].
    pub(crate) fn log_mark(&self) -> u64 {
        self.object.api().logger.mark()
    }

    /// The errors that the library logged since.
    pub(crate) fn errors_since(&self, mark: u64) -> String {
        self.object.api().logger.errors_since(mark)
    }

    /// Names the network; the engine gets the same name.
    ///
    /// # Errors
    ///
    /// [`TensorRtError`] for a name with a NUL byte.
    pub fn set_name(&self, name: &str) -> Result<(), TensorRtError> {
        let name = c_name(name)?;
        self.set(|s| &s.network_definition.set_name, (&name,))
    }

    /// An input; -1 stands for a size that only an optimization profile bounds.
    ///
    /// # Errors
    ///
    /// [`TensorRtError`] where the library refuses it.
    pub fn add_input(
        &self,
        name: &str,
        dtype: DataType,
        dims: &[i64],
    ) -> Result<TensorRef<'_>, TensorRtError> {
        let (name, dims) = (c_name(name)?, Dims::new(dims)?);
        let handle = self.make(
            |s| &s.network_definition.add_input,
            (&name, dtype.code(), &dims),
        )?;
        Ok(self.tensor(handle))
    }

    /// Makes `tensor`, which is of type `dtype`, an output under `name`. It must not be an input,
    /// nor an output already.
    ///
    /// # Errors
    ///
    /// [`TensorRtError`] for a name with a NUL byte.
    pub fn mark_output(
        &self,
        tensor: TensorRef<'_>,
        name: &str,
        dtype: DataType,
    ) -> Result<(), TensorRtError> {
        let (tensor, name) = (self.own(tensor)?, c_name(name)?);
        call::set(&tensor, |s| &s.tensor.set_name, (&name,))?;
        self.set(|s| &s.network_definition.mark_output, (tensor,))?;
        // An output of a weakly typed network is a float, whatever is computed, unless it is told.
        if tensor.api().has(|s| &s.tensor.set_type) {
            call::set(&tensor, |s| &s.tensor.set_type, (dtype.code(),))?;
        }
        Ok(())
    }

    fn tensor(&self, handle: Handle) -> TensorRef<'_> {
        TensorRef {
            handle,
            network: self.id(),
            lives: PhantomData,
        }
    }

    fn layer(&self, handle: Handle) -> LayerRef<'_> {
        LayerRef {
            handle,
            network: self.id(),
            lives: PhantomData,
        }
    }

    fn id(&self) -> *const () {
        self.object.as_ptr().cast_const().cast()
    }

    /// The tensor's object, if it is of this network.
    fn own(&self, tensor: TensorRef<'_>) -> Result<Handle, TensorRtError> {
        if tensor.network == self.id() {
            return Ok(tensor.handle);
        }
        Err(TensorRtError::CallFailed {
            call: "INetworkDefinition",
            version: self.version(),
            log: "the tensor is of another network".into(),
        })
    }
}

impl<'n> TensorRef<'n> {
    /// Sizes as the library infers them, -1 where they are not known; `None` where the library
    /// finds the layers before it invalid.
    ///
    /// # Errors
    ///
    /// [`TensorRtError`] where the call fails.
    pub fn dims(&self) -> Result<Option<Vec<i64>>, TensorRtError> {
        call::get(&self.handle, |s| &s.tensor.get_dimensions, ())
    }

    /// Names axis `axis` of an input: axes of one name have one size. TensorRT 8.5 and later; does
    /// nothing on earlier ones.
    ///
    /// # Errors
    ///
    /// [`TensorRtError`] for a name with a NUL byte.
    pub fn set_dimension_name(&self, axis: usize, name: &str) -> Result<(), TensorRtError> {
        if !self.handle.api().has(|s| &s.tensor.set_dimension_name) {
            return Ok(());
        }
        let (name, axis) = (c_name(name)?, i32::try_from(axis).unwrap_or(i32::MAX));
        call::set(
            &self.handle,
            |s| &s.tensor.set_dimension_name,
            (axis, &name),
        )
    }
}

impl<'n> LayerRef<'n> {
    /// Names the layer, for errors, profiles and the engine inspector.
    ///
    /// # Errors
    ///
    /// [`TensorRtError`] for a name with a NUL byte.
    pub fn set_name(&self, name: &str) -> Result<(), TensorRtError> {
        let name = c_name(name)?;
        call::set(&self.handle, |s| &s.layer.set_name, (&name,))
    }

    /// Output `index`.
    ///
    /// # Errors
    ///
    /// [`TensorRtError`] where the layer has no such output.
    pub fn output(&self, index: usize) -> Result<TensorRef<'n>, TensorRtError> {
        let index = i32::try_from(index).unwrap_or(i32::MAX);
        let handle = call::make(&self.handle, |s| &s.layer.get_output, (index,))?;
        Ok(TensorRef {
            handle,
            network: self.network,
            lives: PhantomData,
        })
    }

    fn set_input(&self, index: i32, tensor: Handle) -> Result<(), TensorRtError> {
        call::set(&self.handle, |s| &s.layer.set_input, (index, tensor))
    }
}

#[cfg(test)]
mod tests;
