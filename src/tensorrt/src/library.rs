//! Finding and loading the library.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use libloading::os::unix;

use crate::sys::{Api, Family, Handle, Logger, Owned};
use crate::{Flavor, TensorRtError, Version};

type VersionFn = unsafe extern "C" fn() -> i32;
type CreateFn = unsafe extern "C" fn(*mut c_void, i32) -> *mut c_void;

const VERSION: &str = "getInferLibVersion";
const CREATE_BUILDER: &str = "createInferBuilder_INTERNAL";
const CREATE_RUNTIME: &str = "createInferRuntime_INTERNAL";

/// The libraries of the process, which are never unloaded: threads and exit handlers of theirs
/// would be left without code.
static LOADED: Mutex<Vec<&'static Loaded>> = Mutex::new(Vec::new());

#[derive(Debug)]
struct Loaded {
    path: PathBuf,
    number: i32,
    api: Api,
    create_builder: CreateFn,
    create_runtime: CreateFn,
}

/// TensorRT's shared library, loaded and its version checked. It stays loaded until the process
/// ends, with one logger, which writes to `tracing` (target `tfjet_tensorrt`).
///
/// `Send` and `Sync`; copies are the same library.
#[derive(Clone, Copy)]
pub struct Library(&'static Loaded);

impl Library {
    /// Loads the library. `explicit` is its file, or a folder that holds it, and must exist: a
    /// wrong one is an error, not a reason to look further. Without it the first that can be
    /// loaded is taken: TensorRT 10 then 8 in each of `dirs`, then wherever the system's loader
    /// finds it. That it makes working objects shows where they are made.
    ///
    /// The code of the file runs, so it must be trusted.
    ///
    /// # Errors
    ///
    /// [`TensorRtError`] where there is no library, it is not TensorRT, or its version is not
    /// known: 8.2 to 8.6, 10.0 to 10.16, TensorRT-RTX 1.7.
    pub fn load(
        flavor: Flavor,
        explicit: Option<&Path>,
        dirs: &[PathBuf],
    ) -> Result<Self, TensorRtError> {
        let mut tried = Vec::new();
        for candidate in candidates(flavor, explicit, dirs) {
            if candidate.components().count() > 1 && !candidate.is_file() {
                tried.push(format!("{} (no such file)", candidate.display()));
                continue;
            }
            match open(&candidate) {
                Ok(library) => return Self::check(flavor, library, &candidate),
                Err(reason) if explicit.is_some() => {
                    return Err(TensorRtError::LibraryUnloadable {
                        path: candidate,
                        reason,
                    });
                }
                Err(reason) => tried.push(format!("{} ({reason})", candidate.display())),
            }
        }
        Err(TensorRtError::LibraryMissing { flavor, tried })
    }

    /// The library's version.
    pub fn version(&self) -> Version {
        self.0.api.version
    }

    /// The file that was loaded.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    fn check(
        flavor: Flavor,
        library: unix::Library,
        candidate: &Path,
    ) -> Result<Self, TensorRtError> {
        let foreign = |missing| TensorRtError::LibraryForeign {
            path: candidate.to_owned(),
            missing,
        };
        let version_code = symbol(&library, VERSION).ok_or_else(|| foreign(VERSION))?;
        let create_builder =
            symbol(&library, CREATE_BUILDER).ok_or_else(|| foreign(CREATE_BUILDER))?;
        let create_runtime =
            symbol(&library, CREATE_RUNTIME).ok_or_else(|| foreign(CREATE_RUNTIME))?;
        // SAFETY: in every version of the library a function without arguments.
        let get_version: VersionFn = unsafe { std::mem::transmute(version_code) };
        // SAFETY: as above.
        let number = unsafe { get_version() };
        let path = file_of(version_code).unwrap_or_else(|| candidate.to_owned());
        let Some(version) = Version::decode(number) else {
            return Err(TensorRtError::LibraryForeign {
                path,
                missing: "known version number",
            });
        };
        let family = known(flavor, version, &path)?;
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: in these versions functions of these arguments.
        let create_builder: CreateFn = unsafe { std::mem::transmute(create_builder) };
        if let Some(known) = loaded
            .iter()
            .find(|known| std::ptr::fn_addr_eq(known.create_builder, create_builder))
        {
            return Ok(Self(known));
        }
        tracing::debug!(path = %path.display(), %version, "loaded {flavor}");
        let this: &'static Loaded = Box::leak(Box::new(Loaded {
            path,
            number,
            api: Api {
                version,
                family,
                logger: Logger::leak(family, version),
            },
            create_builder,
            // SAFETY: in these versions a function of these arguments.
            create_runtime: unsafe {
                std::mem::transmute::<*const c_void, CreateFn>(create_runtime)
            },
        }));
        std::mem::forget(library);
        loaded.push(this);
        Ok(Self(this))
    }

    /// A new `IBuilder`.
    pub(crate) fn create_builder(&self) -> Result<Owned, TensorRtError> {
        self.load_builder_resource();
        let builder = self.create(CREATE_BUILDER, self.0.create_builder)?;
        // SAFETY: the builder was just made.
        let logger = unsafe { builder.call(|s| &s.builder.get_logger, ()) }?;
        self.self_check("IBuilder", logger)?;
        Ok(builder)
    }

    /// A new `IRuntime`.
    pub(crate) fn create_runtime(&self) -> Result<Owned, TensorRtError> {
        let runtime = self.create(CREATE_RUNTIME, self.0.create_runtime)?;
        // SAFETY: the runtime was just made.
        let logger = unsafe { runtime.call(|s| &s.runtime.get_logger, ()) }?;
        self.self_check("IRuntime", logger)?;
        Ok(runtime)
    }

    fn create(&self, call: &'static str, entry: CreateFn) -> Result<Owned, TensorRtError> {
        let Api {
            logger, version, ..
        } = self.0.api;
        let mark = logger.mark();
        // SAFETY: the logger has the layout that this version calls and lives as long as the
        // process; the number is the library's own.
        let object = unsafe { entry(logger.as_ptr(), self.0.number) };
        let handle = Handle::new(self.0.api, object).ok_or_else(|| TensorRtError::CallFailed {
            call,
            version,
            log: logger.errors_since(mark),
        })?;
        // SAFETY: the object is new and ours; the library stays loaded.
        Ok(unsafe { Owned::new(handle) })
    }

    /// Is `logger`, which a new object says that it was given, the library's?
    fn self_check(&self, object: &'static str, logger: *mut c_void) -> Result<(), TensorRtError> {
        let api = self.0.api;
        if logger == api.logger.as_ptr() {
            return Ok(());
        }
        Err(TensorRtError::SelfCheck {
            path: self.0.path.clone(),
            version: api.version,
            object,
        })
    }

    /// TensorRT's builder loads a second library by its bare name, which the loader finds outside
    /// its search path only if it is loaded already.
    fn load_builder_resource(&self) {
        let Version {
            flavor: Flavor::TensorRt,
            major,
            minor,
            patch,
        } = self.0.api.version
        else {
            return;
        };
        let name = format!("libnvinfer_builder_resource.so.{major}.{minor}.{patch}");
        let path = self.0.path.with_file_name(name);
        if !path.is_file() {
            return;
        }
        match open(&path) {
            Ok(library) => std::mem::forget(library),
            Err(reason) => tracing::debug!(path = %path.display(), reason, "not loaded"),
        }
    }
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library")
            .field("version", &self.version())
            .field("path", &self.path())
            .finish()
    }
}

