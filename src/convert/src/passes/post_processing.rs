//! The post-processing of the TensorFlow Object Detection API, found by its data flow and replaced
//! by one op.
//!
//! `rows` tells what each wire has rows of: the boxes that a suppression keeps, those of all
//! classes joined, sorted, clipped, cut. Where a chain of them ends in what the rest of the graph
//! reads, `replace` puts the op in its place. What does not match in every detail stays.

mod boxes;
mod replace;
mod rows;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use super::simplify::{Rewrite, RewriteOptions};
use crate::graph::{Node, NodeId, TypedGraph, WireId};

use replace::{Fused, OP};
use rows::{RowSet, Rows};
use view::View;

/// Replaces each post-processing of a graph or function, and says so in a line each.
pub(super) fn fuse_post_processing(
    typed: &TypedGraph,
    options: &RewriteOptions<'_>,
) -> Option<Rewrite> {
    if options.keep_post_processing || !suppresses(typed) {
        return None;
    }
    let rows = Rows::new(View(typed));
    let found = find(&rows, options.keep).ok()?;
    let mut graph = typed.graph.clone();
    let mut notes = Vec::with_capacity(found.len());
    for fused in found {
        let replaced = replaced(typed, fused.redirected());
        notes.push(format!(
            "post-processing fused: {} nodes became one {OP}",
            replaced.len()
        ));
        fused.apply(&rows, &replaced, &mut graph);
    }
    Some(Rewrite { graph, notes })
}

/// Why suppressions of boxes stay as they are, a line for the graph and each of its functions.
pub(super) fn post_processing_left(
    typed: &TypedGraph,
    options: &RewriteOptions<'_>,
) -> Vec<String> {
    let functions = typed.functions.values().flat_map(|call| &call.functions);
    let mut notes: Vec<String> = functions
        .flat_map(|function| post_processing_left(function, options))
        .collect();
    if suppresses(typed) {
        let reason = match options.keep_post_processing {
            true => Some("--keep-post-processing".to_owned()),
            false => find(&Rows::new(View(typed)), options.keep).err(),
        };
        notes.extend(reason.map(|reason| format!("post-processing not fused: {reason}")));
    }
    notes
}

fn suppresses(typed: &TypedGraph) -> bool {
    let ops = typed.order.iter().map(|id| &typed.graph.node(*id).op);
    ops.into_iter()
        .any(|op| op.starts_with("NonMaxSuppression"))
}

/// What can be replaced, or why nothing can.
fn find(rows: &Rows<'_>, keep: &dyn Fn(&Node) -> bool) -> Result<Vec<Fused>, String> {
    let typed = rows.view.0;
    let counted: BTreeSet<usize> = rows
        .sets
        .iter()
        .filter_map(|set| match set {
            RowSet::Counted { of } => Some(*of),
            _ => None,
        })
        .collect();
    let mut found = Vec::new();
    let mut reason = None;
    for (set, of) in rows.sets.iter().enumerate() {
        let last = match of {
            RowSet::Counted { .. } => true,
            RowSet::First { .. } => !counted.contains(&set),
            _ => false,
        };
        if !last {
            continue;
        }
        match Fused::new(rows, set) {
            Ok(fused) => {
                let replaced = replaced(typed, fused.redirected());
                match replaced.iter().find(|id| keep(typed.graph.node(**id))) {
                    None => found.push(fused),
                    Some(id) => {
                        let kept = &typed.graph.node(*id).name;
                        reason.get_or_insert(format!("`{kept}` is excluded"));
                    }
                }
            }
            Err(why) => {
                reason.get_or_insert(why);
            }
        }
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let refusal = rows.refusal.clone().or(reason);
    Err(refusal.unwrap_or_else(|| {
        let count = rows.suppressions.len();
        format!("what {count} suppressions keep is not joined, sorted and cut as it should be")
    }))
}

/// The wires that the outputs need where `given` are there.
fn read_wires(typed: &TypedGraph, given: &BTreeMap<WireId, usize>) -> BTreeSet<WireId> {
    let mut read = BTreeSet::new();
    let mut stack: Vec<WireId> = typed.graph.outputs.iter().map(|it| it.wire).collect();
    while let Some(wire) = stack.pop() {
        let there = given.contains_key(&wire)
            || typed.graph.is_input(wire)
            || typed.fact(wire).value.is_some();
        if !there && read.insert(wire) {
            stack.extend(typed.graph.node(wire.node).inputs.iter().copied());
        }
    }
    read
}

/// The nodes that nothing needs where the op is there.
fn replaced(typed: &TypedGraph, given: &BTreeMap<WireId, usize>) -> Vec<NodeId> {
    let read = read_wires(typed, given);
    let still: BTreeSet<NodeId> = read.iter().map(|wire| wire.node).collect();
    let live = typed.order.iter().copied();
    live.filter(|id| !still.contains(id)).collect()
}
