//! A bundle's engines on this machine, as `tfjet-run` finds them.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use tfjet_bundle::{Bundle, BundleError};
use tfjet_runtime::{
    EngineCache, EngineSet, EngineSetError, Gpu, GpuError, GpuOptions, MachineKey, bundle_precision,
};
use tfjet_tensorrt::Precision;

use crate::board::{self, GpuFound};
use crate::cache;
use crate::exit::{self, Failed, Usage};

/// Where engines are looked for, and what they run on.
#[derive(Debug, Clone, Default)]
pub struct EngineSearch {
    /// The GPU's number.
    pub device: u32,
    /// TensorRT's library, or a folder that holds it; without one where it is usually found.
    pub tensorrt: Option<PathBuf>,
    /// The engine cache; without one where `tfjet-run prepare` keeps engines.
    pub cache: Option<PathBuf>,
    /// Which of the bundle's targets; without one that of the board.
    pub target: Option<String>,
    /// Without one the bundle's own, or the only one that is prepared.
    pub precision: Option<Precision>,
}

/// A bundle on a GPU.
#[derive(Debug)]
pub struct Located {
    /// The bundle, as it is for this machine.
    pub bundle: Arc<Bundle>,
    /// Which target that is and why, where the bundle has several.
    pub target: Option<String>,
    /// Its engines, or why there are none.
    pub engines: Result<EngineSet, EngineSetError>,
}

impl EngineSearch {
    /// Opens the GPU and its library.
    ///
    /// # Errors
    /// [`GpuError`] where one of them is missing or cannot be used.
    pub fn open_gpu(&self) -> Result<Gpu, GpuError> {
        Gpu::open(&GpuOptions {
            device: self.device,
            tensorrt: self.tensorrt.clone(),
            dirs: cache::gpu_library_dirs(),
            kernel_cache: self.cache_dir().map(|dir| dir.join("kernels")),
            ..GpuOptions::default()
        })
    }

    /// The folder of the engine cache; `None` where there is no home folder.
    pub fn cache_dir(&self) -> Option<PathBuf> {
        self.cache.clone().or_else(cache::engine_dir)
    }

    /// Finds the bundle's engines: those in the bundle, else those that were last prepared.
    ///
    /// # Errors
    /// Where no target of the bundle is for this machine, or INT8 is asked for that the bundle or
    /// the GPU does not have.
    pub fn locate(&self, bundle: &Arc<Bundle>, gpu: &Gpu) -> anyhow::Result<Located> {
        let found = GpuFound::of(gpu);
        let choice = board::choose(
            bundle,
            self.target.as_deref(),
            &board::detect(),
            Some(&found),
        )?;
        let said = (!choice.why.is_empty()).then(|| choice.to_string());
        let device = gpu.context().device();
        let machine = MachineKey {
            library: gpu.library().version().key(),
            compute_capability: Some(device.compute_capability),
            gpu: device.name.clone(),
        };
        if let Some(precision) = self.precision {
            check_precision(&choice.bundle, precision)?;
            check_gpu(&machine, precision)?;
        }
        let cache = self.cache_dir().map(|dir| EngineCache::at(&dir));
        let precision = self.precision.map(Precision::name);
        Ok(Located {
            engines: EngineSet::locate(&choice.bundle, &machine, precision, cache.as_ref()),
            bundle: choice.bundle,
            target: said,
        })
    }
}

/// The precision that engines of a bundle are built in where nobody says another: the bundle's own,
/// else FP32. INT8 becomes FP16 on a GPU that does not have it.
///
/// # Errors
/// Where the bundle is damaged.
pub fn default_precision(
    bundle: &Bundle,
    compute_capability: Option<(u32, u32)>,
) -> Result<Precision, BundleError> {
    let own = bundle_precision(bundle)?.unwrap_or_default();
    Ok(match compute_capability {
        Some(gpu) if own == Precision::Int8 && !has_int8(gpu) => Precision::Fp16,
        _ => own,
    })
}

/// Can engines of a bundle be built in a precision? INT8 needs the ranges that calibration gives.
///
/// # Errors
/// [`Usage`] that says how to convert it; where the bundle is damaged.
pub fn check_precision(bundle: &Bundle, precision: Precision) -> anyhow::Result<()> {
    if precision == Precision::Int8 && bundle_precision(bundle)? != Some(Precision::Int8) {
        let path = bundle.path().map(|path| path.display().to_string());
        bail!(Usage(format!(
            "--precision int8: {} has no ranges of tensors: convert it with --precision int8 and \
             calibration images",
            path.as_deref().unwrap_or("the bundle")
        )));
    }
    Ok(())
}

/// Does the GPU of a machine have the precision?
///
/// # Errors
/// [`Failed`] that names the GPU.
pub fn check_gpu(machine: &MachineKey, precision: Precision) -> anyhow::Result<()> {
    match machine.compute_capability {
        Some(capability) if precision == Precision::Int8 && !has_int8(capability) => {
            let (major, minor) = capability;
            bail!(Failed {
                code: exit::MISSING,
                text: format!(
                    "--precision int8: {} (compute capability {major}.{minor}) has no INT8: take \
                     --precision fp16",
                    machine.gpu
                ),
            })
        }
        _ => Ok(()),
    }
}

/// Have GPUs of a compute capability products of 8-bit integers? Those of 6.1 and of 7.0 and later
/// have; a Nano (5.3) and a TX2 (6.2) have not.
pub fn has_int8(compute_capability: (u32, u32)) -> bool {
    compute_capability == (6, 1) || compute_capability >= (7, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(capability: Option<(u32, u32)>) -> MachineKey {
        MachineKey {
            library: "trt8.2.1".into(),
            compute_capability: capability,
            gpu: "NVIDIA Tegra X1".into(),
        }
    }

    #[test]
    fn gpus_without_int8_are_refused_by_name() {
        for (capability, has) in [
            ((5, 3), false),
            ((6, 0), false),
            ((6, 1), true),
            ((6, 2), false),
            ((7, 0), true),
            ((7, 2), true),
            ((8, 7), true),
            ((9, 0), true),
        ] {
            let machine = machine(Some(capability));
            let checked = check_gpu(&machine, Precision::Int8);
            assert_eq!(checked.is_ok(), has, "{capability:?}");
            check_gpu(&machine, Precision::Fp16).unwrap();
        }
        check_gpu(&machine(None), Precision::Int8).unwrap();
        let error = check_gpu(&machine(Some((5, 3))), Precision::Int8).unwrap_err();
        assert_eq!(exit::code(&error), exit::MISSING);
        assert_eq!(
            error.to_string(),
            "--precision int8: NVIDIA Tegra X1 (compute capability 5.3) has no INT8: take \
             --precision fp16"
        );
    }
}
