use super::*;
use crate::{Attrs, DType, Shape, WeightsId};

use ValueSource::{Argument, Computed, Constant, Input};

fn ids(ids: &[u32]) -> Vec<ValueId> {
    ids.iter().copied().map(ValueId).collect()
}

fn value(name: &str, dtype: DType, source: ValueSource) -> Value {
    Value {
        name: name.into(),
        dtype,
        shape: None,
        source,
    }
}

fn op(inputs: &[u32], outputs: &[u32]) -> Step {
    Step::Residual {
        node: "op".into(),
        op_type: "Op".into(),
        attrs: Attrs::default(),
        inputs: ids(inputs),
        outputs: ids(outputs),
    }
}

fn function(name: &str, inputs: &[u32], outputs: &[u32], steps: Vec<Step>) -> Function {
    Function {
        name: name.into(),
        inputs: ids(inputs),
        outputs: ids(outputs),
        steps,
    }
}

fn while_loop(functions: [u32; 2], inputs: &[u32], outputs: &[u32]) -> Step {
    Step::While {
        node: "loop".into(),
        condition: FunctionId(functions[0]),
        body: FunctionId(functions[1]),
        inputs: ids(inputs),
        outputs: ids(outputs),
    }
}

fn branch(functions: [u32; 2], inputs: &[u32], outputs: &[u32]) -> Step {
    Step::If {
        node: "if".into(),
        then_branch: FunctionId(functions[0]),
        else_branch: FunctionId(functions[1]),
        inputs: ids(inputs),
        outputs: ids(outputs),
    }
}

/// A loop over `x` whose body has a condition, and reads `y` from outside.
fn nested() -> Schedule {
    Schedule {
        values: vec![
            value("x", DType::F32, Input),
            value("y", DType::F32, Computed),
            value("out", DType::F32, Computed),
            value("asked", DType::F32, Argument),
            value("holds", DType::Bool, Computed),
            value("carried", DType::F32, Argument),
            value("predicate", DType::Bool, Computed),
            value("chosen", DType::F32, Computed),
            value("made", DType::F32, Computed),
            value("constant", DType::F32, Constant(WeightsId(0))),
        ],
        inputs: ids(&[0]),
        outputs: ids(&[2, 0, 9]),
        steps: vec![op(&[0], &[1]), while_loop([0, 1], &[0, 1], &[2])],
        functions: vec![
            function("condition", &[3], &[4], vec![op(&[3, 9], &[4])]),
            function(
                "body",
                &[5],
                &[7],
                vec![op(&[5], &[6]), branch([2, 3], &[6, 5, 1], &[7])],
            ),
            function("then", &[], &[8], vec![op(&[5, 1], &[8])]),
            function("else", &[], &[9], vec![]),
        ],
    }
}

