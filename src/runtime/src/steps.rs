//! All steps of a schedule under one numbering.

use std::ops::Range;

use tfjet_core::{Function, FunctionId, Schedule, Step, ValueId, ValueSource};

use crate::SessionError;

/// The steps of a schedule, numbered as [`Schedule::all_steps`] gives them, in scopes: the
/// schedule's own steps are scope 0, those of function `i` scope `i + 1`.
pub(crate) struct Steps<'a> {
    schedule: &'a Schedule,
    all: Vec<&'a Step>,
    scopes: Vec<Range<usize>>,
    of_value: Vec<usize>,
    nesting: Vec<Nesting>,
}

/// How a scope is nested.
#[derive(Debug, Clone, Copy, Default)]
struct Nesting {
    depth: usize,
    /// The innermost scope, the scope itself included, that a loop runs again and again.
    looped: Option<usize>,
}

impl<'a> Steps<'a> {
    /// `schedule` has passed [`Schedule::check`].
    pub(crate) fn new(schedule: &'a Schedule) -> Self {
        let mut end = schedule.steps.len();
        let mut scopes: Vec<Range<usize>> = Vec::with_capacity(schedule.functions.len() + 1);
        scopes.push(0..end);
        scopes.extend(schedule.functions.iter().map(|function| {
            let start = end;
            end += function.steps.len();
            start..end
        }));
        let all: Vec<&Step> = schedule.all_steps().collect();
        let mut of_value = vec![0; schedule.values.len()];
        let mut nesting = vec![Nesting::default(); scopes.len()];
        for (scope, range) in scopes.iter().enumerate() {
            for id in arguments(schedule, scope) {
                of_value[id.index()] = scope;
            }
            for step in all[range.clone()].iter().copied() {
                for id in step.outputs() {
                    of_value[id.index()] = scope;
                }
                for function in step.functions().into_iter().flatten() {
                    let (inner, own) = (scope_of(function), nesting[scope]);
                    let is_loop = matches!(step, Step::While { .. });
                    nesting[inner] = Nesting {
                        depth: own.depth + 1,
                        looped: if is_loop { Some(inner) } else { own.looped },
                    };
                }
            }
        }
        Self {
            schedule,
            all,
            scopes,
            of_value,
            nesting,
        }
    }

    pub(crate) fn schedule(&self) -> &'a Schedule {
        self.schedule
    }

    /// Number of steps.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn get(&self, step: usize) -> &'a Step {
        self.all[step]
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (usize, &'a Step)> + '_ {
        self.all.iter().copied().enumerate()
    }

    /// The numbers of the steps of each scope.
    pub(crate) fn scopes(&self) -> &[Range<usize>] {
        &self.scopes
    }

    /// The scope that a step is in.
    pub(crate) fn scope_of_step(&self, step: usize) -> usize {
        let after = self.scopes.partition_point(|range| range.end <= step);
        after.min(self.scopes.len() - 1)
    }

    /// The scope that makes the value; the schedule's own for inputs and constants.
    pub(crate) fn scope_of_value(&self, id: ValueId) -> usize {
        self.of_value[id.index()]
    }

    /// Arguments of the scope's function.
    pub(crate) fn arguments(&self, scope: usize) -> &'a [ValueId] {
        arguments(self.schedule, scope)
    }

    /// Results of the scope's function; what the caller gets of the schedule's own.
    pub(crate) fn results(&self, scope: usize) -> &'a [ValueId] {
        match function(self.schedule, scope) {
            Some(function) => &function.outputs,
            None => &self.schedule.outputs,
        }
    }

    /// The error of a step, which `error` makes for its index in its scope.
    pub(crate) fn error_at(
        &self,
        step: usize,
        error: impl FnOnce(usize) -> SessionError,
    ) -> SessionError {
        let scope = self.scope_of_step(step);
        let error = error(step - self.scopes[scope].start);
        match function(self.schedule, scope) {
            Some(function) => SessionError::InFunction {
                function: function.name.clone(),
                source: Box::new(error),
            },
            None => error,
        }
    }

    /// Does the value stay the same while the loop runs that runs `scope` again and again?
    pub(crate) fn is_invariant(&self, scope: usize, id: ValueId) -> bool {
        let depth = |scope: usize| self.nesting[scope].depth;
        let looped = self.nesting[scope].looped;
        looped.is_some_and(|looped| depth(self.scope_of_value(id)) < depth(looped))
    }

    pub(crate) fn is_constant(&self, id: ValueId) -> bool {
        let source = self.schedule.values[id.index()].source;
        matches!(source, ValueSource::Constant(_))
    }
}

/// The scope of a function's steps.
pub(crate) fn scope_of(function: FunctionId) -> usize {
    function.index() + 1
}

fn function(schedule: &Schedule, scope: usize) -> Option<&Function> {
    schedule.functions.get(scope.checked_sub(1)?)
}

fn arguments(schedule: &Schedule, scope: usize) -> &[ValueId] {
    function(schedule, scope).map_or(&[], |function| &function.inputs)
}
