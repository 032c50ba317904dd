use std::io;

use tfjet_core::{QuantizationError, ScheduleError, TensorError};

use crate::{SectionId, SectionKind};

/// Why a bundle cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The system refused.
    #[error("cannot {action} {file}: {source}")]
    Io {
        /// Path.
        file: String,
        /// What was tried.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The path leads to no regular file, or to one with no bytes.
    #[error("{file} is {found}, not a tfjet bundle")]
    NotAFile {
        /// Path.
        file: String,
        /// What is there.
        found: &'static str,
    },
    /// The file starts with something else.
    #[error("{file} is not a tfjet bundle{}", looks_like.map(|what| format!(": it looks like {what}")).unwrap_or_default())]
    NotABundle {
        /// Path.
        file: String,
        /// What the first bytes suggest.
        looks_like: Option<&'static str>,
    },
    /// The file has a format version that this code does not read.
    #[error(
        "{file}: bundle format version {found} is {} than this tfjet reads ({reads}): {}",
        if found > reads { "newer" } else { "older" },
        if found > reads { "update tfjet" } else { "convert the model again" }
    )]
    FormatVersion {
        /// Path.
        file: String,
        /// Version in the file.
        found: u32,
        /// Version that is read.
        reads: u32,
    },
    /// The file was cut off or extended.
    #[error("{file} has {actual} bytes, its header says {stated}: the file is {}",
        if actual < stated { "cut off" } else { "longer than what was written" })]
    Length {
        /// Path.
        file: String,
        /// Bytes that the header states (the header's own 64, where even that is cut off).
        stated: u64,
        /// Bytes that the file has.
        actual: u64,
    },
    /// The header is damaged.
    #[error("{file}: bundle header at offset {offset}: {problem}")]
    Header {
        /// Path.
        file: String,
        /// Bytes from the start of the file.
        offset: u64,
        /// What is wrong.
        problem: HeaderProblem,
    },
    /// An entry of the section table is damaged.
    #[error("{file}: section table entry {entry} at offset {offset}: {problem}")]
    Table {
        /// Path.
        file: String,
        /// Index of the entry.
        entry: usize,
        /// Bytes from the start of the file.
        offset: u64,
        /// What is wrong.
        problem: TableProblem,
    },
    /// No such section.
    #[error("{file} has no {section}")]
    Missing {
        /// Path.
        file: String,
        /// What was looked for.
        section: SectionId,
    },
    /// A section's contents are damaged, newer, or at odds with another section.
    #[error("{file}: {section} at offset {offset}: {problem}")]
    Section {
        /// Path.
        file: String,
        /// Which section.
        section: SectionId,
        /// Bytes from the start of the file to the start of the section.
        offset: u64,
        /// What is wrong.
        problem: Box<SectionProblem>,
    },
    /// The bundle is for several targets and none is chosen.
    #[error("{file} is for several targets: choose one of {targets}")]
    ChooseTarget {
        /// Path.
        file: String,
        /// Names of its targets.
        targets: String,
    },
    /// The bundle is not for this target.
    #[error("{file} is not for target `{target}`; it is for {targets}")]
    NoTarget {
        /// Path.
        file: String,
        /// The name that was asked for.
        target: String,
        /// Names of its targets.
        targets: String,
    },
    /// A section cannot be put into a bundle.
    #[error("cannot add {section} to a bundle: {problem}")]
    Add {
        /// Which section.
        section: SectionId,
        /// What is wrong.
        problem: AddProblem,
    },
}

/// What is wrong with a bundle's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderProblem {
    /// A flag that format version 1 does not define.
    #[error("flags are {0:#x}, expected 0")]
    Flags(u32),
    /// More sections than any bundle has.
    #[error("{found} sections, at most {max} are read")]
    SectionCount {
        /// Stated number.
        found: u32,
        /// Bound.
        max: u32,
    },
    /// The table does not follow the header.
    #[error("section table at offset {0}, expected 64")]
    TableOffset(u32),
    /// The table does not fit into the file.
    #[error("the section table ends at offset {end}, the file at {len_bytes}")]
    TableEnd {
        /// Stated end of the table.
        end: u64,
        /// Bytes that the file has.
        len_bytes: u64,
    },
    /// Header or table were changed.
    #[error("the hash of header and section table does not match: the file is damaged")]
    Hash,
}