fn candidates(flavor: Flavor, explicit: Option<&Path>, dirs: &[PathBuf]) -> Vec<PathBuf> {
    let names: &[&str] = match flavor {
        Flavor::TensorRt => &["libnvinfer.so.10", "libnvinfer.so.8"],
        Flavor::TensorRtRtx => &["libtensorrt_rtx.so.1"],
    };
    let inside = |dir: &Path| -> Vec<PathBuf> { names.iter().map(|n| dir.join(n)).collect() };
    match explicit {
        Some(dir) if dir.is_dir() => inside(dir),
        Some(file) if file.components().count() > 1 => vec![file.to_owned()],
        Some(file) => vec![Path::new(".").join(file)],
        None => dirs
            .iter()
            .flat_map(|dir| inside(dir))
            .chain(names.iter().map(PathBuf::from))
            .collect(),
    }
}

/// The family of the version found at `path`, where it is one that is wanted and known.
fn known(wanted: Flavor, found: Version, path: &Path) -> Result<Family, TensorRtError> {
    if found.flavor != wanted {
        return Err(TensorRtError::LibraryFlavor {
            path: path.to_owned(),
            found,
            wanted,
        });
    }
    Family::of(found).ok_or_else(|| TensorRtError::LibraryVersion {
        path: path.to_owned(),
        found,
        advice: advice(found),
    })
}

/// What to do about a version that is not known.
fn advice(found: Version) -> String {
    let known = match found.flavor {
        Flavor::TensorRt => "known are TensorRT 8.2 to 8.6 and 10.0 to 10.16",
        Flavor::TensorRtRtx => "known is TensorRT-RTX 1.7",
    };
    let reason = match (found.flavor, found.major, found.minor) {
        (Flavor::TensorRt, 8, 0) => "it is JetPack 4.6.0's; update to JetPack 4.6.1 or later; ",
        (Flavor::TensorRt, 8, 7..) | (Flavor::TensorRt, 10, 17..) | (Flavor::TensorRt, 11.., _) => {
            "it is too new; "
        }
        (Flavor::TensorRt, ..8, _) | (Flavor::TensorRt, 8, ..2) => "it is too old; ",
        _ => "",
    };
    format!("{reason}{known}")
}

fn open(path: &Path) -> Result<unix::Library, String> {
    let flags = unix::RTLD_NOW | unix::RTLD_LOCAL;
    // SAFETY: the caller of `Library::load` trusts the library's initialisers.
    unsafe { unix::Library::open(Some(path), flags) }.map_err(|error| {
        let text = std::error::Error::source(&error)
            .map_or_else(|| error.to_string(), ToString::to_string);
        text.trim().to_owned()
    })
}

