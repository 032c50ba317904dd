//! The order of the passes over the graph.

use std::sync::Arc;

use super::case::cases;
use super::expand::expand;
use super::frames::{ControlFlowError, take_apart};
use super::leftovers::{drop_dropouts, leftovers};
use super::pad_suppressions::pad_suppressions;
use super::post_processing::{fuse_post_processing, post_processing_left};
use super::tensor_array::tensor_arrays;
use super::tensor_list::tensor_lists;
use super::trim::trim;
use super::type_graph::{TypeError, finish, type_again};
use crate::graph::{Call, Function, Graph, Node, TypedGraph};

/// Rewriting ends after so many rounds, whatever is left to do.
const MAX_ROUNDS: usize = 256;

/// What a pass makes of a graph.
#[derive(Debug, Clone)]
pub struct Rewrite {
    /// The graph with nodes added and wires redirected. Nodes keep their places, ops and
    /// attributes; those that no output needs any more are pruned when it is typed again.
    pub graph: Graph,
    /// What a user should know, a line each.
    pub notes: Vec<String>,
}

/// What the passes are asked to do.
pub struct RewriteOptions<'a> {
    /// Nodes that stay as they are: no pass removes or replaces them.
    pub keep: &'a dyn Fn(&Node) -> bool,
    /// The suppression of boxes stays as many ops.
    pub keep_post_processing: bool,
    /// Suppressions of boxes are given a result of fixed size, for a layer to make.
    pub lower_nms: bool,
}

/// A pass looks at a typed graph, the model's or that of a function, and returns it changed, or
/// `None` where there is nothing to change.
type Pass = fn(&TypedGraph, &RewriteOptions<'_>) -> Option<Rewrite>;

/// In the order in which they are tried. The first that changes something has the graph typed
/// again.
const PASSES: &[Pass] = &[
    expand,
    trim,
    tensor_lists,
    fuse_post_processing,
    drop_dropouts,
    pad_suppressions,
];

/// Why the passes cannot take a graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PassError {
    /// A node contradicts TensorFlow's rules.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// The control flow is not structured.
    #[error(transparent)]
    ControlFlow(#[from] ControlFlowError),
}

/// Takes a graph through all passes.
///
/// # Errors
/// A [`PassError`] that names the node.
pub fn simplify(mut graph: Graph, options: &RewriteOptions<'_>) -> Result<TypedGraph, PassError> {
    for function in graph.functions.values_mut() {
        tensor_arrays(&mut Arc::make_mut(function).graph);
    }
    tensor_arrays(&mut graph);
    let mut notes = take_apart(&mut graph)?;
    cases(&mut graph);
    let mut typed = type_again(graph, options.keep, None)?;
    for _ in 0..MAX_ROUNDS {
        let Some(rewrite) = PASSES
            .iter()
            .find_map(|pass| rewritten(&typed, *pass, options))
        else {
            break;
        };
        add_notes(&mut notes, &typed);
        notes.extend(rewrite.notes);
        graph = rewrite.graph;
        typed = type_again(graph, options.keep, Some(&typed))?;
    }
    add_notes(&mut notes, &typed);
    notes.extend(post_processing_left(&typed, options));
    notes.extend(leftovers(&typed));
    typed.notes = notes;
    finish(&mut typed, options.keep);
    Ok(typed)
}

fn add_notes(notes: &mut Vec<String>, typed: &TypedGraph) {
    for note in &typed.notes {
        if !notes.contains(note) {
            notes.push(note.clone());
        }
    }
    let functions = typed.functions.values().flat_map(|it| &it.functions);
    functions.for_each(|function| add_notes(notes, function));
}

/// The graph after `pass` over it or, where that changes nothing, over the functions that it calls.
/// A function whose caller changed waits for the next round, since the two may depend on each
/// other.
fn rewritten(typed: &TypedGraph, pass: Pass, options: &RewriteOptions<'_>) -> Option<Rewrite> {
    if let Some(rewrite) = pass(typed, options) {
        return Some(rewrite);
    }
    let mut changed = Changed::default();
    changed.collect(typed, pass, options);
    if changed.functions.is_empty() {
        return None;
    }
    let mut graph = typed.graph.clone();
    graph.functions.extend(changed.functions);
    Some(Rewrite {
        graph,
        notes: changed.notes,
    })
}

#[derive(Default)]
struct Changed {
    functions: Vec<(String, Arc<Function>)>,
    notes: Vec<String>,
}

impl Changed {
    fn collect(&mut self, typed: &TypedGraph, pass: Pass, options: &RewriteOptions<'_>) {
        for (id, call) in &typed.functions {
            let Some(names) = Call::of(typed.graph.node(*id)) else {
                continue;
            };
            for (name, function) in names.functions().into_iter().zip(&call.functions) {
                let Some(Rewrite { mut graph, notes }) = pass(function, options) else {
                    self.collect(function, pass, options);
                    continue;
                };
                self.notes.extend(notes);
                self.functions.extend(std::mem::take(&mut graph.functions));
                let name = name.to_owned();
                let function = Function {
                    name: name.clone(),
                    graph,
                };
                self.functions.push((name, Arc::new(function)));
            }
        }
    }
}