#[test]
fn finds_reads_before_writes_and_double_writes() {
    let schedule = |steps| Schedule {
        values: vec![
            value("x", DType::F32, Input),
            value("y", DType::F32, Computed),
            value("z", DType::F32, Computed),
        ],
        inputs: ids(&[0]),
        outputs: ids(&[2]),
        steps,
        functions: Vec::new(),
    };
    assert_eq!(
        schedule(vec![op(&[0], &[1]), op(&[1], &[2])]).check(),
        Ok(())
    );
    for (steps, expected) in [
        (
            vec![op(&[1], &[2]), op(&[0], &[1])],
            "step 0 reads `y` before it is made",
        ),
        (
            vec![op(&[0], &[2]), op(&[0], &[2])],
            "step 1 writes `z`, which is not its to write",
        ),
        (
            vec![op(&[0], &[0])],
            "step 0 writes `x`, which is not its to write",
        ),
        (
            vec![op(&[0], &[7])],
            "step 0 refers to value 7, the schedule has 3",
        ),
        (
            vec![op(&[0], &[1])],
            "the list of inputs and outputs reads `z` before it is made",
        ),
    ] {
        assert_eq!(schedule(steps).check().unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_loop_with_a_condition_in_its_body_is_good() {
    assert_eq!(nested().check(), Ok(()));
    let steps: Vec<_> = nested()
        .all_steps()
        .map(|step| step.kind().to_owned())
        .collect();
    assert_eq!(steps, ["Op", "While", "Op", "Op", "If", "Op"]);
}

#[test]
fn steps_are_walked_as_they_are_nested() {
    let mut schedule = nested();
    let walked = |schedule: &Schedule| {
        let steps = schedule.walk();
        let text = |it: &crate::PlacedStep<'_>| {
            let function = it.function.map_or(-1, |id| i64::from(id.0));
            assert_eq!(schedule.all_steps().nth(it.position), Some(it.step));
            (it.depth, function, it.index, it.step.kind().to_owned())
        };
        steps.iter().map(text).collect::<Vec<_>>()
    };
    let expected = [
        (0, -1, 0, "Op"),
        (0, -1, 1, "While"),
        (1, 0, 0, "Op"),
        (1, 1, 0, "Op"),
        (1, 1, 1, "If"),
        (2, 2, 0, "Op"),
        (0, -1, 2, "Op"),
    ];
    schedule.steps.push(op(&[], &[]));
    let expected =
        expected.map(|(depth, function, index, kind)| (depth, function, index, kind.to_owned()));
    assert_eq!(walked(&schedule), expected);
    schedule.functions[1].steps[1] = branch([1, 1], &[], &[]);
    assert_eq!(schedule.walk().len(), schedule.all_steps().count());
}

#[test]
fn functions_that_do_not_fit_are_refused_by_name() {
    type Change = fn(&mut Schedule);
    let cases: &[(Change, &str)] = &[
        (
            |it| it.steps[1] = while_loop([0, 9], &[0, 1], &[2]),
            "step 1 refers to function 9, the schedule has 4",
        ),
        (
            |it| it.functions[1].steps[1] = branch([2, 1], &[6, 5, 1], &[7]),
            "step 1 of function `body` uses function `body`, which does not stand after its own",
        ),
        (
            |it| it.functions[1].steps[1] = branch([2, 2], &[6, 5, 1], &[7]),
            "function `then` is used 2 times, not once",
        ),
        (
            |it| it.functions.push(function("spare", &[], &[], vec![])),
            "function `spare` is used 0 times, not once",
        ),
        (
            |it| it.steps[1] = while_loop([0, 1], &[0], &[2]),
            "step 1 of function `body` reads `y`, which is not captured",
        ),
        (
            |it| it.functions[1].steps[1] = branch([2, 3], &[6, 1], &[7]),
            "step 0 of function `then` reads `carried`, which is not captured",
        ),
        (
            |it| it.functions[0].steps[0] = op(&[5], &[4]),
            "step 0 of function `condition` reads `carried`, which is not captured",
        ),
        (
            |it| it.functions[0].outputs = ids(&[8]),
            "function `condition` reads `made` before it is made",
        ),
        (
            |it| it.functions[0].inputs = ids(&[1]),
            "function `condition` takes `y`, which is not its argument",
        ),
        (
            |it| it.functions[1].inputs = ids(&[3]),
            "function `body` takes `asked`, which is not its argument",
        ),
        (
            |it| it.functions[0].steps[0] = op(&[3], &[3]),
            "step 0 of function `condition` writes `asked`, which is not its to write",
        ),
        (
            |it| it.functions[3].steps.push(op(&[], &[8])),
            "step 0 of function `else` writes `made`, which is not its to write",
        ),
        (
            |it| it.values.push(value("lost", DType::F32, Argument)),
            "`lost` is an argument of no function",
        ),
        (
            |it| it.outputs.push(ValueId(5)),
            "the list of inputs and outputs reads `carried`, which is not captured",
        ),
        (
            |it| it.inputs.push(ValueId(5)),
            "the list of inputs and outputs reads `carried` before it is made",
        ),
        (
            |it| it.functions[0].inputs.clear(),
            "step 1: function `condition` has 0 inputs, expected 1",
        ),
        (
            |it| it.functions[0].outputs.push(ValueId(3)),
            "step 1: function `condition` has 2 outputs, expected 1",
        ),
        (
            |it| it.functions[1].outputs.clear(),
            "step 1: function `body` has 0 outputs, expected 1",
        ),
        (
            |it| it.steps[1] = while_loop([0, 1], &[], &[2]),
            "step 1: `loop` has 0 inputs, expected 1",
        ),
        (
            |it| it.functions[1].steps[1] = branch([2, 3], &[], &[7]),
            "step 1 of function `body`: `if` has 0 inputs, expected 1",
        ),
        (
            |it| it.functions[3].outputs.clear(),
            "step 1 of function `body`: function `else` has 0 outputs, expected 1",
        ),
        (
            |it| it.functions[2].inputs = ids(&[3]),
            "step 1 of function `body`: function `then` has 1 inputs, expected 0",
        ),
        (
            |it| it.values[7].dtype = DType::F16,
            "step 1 gives `asked` (float32) the value of `chosen` (float16)",
        ),
        (
            |it| it.values[9].dtype = DType::I32,
            "step 1 of function `body` gives `chosen` (float32) the value of `constant` (int32)",
        ),
    ];
    for (change, expected) in cases {
        let mut schedule = nested();
        change(&mut schedule);
        assert_eq!(schedule.check().unwrap_err().to_string(), *expected);
    }
}

#[test]
fn functions_are_nested_to_a_bound() {
    let schedule = |depth: u32| {
        let inner = |level: u32| match level < depth {
            true => vec![branch([2 * level, 2 * level + 1], &[0], &[])],
            false => vec![],
        };
        let functions = (1..=depth).flat_map(|level| {
            let then = function(&format!("then{level}"), &[], &[], inner(level));
            [then, function("else", &[], &[], vec![])]
        });
        Schedule {
            values: vec![value("x", DType::Bool, Input)],
            inputs: ids(&[0]),
            outputs: Vec::new(),
            steps: inner(0),
            functions: functions.collect(),
        }
    };
    let most = u32::try_from(Schedule::MAX_DEPTH).unwrap();
    assert!(
        schedule(most)
            .check()
            .is_err_and(|it| matches!(it, ScheduleError::NotCaptured { .. }))
    );
    let mut deepest = schedule(most);
    let mut deeper = schedule(most + 1);
    for schedule in [&mut deepest, &mut deeper] {
        for function in &mut schedule.functions {
            for step in &mut function.steps {
                if let Step::If { inputs, .. } = step {
                    inputs.push(ValueId(0));
                }
            }
        }
        if let Some(Step::If { inputs, .. }) = schedule.steps.first_mut() {
            inputs.push(ValueId(0));
        }
    }
    assert_eq!(deepest.check(), Ok(()));
    let text = deeper.check().unwrap_err().to_string();
    assert_eq!(text, "function `then65` is nested more than 64 deep");
}

struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        let next = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = next.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn ids(&mut self, most: usize, values: usize) -> Vec<ValueId> {
        let count = self.below(most + 1);
        let id = |numbers: &mut Self| ValueId(u32::try_from(numbers.below(values)).unwrap());
        (0..count).map(|_| id(self)).collect()
    }

    fn step(&mut self, values: usize, functions: usize) -> Step {
        let (inputs, outputs) = (self.ids(3, values), self.ids(1, values));
        let [one, other] = [(); 2].map(|()| {
            let function = self.below(functions + 1);
            FunctionId(u32::try_from(function).unwrap())
        });
        let node = "step".to_owned();
        match self.below(4) {
            0 => Step::While {
                node,
                condition: one,
                body: other,
                inputs,
                outputs,
            },
            1 => Step::If {
                node,
                then_branch: one,
                else_branch: other,
                inputs,
                outputs,
            },
            _ => Step::Engine {
                segment: 0,
                inputs,
                outputs,
            },
        }
    }

    fn steps(&mut self, values: usize, functions: usize) -> Vec<Step> {
        (0..self.below(4))
            .map(|_| self.step(values, functions))
            .collect()
    }

    fn schedule(&mut self) -> Schedule {
        let (values, functions) = (1 + self.below(12), self.below(5));
        let sources = [Input, Constant(WeightsId(0)), Computed, Computed, Argument];
        let dtypes = [DType::F32, DType::F32, DType::F32, DType::Bool];
        // Now and then an id is one too large.
        let ids = values + usize::from(self.below(20) == 0);
        Schedule {
            values: (0..values)
                .map(|_| Value {
                    name: "value".into(),
                    dtype: dtypes[self.below(4)],
                    shape: Some(Shape::fixed(&[1])),
                    source: sources[self.below(5)],
                })
                .collect(),
            inputs: self.ids(2, ids),
            outputs: self.ids(2, ids),
            steps: self.steps(ids, functions),
            functions: (0..functions)
                .map(|_| Function {
                    name: "function".into(),
                    inputs: self.ids(1, ids),
                    outputs: self.ids(1, ids),
                    steps: self.steps(ids, functions),
                })
                .collect(),
        }
    }
}

/// Walks a schedule as a run would and reads every value that it reads.
fn walk(schedule: &Schedule, steps: &[Step], results: &[ValueId], made: &mut BTreeSet<ValueId>) {
    for step in steps {
        assert!(step.inputs().iter().all(|id| made.contains(id)));
        for id in step.functions().into_iter().flatten() {
            let function = schedule.function(id).unwrap();
            let constant =
                |id: &&ValueId| matches!(schedule.value(**id).unwrap().source, Constant(_));
            let mut inside: BTreeSet<ValueId> = step.captured().iter().copied().collect();
            inside.extend(made.iter().filter(constant));
            inside.extend(&function.inputs);
            walk(schedule, &function.steps, &function.outputs, &mut inside);
        }
        made.extend(step.outputs());
    }
    assert!(results.iter().all(|id| made.contains(id)));
}

/// [`nested`] with up to three changes.
fn damaged(numbers: &mut Numbers) -> Schedule {
    let mut schedule = nested();
    for _ in 0..numbers.below(4) {
        let functions = schedule.functions.len();
        let values = schedule.values.len();
        let kept = schedule.functions.get_mut(numbers.below(4));
        match (numbers.below(9), kept) {
            (0, _) => drop(schedule.values.pop()),
            (1, _) => drop(schedule.functions.pop()),
            (2, _) => schedule.steps.reverse(),
            (3, _) => schedule.outputs = numbers.ids(3, values + 1),
            (4, Some(function)) => function.steps.push(numbers.step(values + 1, functions)),
            (5, Some(function)) => function.outputs = numbers.ids(1, values + 1),
            (6, Some(function)) => function.inputs = numbers.ids(1, values + 1),
            (7, Some(function)) => drop(function.steps.pop()),
            (8, Some(function)) => {
                if let Some(Step::Residual { inputs, .. }) = function.steps.first_mut() {
                    inputs.extend(numbers.ids(2, values + 1));
                }
            }
            _ => schedule.functions.reverse(),
        }
    }
    schedule
}

#[test]
fn random_schedules_are_refused_or_can_be_walked() {
    let mut numbers = Numbers(11);
    let (mut good, mut with_functions) = (0, 0);
    for round in 0..200_000 {
        let schedule = match round % 2 {
            0 => numbers.schedule(),
            _ => damaged(&mut numbers),
        };
        if schedule.check().is_err() {
            continue;
        }
        good += 1;
        with_functions += usize::from(!schedule.functions.is_empty() && schedule != nested());
        let values = schedule.values.iter().zip(0..);
        let given = values.filter(|(value, _)| matches!(value.source, Input | Constant(_)));
        let mut made = given.map(|(_, id)| ValueId(id)).collect();
        walk(&schedule, &schedule.steps, &schedule.outputs, &mut made);
    }
    assert!(
        good > 5000 && with_functions > 2000,
        "{good} {with_functions}"
    );
}
