//! The driver's and NVRTC's functions, found by name, and owners of the driver's objects.
//!
//! Results are plain integers here: a newer driver may return one that no enumeration knows.

mod context;
mod event;
mod graph;
pub(crate) mod loader;
mod memory;
mod module;
pub(crate) mod nvrtc;
mod stream;

use std::ffi::{CStr, c_char, c_int, c_uint, c_ulonglong, c_void};
use std::ptr;

use cudarc::driver::sys::{
    CUcontext, CUdevice, CUdevice_attribute, CUdeviceptr, CUevent, CUfunction, CUgraph,
    CUgraphExec, CUgraphNode, CUmodule, CUresult, CUstream,
};
use libloading::Library;

pub(crate) use self::context::PrimaryContext;
pub(crate) use self::event::EventHandle;
pub(crate) use self::graph::{GraphHandle, GraphTemplate};
pub(crate) use self::memory::{DeviceMemory, HostMemory};
pub(crate) use self::module::{FunctionHandle, Image, ModuleHandle};
pub(crate) use self::stream::StreamHandle;
use crate::CudaError;
use crate::error::call_hint;

/// A required function that a library lacks, and the CUDA version of the driver it claims to be.
pub(crate) struct MissingFunction {
    pub(crate) name: &'static str,
    pub(crate) version: Option<(u32, u32)>,
}

macro_rules! entry_points {
    (
        required { $(fn $name:ident($($argument:ty),* $(,)?);)* }
        optional { $(fn $option:ident($($parameter:ty),* $(,)?);)* }
    ) => {
        /// The driver's functions. Those of `required` exist since CUDA 10.2 at the latest.
        #[allow(non_snake_case, reason = "the driver's own names")]
        pub(crate) struct Api {
            $(pub(crate) $name: unsafe extern "C" fn($($argument),*) -> c_int,)*
            $(pub(crate) $option: Option<unsafe extern "C" fn($($parameter),*) -> c_int>,)*
        }

        impl Api {
            fn find(library: &Library) -> Result<Self, &'static str> {
                Ok(Self {
                    $($name: {
                        // SAFETY: cuda.h declares the function with this signature, and the
                        // library is kept loaded once the table is in use.
                        let found = unsafe {
                            loader::function(library, concat!(stringify!($name), "\0"))
                        };
                        found.ok_or(stringify!($name))?
                    },)*
                    // SAFETY: as above.
                    $($option: unsafe {
                        loader::function(library, concat!(stringify!($option), "\0"))
                    },)*
                })
            }
        }
    };
}

entry_points! {
    required {
        fn cuInit(c_uint);
        fn cuDriverGetVersion(*mut c_int);
        fn cuDeviceGetCount(*mut c_int);
        fn cuDeviceGet(*mut CUdevice, c_int);
        fn cuDeviceGetName(*mut c_char, c_int, CUdevice);
        fn cuDeviceGetAttribute(*mut c_int, c_int, CUdevice);
        fn cuDeviceTotalMem_v2(*mut usize, CUdevice);
        fn cuDevicePrimaryCtxRetain(*mut CUcontext, CUdevice);
        fn cuCtxSetCurrent(CUcontext);
        fn cuMemGetInfo_v2(*mut usize, *mut usize);
        fn cuMemAlloc_v2(*mut CUdeviceptr, usize);
        fn cuMemFree_v2(CUdeviceptr);
        fn cuMemHostAlloc(*mut *mut c_void, usize, c_uint);
        fn cuMemHostGetDevicePointer_v2(*mut CUdeviceptr, *mut c_void, c_uint);
        fn cuMemFreeHost(*mut c_void);
        fn cuMemcpyHtoDAsync_v2(CUdeviceptr, *const c_void, usize, CUstream);
        fn cuMemcpyDtoHAsync_v2(*mut c_void, CUdeviceptr, usize, CUstream);
        fn cuMemcpyDtoDAsync_v2(CUdeviceptr, CUdeviceptr, usize, CUstream);
        fn cuMemsetD8Async(CUdeviceptr, u8, usize, CUstream);
        fn cuStreamCreate(*mut CUstream, c_uint);
        fn cuStreamSynchronize(CUstream);
        fn cuStreamWaitEvent(CUstream, CUevent, c_uint);
        fn cuStreamDestroy_v2(CUstream);
        fn cuEventCreate(*mut CUevent, c_uint);
        fn cuEventRecord(CUevent, CUstream);
        fn cuEventSynchronize(CUevent);
        fn cuEventElapsedTime(*mut f32, CUevent, CUevent);
        fn cuEventDestroy_v2(CUevent);
        fn cuModuleLoadData(*mut CUmodule, *const c_void);
        fn cuModuleGetFunction(*mut CUfunction, CUmodule, *const c_char);
        fn cuModuleUnload(CUmodule);
        fn cuLaunchKernel(
            CUfunction, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, CUstream,
            *mut *mut c_void, *mut *mut c_void,
        );
    }
    optional {
        fn cuGetErrorName(c_int, *mut *const c_char);
        fn cuDevicePrimaryCtxRelease(CUdevice);
        fn cuDevicePrimaryCtxRelease_v2(CUdevice);
        fn cuStreamBeginCapture_v2(CUstream, c_uint);
        fn cuStreamEndCapture(CUstream, *mut CUgraph);
        fn cuThreadExchangeStreamCaptureMode(*mut c_uint);
        fn cuGraphInstantiate(
            *mut CUgraphExec, CUgraph, *mut CUgraphNode, *mut c_char, usize,
        );
        fn cuGraphInstantiate_v2(
            *mut CUgraphExec, CUgraph, *mut CUgraphNode, *mut c_char, usize,
        );
        fn cuGraphInstantiateWithFlags(*mut CUgraphExec, CUgraph, c_ulonglong);
        fn cuGraphGetNodes(CUgraph, *mut CUgraphNode, *mut usize);
        fn cuGraphLaunch(CUgraphExec, CUstream);
        fn cuGraphExecDestroy(CUgraphExec);
        fn cuGraphDestroy(CUgraph);
    }
}