/// What is wrong with an entry of the section table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableProblem {
    /// A kind that this code does not know.
    #[error("section kind {0} is not known to this tfjet: update tfjet")]
    UnknownKind(u32),
    /// A kind that has a number and no contents yet.
    #[error("section kind {0} is not read by this tfjet: update tfjet")]
    Reserved(SectionKind),
    /// Section versions start at 1.
    #[error("section version 0")]
    Version,
    /// Not a plain name filled up with zeros.
    #[error("the target name is not at most 32 of a-z 0-9 . _ - and zeros")]
    Target,
    /// A target of several without its name.
    #[error("a Target section without the target's name")]
    Unnamed,
    /// An index where the kind has none.
    #[error("index {0} on a kind that has no index")]
    Index(u32),
    /// Bytes that must be zero.
    #[error("reserved bytes are not zero")]
    ReservedBytes,
    /// Not after its predecessor in the order of kind, target and index.
    #[error("{0} is out of order or there twice")]
    Order(SectionId),
    /// The section starts before its predecessor ends.
    #[error("{section} starts at {offset}, inside what ends at {previous_end}")]
    Overlap {
        /// Which section.
        section: SectionId,
        /// Where it starts.
        offset: u64,
        /// Where the section or the table before it ends.
        previous_end: u64,
    },
    /// The section does not start at a multiple of its alignment.
    #[error("{section} starts at {offset}, which is no multiple of {alignment}")]
    Alignment {
        /// Which section.
        section: SectionId,
        /// Where it starts.
        offset: u64,
        /// What its kind needs.
        alignment: u64,
    },
    /// More padding before the section than its alignment needs.
    #[error("{section} starts at {offset}, expected {expected}")]
    Gap {
        /// Which section.
        section: SectionId,
        /// Where it starts.
        offset: u64,
        /// Where it must start.
        expected: u64,
    },
    /// The section reaches beyond the file.
    #[error("{section} ends after the file's end at {len_bytes}")]
    End {
        /// Which section.
        section: SectionId,
        /// Bytes that the file has.
        len_bytes: u64,
    },
    /// The section is larger than its kind may be.
    #[error("{section} has {len_bytes} bytes, at most {max} are read")]
    TooLarge {
        /// Which section.
        section: SectionId,
        /// Bytes.
        len_bytes: u64,
        /// Bound.
        max: u64,
    },
    /// A byte between sections is not zero.
    #[error("padding byte at {0} is not zero")]
    Padding(u64),
    /// Bytes after the last section.
    #[error("the last section ends at {end}, the file at {len_bytes}")]
    Tail {
        /// End of the last section.
        end: u64,
        /// Bytes that the file has.
        len_bytes: u64,
    },
}

