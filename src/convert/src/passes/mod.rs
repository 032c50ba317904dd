//! Passes over the graph and the lowered network.
//!
//! [`simplify`] takes a resolved graph to a typed one: TensorFlow 1's TensorArrays and frames
//! become lists and `While` and `If` nodes, loops of few passes are unrolled, and patterns are
//! replaced until nothing changes. [`type_graph`] alone prunes to the outputs, bypasses no-ops,
//! infers types and shapes, and folds what does not depend on the inputs. [`fold_scales`] merges
//! batch-norm arithmetic into convolutions of a lowered network; [`fuse_hard_sigmoids`] finds the
//! activation in its written-out form.

mod case;
mod expand;
mod fold;
mod frames;
mod hard_sigmoid;
mod leftovers;
mod list_shape;
mod pad_suppressions;
mod post_processing;
mod pre_processing;
mod prune;
mod scale;
mod shuffles;
mod simplify;
mod tensor_array;
mod tensor_list;
mod trim;
mod trips;
mod type_call;
mod type_graph;

pub use frames::ControlFlowError;
pub use hard_sigmoid::fuse_hard_sigmoids;
pub use pre_processing::FoldedImage;
pub(crate) use pre_processing::fold_pre_processing;
pub use scale::fold_scales;
pub use shuffles::fold_shuffles;
pub use simplify::{PassError, Rewrite, RewriteOptions, simplify};
pub(crate) use type_graph::computed;
pub use type_graph::{TypeError, type_graph};
