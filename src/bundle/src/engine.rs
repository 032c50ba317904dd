use serde::{Deserialize, Serialize};

use crate::{AddProblem, Bundle, BundleError, BundleWriter, EngineProblem, SectionId, SectionKind};

/// Most bytes that an engine's header may take.
const MAX_HEADER_LEN: usize = 1 << 20;
/// The engine's bytes start at a multiple of this in their section.
const ALIGNMENT: usize = 64;

/// What a serialized engine was built from, by and for. It stands before the engine in its
/// section, so that an engine is refused before a library sees its bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EngineHeader {
    /// Kind and version of the library, such as `trt8.5.2` or `rtx1.7.1`.
    pub library: String,
    /// CUDA compute capability of the GPU; `None` for an engine that runs on any that the library
    /// supports (TensorRT-RTX).
    pub compute_capability: Option<(u32, u32)>,
    /// `fp32` or `fp16`.
    pub precision: String,
    /// Hash of all that determines the engine: network, weights, library, GPU, precision, profiles
    /// and flags.
    pub key: [u8; 32],
    /// Name of the GPU that it was built on; empty where it was built without one.
    pub gpu: String,
    /// For each optimization profile, for each network input, its smallest, best and largest shape.
    pub profiles: Vec<Vec<[Vec<u64>; 3]>>,
    /// How long the build took, in seconds.
    pub build_seconds: f32,
    /// The builder's settings, as text.
    pub flags: String,
}

impl EngineHeader {
    /// The target of the engine's section: library, GPU and precision, as in
    /// `trt8.5.2-sm90-fp16`; `any` stands for every GPU.
    pub fn target(&self) -> String {
        let gpu = gpu_name(self.compute_capability);
        format!("{}-{gpu}-{}", self.library, self.precision)
    }

    /// The target of the timing cache that a build of this engine fills: `trt8.5.2-sm90`.
    pub fn timing_target(&self) -> String {
        timing_target(&self.library, self.compute_capability)
    }
}

/// The target of the timing cache of a library on GPUs of a compute capability: `trt8.5.2-sm90`.
pub fn timing_target(library: &str, compute_capability: Option<(u32, u32)>) -> String {
    format!("{library}-{}", gpu_name(compute_capability))
}

fn gpu_name(compute_capability: Option<(u32, u32)>) -> String {
    match compute_capability {
        Some((major, minor)) => format!("sm{major}{minor}"),
        None => "any".into(),
    }
}

/// An engine and its header, lent by [`Bundle::engines`].
#[derive(Debug, Clone, PartialEq)]
pub struct EngineSection<'a> {
    /// The segment that the engine computes.
    pub segment: u32,
    /// What it was built from, by and for.
    pub header: EngineHeader,
    /// What the library deserializes; starts at a multiple of 64.
    pub bytes: &'a [u8],
}

impl Bundle {
    /// The engine of a segment for a target as [`EngineHeader::target`] names it.
    ///
    /// # Errors
    /// Where there is no such section, it is newer or damaged, or its header is of another target.
    pub fn engine(&self, target: &str, segment: u32) -> Result<(EngineHeader, &[u8]), BundleError> {
        let bytes = self.section(SectionKind::Engine, target, segment)?;
        decode(bytes, target).map_err(|problem| {
            let id = SectionId::new(SectionKind::Engine, target, segment);
            self.damaged(&id, problem.into())
        })
    }

    /// All engines, by target and segment. Those of other machines are read as well; who wants
    /// one only asks [`Bundle::engine`].
    pub fn engines(&self) -> impl Iterator<Item = Result<EngineSection<'_>, BundleError>> {
        self.engine_ids().map(|id| {
            let (header, bytes) = self.engine(&id.target, id.index)?;
            Ok(EngineSection {
                segment: id.index,
                header,
                bytes,
            })
        })
    }

    /// The sections that hold engines, from the table alone.
    pub fn engine_ids(&self) -> impl Iterator<Item = &SectionId> {
        let ids = self.sections().iter().map(|section| &section.id);
        ids.filter(|id| id.kind == SectionKind::Engine)
    }

    /// The timing cache for a target as [`timing_target`] names it, where the bundle has one.
    ///
    /// # Errors
    /// Where the section is newer or damaged.
    pub fn timing_cache(&self, target: &str) -> Result<Option<&[u8]>, BundleError> {
        match self.section(SectionKind::TimingCache, target, 0) {
            Err(BundleError::Missing { .. }) => Ok(None),
            found => found.map(Some),
        }
    }
}

impl BundleWriter {
    /// Puts the engine of a segment into the bundle, in place of the one that is there for the
    /// same target.
    ///
    /// # Errors
    /// As [`BundleWriter::add`], and for an engine without bytes.
    pub fn set_engine(
        &mut self,
        header: &EngineHeader,
        segment: u32,
        engine: &[u8],
    ) -> Result<(), BundleError> {
        let target = header.target();
        let refused = |problem| BundleError::Add {
            section: SectionId::new(SectionKind::Engine, &target, segment),
            problem,
        };
        let bytes = encode(header, engine).map_err(refused)?;
        self.set(SectionKind::Engine, &target, segment, bytes)
    }
}

fn encode(header: &EngineHeader, engine: &[u8]) -> Result<Vec<u8>, AddProblem> {
    let text = postcard::to_allocvec(header).map_err(|e| AddProblem::Encode(e.to_string()))?;
    let len = text.len();
    if len > MAX_HEADER_LEN {
        return Err(AddProblem::Engine(EngineProblem::HeaderLength {
            found: len as u64,
            max: MAX_HEADER_LEN as u64,
        }));
    }
    if engine.is_empty() {
        return Err(AddProblem::Engine(EngineProblem::Empty));
    }
    let start = (4 + len).next_multiple_of(ALIGNMENT);
    let mut bytes = Vec::with_capacity(start + engine.len());
    bytes.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(&text);
    bytes.resize(start, 0);
    bytes.extend_from_slice(engine);
    Ok(bytes)
}

fn decode<'a>(bytes: &'a [u8], target: &str) -> Result<(EngineHeader, &'a [u8]), EngineProblem> {
    let (stated, rest) = bytes.split_first_chunk::<4>().ok_or(EngineProblem::Empty)?;
    let stated = u32::from_le_bytes(*stated);
    let len = usize::try_from(stated).unwrap_or(usize::MAX);
    let max = rest.len().min(MAX_HEADER_LEN);
    if len > max {
        return Err(EngineProblem::HeaderLength {
            found: u64::from(stated),
            max: max as u64,
        });
    }
    let header = match postcard::take_from_bytes::<EngineHeader>(&rest[..len]) {
        Ok((header, [])) => header,
        Ok((_, rest)) => return Err(EngineProblem::LeftOver(rest.len())),
        Err(error) => return Err(EngineProblem::Decode(error.to_string())),
    };
    let found = header.target();
    if found != target {
        return Err(EngineProblem::Target { found });
    }
    let start = (4 + len).next_multiple_of(ALIGNMENT);
    let (head, engine) = bytes.split_at_checked(start).ok_or(EngineProblem::Empty)?;
    if engine.is_empty() {
        return Err(EngineProblem::Empty);
    }
    match head[4 + len..].iter().all(|&byte| byte == 0) {
        true => Ok((header, engine)),
        false => Err(EngineProblem::Padding),
    }
}