/// What is wrong with a section's contents.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SectionProblem {
    /// The contents were changed.
    #[error(
        "its hash is {}, expected {}: the file is damaged",
        hex(found),
        hex(expected)
    )]
    Hash {
        /// BLAKE3 of the contents as they are.
        found: [u8; 32],
        /// What the section table says.
        expected: [u8; 32],
    },
    /// The contents are of a version that this code does not read.
    #[error("section version {found} is newer than this tfjet reads ({reads}): update tfjet")]
    Version {
        /// Version in the file.
        found: u32,
        /// Newest version that is read.
        reads: u32,
    },
    /// The contents do not decode.
    #[error("cannot decode: {0}")]
    Decode(String),
    /// The contents go on after the value.
    #[error("{0} bytes are left over after decoding")]
    LeftOver(usize),
    /// A report that is no text.
    #[error("not UTF-8 text, byte {0}")]
    Text(usize),
    /// Steps that cannot run in order.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// An entry of the weights table that does not fit the weights section.
    #[error("weights {weights} {problem}")]
    Weights {
        /// Index of the entry.
        weights: usize,
        /// What is wrong.
        problem: WeightsProblem,
    },
    /// A view of weights that does not fit the weights section.
    #[error("an array that {0}")]
    View(WeightsProblem),
    /// A reference to something that is not there, or does not fit.
    #[error("{place} refers to {what} {index}, there are {count}")]
    NoSuch {
        /// Layer, step, value or field.
        place: String,
        /// What kind of thing is referred to.
        what: &'static str,
        /// The reference.
        index: u64,
        /// How many there are.
        count: usize,
    },
    /// A network's tensor that no earlier layer makes.
    #[error("{place} reads tensor `{tensor}` before it is made")]
    ReadBeforeMade {
        /// Layer, or the network's outputs.
        place: String,
        /// Name of the tensor.
        tensor: String,
    },
    /// A network's tensor that is made twice.
    #[error("{place} makes tensor `{tensor}`, which is made already")]
    MadeTwice {
        /// Layer, or the network's inputs.
        place: String,
        /// Name of the tensor.
        tensor: String,
    },
    /// Two sections that count something differently.
    #[error("{place} has {found} {what}, the {other} has {expected}")]
    Count {
        /// Step or section.
        place: String,
        /// What is counted.
        what: &'static str,
        /// Count here.
        found: usize,
        /// The other section.
        other: &'static str,
        /// Count there.
        expected: usize,
    },
    /// A constant that differs from its weights.
    #[error("value `{value}` differs in type or shape from weights {weights}")]
    Constant {
        /// Name of the value.
        value: String,
        /// Index into the weights table.
        weights: u32,
    },
    /// A quantization of another network, or of no use.
    #[error(transparent)]
    Quantization(#[from] QuantizationError),
    /// An engine that is not framed as one.
    #[error(transparent)]
    Engine(#[from] EngineProblem),
    /// A section of a target that the bundle is not for, or that its targets have no use for.
    #[error("no target of the bundle uses it")]
    Unused,
    /// Manifest and table name different targets.
    #[error("it is for {found:?}, the bundle for {expected:?}")]
    Targets {
        /// What the manifest says.
        found: String,
        /// The targets of the table.
        expected: String,
    },
    /// A timing cache that says of no library and GPU that it is for them.
    #[error("a timing cache for every machine: its target is empty")]
    TimingTarget,
}

/// What is wrong with an engine's section.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineProblem {
    /// The header does not fit.
    #[error("the engine's header takes {found} bytes, at most {max} are read")]
    HeaderLength {
        /// Stated bytes.
        found: u64,
        /// Bound.
        max: u64,
    },
    /// The header does not decode.
    #[error("the engine's header cannot be decoded: {0}")]
    Decode(String),
    /// The header goes on after the value.
    #[error("{0} bytes are left over after decoding the engine's header")]
    LeftOver(usize),
    /// The header is of another target than the section.
    #[error("the engine's header is of target {found:?}")]
    Target {
        /// Target that the header makes.
        found: String,
    },
    /// A byte between header and engine is not zero.
    #[error("padding between the engine's header and the engine is not zero")]
    Padding,
    /// There is no engine.
    #[error("the engine has no bytes")]
    Empty,
}

/// Why an array cannot be viewed in the weights section.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsProblem {
    /// It does not lie inside.
    #[error("takes {len_bytes} bytes from offset {offset}, the Weights section has {available}")]
    End {
        /// Bytes from the start of the section.
        offset: u64,
        /// Bytes.
        len_bytes: u64,
        /// Bytes of the section.
        available: usize,
    },
    /// It starts where no element may.
    #[error("starts at offset {0}, which is no multiple of 64")]
    Alignment(u64),
    /// Its length is not what shape and type take.
    #[error("does not fit: {0}")]
    Tensor(#[from] TensorError),
}

/// The first half of a hash: enough to tell two apart.
fn hex(hash: &[u8; 32]) -> String {
    hash[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Why a section cannot be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddProblem {
    /// The kind has a number and no contents yet.
    #[error("this kind is reserved")]
    Reserved,
    /// The target cannot stand in the table.
    #[error("the target name is not at most 32 of a-z 0-9 . _ -")]
    Target,
    /// A target of several without its name.
    #[error("it has no target's name")]
    Unnamed,
    /// An index where the kind has none.
    #[error("this kind has no index")]
    Index,
    /// There is such a section.
    #[error("it is there already")]
    Twice,
    /// The section is larger than its kind may be.
    #[error("{len_bytes} bytes, at most {max} are read")]
    TooLarge {
        /// Bytes.
        len_bytes: u64,
        /// Bound.
        max: u64,
    },
    /// The bundle has as many sections as are read.
    #[error("a bundle holds at most {0} sections")]
    Full(u32),
    /// The value does not encode.
    #[error("cannot encode: {0}")]
    Encode(String),
    /// An engine that cannot be framed.
    #[error(transparent)]
    Engine(#[from] EngineProblem),
}
