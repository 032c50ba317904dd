//! The bundle: one file that holds everything a board needs to run a model.
//!
//! In: sections, collected by [`BundleWriter`]; or a file. Out: a file, the same bytes for the same
//! sections; or a [`Bundle`], mapped into memory and checked, that lends out its sections and
//! decodes the structured ones. `docs/bundle-format.md` describes the bytes.
//!
//! Does not: know what a section means to an engine, run anything, or ever leave a half-written
//! file.
//!
//! ```
//! use tfjet_bundle::{Bundle, BundleWriter, SectionKind};
//! use tfjet_core::Schedule;
//!
//! let mut writer = BundleWriter::new();
//! writer.add_postcard(SectionKind::Schedule, "", 0, &Schedule::default())?;
//! writer.add(SectionKind::Weights, "", 0, vec![0; 4])?;
//! let bundle = Bundle::from_bytes(writer.to_bytes()?)?;
//! assert_eq!(bundle.schedule()?, Schedule::default());
//! assert_eq!(bundle.weights()?, [0; 4]);
//! assert_eq!(bundle.network(0).unwrap_err().to_string(),
//!     "the bundle in memory has no Network section 0");
//! # Ok::<(), tfjet_bundle::BundleError>(())
//! ```
#![deny(unsafe_code)]

mod bundle;
mod check;
mod contents;
mod engine;
mod error;
mod format;
mod mmap;
mod replace;
mod section;
mod sniff;
mod storage;
mod targets;
mod verify;
mod writer;

pub use bundle::Bundle;
pub use engine::{EngineHeader, EngineSection, timing_target};
pub use error::{
    AddProblem, BundleError, EngineProblem, HeaderProblem, SectionProblem, TableProblem,
    WeightsProblem,
};
pub use format::{ENTRY_LEN, FORMAT_VERSION, HEADER_LEN, MAGIC, MAX_SECTIONS};
pub use replace::replace_file;
pub use section::{Section, SectionId, SectionKind};
pub use verify::VerifyReport;
pub use writer::BundleWriter;
