use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;

use crate::{CpuError, raw};

/// Names the library's file, or a folder that holds it.
const VARIABLE: &str = "TFJET_ONNXRUNTIME";

/// The one library of the process.
static LOADED: Mutex<Option<Library>> = Mutex::new(None);

/// ONNX Runtime's shared library, loaded and checked. It stays loaded until the process ends.
#[derive(Debug, Clone)]
pub struct Library {
    path: PathBuf,
    version: String,
    environment: Environment,
}

impl Library {
    /// Loads the library from the first of these that is there: `explicit`, the file or folder that
    /// the environment variable `TFJET_ONNXRUNTIME` names, the executable's folder, `extra_dirs`.
    /// What is named must exist: a wrong `explicit` path or variable is an error, not a reason to
    /// look further.
    ///
    /// The code of the file runs, so it must be trusted.
    ///
    /// # Errors
    ///
    /// [`CpuError`] where there is no library, or it is no ONNX Runtime 1.24 or later, or the
    /// process uses another one already.
    pub fn load(explicit: Option<&Path>, extra_dirs: &[PathBuf]) -> Result<Self, CpuError> {
        let found = find(explicit, extra_dirs)?;
        let path = fs::canonicalize(&found).map_err(|e| CpuError::unloadable(&found, &e))?;
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        match &*loaded {
            Some(library) if library.path == path => return Ok(library.clone()),
            Some(library) => {
                return Err(CpuError::LibraryLoaded {
                    path,
                    loaded: library.path.clone(),
                });
            }
            None => {}
        }
        let version = raw::version(&path)?;
        let environment = ort::init_from(&path)
            .map_err(|error| CpuError::unloadable(&path, &error))?
            .with_name("tfjet")
            .with_telemetry(false)
            .with_logger(Arc::new(log))
            .build()
            .map_err(CpuError::runtime("make an environment"))?;
        environment.set_log_level(LogLevel::Warning);
        tracing::debug!(path = %path.display(), version, "loaded ONNX Runtime");
        let library = Self {
            path,
            version,
            environment,
        };
        *loaded = Some(library.clone());
        Ok(library)
    }

    /// The library's own version, such as `1.24.4`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The file that was loaded, symbolic links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }
}

fn log(level: LogLevel, category: &str, _id: &str, location: &str, message: &str) {
    match level {
        LogLevel::Verbose => tracing::trace!(category, location, "{message}"),
        LogLevel::Info => tracing::debug!(category, location, "{message}"),
        LogLevel::Warning => tracing::warn!(category, location, "{message}"),
        LogLevel::Error | LogLevel::Fatal => tracing::error!(category, location, "{message}"),
    }
}

fn find(explicit: Option<&Path>, extra_dirs: &[PathBuf]) -> Result<PathBuf, CpuError> {
    let variable = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
    let named = explicit.map(Path::to_owned).or(variable.map(PathBuf::from));
    let places = match named {
        Some(named) => vec![named],
        None => {
            let executable = std::env::current_exe().ok();
            let beside = executable
                .as_deref()
                .and_then(Path::parent)
                .map(Path::to_owned);
            beside
                .into_iter()
                .chain(extra_dirs.iter().cloned())
                .collect()
        }
    };
    places
        .iter()
        .find_map(|place| library_at(place))
        .ok_or(CpuError::LibraryNotFound { looked_at: places })
}

/// `place` where it is a file; the newest library in it where it is a folder.
fn library_at(place: &Path) -> Option<PathBuf> {
    if place.is_file() {
        return Some(place.to_owned());
    }
    let entries = fs::read_dir(place).ok()?.filter_map(Result::ok);
    entries
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .filter_map(|path| Some((version_of(path.file_name()?)?, path)))
        .max()
        .map(|(_, path)| path)
}

/// The version in a library's file name, empty where it has none; `None` for other files.
fn version_of(name: &OsStr) -> Option<Vec<u32>> {
    let base = format!(
        "{}onnxruntime{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    );
    let version = name.to_str()?.strip_prefix(&base)?;
    if version.is_empty() {
        return Some(Vec::new());
    }
    let numbers = version.strip_prefix('.')?.split('.');
    numbers.map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_the_newest_library_of_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "libonnxruntime.so.1.9.0",
            "libonnxruntime.so.1.32.0",
            "libonnxruntime.so.1.24.4",
            "libonnxruntime_providers_shared.so",
            "libonnxruntime.so.txt",
        ] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let found = library_at(dir.path()).unwrap();
        assert_eq!(found.file_name().unwrap(), "libonnxruntime.so.1.32.0");
        assert_eq!(library_at(&dir.path().join("none")), None);
    }
}
