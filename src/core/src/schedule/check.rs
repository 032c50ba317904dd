use std::collections::BTreeSet;

use super::{Function, FunctionId, Schedule, ScheduleError, SchedulePlace, Step};
use crate::{Value, ValueId, ValueSource};

/// See [`Schedule::check`].
pub(super) fn check(schedule: &Schedule) -> Result<(), ScheduleError> {
    let mut check = Check::new(schedule)?;
    let main = Scope {
        function: None,
        visible: inputs_of(schedule),
        depth: 0,
    };
    check.scope(main, &[], &schedule.steps, &schedule.outputs)?;
    for (index, function) in schedule.functions.iter().enumerate() {
        let entered = check.entered[index].take();
        let Some(Entered { captured, depth }) = entered else {
            return Err(ScheduleError::FunctionUses {
                function: function.name.clone(),
                uses: 0,
            });
        };
        let scope = Scope {
            function: Some(index),
            visible: captured,
            depth,
        };
        check.scope(scope, &function.inputs, &function.steps, &function.outputs)?;
    }
    let made = check.made.iter().zip(&schedule.values);
    match made
        .into_iter()
        .find(|(made, value)| !**made && value.source == ValueSource::Argument)
    {
        Some((_, value)) => Err(ScheduleError::ArgumentOfNone {
            value: value.name.clone(),
        }),
        None => Ok(()),
    }
}

fn inputs_of(schedule: &Schedule) -> BTreeSet<usize> {
    let values = schedule.values.iter().enumerate();
    values
        .filter(|(_, value)| value.source == ValueSource::Input)
        .map(|(value, _)| value)
        .collect()
}

/// What a step hands to a function that it uses.
struct Entered {
    captured: BTreeSet<usize>,
    depth: usize,
}

/// The schedule's own steps, or those of a function.
struct Scope {
    function: Option<usize>,
    /// What its steps may read, besides constants.
    visible: BTreeSet<usize>,
    depth: usize,
}

struct Check<'a> {
    schedule: &'a Schedule,
    /// Values that a step made, and arguments that a function took.
    made: Vec<bool>,
    /// For each function what the step hands to it that uses it.
    entered: Vec<Option<Entered>>,
}

impl<'a> Check<'a> {
    fn new(schedule: &'a Schedule) -> Result<Self, ScheduleError> {
        let check = Self {
            schedule,
            made: vec![false; schedule.values.len()],
            entered: schedule.functions.iter().map(|_| None).collect(),
        };
        let place = SchedulePlace::default();
        for &id in &schedule.inputs {
            let value = check.value(&place, id)?;
            if matches!(value.source, ValueSource::Computed | ValueSource::Argument) {
                return Err(ScheduleError::ReadBeforeMade {
                    place,
                    value: value.name.clone(),
                });
            }
        }
        Ok(check)
    }