fn symbol(library: &unix::Library, name: &str) -> Option<*const c_void> {
    // SAFETY: the symbol is taken as an address only.
    let symbol = unsafe { library.get::<*const c_void>(name.as_bytes()) }.ok()?;
    Some(symbol.into_raw().cast_const()).filter(|address| !address.is_null())
}

#[repr(C)]
struct DlInfo {
    file_name: *const c_char,
    file_base: *mut c_void,
    symbol_name: *const c_char,
    symbol_address: *mut c_void,
}

unsafe extern "C" {
    fn dladdr(address: *const c_void, info: *mut DlInfo) -> c_int;
}

/// The file that holds the code at `address`, symbolic links resolved.
fn file_of(address: *const c_void) -> Option<PathBuf> {
    let mut info = DlInfo {
        file_name: std::ptr::null(),
        file_base: std::ptr::null_mut(),
        symbol_name: std::ptr::null(),
        symbol_address: std::ptr::null_mut(),
    };
    // SAFETY: any address may be asked for, and `info` is the function's struct.
    let found = unsafe { dladdr(address, &raw mut info) };
    if found == 0 || info.file_name.is_null() {
        return None;
    }
    // SAFETY: the loader's own string, which lives as long as the library is loaded.
    let name = unsafe { CStr::from_ptr(info.file_name) };
    let path = Path::new(OsStr::from_bytes(name.to_bytes()));
    Some(fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;

    fn library(api: Api, create: CreateFn) -> Library {
        Library(Box::leak(Box::new(Loaded {
            path: "/lib/libnvinfer.so".into(),
            number: 0,
            api,
            create_builder: create,
            create_runtime: create,
        })))
    }

    #[test]
    fn versions_that_are_not_known_are_refused_with_what_to_do() {
        let (trt, rtx) = (
            "known are TensorRT 8.2 to 8.6 and 10.0 to 10.16",
            "known is TensorRT-RTX 1.7",
        );
        for (number, reason, known_versions) in [
            (7103, "it is too old; ", trt),
            (
                8001,
                "it is JetPack 4.6.0's; update to JetPack 4.6.1 or later; ",
                trt,
            ),
            (8103, "it is too old; ", trt),
            (101_700, "it is too new; ", trt),
            (110_401, "it is too new; ", trt),
            (90_100, "", rtx),
            (10_601, "", rtx),
        ] {
            let found = Version::decode(number).unwrap();
            let refused = known(found.flavor, found, Path::new("/lib/x.so")).unwrap_err();
            let expected = format!("/lib/x.so: {found} is not supported: {reason}{known_versions}");
            assert_eq!(refused.to_string(), expected);
        }
        for number in [8201, 8406, 8502, 8601, 100_000, 100_300, 101_600] {
            let found = Version::decode(number).unwrap();
            known(Flavor::TensorRt, found, Path::new("")).unwrap();
            known(Flavor::TensorRtRtx, found, Path::new("")).unwrap_err();
        }
    }

    /// Calls the logger as TensorRT 8 does, and makes nothing.
    unsafe extern "C" fn fail(logger: *mut c_void, _version: i32) -> *mut c_void {
        type Log = unsafe extern "C" fn(*mut c_void, i32, *const c_char);
        // SAFETY: the logger starts with the pointer to its vtable.
        let vtable = unsafe { logger.cast::<*const Log>().read() };
        // SAFETY: whose first entry is `log`.
        let log = unsafe { vtable.read() };
        // SAFETY: with a logger and a C string.
        unsafe {
            log(
                logger,
                0,
                c"CUDA initialization failure with error: 35".as_ptr(),
            )
        };
        std::ptr::null_mut()
    }

    #[test]
    fn a_library_that_makes_nothing_is_quoted() {
        let library = library(fake::api(8, 4), fail);
        assert_eq!(
            crate::Builder::new(&library).unwrap_err().to_string(),
            "TensorRT 8.4.0: createInferBuilder_INTERNAL failed: \
             CUDA initialization failure with error: 35"
        );
        let error = crate::Runtime::new(&library).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("createInferRuntime_INTERNAL failed: CUDA")
        );
    }

    unsafe extern "C" fn another_logger(_this: *mut c_void) -> *mut c_void {
        std::ptr::dangling_mut::<u64>().cast()
    }

    /// A builder of TensorRT 8 (`getLogger` is slot 19) and runtime (slot 9) with another logger.
    unsafe extern "C" fn confused(_logger: *mut c_void, _version: i32) -> *mut c_void {
        let code = another_logger as *const c_void;
        fake::object(&[(9, code), (19, code)])
    }

    #[test]
    fn objects_that_do_not_know_their_logger_are_not_used() {
        let library = library(fake::api(8, 6), confused);
        for (refused, class) in [
            (crate::Builder::new(&library).map(drop), "IBuilder"),
            (crate::Runtime::new(&library).map(drop), "IRuntime"),
        ] {
            let error = refused.unwrap_err();
            let TensorRtError::SelfCheck { object, .. } = &error else {
                panic!("{error}")
            };
            assert_eq!(*object, class);
            assert!(error.to_string().contains("says that it is TensorRT 8.6.0"));
        }
    }
}
