use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use tfjet_bundle::{Bundle, BundleError};
use tfjet_core::{ComputeCapability, EngineKind, Release, TargetInfo};
use tfjet_runtime::Gpu;
use tfjet_tensorrt::{Flavor, Version};

use super::Board;

/// What runs engines on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GpuFound {
    /// Which library.
    pub engine: EngineKind,
    /// Its release.
    pub release: Release,
    /// Of the GPU; `None` where engines are for any that the library supports.
    pub compute_capability: Option<(u32, u32)>,
}

impl GpuFound {
    /// A library, and the GPU where there is one.
    pub fn new(version: &Version, compute_capability: Option<(u32, u32)>) -> Self {
        Self {
            engine: match version.flavor {
                Flavor::TensorRt => EngineKind::TensorRt,
                Flavor::TensorRtRtx => EngineKind::TensorRtRtx,
            },
            release: Release::new(version.major, version.minor, version.patch),
            compute_capability,
        }
    }

    /// A GPU that was opened.
    pub fn of(gpu: &Gpu) -> Self {
        let capability = gpu.context().device().compute_capability;
        Self::new(&gpu.library().version(), Some(capability))
    }
}

impl fmt::Display for GpuFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.engine, self.release)?;
        match self.compute_capability {
            Some((major, minor)) => write!(f, ", compute capability {major}.{minor}"),
            None => Ok(()),
        }
    }
}

/// The target that a bundle is used as.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The bundle, this target selected.
    pub bundle: Arc<Bundle>,
    /// Name of the target.
    pub target: String,
    /// Why it is this one; empty where the bundle has no other.
    pub why: String,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "target {}", self.target)?;
        match self.why.as_str() {
            "" => Ok(()),
            why => write!(f, ": {why}"),
        }
    }
}

/// Why no target of a bundle can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BoardError {
    /// The bundle is not for the target that was asked for.
    #[error("--target {target}: {source}")]
    Unknown {
        /// The name.
        target: String,
        /// The bundle and its targets.
        source: BundleError,
    },
    /// This machine's library is too old, or of another kind.
    #[error("{bundle}: no target for this machine ({machine}): {reasons}")]
    Unsuitable {
        /// The bundle's path.
        bundle: String,
        /// The library and the GPU that were found.
        machine: String,
        /// For each target why not.
        reasons: String,
    },
    /// The bundle is damaged.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

/// Chooses the target of `bundle` that is used on this machine: the one that is `wanted`, else by
/// the board and by what runs the engines, which is the CPU where `gpu` is `None`.
///
/// On a GPU only targets count whose library this is and whose release it is no older than, in
/// this order: the board's own; one of the GPU's compute capability; one for any GPU; any other.
/// Of several the one of the newest release is taken, then the first by name. On the CPU, where
/// the networks of all targets run, the order is: a target for the CPU; the board's own; the one
/// that leaves the fewest ops outside the segments.
///
/// # Errors
/// [`BoardError`] where the wanted target is not in the bundle, or this machine can use none.
pub fn choose(
    bundle: &Arc<Bundle>,
    wanted: Option<&str>,
    board: &Board,
    gpu: Option<&GpuFound>,
) -> Result<Choice, BoardError> {
    let targets = bundle.targets()?;
    let selected = |name: &str, why: String| -> Result<Choice, BoardError> {
        Ok(Choice {
            bundle: Arc::new(bundle.select(name)?),
            target: name.into(),
            why,
        })
    };
    if let Some(wanted) = wanted {
        let found = bundle.select(wanted).map_err(|source| match source {
            source @ BundleError::NoTarget { .. } => BoardError::Unknown {
                target: wanted.into(),
                source,
            },
            source => source.into(),
        })?;
        let info = found.target_info(wanted)?;
        if let (Some(gpu), Some(info)) = (gpu, &info)
            && let Some(reason) = too_old(wanted, info, gpu)
        {
            return Err(unsuitable(bundle, gpu, reason));
        }
        let why = info.map_or(String::new(), |_| "--target asks for it".into());
        return selected(wanted, why);
    }
    let mut candidates = Vec::with_capacity(targets.len());
    for name in &targets {
        match bundle.target_info(name)? {
            Some(info) => candidates.push(Candidate { name, info }),
            None => return selected(name, String::new()),
        }
    }
    let (name, why) = match gpu {
        Some(gpu) => {
            on_gpu(&candidates, board, gpu).map_err(|reasons| unsuitable(bundle, gpu, reasons))?
        }
        None => on_cpu(&candidates, board).unwrap_or_default(),
    };
    selected(name, why)
}

