//! How values come from where a function leaves them to where they are read next.

use std::collections::BTreeSet;

use tfjet_core::{Step, ValueId};

use crate::executor::Layout;
use crate::sources::Source;
use crate::steps::Steps;

/// One movement of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    /// `to` becomes a copy of the value.
    Copy {
        from: Source,
        to: usize,
        value: ValueId,
    },
    /// Two buffers change their contents; that of `from` is no longer needed.
    Swap { from: usize, to: usize },
}

/// Brings the first values of a loop to its buffers.
pub(in crate::executor) fn of_start(step: &Step, layout: &Layout<'_>) -> Vec<Move> {
    let carried = step.own_inputs().iter().zip(step.outputs());
    carried
        .filter_map(|(&value, output)| {
            let (from, to) = (layout.source(value), layout.slot(*output));
            (from != Source::Buffer(to)).then_some(Move::Copy { from, to, value })
        })
        .collect()
}

/// Brings the results of a loop's body to the loop's buffers.
///
/// First what a buffer of the loop holds and another is to have, as long as none has changed; then
/// other copies; then what the body made, whose buffers change places with the loop's.
pub(in crate::executor) fn of_pass(
    steps: &Steps<'_>,
    (number, step): (usize, &Step),
    body: usize,
    layout: &Layout<'_>,
) -> Vec<Move> {
    let mut staged = Vec::new();
    let mut unstaged = Vec::new();
    let mut others = Vec::new();
    let results = steps.results(body).iter().zip(step.outputs());
    for (position, (&value, output)) in results.enumerate() {
        let (from, to) = (layout.source(value), layout.slot(*output));
        match layout.slots.staged.get(&(number, position)) {
            Some(&waiting) => {
                staged.push(Move::Copy {
                    from,
                    to: waiting,
                    value,
                });
                unstaged.push(swap_or_copy(layout, waiting, to, value));
            }
            None => others.push((value, from, to)),
        }
    }
    staged.extend(into_place(steps, body, others, layout));
    staged.extend(unstaged);
    staged
}

/// Brings the results of a branch to the outputs of its step.
pub(in crate::executor) fn of_branch(
    steps: &Steps<'_>,
    step: &Step,
    branch: usize,
    layout: &Layout<'_>,
) -> Vec<Move> {
    let results = steps.results(branch).iter().zip(step.outputs());
    let places =
        results.map(|(&value, output)| (value, layout.source(value), layout.slot(*output)));
    into_place(steps, branch, places.collect(), layout)
}

/// Copies first, then a swap for each buffer of the scope's own that is no place itself.
fn into_place(
    steps: &Steps<'_>,
    scope: usize,
    values: Vec<(ValueId, Source, usize)>,
    layout: &Layout<'_>,
) -> Vec<Move> {
    let mut given: BTreeSet<usize> = values.iter().map(|(_, _, to)| *to).collect();
    let (mut copies, mut swaps) = (Vec::new(), Vec::new());
    for (value, from, to) in values {
        match from {
            Source::Buffer(slot) if slot == to => {}
            Source::Buffer(slot) if steps.scope_of_value(value) == scope && given.insert(slot) => {
                swaps.push(swap_or_copy(layout, slot, to, value));
            }
            _ => copies.push(Move::Copy { from, to, value }),
        }
    }
    copies.extend(swaps);
    copies
}

fn swap_or_copy(layout: &Layout<'_>, from: usize, to: usize, value: ValueId) -> Move {
    let stays = |slot: usize| layout.shared.get(slot).copied().unwrap_or_default();
    match stays(from) || stays(to) {
        true => Move::Copy {
            from: Source::Buffer(from),
            to,
            value,
        },
        false => Move::Swap { from, to },
    }
}
