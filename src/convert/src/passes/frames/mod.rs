//! TensorFlow 1's control flow becomes `While` and `If` nodes that call functions.
//!
//! TensorFlow 1 writes control flow as plain nodes. `Switch` sends a tensor to one of two outputs
//! and marks the other one dead; a node with a dead input is dead; `Merge` takes the input that is
//! not. A loop is a *frame*: `Enter` brings a tensor in, `NextIteration` hands one to the next
//! pass, `LoopCond` says whether there is one, `Exit` takes a tensor out
//! ([the paper](https://arxiv.org/abs/1805.01772), section 5.2).
//!
//! [`Analysis`] finds for each node the frame that it lies in and when it is alive, as a formula
//! over the values of predicates ([`conditions`]). A graph is structured where such values tell
//! which input of each `Merge` is alive ([`choice`]), and where nothing is read that is dead.
//! [`Builder`] then makes a function of the part of a loop before `LoopCond`, of the part behind
//! it, and of either side of a condition, starting from what is wanted; what a side reads from
//! outside it is handed in.

mod analysis;
mod builder;
mod choice;
mod conditions;
mod region;

use std::sync::Arc;

use crate::graph::{Function, Graph};

use builder::Builder;

/// Why control flow cannot be taken apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}node `{node}` ({op}): {reason}", match frame {
    Some(frame) => format!("while frame `{frame}`: "),
    None => String::new(),
})]
pub struct ControlFlowError {
    /// The while frame that the node lies in.
    pub frame: Option<String>,
    /// The node.
    pub node: String,
    /// Its op.
    pub op: String,
    /// What is wrong.
    pub reason: String,
}

/// Why a graph was not built.
enum Failure {
    /// There is no way.
    Error(ControlFlowError),
    /// Conditions that were put together need each other.
    Entangled,
}

impl From<ControlFlowError> for Failure {
    fn from(error: ControlFlowError) -> Self {
        Self::Error(error)
    }
}

/// Takes the control flow of the graph and of its functions apart. Returns notes.
pub(super) fn take_apart(graph: &mut Graph) -> Result<Vec<String>, ControlFlowError> {
    let mut dropped = 0;
    for (name, function) in std::mem::take(&mut graph.functions) {
        let mut inner = function.graph.clone();
        match structured(&mut inner)? {
            Some((functions, edges)) => {
                dropped += edges;
                graph.functions.extend(functions);
                let function = Function {
                    name: name.clone(),
                    graph: inner,
                };
                graph.functions.insert(name, Arc::new(function));
            }
            None => {
                graph.functions.insert(name, function);
            }
        }
    }
    if let Some((functions, edges)) = structured(graph)? {
        dropped += edges;
        graph.functions.extend(functions);
    }
    Ok(match dropped {
        0 => Vec::new(),
        _ => vec![format!(
            "{dropped} control edges inside loops and conditions dropped: what they order has no \
             side effects"
        )],
    })
}

type Functions = Vec<(String, Arc<Function>)>;

/// The functions of one graph's control flow and the control edges left behind; `None` where it
/// has no control flow.
fn structured(graph: &mut Graph) -> Result<Option<(Functions, usize)>, ControlFlowError> {
    for grouped in [true, false] {
        let Some(mut builder) = Builder::new(graph, grouped) else {
            return Ok(None);
        };
        let built = builder.run();
        let (functions, dropped) = (builder.functions, builder.dropped);
        match built {
            Ok(built) => {
                *graph = built;
                return Ok(Some((functions, dropped)));
            }
            Err(Failure::Error(error)) => return Err(error),
            Err(Failure::Entangled) => {}
        }
    }
    let first = graph.nodes.iter().find(|node| node.op.ends_with("Merge"));
    Err(ControlFlowError {
        frame: None,
        node: first.map(|node| node.name.clone()).unwrap_or_default(),
        op: "Merge".into(),
        reason: "conditions of the graph need each other's results".into(),
    })
}