struct Candidate<'a> {
    name: &'a str,
    info: TargetInfo,
}

impl Candidate<'_> {
    fn is_of(&self, board: &Board) -> bool {
        board.name.as_deref() == Some(self.name)
    }

    /// Why the target is not for this library.
    fn refusal(&self, gpu: &GpuFound) -> Option<String> {
        match self.info.engine {
            engine if engine == gpu.engine => too_old(self.name, &self.info, gpu),
            EngineKind::Cpu => Some(format!("{} is for the CPU (--device cpu)", self.name)),
            _ => Some(format!("{} is for {}", self.name, self.info.library())),
        }
    }
}

/// How near a target is to a machine with a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Near {
    Board,
    Capability,
    AnyGpu,
    Library,
}

fn on_gpu<'a>(
    candidates: &[Candidate<'a>],
    board: &Board,
    gpu: &GpuFound,
) -> Result<(&'a str, String), String> {
    let here = gpu
        .compute_capability
        .map(|(major, minor)| ComputeCapability { major, minor });
    let near = |it: &Candidate<'_>| match it.info.compute_capability {
        _ if it.is_of(board) => Near::Board,
        None => Near::AnyGpu,
        capability if capability == here => Near::Capability,
        Some(_) => Near::Library,
    };
    let suitable = candidates.iter().filter(|it| it.refusal(gpu).is_none());
    let best = suitable.min_by_key(|it| (near(it), Reverse(it.info.release), it.name));
    let Some(best) = best else {
        let reasons = candidates.iter().filter_map(|it| it.refusal(gpu));
        return Err(reasons.collect::<Vec<_>>().join("; "));
    };
    let mut why = match near(best) {
        Near::Board => return Ok((best.name, format!("this board is {board}"))),
        Near::Capability => format!("it is for this GPU's {}", capability(gpu)),
        Near::AnyGpu => format!("it is for any GPU with {} or later", best.info.library()),
        Near::Library => format!(
            "it is for {}, and no target is for this {}",
            best.info.library(),
            match gpu.compute_capability {
                Some(_) => format!("GPU's {}", capability(gpu)),
                None => "machine".into(),
            }
        ),
    };
    let own = candidates.iter().find(|it| it.is_of(board));
    if let Some(reason) = own.and_then(|own| own.refusal(gpu)) {
        why += &format!("; {reason}, this board has {}", gpu.release);
    }
    Ok((best.name, why))
}

fn on_cpu<'a>(candidates: &[Candidate<'a>], board: &Board) -> Option<(&'a str, String)> {
    let is_cpu = |it: &Candidate<'_>| it.info.engine == EngineKind::Cpu;
    let best = candidates.iter().min_by_key(|it| {
        let summary = &it.info.summary;
        let outside = (summary.residual, summary.segments.len());
        (!is_cpu(it), !it.is_of(board), outside, it.name)
    })?;
    let why = match (is_cpu(best), best.is_of(board)) {
        (true, _) => "it is for the CPU".into(),
        (false, true) => format!("no target is for the CPU, and this board is {board}"),
        (false, false) => {
            "no target is for the CPU, and it leaves the fewest ops outside the segments".into()
        }
    };
    Some((best.name, why))
}

/// Why this machine's library cannot build a target's networks: they are made for a newer one.
fn too_old(name: &str, info: &TargetInfo, gpu: &GpuFound) -> Option<String> {
    let older = info.engine == gpu.engine && info.release > Some(gpu.release);
    older.then(|| match &info.jetpack {
        Some(jetpack) => format!("{name} needs {} (JetPack {jetpack})", info.library()),
        None => format!("{name} needs {}", info.library()),
    })
}

fn capability(gpu: &GpuFound) -> String {
    let (major, minor) = gpu.compute_capability.unwrap_or_default();
    format!("compute capability {major}.{minor}")
}

fn unsuitable(bundle: &Bundle, gpu: &GpuFound, reasons: String) -> BoardError {
    BoardError::Unsuitable {
        bundle: match bundle.path() {
            Some(path) => path.display().to_string(),
            None => "the bundle".into(),
        },
        machine: gpu.to_string(),
        reasons,
    }
}
