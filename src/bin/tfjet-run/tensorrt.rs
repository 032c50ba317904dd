//! TensorRT and the GPU, as the commands that build engines and look at the machine find them.

use std::path::Path;

use tfjet::cache;
use tfjet::cuda::{CudaError, DeviceInfo, Driver};
use tfjet::runtime::MachineKey;
use tfjet::tensorrt::{Flavor, Library, TensorRtError};

/// Loads the library that `named` names, else TFJET_TENSORRT, else TensorRT where it is found,
/// else TensorRT-RTX.
pub(crate) fn library(named: Option<&Path>) -> Result<Library, TensorRtError> {
    let variable = cache::tensorrt_variable();
    let named = named.or(variable.as_deref());
    let load = |flavor| Library::load(flavor, named, &cache::gpu_library_dirs());
    match load(Flavor::TensorRt) {
        Err(
            first @ (TensorRtError::LibraryMissing { .. } | TensorRtError::LibraryFlavor { .. }),
        ) => match load(Flavor::TensorRtRtx) {
            Err(TensorRtError::LibraryMissing { .. }) => Err(first),
            other => other,
        },
        other => other,
    }
}

/// The GPU of this number.
pub(crate) fn device(index: u32) -> Result<DeviceInfo, CudaError> {
    let devices = Driver::load()?.devices()?;
    let count = u32::try_from(devices.len()).unwrap_or(u32::MAX);
    let mut devices = devices.into_iter();
    let device = devices.find(|device| device.index == index);
    device.ok_or(CudaError::DeviceIndex { index, count })
}

/// What engines are built for: this library on this GPU, or on every GPU where the library is
/// TensorRT-RTX.
pub(crate) fn machine(library: &Library, device: Option<&DeviceInfo>) -> MachineKey {
    let portable = library.version().flavor == Flavor::TensorRtRtx;
    let device = device.filter(|_| !portable);
    MachineKey {
        library: library.version().key(),
        compute_capability: device.map(|device| device.compute_capability),
        gpu: device.map_or(String::new(), |device| device.name.clone()),
    }
}
