//! NVRTC, CUDA's run-time compiler.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::CudaError;
use crate::sys::{Image, loader, nvrtc};

/// CUDA's run-time compiler, loaded. Clones share it.
#[derive(Clone)]
pub struct Nvrtc(Arc<Inner>);

struct Inner {
    api: nvrtc::Api,
    path: String,
    version: (u32, u32),
    architectures: Vec<u32>,
}

/// The names under which it is installed, newest first.
const NAMES: [&str; 8] = [
    "libnvrtc.so.13",
    "libnvrtc.so.12",
    "libnvrtc.so.11.2",
    "libnvrtc.so.11.1",
    "libnvrtc.so.11.0",
    "libnvrtc.so.11",
    "libnvrtc.so.10.2",
    "libnvrtc.so",
];

/// Where a directory may keep libraries: itself, a toolkit, or Python's packages.
const PLACES: [&str; 5] = [
    "",
    "lib64",
    "lib",
    "nvidia/cuda_nvrtc/lib",
    "nvidia/cu13/lib",
];

impl Nvrtc {
    /// Loads NVRTC: the file `explicit`, or the best that is in `dirs` (libraries, toolkits or
    /// Python's `site-packages`), in the system's search path, in `CUDA_PATH`, `CUDA_HOME` or
    /// `/usr/local/cuda`. Best is the newest that is no newer than `driver`, the driver's CUDA
    /// version, in its major number.
    ///
    /// # Errors
    /// [`CudaError::NvrtcMissing`], and [`CudaError::MissingEntryPoint`] for a library that is not
    /// NVRTC.
    pub fn load(
        explicit: Option<&Path>,
        dirs: &[PathBuf],
        driver: (u32, u32),
    ) -> Result<Self, CudaError> {
        let paths = match explicit {
            Some(path) => vec![path.to_owned()],
            None => candidates(dirs, &default_dirs(), driver.0),
        };
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        let (library, path) =
            loader::first_of(&paths).map_err(|missing| CudaError::NvrtcMissing {
                detail: format!(
                    ": none of {} can be loaded ({})",
                    missing.tried, missing.reason
                ),
            })?;
        let api = nvrtc::Api::probe(&library).map_err(|name| CudaError::MissingEntryPoint {
            name,
            library: format!("the library {path}"),
            needs: "it is not NVRTC of CUDA 10.2 or later",
        })?;
        loader::keep(library);
        load_builtins(Path::new(&path));
        let version = api.version().unwrap_or_default();
        let architectures = api
            .architectures()
            .unwrap_or_else(|| architectures_of(version).to_vec());
        tracing::debug!(
            path,
            version = format!("{}.{}", version.0, version.1),
            "NVRTC"
        );
        if version.0 > driver.0 {
            tracing::warn!(
                "{path} is NVRTC {}.{}, newer than the driver's CUDA {}.{}, which may refuse its \
                 kernels",
                version.0,
                version.1,
                driver.0,
                driver.1
            );
        }
        Ok(Self(Arc::new(Inner {
            api,
            path,
            version,
            architectures,
        })))
    }

    /// Its CUDA version, as (major, minor).
    pub fn version(&self) -> (u32, u32) {
        self.0.version
    }

    /// Its file, as far as it is known, else the name under which it was found.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// Compiles CUDA C++ for a GPU: to its own code where this NVRTC can, else to PTX for the newest
    /// architecture that both know, which the driver compiles further. `name` is what the
    /// compiler's messages call the source; `options` are NVRTC's, without the architecture.
    ///
    /// # Errors
    /// [`CudaError::Compile`] with the first error of the compiler's log.
    pub fn compile(
        &self,
        name: &str,
        source: &str,
        compute_capability: (u32, u32),
        options: &[&str],
    ) -> Result<Vec<u8>, CudaError> {
        self.image(name, source, compute_capability, options)
            .map(Image::into_bytes)
    }