    fn value(&self, place: &SchedulePlace, id: ValueId) -> Result<&'a Value, ScheduleError> {
        let values = &self.schedule.values;
        values
            .get(id.index())
            .ok_or_else(|| ScheduleError::NoSuchValue {
                place: place.clone(),
                value: id.0,
                count: values.len(),
            })
    }

    fn function(
        &self,
        place: &SchedulePlace,
        id: FunctionId,
    ) -> Result<&'a Function, ScheduleError> {
        let functions = &self.schedule.functions;
        functions
            .get(id.index())
            .ok_or_else(|| ScheduleError::NoSuchFunction {
                place: place.clone(),
                function: id.0,
                count: functions.len(),
            })
    }

    fn scope(
        &mut self,
        mut scope: Scope,
        inputs: &[ValueId],
        steps: &[Step],
        outputs: &[ValueId],
    ) -> Result<(), ScheduleError> {
        let function = scope.function.map(|index| &self.schedule.functions[index]);
        let mut place = SchedulePlace {
            function: function.map(|function| function.name.clone()),
            step: None,
        };
        for &id in inputs {
            let value = self.value(&place, id)?;
            let taken = std::mem::replace(&mut self.made[id.index()], true);
            if taken || value.source != ValueSource::Argument {
                return Err(ScheduleError::NotAnArgument {
                    function: place.function.unwrap_or_default(),
                    value: value.name.clone(),
                });
            }
            scope.visible.insert(id.index());
        }
        for (index, step) in steps.iter().enumerate() {
            place.step = Some(index);
            for &id in step.inputs() {
                self.read(&scope, &place, id)?;
            }
            for &id in step.outputs() {
                let value = self.value(&place, id)?;
                let made = std::mem::replace(&mut self.made[id.index()], true);
                if made || value.source != ValueSource::Computed {
                    return Err(ScheduleError::BadWrite {
                        place,
                        value: value.name.clone(),
                    });
                }
            }
            self.control(&scope, &place, step)?;
            let outputs = step.outputs().iter().map(|id| id.index());
            scope.visible.extend(outputs);
        }
        place.step = None;
        outputs
            .iter()
            .try_for_each(|&id| self.read(&scope, &place, id))
    }

    fn read(&self, scope: &Scope, place: &SchedulePlace, id: ValueId) -> Result<(), ScheduleError> {
        let value = self.value(place, id)?;
        let constant = matches!(value.source, ValueSource::Constant(_));
        if constant || scope.visible.contains(&id.index()) {
            return Ok(());
        }
        let (place, name) = (place.clone(), value.name.clone());
        let elsewhere = self.made[id.index()] || value.source != ValueSource::Computed;
        Err(match elsewhere {
            true => ScheduleError::NotCaptured { place, value: name },
            false => ScheduleError::ReadBeforeMade { place, value: name },
        })
    }

    /// Checks what a step of the control flow hands to its functions and takes from them.
    fn control(
        &mut self,
        scope: &Scope,
        place: &SchedulePlace,
        step: &Step,
    ) -> Result<(), ScheduleError> {
        let Some(used) = step.functions() else {
            return Ok(());
        };
        let functions = [
            self.function(place, used[0])?,
            self.function(place, used[1])?,
        ];
        for (id, function) in used.into_iter().zip(functions) {
            self.enter(scope, place, step, id, function)?;
        }
        let name = |function: &Function| format!("function `{}`", function.name);
        let itself = step
            .node()
            .map_or_else(String::new, |node| format!("`{node}`"));
        let outputs = step.outputs();
        let Step::While { inputs, .. } = step else {
            let predicate = step.inputs().len().min(1);
            count(place, itself, "inputs", predicate, 1)?;
            for branch in functions {
                count(place, name(branch), "inputs", branch.inputs.len(), 0)?;
                count(
                    place,
                    name(branch),
                    "outputs",
                    branch.outputs.len(),
                    outputs.len(),
                )?;
                self.give(place, &branch.outputs, outputs)?;
            }
            return Ok(());
        };
        let [condition, body] = functions;
        let carried = outputs.len();
        count(place, itself, "inputs", inputs.len().min(carried), carried)?;
        count(
            place,
            name(condition),
            "inputs",
            condition.inputs.len(),
            carried,
        )?;
        count(
            place,
            name(condition),
            "outputs",
            condition.outputs.len(),
            1,
        )?;
        count(place, name(body), "inputs", body.inputs.len(), carried)?;
        count(place, name(body), "outputs", body.outputs.len(), carried)?;
        let first = step.own_inputs();
        for given in [first, &body.outputs] {
            for taken in [&condition.inputs, &body.inputs, outputs] {
                self.give(place, given, taken)?;
            }
        }
        Ok(())
    }

    /// Notes what `step` hands to the function.
    fn enter(
        &mut self,
        scope: &Scope,
        place: &SchedulePlace,
        step: &Step,
        id: FunctionId,
        function: &Function,
    ) -> Result<(), ScheduleError> {
        let name = || function.name.clone();
        if scope.function.is_some_and(|own| id.index() <= own) {
            return Err(ScheduleError::FunctionOrder {
                place: place.clone(),
                function: name(),
            });
        }
        let depth = scope.depth + 1;
        if depth > Schedule::MAX_DEPTH {
            return Err(ScheduleError::TooDeep {
                function: name(),
                most: Schedule::MAX_DEPTH,
            });
        }
        let captured = step.captured().iter().map(|id| id.index()).collect();
        let entered = Entered { captured, depth };
        match self.entered[id.index()].replace(entered) {
            None => Ok(()),
            Some(_) => Err(ScheduleError::FunctionUses {
                function: name(),
                uses: self.uses(id),
            }),
        }
    }

    fn uses(&self, id: FunctionId) -> usize {
        let used = self.schedule.all_steps().filter_map(Step::functions);
        used.flatten().filter(|used| *used == id).count()
    }

    /// Values of these types can be handed over.
    fn give(
        &self,
        place: &SchedulePlace,
        from: &[ValueId],
        to: &[ValueId],
    ) -> Result<(), ScheduleError> {
        for (&from, &to) in from.iter().zip(to) {
            let (from, to) = (self.value(place, from)?, self.value(place, to)?);
            if from.dtype != to.dtype {
                return Err(ScheduleError::Type {
                    place: place.clone(),
                    to: to.name.clone(),
                    expected: to.dtype,
                    from: from.name.clone(),
                    given: from.dtype,
                });
            }
        }
        Ok(())
    }
}

fn count(
    place: &SchedulePlace,
    what: String,
    of: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), ScheduleError> {
    if found == expected {
        return Ok(());
    }
    Err(ScheduleError::Count {
        place: place.clone(),
        what,
        of,
        found,
        expected,
    })
}

#[cfg(test)]
mod tests;