impl Api {
    /// The driver's functions in `library`, none of which has been called.
    pub(crate) fn probe(library: &Library) -> Result<Self, MissingFunction> {
        let found = Self::find(library).and_then(|api| {
            let releases = api.cuDevicePrimaryCtxRelease_v2.is_some()
                || api.cuDevicePrimaryCtxRelease.is_some();
            releases.then_some(api).ok_or("cuDevicePrimaryCtxRelease")
        });
        found.map_err(|name| MissingFunction {
            name,
            version: version_of(library),
        })
    }

    /// Starts the driver; the result's code where it refuses.
    pub(crate) fn init(&self) -> Result<(), i32> {
        // SAFETY: may be called at any time, any number of times; 0 is the only flag.
        match unsafe { (self.cuInit)(0) } {
            0 => Ok(()),
            code => Err(code),
        }
    }

    pub(crate) fn version(&self) -> Option<(u32, u32)> {
        let mut version = 0;
        // SAFETY: writes one integer.
        let code = unsafe { (self.cuDriverGetVersion)(&raw mut version) };
        (code == 0).then(|| split_version(version))
    }

    /// Turns a result into an error that names the call.
    pub(crate) fn check(&self, call: &'static str, code: c_int) -> Result<(), CudaError> {
        if code == 0 {
            return Ok(());
        }
        Err(CudaError::Call {
            call,
            code,
            name: self.name_of(code),
            hint: call_hint(code),
        })
    }

    /// A result's name in CUDA.
    pub(crate) fn name_of(&self, code: c_int) -> String {
        let mut name = ptr::null();
        if let Some(get_name) = self.cuGetErrorName {
            // SAFETY: takes any integer, and writes null or a static string.
            unsafe { get_name(code, &raw mut name) };
        }
        if name.is_null() {
            return "unknown error".to_owned();
        }
        // SAFETY: not null, and a static string that ends with a zero byte.
        let name = unsafe { CStr::from_ptr(name) };
        name.to_string_lossy().into_owned()
    }

    /// The function that only newer drivers have, or an error that names it.
    pub(crate) fn optional<F>(
        &self,
        name: &'static str,
        function: Option<F>,
    ) -> Result<F, CudaError> {
        function.ok_or_else(|| CudaError::MissingEntryPoint {
            name,
            library: match self.version() {
                Some((major, minor)) => format!("the CUDA driver (CUDA {major}.{minor})"),
                None => "the CUDA driver".to_owned(),
            },
            needs: "CUDA graphs need CUDA 10.1 or later",
        })
    }

    pub(crate) fn device_count(&self) -> Result<u32, CudaError> {
        let mut count = 0;
        // SAFETY: writes one integer.
        let code = unsafe { (self.cuDeviceGetCount)(&raw mut count) };
        self.check("cuDeviceGetCount", code)?;
        Ok(u32::try_from(count).unwrap_or(0))
    }

    pub(crate) fn device(&self, index: u32) -> Result<CUdevice, CudaError> {
        let mut device = 0;
        let index = c_int::try_from(index).unwrap_or(c_int::MAX);
        // SAFETY: writes one integer; an index that does not exist is refused.
        let code = unsafe { (self.cuDeviceGet)(&raw mut device, index) };
        self.check("cuDeviceGet", code)?;
        Ok(device)
    }

    pub(crate) fn device_name(&self, device: CUdevice) -> Result<String, CudaError> {
        let mut name = [0_u8; 256];
        // SAFETY: writes at most 255 characters and a zero byte.
        let code = unsafe { (self.cuDeviceGetName)(name.as_mut_ptr().cast(), 256, device) };
        self.check("cuDeviceGetName", code)?;
        let name = CStr::from_bytes_until_nul(&name).unwrap_or_default();
        Ok(name.to_string_lossy().into_owned())
    }

    pub(crate) fn attribute(
        &self,
        device: CUdevice,
        attribute: CUdevice_attribute,
    ) -> Result<u32, CudaError> {
        let mut value = 0;
        // SAFETY: writes one integer; an attribute that the driver does not know is refused.
        let code =
            unsafe { (self.cuDeviceGetAttribute)(&raw mut value, attribute as c_int, device) };
        self.check("cuDeviceGetAttribute", code)?;
        Ok(u32::try_from(value).unwrap_or(0))
    }

    pub(crate) fn total_memory(&self, device: CUdevice) -> Result<u64, CudaError> {
        let mut bytes = 0;
        // SAFETY: writes one integer.
        let code = unsafe { (self.cuDeviceTotalMem_v2)(&raw mut bytes, device) };
        self.check("cuDeviceTotalMem_v2", code)?;
        Ok(bytes as u64)
    }
}

fn version_of(library: &Library) -> Option<(u32, u32)> {
    // SAFETY: cuda.h declares the function with this signature; it is called while the library is
    // loaded.
    let get: Option<unsafe extern "C" fn(*mut c_int) -> c_int> =
        unsafe { loader::function(library, "cuDriverGetVersion\0") };
    let mut version = 0;
    // SAFETY: writes one integer, and may be called before cuInit.
    let code = unsafe { get?(&raw mut version) };
    (code == 0).then(|| split_version(version))
}

fn split_version(version: c_int) -> (u32, u32) {
    let version = u32::try_from(version).unwrap_or(0);
    (version / 1000, version % 1000 / 10)
}
