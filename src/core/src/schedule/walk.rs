use super::{FunctionId, Schedule, Step};

/// A step with its place among all others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlacedStep<'a> {
    /// The step.
    pub step: &'a Step,
    /// The function that it is a step of; none for the schedule's own.
    pub function: Option<FunctionId>,
    /// Index among the steps of that function, or the schedule's own.
    pub index: usize,
    /// Number of functions around it.
    pub depth: usize,
    /// Position in [`Schedule::all_steps`].
    pub position: usize,
}

/// The steps of a scope that are still to come.
struct Open<'a> {
    function: Option<FunctionId>,
    steps: std::iter::Enumerate<std::slice::Iter<'a, Step>>,
    /// Position of the first one.
    first: usize,
    depth: usize,
}

/// See [`Schedule::walk`].
pub(super) fn walk(schedule: &Schedule) -> Vec<PlacedStep<'_>> {
    let mut count = schedule.steps.len();
    let mut starts = Vec::with_capacity(schedule.functions.len());
    for function in &schedule.functions {
        starts.push(count);
        count += function.steps.len();
    }
    let mut placed = Vec::with_capacity(count);
    let mut open = vec![Open {
        function: None,
        steps: schedule.steps.iter().enumerate(),
        first: 0,
        depth: 0,
    }];
    while let Some(scope) = open.last_mut() {
        let Some((index, step)) = scope.steps.next() else {
            open.pop();
            continue;
        };
        // Functions that use one another, which no checked schedule has, would be without end.
        if placed.len() == count {
            break;
        }
        let depth = scope.depth;
        placed.push(PlacedStep {
            step,
            function: scope.function,
            index,
            depth,
            position: scope.first + index,
        });
        for id in step.functions().into_iter().flatten().rev() {
            if let (Some(function), Some(&first)) = (schedule.function(id), starts.get(id.index()))
            {
                open.push(Open {
                    function: Some(id),
                    steps: function.steps.iter().enumerate(),
                    first,
                    depth: depth + 1,
                });
            }
        }
    }
    placed
}
