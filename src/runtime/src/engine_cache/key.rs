use std::collections::BTreeSet;
use std::fmt;

use tfjet_bundle::{Bundle, BundleError, EngineHeader};
use tfjet_tensorrt::NETWORK_REVISION;

/// Separates these hashes from all others, and from those of a later layout of the fields.
const CONTEXT: &str = "tfjet engine cache, version 1";

/// The GPU and the library that engines are to run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineKey {
    /// Kind and version of the library, such as `trt8.5.2` or `rtx1.7.1`.
    pub library: String,
    /// CUDA compute capability; `None` where engines are built for every GPU that the library
    /// supports (TensorRT-RTX).
    pub compute_capability: Option<(u32, u32)>,
    /// Name of the GPU, for people.
    pub gpu: String,
}

impl MachineKey {
    /// Can an engine of this library and compute capability run here?
    pub fn takes(&self, library: &str, compute_capability: Option<(u32, u32)>) -> bool {
        self.library == library
            && (compute_capability.is_none() || compute_capability == self.compute_capability)
    }

    /// The targets of engines of a precision that can run here, the more particular one first.
    pub(super) fn targets(&self, precision: &str) -> Vec<String> {
        let mut header = EngineHeader {
            library: self.library.clone(),
            compute_capability: self.compute_capability,
            precision: precision.into(),
            ..EngineHeader::default()
        };
        let mut targets = vec![header.target()];
        if header.compute_capability.take().is_some() {
            targets.push(header.target());
        }
        targets
    }
}

impl fmt::Display for MachineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = tfjet_bundle::timing_target(&self.library, self.compute_capability);
        match self.gpu.as_str() {
            "" => f.write_str(&target),
            gpu => write!(f, "{target} ({gpu})"),
        }
    }
}

/// Hash of a segment's network, of the numbers that it is to compute in where the bundle says so,
/// and of the weights that it uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkHash(pub [u8; 32]);

impl NetworkHash {
    /// The hash of a segment of a bundle.
    ///
    /// # Errors
    /// Where network or weights are missing or damaged.
    pub fn of(bundle: &Bundle, segment: u32) -> Result<Self, BundleError> {
        let network = bundle.network(segment)?;
        let table = bundle.weights_table()?;
        let section = bundle.network_section(segment);
        let mut hash = Fields::new();
        hash.bytes(section.map_or(&[], |section| &section.hash));
        if let Some(quantization) = bundle.quantization_section(segment) {
            hash.bytes(&quantization.hash);
        }
        let layers = network.layers.iter();
        let used: BTreeSet<_> = layers.flat_map(|layer| layer.layer.weights()).collect();
        for id in used {
            let Some(entry) = table.get(id) else { continue };
            hash.number(u64::from(id.0));
            hash.bytes(entry.dtype.name().as_bytes());
            hash.sizes(entry.shape.iter().map(|&size| size as u64));
            hash.bytes(bundle.weights_view(entry)?.bytes());
        }
        Ok(Self(hash.finish()))
    }
}

/// Hash of everything that determines an engine: network, weights, what is made of them
/// ([`NETWORK_REVISION`]), library, compute capability,
/// precision, optimization profiles and the builder's flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EngineKey(pub [u8; 32]);

impl EngineKey {
    /// The key of the engine that `header` describes, made of `network`. The header's own key, GPU
    /// name and build time have no part in it.
    pub fn of(network: &NetworkHash, header: &EngineHeader) -> Self {
        let mut hash = Fields::new();
        hash.bytes(&network.0);
        hash.number(NETWORK_REVISION.into());
        hash.bytes(header.target().as_bytes());
        hash.number(header.profiles.len() as u64);
        for profile in &header.profiles {
            hash.number(profile.len() as u64);
            for shape in profile.iter().flatten() {
                hash.sizes(shape.iter().copied());
            }
        }
        hash.bytes(header.flags.as_bytes());
        Self(hash.finish())
    }
}

impl fmt::Display for EngineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Hashes fields so that two different lists of them never give the same bytes.
pub(super) struct Fields(blake3::Hasher);

impl Fields {
    pub(super) fn new() -> Self {
        Self(blake3::Hasher::new_derive_key(CONTEXT))
    }

    pub(super) fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn sizes(&mut self, sizes: impl ExactSizeIterator<Item = u64>) {
        self.number(sizes.len() as u64);
        sizes.for_each(|size| self.number(size));
    }

    pub(super) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}
