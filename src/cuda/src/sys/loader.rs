//! Loading a library by the first of several names.

use std::fs;
use std::path::Path;

use libloading::Library;

pub(crate) struct Missing {
    pub(crate) tried: String,
    pub(crate) reason: String,
}

/// The first library that can be loaded, and its file where it is known.
pub(crate) fn first_of(paths: &[&Path]) -> Result<(Library, String), Missing> {
    let mut reasons = Vec::with_capacity(paths.len());
    for path in paths {
        // SAFETY: loading runs the library's initializers; the names are those of NVIDIA's
        // libraries, or were given by the user as such.
        match unsafe { Library::new(*path) } {
            Ok(library) => return Ok((library, file_of(path))),
            Err(error) => reasons.push((path.exists(), error.to_string())),
        }
    }
    let told = reasons.iter().find(|(exists, _)| *exists);
    Err(Missing {
        tried: paths
            .iter()
            .map(|path| path.display().to_string())
            .collect::<Vec<_>>()
            .join(", "),
        reason: told
            .or(reasons.first())
            .map(|(_, reason)| reason.clone())
            .unwrap_or_default(),
    })
}

/// Keeps a library loaded until the process ends, so that its functions stay valid, and because
/// neither the driver nor NVRTC can be unloaded safely while threads have used them.
pub(crate) fn keep(library: Library) {
    std::mem::forget(library);
}

/// A function of `library`.
///
/// # Safety
/// `F` must be a function pointer of the signature that the library gives this name, which must end
/// with a zero byte, and it must not be called after the library is unloaded.
pub(crate) unsafe fn function<F: Copy>(library: &Library, name: &'static str) -> Option<F> {
    // SAFETY: the caller knows the signature.
    unsafe { library.get::<F>(name.as_bytes()) }
        .ok()
        .map(|symbol| *symbol)
}

/// The file that a name without a directory was found as.
fn file_of(path: &Path) -> String {
    let name = path.to_string_lossy();
    if name.contains('/') {
        return name.into_owned();
    }
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let stem = name.split(".so").next().unwrap_or(&name);
    maps.lines()
        .filter_map(|line| line.find('/').and_then(|start| line.get(start..)))
        .find(|file| {
            file.rsplit('/')
                .next()
                .and_then(|file| file.strip_prefix(stem))
                .is_some_and(|rest| rest.starts_with(".so"))
        })
        .map_or_else(|| name.clone().into_owned(), str::to_owned)
}
