//! What the driver, a device or NVRTC can refuse.

use std::path::PathBuf;

/// Why the driver, a device, NVRTC or the cache of compiled kernels refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CudaError {
    /// No driver library can be loaded.
    #[error(
        "no CUDA driver: none of {tried} can be loaded ({reason}); it comes with NVIDIA's display \
         driver, on a Jetson with JetPack's package nvidia-l4t-cuda"
    )]
    DriverMissing {
        /// The names and paths, in the order in which they were tried.
        tried: String,
        /// What the loader said about the first that exists, else about the first.
        reason: String,
    },
    /// The driver's library was loaded but it does not start.
    #[error("the CUDA driver {path} does not start: {meaning} ({name}, {code})")]
    DriverUnusable {
        /// The driver's library.
        path: String,
        /// What the code means, as a sentence's part.
        meaning: &'static str,
        /// The code's name in CUDA.
        name: String,
        /// The code of `cuInit`.
        code: i32,
    },
    /// A library has no function of this name.
    #[error("{library} has no entry point {name}: {needs}")]
    MissingEntryPoint {
        /// The function.
        name: &'static str,
        /// The library, with its version where it states one.
        library: String,
        /// What would have it.
        needs: &'static str,
    },
    /// The driver works and sees no GPU.
    #[error("the CUDA driver {path} sees no GPU (CUDA_ERROR_NO_DEVICE){hint}")]
    NoDevice {
        /// The driver's library.
        path: String,
        /// What hides the GPUs, where that is known; else empty.
        hint: &'static str,
    },
    /// There is no GPU of this number.
    #[error("there is no GPU {index}: the CUDA driver sees {count}")]
    DeviceIndex {
        /// The number asked for.
        index: u32,
        /// How many there are; numbers start at 0.
        count: u32,
    },
    /// A call into the driver failed.
    #[error("{call} failed: {name} ({code}){hint}")]
    Call {
        /// The driver's function.
        call: &'static str,
        /// Its result.
        code: i32,
        /// The result's name in CUDA, such as `CUDA_ERROR_ILLEGAL_ADDRESS`.
        name: String,
        /// What it means for the reader, where the name does not say; else empty.
        hint: &'static str,
    },
    /// The device has not enough free memory.
    #[error(
        "out of GPU memory: {requested} bytes requested, {free} of {total} bytes free; a smaller \
         batch or workspace, or fewer programs on this GPU, need less"
    )]
    OutOfMemory {
        /// Bytes asked for.
        requested: u64,
        /// Bytes free when the request failed.
        free: u64,
        /// Bytes of the device.
        total: u64,
    },
    /// The host has not enough memory that can be page-locked.
    #[error("out of host memory that the GPU can reach: {requested} bytes requested")]
    OutOfPinnedMemory {
        /// Bytes asked for.
        requested: u64,
    },
    /// A copy goes beyond a region.
    #[error("a copy of {needed} bytes goes beyond the {available} bytes of the device's region")]
    Length {
        /// Bytes to copy.
        needed: usize,
        /// Bytes of the region.
        available: usize,
    },
    /// A region cannot be used by this work.
    #[error("a memory region cannot be used here: {reason}")]
    Region {
        /// Why not.
        reason: &'static str,
    },
    /// An object of one context was used with another.
    #[error("{what} belongs to another CUDA context")]
    ForeignContext {
        /// The kind of object.
        what: &'static str,
    },
    /// A graph was to run on another stream than that which recorded it.
    #[error("a CUDA graph runs only on the stream that recorded it")]
    ForeignStream,
    /// A stream can have one open scope or capture at a time.
    #[error("the stream has an open scope or capture already")]
    StreamBusy,
    /// Something that cannot become part of a graph.
    #[error("{what} cannot be part of a CUDA graph")]
    NotInCapture {
        /// The work.
        what: &'static str,
    },
    /// The caller's work failed while it was recorded into a graph.
    #[error("recording a CUDA graph failed: {0}")]
    Capture(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An event without times was asked for one, or one that was not recorded yet.
    #[error("the event keeps no time: {reason}")]
    NoTime {
        /// Why not.
        reason: &'static str,
    },
    /// No NVRTC library can be loaded, so no kernel can be compiled.
    #[error(
        "no NVRTC, CUDA's run-time compiler (package cuda-nvrtc), so there are no GPU kernels{detail}"
    )]
    NvrtcMissing {
        /// `: ` and what was tried, where that is known; else empty.
        detail: String,
    },
    /// NVRTC refused a source.
    #[error("NVRTC {version} cannot compile {name} for {architecture}: {message}")]
    Compile {
        /// The source's name.
        name: String,
        /// NVRTC's version.
        version: String,
        /// The architecture asked for, such as `sm_87`.
        architecture: String,
        /// The first error line of the compiler's log, or the result's text.
        message: String,
    },
    /// The directory for compiled kernels cannot be used.
    #[error("the directory for compiled GPU kernels {path} cannot be written: {source}")]
    CacheDirectory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl CudaError {
    /// Whether this machine lacks the driver, a GPU, or NVRTC, or has a driver that does not start:
    /// nothing that another attempt or another input would change.
    pub fn is_missing(&self) -> bool {
        matches!(
            self,
            Self::DriverMissing { .. }
                | Self::DriverUnusable { .. }
                | Self::NoDevice { .. }
                | Self::NvrtcMissing { .. }
        )
    }

    /// Whether memory of the device or page-locked memory ran out.
    pub fn is_out_of_memory(&self) -> bool {
        matches!(
            self,
            Self::OutOfMemory { .. } | Self::OutOfPinnedMemory { .. }
        )
    }

    /// What a failed `cuInit` means, or nothing where the code's name says all there is to say.
    pub(crate) fn start_failure(path: &str, code: i32, name: String) -> Self {
        use cudarc::driver::sys::CUresult;
        let is = |known: CUresult| code == known as i32;
        let meaning = if is(CUresult::CUDA_ERROR_NO_DEVICE) {
            return Self::NoDevice {
                path: path.to_owned(),
                hint: hidden_devices(std::env::var_os("CUDA_VISIBLE_DEVICES").as_deref()),
            };
        } else if is(CUresult::CUDA_ERROR_INVALID_DEVICE) {
            "the kernel's driver knows no such GPU"
        } else if is(CUresult::CUDA_ERROR_OUT_OF_MEMORY) {
            "there is not enough memory to start it"
        } else if is(CUresult::CUDA_ERROR_STUB_LIBRARY) {
            "this is the toolkit's stub for linking, not the driver"
        } else if is(CUresult::CUDA_ERROR_SYSTEM_DRIVER_MISMATCH) {
            "its version differs from that of the kernel's driver; after an update, restart the \
             machine; in a container, use the library that the host mounts"
        } else if is(CUresult::CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE) {
            "it is a forward-compatibility library, which this GPU or kernel driver does not support"
        } else if is(CUresult::CUDA_ERROR_SYSTEM_NOT_READY) {
            "the system is not ready; on NVSwitch machines the fabric manager must run"
        } else if is(CUresult::CUDA_ERROR_NOT_SUPPORTED) {
            "this machine or kernel is not supported"
        } else if is(CUresult::CUDA_ERROR_OPERATING_SYSTEM) {
            "a system call failed; device nodes may be missing or closed to this user"
        } else if is(CUresult::CUDA_ERROR_UNKNOWN) {
            "the kernel's module is not loaded, or the device nodes are missing or closed to this \
             user (groups video and render)"
        } else if code == MPS_CONNECTION_FAILED {
            "the MPS control daemon does not answer"
        } else if code == DEVICE_UNAVAILABLE {
            "another process holds the GPU exclusively"
        } else {
            "cuInit failed"
        };
        Self::DriverUnusable {
            path: path.to_owned(),
            meaning,
            name,
            code,
        }
    }
}

