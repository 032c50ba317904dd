use std::fmt;

/// What a section holds. The number in the file is fixed for ever; each kind carries its own
/// version, see [`SectionKind::version`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u32)]
pub enum SectionKind {
    /// [`tfjet_core::Manifest`], postcard.
    Manifest = 1,
    /// [`tfjet_core::Schedule`], postcard.
    Schedule = 2,
    /// [`tfjet_core::WeightsTable`], postcard.
    WeightsTable = 3,
    /// [`tfjet_core::NetworkSpec`], postcard; the index is the segment.
    Network = 4,
    /// An ONNX model whose initializers lie in [`SectionKind::Weights`]; the index is the segment.
    Onnx = 5,
    /// The partition's report, JSON text.
    Report = 6,
    /// Raw arrays, addressed by [`SectionKind::WeightsTable`].
    Weights = 7,
    /// A serialized TensorRT engine after its [`EngineHeader`](crate::EngineHeader); the index is
    /// the segment, the target what [`EngineHeader::target`](crate::EngineHeader::target) says.
    Engine = 8,
    /// A TensorRT timing cache, as the library gave it.
    TimingCache = 9,
    /// A signature over the section table. Reserved: neither written nor read.
    Signature = 10,
    /// [`tfjet_core::TargetInfo`], postcard: one of the several targets that the bundle is for.
    Target = 11,
    /// [`tfjet_core::Quantization`], postcard: in which numbers a segment's network computes; the
    /// index is the segment. Absent where that is left to who builds an engine.
    Quantization = 12,
}

impl SectionKind {
    /// All kinds, by number.
    pub const ALL: [Self; 12] = [
        Self::Manifest,
        Self::Schedule,
        Self::WeightsTable,
        Self::Network,
        Self::Onnx,
        Self::Report,
        Self::Weights,
        Self::Engine,
        Self::TimingCache,
        Self::Signature,
        Self::Target,
        Self::Quantization,
    ];

    /// The kind's number in the file.
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The kind of a number in a file.
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The section version that is written, and the newest that is read; `None` for a reserved
    /// kind.
    pub const fn version(self) -> Option<u32> {
        match self {
            Self::Schedule => Some(2),
            Self::Manifest
            | Self::WeightsTable
            | Self::Network
            | Self::Onnx
            | Self::Report
            | Self::Weights
            | Self::Engine
            | Self::TimingCache
            | Self::Target
            | Self::Quantization => Some(1),
            Self::Signature => None,
        }
    }

    /// A section of this kind starts at a multiple of so many bytes.
    pub const fn alignment(self) -> u64 {
        match self {
            Self::Weights | Self::Engine => 4096,
            _ => 64,
        }
    }

    /// Is there one section for each segment, rather than one for each target?
    pub const fn is_indexed(self) -> bool {
        matches!(
            self,
            Self::Network | Self::Onnx | Self::Engine | Self::Quantization
        )
    }

    /// Most bytes that a section of this kind may have. Decoding makes a structured section
    /// several times larger in memory, and a library copies a timing cache, hence the bounds.
    pub const fn max_len_bytes(self) -> u64 {
        match self {
            Self::Manifest
            | Self::Schedule
            | Self::WeightsTable
            | Self::Network
            | Self::Target
            | Self::Quantization => 64 << 20,
            Self::TimingCache => 256 << 20,
            _ => u64::MAX,
        }
    }

    /// The kind's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Manifest => "Manifest",
            Self::Schedule => "Schedule",
            Self::WeightsTable => "WeightsTable",
            Self::Network => "Network",
            Self::Onnx => "Onnx",
            Self::Report => "Report",
            Self::Weights => "Weights",
            Self::Engine => "Engine",
            Self::TimingCache => "TimingCache",
            Self::Signature => "Signature",
            Self::Target => "Target",
            Self::Quantization => "Quantization",
        }
    }
}

impl fmt::Display for SectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a section is found by. Sections are ordered by it, and no two in a bundle are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SectionId {
    /// What it holds.
    pub kind: SectionKind,
    /// The target that it is for, or the machine of an engine; empty for all. At most 32 characters of `a-z 0-9 . _ -`.
    pub target: String,
    /// Segment; 0 where the kind is not indexed.
    pub index: u32,
}

impl SectionId {
    /// The id of a section.
    pub fn new(kind: SectionKind, target: &str, index: u32) -> Self {
        Self {
            kind,
            target: target.into(),
            index,
        }
    }
}

impl fmt::Display for SectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} section", self.kind)?;
        if self.kind.is_indexed() || self.index != 0 {
            write!(f, " {}", self.index)?;
        }
        if !self.target.is_empty() {
            write!(f, " for target {:?}", self.target)?;
        }
        Ok(())
    }
}

/// One entry of a bundle's section table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Section {
    /// What it is found by.
    pub id: SectionId,
    /// Version of the kind's contents.
    pub version: u32,
    /// Bytes from the start of the file.
    pub offset: u64,
    /// Bytes, without padding.
    pub len_bytes: u64,
    /// BLAKE3 of the contents.
    pub hash: [u8; 32],
}

/// Can `target` stand in a section table?
pub(crate) fn is_target_name(target: &str) -> bool {
    target.len() <= 32
        && target
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_dense_and_unique() {
        for (position, kind) in SectionKind::ALL.into_iter().enumerate() {
            assert_eq!(usize::try_from(kind.code()).unwrap(), position + 1);
            assert_eq!(SectionKind::from_code(kind.code()), Some(kind));
        }
        assert_eq!(SectionKind::from_code(0), None);
        assert_eq!(SectionKind::from_code(13), None);
    }

    #[test]
    fn ids_read_well() {
        for (id, text) in [
            (
                SectionId::new(SectionKind::Manifest, "", 0),
                "Manifest section",
            ),
            (
                SectionId::new(SectionKind::Network, "", 0),
                "Network section 0",
            ),
            (
                SectionId::new(SectionKind::Onnx, "x86-cpu", 3),
                "Onnx section 3 for target \"x86-cpu\"",
            ),
        ] {
            assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn target_names_are_plain() {
        for (target, expected) in [
            ("", true),
            ("x86-cpu", true),
            ("orin_nano.8gb", true),
            ("abcdefghijklmnopqrstuvwxyz012345", true),
            ("abcdefghijklmnopqrstuvwxyz0123456", false),
            ("Orin", false),
            ("orin nano", false),
            ("orin\0", false),
            ("é", false),
        ] {
            assert_eq!(is_target_name(target), expected, "{target:?}");
        }
    }
}