    pub(crate) fn image(
        &self,
        name: &str,
        source: &str,
        compute_capability: (u32, u32),
        options: &[&str],
    ) -> Result<Image, CudaError> {
        let Inner {
            api, architectures, ..
        } = &*self.0;
        let wanted = architecture(compute_capability);
        let error = |architecture: &str, message: String| CudaError::Compile {
            name: name.to_owned(),
            version: format!("{}.{}", self.0.version.0, self.0.version.1),
            architecture: architecture.to_owned(),
            message,
        };
        let target = target(architectures, wanted, api.has_cubin()).ok_or_else(|| {
            let oldest = architectures.iter().min().copied().unwrap_or(0);
            error(
                &format!("sm_{wanted}"),
                format!("it knows GPUs from sm_{oldest} on; an older NVRTC is needed"),
            )
        })?;
        let text = |text: &str| {
            CString::new(text)
                .map_err(|_| error(&target.name, "a zero byte in the text".to_owned()))
        };
        let mut all = vec![text(&format!("--gpu-architecture={}", target.name))?];
        for option in options {
            all.push(text(option)?);
        }
        let compiled = api
            .compile(&text(name)?, &text(source)?, &all, target.cubin)
            .map_err(|log| error(&target.name, first_error(&log)))?;
        Image::new(compiled)
            .ok_or_else(|| error(&target.name, "its result is not whole".to_owned()))
    }
}

impl fmt::Debug for Nvrtc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nvrtc")
            .field("path", &self.0.path)
            .field("version", &self.0.version)
            .finish_non_exhaustive()
    }
}

fn architecture((major, minor): (u32, u32)) -> u32 {
    major.saturating_mul(10).saturating_add(minor)
}

#[derive(Debug, PartialEq, Eq)]
struct Target {
    name: String,
    cubin: bool,
}

/// What to compile for, given the architectures that the compiler knows.
fn target(known: &[u32], wanted: u32, has_cubin: bool) -> Option<Target> {
    if has_cubin && known.contains(&wanted) {
        return Some(Target {
            name: format!("sm_{wanted}"),
            cubin: true,
        });
    }
    let newest = known.iter().filter(|known| **known <= wanted).max()?;
    Some(Target {
        name: format!("compute_{newest}"),
        cubin: false,
    })
}

/// What a version knows that cannot say so itself, which all can since 11.2.
fn architectures_of(version: (u32, u32)) -> &'static [u32] {
    match version {
        (..=9, _) => &[30, 32, 35, 37, 50, 52, 53, 60, 61, 62, 70],
        (10, _) => &[30, 32, 35, 37, 50, 52, 53, 60, 61, 62, 70, 72, 75],
        (11, 0) => &[35, 37, 50, 52, 53, 60, 61, 62, 70, 72, 75, 80],
        _ => &[35, 37, 50, 52, 53, 60, 61, 62, 70, 72, 75, 80, 86],
    }
}

/// The first line of a log that tells an error, else its first line.
fn first_error(log: &str) -> String {
    let mut lines = log.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.clone().next().unwrap_or("no message");
    lines
        .find(|line| line.contains("error"))
        .unwrap_or(first)
        .to_owned()
}

fn default_dirs() -> Vec<PathBuf> {
    let variables = ["CUDA_PATH", "CUDA_HOME"];
    let mut dirs: Vec<PathBuf> = variables
        .iter()
        .filter_map(std::env::var_os)
        .map(PathBuf::from)
        .collect();
    if let Some(paths) = std::env::var_os("LD_LIBRARY_PATH") {
        dirs.extend(std::env::split_paths(&paths).filter(|path| path.is_absolute()));
    }
    dirs.push(PathBuf::from("/usr/local/cuda"));
    dirs
}

/// What to try, best first: those for this driver, then the rest; within each the given
/// directories, the system's search path, the usual directories.
fn candidates(dirs: &[PathBuf], usual: &[PathBuf], driver_major: u32) -> Vec<PathBuf> {
    let found = installed(dirs)
        .into_iter()
        .chain(NAMES.map(PathBuf::from))
        .chain(installed(usual));
    let mut seen = BTreeSet::new();
    let all: Vec<PathBuf> = found.filter(|path| seen.insert(path.clone())).collect();
    let (fitting, newer): (Vec<_>, Vec<_>) = all.into_iter().partition(|path| {
        version_in_name(path)
            .first()
            .is_none_or(|major| *major <= driver_major)
    });
    fitting.into_iter().chain(newer).collect()
}

/// The NVRTC libraries in `dirs`, each directory's newest first.
fn installed(dirs: &[PathBuf]) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for dir in dirs {
        for place in PLACES {
            let mut files: Vec<PathBuf> = files_of(&dir.join(place))
                .filter(|path| file_name(path).starts_with("libnvrtc.so"))
                .collect();
            files.sort_by_key(|path| std::cmp::Reverse(version_in_name(path)));
            all.extend(files);
        }
    }
    all
}

