//! Passes over the graph and the lowered network.
//!
//! [`type_graph`] prunes to the outputs, bypasses no-ops, infers types and shapes, and folds what
//! does not depend on the inputs. [`fold_scales`] merges batch-norm arithmetic into convolutions
//! of a lowered network; [`fuse_hard_sigmoids`] finds the activation in its written-out form.

mod fold;
mod hard_sigmoid;
mod prune;
mod scale;
mod type_graph;

pub use hard_sigmoid::fuse_hard_sigmoids;
pub use scale::fold_scales;
pub(crate) use type_graph::computed;
pub use type_graph::{TypeError, type_graph};
