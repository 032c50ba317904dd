//! The ranges of 8-bit numbers: from values that were seen ([`Histogram`], [`Method`]), kept in a
//! file ([`Table`]), and put to use ([`quantize`]).
//!
//! Nothing here runs a model. What runs one adds the values of each tensor to a histogram, lets a
//! method choose the range, and writes the table; a conversion reads it again, on any machine.

mod entropy;
mod error;
mod fingerprint;
mod histogram;
mod known;
mod method;
mod mse;
mod place;
mod ranges;
mod table;
mod tensorrt_cache;
mod weights;

pub use error::CalibrateError;
pub use fingerprint::fingerprint;
pub(crate) use fingerprint::source_fingerprint;
pub use histogram::Histogram;
pub use method::Method;
pub use place::{Choice, KeptLayer, Placed, candidates, quantize};
pub(crate) use ranges::propagate;
pub use table::{Table, TableEntry};
pub use weights::weight_magnitudes;
