//! The driver's library and the devices that it sees.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use cudarc::driver::sys::CUdevice_attribute as Attribute;

use crate::CudaError;
use crate::sys::{Api, loader};

/// The environment variable that names the driver's library; then no other is tried.
pub const DRIVER_VARIABLE: &str = "TFJET_CUDA_DRIVER";

const LIBRARIES: [&str; 4] = [
    "libcuda.so.1",
    "/usr/lib/aarch64-linux-gnu/tegra/libcuda.so.1",
    "/usr/lib/aarch64-linux-gnu/nvidia/libcuda.so.1",
    "/usr/lib/wsl/lib/libcuda.so.1",
];

/// NVIDIA's driver, loaded and started. Clones share it; its library is never unloaded.
#[derive(Clone)]
pub struct Driver(Arc<Inner>);

struct Inner {
    api: Api,
    path: String,
    version: (u32, u32),
}

impl Driver {
    /// Loads `libcuda.so.1` from the system's search path or from the places where JetPack keeps
    /// it, or the file that [`DRIVER_VARIABLE`] names, and starts it.
    ///
    /// # Errors
    /// [`CudaError::DriverMissing`], [`CudaError::MissingEntryPoint`], [`CudaError::NoDevice`] and
    /// [`CudaError::DriverUnusable`].
    pub fn load() -> Result<Self, CudaError> {
        match std::env::var_os(DRIVER_VARIABLE) {
            Some(path) => Self::load_from(Path::new(&path)),
            None => Self::first_of(&LIBRARIES.map(Path::new)),
        }
    }

    /// Loads the driver's library `path`, which must be one that may run in this process.
    ///
    /// # Errors
    /// As [`Driver::load`].
    pub fn load_from(path: &Path) -> Result<Self, CudaError> {
        Self::first_of(&[path])
    }

    fn first_of(paths: &[&Path]) -> Result<Self, CudaError> {
        let (library, path) =
            loader::first_of(paths).map_err(|missing| CudaError::DriverMissing {
                tried: missing.tried,
                reason: missing.reason,
            })?;
        let api = Api::probe(&library).map_err(|missing| CudaError::MissingEntryPoint {
            name: missing.name,
            library: match missing.version {
                Some((major, minor)) => format!("the CUDA driver {path} (CUDA {major}.{minor})"),
                None => format!("the library {path}"),
            },
            needs: match missing.version {
                Some(_) => "CUDA 10.2 (JetPack 4.4) or later is needed",
                None => "it is not NVIDIA's driver",
            },
        })?;
        loader::keep(library);
        api.init()
            .map_err(|code| CudaError::start_failure(&path, code, api.name_of(code)))?;
        let version = api.version().unwrap_or_default();
        tracing::debug!(
            path,
            version = format!("{}.{}", version.0, version.1),
            "CUDA driver"
        );
        Ok(Self(Arc::new(Inner { api, path, version })))
    }

    /// The newest CUDA version that the driver supports, as (major, minor).
    pub fn version(&self) -> (u32, u32) {
        self.0.version
    }

    /// The library's file, as far as it is known, else the name under which it was found.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// The GPUs that the driver sees, in its order.
    ///
    /// # Errors
    /// [`CudaError::Call`]
    pub fn devices(&self) -> Result<Vec<DeviceInfo>, CudaError> {
        (0..self.device_count()?)
            .map(|index| DeviceInfo::read(self, index))
            .collect()
    }

    pub(crate) fn device_count(&self) -> Result<u32, CudaError> {
        self.api().device_count()
    }

    pub(crate) fn api(&self) -> &Api {
        &self.0.api
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("path", &self.0.path)
            .field("version", &self.0.version)
            .finish_non_exhaustive()
    }
}

/// What the driver says about a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// Its number for the driver, from 0.
    pub index: u32,
    /// Its product name.
    pub name: String,
    /// Its architecture, as (major, minor); Orin has (8, 7).
    pub compute_capability: (u32, u32),
    /// Whether it shares the host's memory, as on every Jetson.
    pub integrated: bool,
    /// Its memory in bytes.
    pub total_bytes: u64,
    /// Its streaming multiprocessors.
    pub multiprocessors: u32,
    /// Whether kernels can use page-locked memory of the host, see
    /// [`PinnedBuffer`](crate::PinnedBuffer).
    pub can_map_host_memory: bool,
    /// Whether the host's caches stay coherent with what the GPU does. Where not (Nano, TX1, TX2),
    /// page-locked memory is uncached for the CPU, so reading it there is slow.
    pub io_coherent: bool,
    /// Its highest clock in kHz; 0 where the driver does not say.
    pub clock_khz: u32,
    /// Its memory's highest clock in kHz; 0 where the driver does not say.
    pub memory_clock_khz: u32,
    /// Its memory bus in bits; 0 where the driver does not say.
    pub memory_bus_bits: u32,
}

impl DeviceInfo {
    pub(crate) fn read(driver: &Driver, index: u32) -> Result<Self, CudaError> {
        let api = driver.api();
        let device = api.device(index)?;
        let number = |attribute| api.attribute(device, attribute);
        let optional = |attribute| number(attribute).unwrap_or(0);
        let compute_capability = (
            number(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            number(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        );
        let integrated = number(Attribute::CU_DEVICE_ATTRIBUTE_INTEGRATED)? != 0;
        Ok(Self {
            index,
            name: api.device_name(device)?,
            compute_capability,
            integrated,
            total_bytes: api.total_memory(device)?,
            multiprocessors: number(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
            can_map_host_memory: number(Attribute::CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY)? != 0,
            io_coherent: !integrated || compute_capability >= (7, 2),
            clock_khz: optional(Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE),
            memory_clock_khz: optional(Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE),
            memory_bus_bits: optional(Attribute::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH),
        })
    }
}