const MPS_CONNECTION_FAILED: i32 = 805;
const DEVICE_UNAVAILABLE: i32 = 46;

fn hidden_devices(visible: Option<&std::ffi::OsStr>) -> &'static str {
    match visible {
        Some(_) => "; CUDA_VISIBLE_DEVICES is set and may hide it",
        None => "",
    }
}

/// What a failed call means, where the result's name does not say it.
pub(crate) fn call_hint(code: i32) -> &'static str {
    use cudarc::driver::sys::CUresult;
    let is = |known: CUresult| code == known as i32;
    if is(CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION) {
        "; the kernel was compiled by an NVRTC newer than the driver"
    } else if is(CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU) {
        "; the kernel was compiled for another GPU"
    } else if is(CUresult::CUDA_ERROR_ILLEGAL_ADDRESS) {
        "; a kernel used memory that it must not, and the context can do no more work"
    } else if is(CUresult::CUDA_ERROR_LAUNCH_TIMEOUT) {
        "; the display's watchdog stopped a kernel"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_one_line_with_what_was_found_and_expected() {
        let table = [
            (
                CudaError::DriverMissing {
                    tried: "libcuda.so.1".to_owned(),
                    reason: "cannot open shared object file".to_owned(),
                },
                "no CUDA driver: none of libcuda.so.1 can be loaded (cannot open shared object \
                 file); it comes with NVIDIA's display driver, on a Jetson with JetPack's package \
                 nvidia-l4t-cuda",
            ),
            (
                CudaError::MissingEntryPoint {
                    name: "cuMemAlloc_v2",
                    library: "the CUDA driver libcuda.so.1 (CUDA 3.0)".to_owned(),
                    needs: "CUDA 10.2 (JetPack 4.4) or later is needed",
                },
                "the CUDA driver libcuda.so.1 (CUDA 3.0) has no entry point cuMemAlloc_v2: CUDA \
                 10.2 (JetPack 4.4) or later is needed",
            ),
            (
                CudaError::OutOfMemory {
                    requested: 30,
                    free: 20,
                    total: 40,
                },
                "out of GPU memory: 30 bytes requested, 20 of 40 bytes free; a smaller batch or \
                 workspace, or fewer programs on this GPU, need less",
            ),
            (
                CudaError::Call {
                    call: "cuModuleLoadData",
                    code: 222,
                    name: "CUDA_ERROR_UNSUPPORTED_PTX_VERSION".to_owned(),
                    hint: call_hint(222),
                },
                "cuModuleLoadData failed: CUDA_ERROR_UNSUPPORTED_PTX_VERSION (222); the kernel was \
                 compiled by an NVRTC newer than the driver",
            ),
            (
                CudaError::NvrtcMissing {
                    detail: String::new(),
                },
                "no NVRTC, CUDA's run-time compiler (package cuda-nvrtc), so there are no GPU \
                 kernels",
            ),
        ];
        for (error, expected) in table {
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn a_hidden_gpu_is_hinted_at() {
        assert_eq!(hidden_devices(None), "");
        assert!(hidden_devices(Some("".as_ref())).contains("CUDA_VISIBLE_DEVICES"));
    }
}