fn files_of(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}

fn file_name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("")
}

/// The numbers after `.so.` in a library's name.
fn version_in_name(path: &Path) -> Vec<u32> {
    let (_, version) = file_name(path).split_once(".so.").unwrap_or_default();
    version
        .split('.')
        .map_while(|number| number.parse().ok())
        .collect()
}

/// Loads the library that NVRTC itself looks for by a bare name, from NVRTC's own directory.
fn load_builtins(nvrtc: &Path) {
    let Some(dir) = nvrtc.parent().filter(|dir| !dir.as_os_str().is_empty()) else {
        return;
    };
    let builtins: Vec<PathBuf> = files_of(dir)
        .filter(|path| file_name(path).starts_with("libnvrtc-builtins.so"))
        .collect();
    let version = version_in_name(nvrtc);
    let own = builtins
        .iter()
        .find(|path| version_in_name(path).starts_with(&version))
        .or(builtins.first());
    if let Some(path) = own
        && let Ok((library, _)) = loader::first_of(&[path])
    {
        loader::keep(library);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_for_the_gpu_where_the_compiler_makes_it_else_ptx_of_the_newest_that_both_know() {
        let known = [50, 72, 75, 80, 86];
        let table = [
            (72, true, Some("sm_72")),
            (72, false, Some("compute_72")),
            (87, true, Some("compute_86")),
            (121, true, Some("compute_86")),
            (53, false, Some("compute_50")),
            (50, true, Some("sm_50")),
            (37, true, None),
        ];
        for (wanted, has_cubin, expected) in table {
            let target = target(&known, wanted, has_cubin);
            let name = target.as_ref().map(|target| target.name.as_str());
            assert_eq!(name, expected, "sm_{wanted}, cubin {has_cubin}");
            assert_eq!(
                target.is_some_and(|target| target.cubin),
                expected.is_some_and(|name| name.starts_with("sm_"))
            );
        }
        assert!(target(&[], 87, true).is_none());
    }

    #[test]
    fn compilers_that_cannot_say_what_they_know_know_their_jetson_boards() {
        for (version, board) in [((10, 2), 53), ((10, 2), 72), ((11, 0), 72), ((11, 1), 86)] {
            assert!(architectures_of(version).contains(&board), "{version:?}");
        }
        assert!(!architectures_of((10, 2)).contains(&80));
    }

    #[test]
    fn the_first_error_of_a_log_is_told() {
        let table = [
            (
                "k.cu(1): warning: w\n\nk.cu(2): error: e\n1 error detected",
                "k.cu(2): error: e",
            ),
            ("\n  unknown option\nmore", "unknown option"),
            ("", "no message"),
        ];
        for (log, expected) in table {
            assert_eq!(first_error(log), expected);
        }
    }

    #[test]
    fn compilers_of_the_drivers_version_come_first_and_given_directories_before_others() {
        let root = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            path
        };
        let wheel = file("wheels/nvidia/cuda_nvrtc/lib/libnvrtc.so.12");
        file("wheels/nvidia/cuda_nvrtc/lib/libnvrtc-builtins.so.12.6");
        let wheel_13 = file("wheels/nvidia/cu13/lib/libnvrtc.so.13");
        let toolkit_11 = file("toolkit/lib64/libnvrtc.so.11.2");
        let toolkit_11_8 = file("toolkit/lib64/libnvrtc.so.11.8.89");
        let (dirs, usual) = (
            [root.path().join("wheels"), root.path().join("absent")],
            [root.path().join("toolkit")],
        );
        let found = candidates(&dirs, &usual, 12);
        let position = |path: &Path| found.iter().position(|found| found == path).unwrap();
        let order = [
            wheel.as_path(),
            Path::new("libnvrtc.so.12"),
            Path::new("libnvrtc.so.10.2"),
            &toolkit_11_8,
            &toolkit_11,
            &wheel_13,
            Path::new("libnvrtc.so.13"),
        ];
        assert!(order.map(position).is_sorted(), "{found:?}");
        assert_eq!(found.len(), NAMES.len() + 4, "{found:?}");
        assert_eq!(position(&wheel), 0);
    }
}
