use crate::graph::TypedGraph;

use super::{Partition, Unit};

/// The parts of what a loop or a condition calls.
#[derive(Debug, Clone, Default)]
pub struct CallParts {
    /// In the order of [`TypedCall::functions`](crate::graph::TypedCall::functions).
    pub functions: Vec<Partition>,
    /// Is it a loop?
    pub is_loop: bool,
    /// How often a loop's body runs, where that is known.
    pub trips: Option<u64>,
}

impl CallParts {
    fn runs(&self) -> u64 {
        self.trips.unwrap_or(1)
    }

    fn total(&self, of: impl Fn(&Partition) -> u64) -> u64 {
        let each = self.functions.iter().map(of);
        match self.is_loop {
            true => each
                .fold(0, u64::saturating_add)
                .saturating_mul(self.runs()),
            false => each.max().unwrap_or(0),
        }
    }

    pub(super) fn flops(&self) -> u64 {
        self.total(|function| function.flops)
    }
}

/// A graph or function with its parts.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The graph.
    pub typed: &'a TypedGraph,
    /// Its parts.
    pub partition: &'a Partition,
    /// How often it runs in one run of the model: a loop of unknown length counts as one pass.
    pub runs: u64,
}

/// The graph and all functions, in the order in which segments are numbered.
pub fn parts<'a>(typed: &'a TypedGraph, partition: &'a Partition) -> Vec<Part<'a>> {
    let mut all = Vec::new();
    collect(typed, partition, 1, &mut all);
    all
}

fn collect<'a>(
    typed: &'a TypedGraph,
    partition: &'a Partition,
    runs: u64,
    all: &mut Vec<Part<'a>>,
) {
    all.push(Part {
        typed,
        partition,
        runs,
    });
    for (id, call) in &partition.calls {
        let Some(typed) = typed.functions.get(id) else {
            continue;
        };
        let runs = runs.saturating_mul(call.runs());
        for (typed, partition) in typed.functions.iter().zip(&call.functions) {
            collect(typed, partition, runs, all);
        }
    }
}

impl Partition {
    /// Numbers the segments from `next` on.
    pub(super) fn number(&mut self, next: &mut usize) {
        for segment in &mut self.segments {
            segment.number = *next;
            segment.name = format!("segment_{next}");
            *next += 1;
        }
        let functions = self.calls.values_mut().flat_map(|it| &mut it.functions);
        functions.for_each(|function| function.number(next));
    }

    /// Floating-point operations inside segments, counted as [`Partition::flops`].
    pub fn inside(&self) -> u64 {
        let own = self.segments.iter().map(|segment| segment.flops);
        let calls = self.calls.values().map(|call| call.total(Self::inside));
        own.chain(calls).fold(0, u64::saturating_add)
    }

    /// Segments, those of functions among them.
    pub fn segment_count(&self) -> usize {
        let functions = self.calls.values().flat_map(|call| &call.functions);
        self.segments.len() + functions.map(Self::segment_count).sum::<usize>()
    }

    /// Residual ops, those of functions among them.
    pub fn residual_count(&self) -> usize {
        let functions = self.calls.values().flat_map(|call| &call.functions);
        self.residual.len() + functions.map(Self::residual_count).sum::<usize>()
    }

    /// Sets what each graph computes at run time.
    pub(crate) fn settle(&self, typed: &mut TypedGraph) {
        typed.settle(self.computed.clone());
        for unit in &self.order {
            let Unit::Call(id) = unit else { continue };
            if let (Some(call), Some(parts)) = (typed.functions.get_mut(id), self.calls.get(id)) {
                let functions = call.functions.iter_mut().zip(&parts.functions);
                functions.for_each(|(typed, partition)| partition.settle(typed));
            }
        }
    }
}
