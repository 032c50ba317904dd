//! Compiled kernels, kept on disk between runs.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::sys::{Image, ModuleHandle};
use crate::{Context, CudaError, Kernel, Nvrtc};

const MAGIC: &[u8] = b"tfjet kernel 1\n";

type Key = [u8; 32];

/// Compiles sources once: what NVRTC made of them is kept in memory and, where a directory is
/// given, on disk, under a key of everything that it depends on.
pub struct KernelCache {
    context: Context,
    nvrtc: Option<Nvrtc>,
    dir: Option<PathBuf>,
    modules: Mutex<HashMap<Key, Arc<ModuleHandle>>>,
}

impl KernelCache {
    /// A cache for the device of `context`, with files in `dir`, which is made if it is not there.
    /// Without `nvrtc` every kernel is [`CudaError::NvrtcMissing`].
    ///
    /// # Errors
    /// [`CudaError::CacheDirectory`] where `dir` cannot be written.
    pub fn new(
        context: Context,
        nvrtc: Option<Nvrtc>,
        dir: Option<PathBuf>,
    ) -> Result<Self, CudaError> {
        if let Some(dir) = &dir {
            probe(dir).map_err(|source| unusable(dir, source))?;
        }
        Ok(Self {
            context,
            nvrtc,
            dir,
            modules: Mutex::default(),
        })
    }

    /// The context that the kernels are loaded into.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Whether there is a compiler; without one there are no kernels.
    pub fn has_compiler(&self) -> bool {
        self.nvrtc.is_some()
    }

    /// The kernel `function`, declared `extern "C" __global__`, of a CUDA C++ source that the
    /// compiler's messages call `name`, compiled with NVRTC's `options`.
    ///
    /// # Errors
    /// [`CudaError::NvrtcMissing`], [`CudaError::Compile`], [`CudaError::CacheDirectory`] where the
    /// result cannot be stored, and [`CudaError::Call`].
    pub fn kernel(
        &self,
        name: &str,
        source: &str,
        function: &str,
        options: &[&str],
    ) -> Result<Kernel, CudaError> {
        let nvrtc = self.nvrtc.as_ref().ok_or_else(|| CudaError::NvrtcMissing {
            detail: String::new(),
        })?;
        let capability = self.context.device().compute_capability;
        let key = key(source, options, nvrtc.version(), capability);
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let module = match modules.get(&key) {
            Some(module) => module.clone(),
            None => {
                let image = match self.stored(&key) {
                    Some(image) => image,
                    None => {
                        let image = nvrtc.image(name, source, capability, options)?;
                        self.store(&key, &image)?;
                        image
                    }
                };
                let module = Arc::new(ModuleHandle::load(&self.context, &image)?);
                modules.insert(key, module.clone());
                module
            }
        };
        Kernel::find(&module, function)
    }

    /// What is on disk under `key`, if it is what was stored.
    fn stored(&self, key: &Key) -> Option<Image> {
        let path = file(self.dir.as_deref()?, key);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!("compiling a GPU kernel again: {}: {error}", path.display());
                return None;
            }
        };
        let image = unseal(&bytes).and_then(|image| Image::new(image.to_vec()));
        if image.is_none() {
            tracing::warn!(
                "compiling a GPU kernel again: {} is damaged",
                path.display()
            );
        }
        image
    }

    fn store(&self, key: &Key, image: &Image) -> Result<(), CudaError> {
        let Some(dir) = &self.dir else {
            return Ok(());
        };
        write_whole(dir, &file(dir, key), &seal(image.bytes()))
            .map_err(|source| unusable(dir, source))
    }
}

impl fmt::Debug for KernelCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelCache")
            .field("nvrtc", &self.nvrtc)
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

fn unusable(dir: &Path, source: io::Error) -> CudaError {
    CudaError::CacheDirectory {
        path: dir.to_owned(),
        source,
    }
}

/// Everything that the compiled kernel depends on.
fn key(source: &str, options: &[&str], nvrtc: (u32, u32), capability: (u32, u32)) -> Key {
    let mut hasher = blake3::Hasher::new();
    for number in [nvrtc.0, nvrtc.1, capability.0, capability.1] {
        hasher.update(&number.to_le_bytes());
    }
    for text in options.iter().chain([&source]) {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

fn file(dir: &Path, key: &Key) -> PathBuf {
    dir.join(format!("{}.kernel", blake3::Hash::from_bytes(*key)))
}

fn seal(image: &[u8]) -> Vec<u8> {
    [MAGIC, blake3::hash(image).as_bytes(), image].concat()
}

fn unseal(bytes: &[u8]) -> Option<&[u8]> {
    let (hash, image) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<32>()?;
    (blake3::hash(image).as_bytes() == hash).then_some(image)
}

/// Makes the directory and writes to it once.
fn probe(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let path = unique(dir);
    File::create_new(&path)?;
    fs::remove_file(path)
}

/// Writes a file so that others see all of it or none, also after a crash.
fn write_whole(dir: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = unique(dir);
    let written = File::create_new(&temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        fs::remove_file(&temporary).ok();
    }
    written
}

fn unique(dir: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    dir.join(format!(".{}-{number}.part", std::process::id()))
}
