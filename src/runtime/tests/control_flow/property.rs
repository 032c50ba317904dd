//! Random programs of loops, conditions, numbers and lists: a session agrees with an interpreter
//! that has no buffers.

use std::collections::BTreeSet;

use tfjet_core::{AttrValue, Attrs, DType, Schedule, Step, Tensor, ValueId, ValueSource};

use super::{load, no_engines};
use crate::common::{Model, attrs};

/// Elements of each list.
const LIST: usize = 3;

struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        let next = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = next.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn one(&mut self, of: &[u32]) -> u32 {
        of[self.below(of.len())]
    }
}

/// Values that may be read at a place.
#[derive(Clone, Default)]
struct Visible {
    numbers: Vec<u32>,
    lists: Vec<u32>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Number,
    List,
}

impl Kind {
    fn dims(self) -> &'static str {
        match self {
            Self::Number => "",
            Self::List => "3",
        }
    }
}

impl Visible {
    fn of(&mut self, kind: Kind) -> &mut Vec<u32> {
        match kind {
            Kind::Number => &mut self.numbers,
            Kind::List => &mut self.lists,
        }
    }
}

struct Writer {
    model: Model,
    numbers: Numbers,
    /// `int32` constants 0, 1, 2.
    indices: [u32; LIST],
    element_shape: u32,
}

fn float() -> Attrs {
    let dtype = AttrValue::Type(Some(DType::F32));
    attrs([("element_dtype", dtype)])
}

impl Writer {
    fn new(seed: u64) -> (Self, Visible) {
        let mut model = Model::default();
        let inputs = [0; 2].map(|_| model.input(DType::F32, ""));
        let list = model.input(DType::F32, "3");
        let constant = model.constant(&Tensor::scalar(2.0f32));
        let listed = model.constant(&Tensor::from_slice(&[3], &[5.0f32, 6.0, 7.0]).unwrap());
        let indices = [0i32, 1, 2].map(|index| model.constant(&Tensor::scalar(index)));
        let element_shape = model.constant(&Tensor::from_slice::<i32>(&[0], &[]).unwrap());
        let visible = Visible {
            numbers: vec![inputs[0], inputs[1], constant],
            lists: vec![list, listed],
        };
        let writer = Self {
            model,
            numbers: Numbers(seed),
            indices,
            element_shape,
        };
        (writer, visible)
    }

    fn kind(&mut self) -> Kind {
        match self.numbers.below(2) {
            0 => Kind::Number,
            _ => Kind::List,
        }
    }

    fn kinds(&mut self) -> Vec<Kind> {
        (0..1 + self.numbers.below(4))
            .map(|_| self.kind())
            .collect()
    }

    fn computed(&mut self, kind: Kind) -> u32 {
        self.model.computed(DType::F32, kind.dims())
    }

    /// Values of these kinds, the latest rather than the first.
    fn pick(&mut self, visible: &mut Visible, kinds: &[Kind]) -> Vec<u32> {
        let mut pick = |kind: &Kind| {
            let of = visible.of(*kind);
            let from = match self.numbers.below(3) {
                0 => 0,
                _ => of.len().saturating_sub(3),
            };
            self.numbers.one(&of[from..])
        };
        kinds.iter().map(&mut pick).collect()
    }

    fn op(&mut self, op_type: &str, attrs: Attrs, inputs: &[u32], kind: Kind) -> u32 {
        let made = self.computed(kind);
        self.model.op(op_type, attrs, inputs, &[made]);
        made
    }

    fn steps(&mut self, visible: &mut Visible, depth: usize) {
        for _ in 0..1 + self.numbers.below(5) {
            let [x, y] = [(); 2].map(|()| self.pick(visible, &[Kind::Number])[0]);
            let list = self.pick(visible, &[Kind::List])[0];
            let index = self.numbers.below(LIST);
            let index = self.indices[index];
            match self.numbers.below(if depth == 0 { 4 } else { 7 }) {
                0 => {
                    let op = ["Sub", "Minimum"][self.numbers.below(2)];
                    let made = self.op(op, Attrs::default(), &[x, y], Kind::Number);
                    visible.numbers.push(made);
                }
                1 => {
                    let shape = self.element_shape;
                    let made = self.op(
                        "TensorListGetItem",
                        float(),
                        &[list, index, shape],
                        Kind::Number,
                    );
                    visible.numbers.push(made);
                }
                2 | 3 => {
                    let made = self.op("TensorListSetItem", float(), &[list, index, x], Kind::List);
                    visible.lists.push(made);
                }
                4 => self.branch(visible, depth - 1, (x, y)),
                _ => self.repeat(visible, depth - 1),
            }
        }
    }

    fn branch(&mut self, visible: &mut Visible, depth: usize, (x, y): (u32, u32)) {
        let predicate = self.model.computed(DType::Bool, "");
        self.model
            .op("Less", Attrs::default(), &[x, y], &[predicate]);
        let kinds = self.kinds();
        let functions = self.model.reserve();
        for function in functions {
            self.function(
                function,
                &[],
                &mut visible.clone(),
                depth,
                &kinds,
                Vec::new(),
            );
        }
        let outputs: Vec<u32> = kinds.iter().map(|kind| self.computed(*kind)).collect();
        self.model.branch(functions, &[predicate], &outputs);
        self.capture();
        for (kind, output) in kinds.iter().zip(outputs) {
            visible.of(*kind).push(output);
        }
    }

    fn repeat(&mut self, visible: &mut Visible, depth: usize) {
        let kinds = self.kinds();
        let first = self.pick(visible, &kinds);
        let (zero, one) = (self.indices[0], self.indices[1]);
        let limit = self.numbers.below(LIST);
        let limit = self.indices[limit];
        let functions = self.model.reserve();
        let carried = |model: &mut Model| -> Vec<u32> {
            let counter = model.argument(DType::I32, "");
            let others = kinds
                .iter()
                .map(|kind| model.argument(DType::F32, kind.dims()));
            std::iter::once(counter).chain(others).collect()
        };
        let (asked, arguments) = (carried(&mut self.model), carried(&mut self.model));
        let list = kinds.iter().position(|kind| *kind == Kind::List);
        let number = self.pick(visible, &[Kind::Number])[0];
        self.model.function(functions[0], &asked, |model| {
            // What the condition does to what it takes does not reach the body.
            if let Some(list) = list {
                let changed = model.computed(DType::F32, Kind::List.dims());
                let inputs = [asked[list + 1], zero, number];
                model.op("TensorListSetItem", float(), &inputs, &[changed]);
            }
            let less = model.computed(DType::Bool, "");
            model.op("Less", Attrs::default(), &[asked[0], limit], &[less]);
            vec![less]
        });
        let mut inside = visible.clone();
        for (kind, argument) in kinds.iter().zip(&arguments[1..]) {
            inside.of(*kind).push(*argument);
        }
        let next = self.model.computed(DType::I32, "");
        let step = Step::Residual {
            node: "next".into(),
            op_type: "AddV2".into(),
            attrs: Attrs::default(),
            inputs: vec![ValueId(arguments[0]), ValueId(one)],
            outputs: vec![ValueId(next)],
        };
        self.function(
            functions[1],
            &arguments,
            &mut inside,
            depth,
            &kinds,
            vec![(step, next)],
        );
        let counted = self.model.computed(DType::I32, "");
        let outputs: Vec<u32> = kinds.iter().map(|kind| self.computed(*kind)).collect();
        let inputs: Vec<u32> = std::iter::once(zero).chain(first).collect();
        let all: Vec<u32> = std::iter::once(counted)
            .chain(outputs.iter().copied())
            .collect();
        self.model.while_loop(functions, &inputs, &all);
        self.capture();
        for (kind, output) in kinds.iter().zip(outputs) {
            visible.of(*kind).push(output);
        }
    }

    /// A function of random steps after `before`, whose made values are its first results.
    fn function(
        &mut self,
        id: u32,
        arguments: &[u32],
        visible: &mut Visible,
        depth: usize,
        kinds: &[Kind],
        before: Vec<(Step, u32)>,
    ) {
        let outer = std::mem::take(&mut self.model.schedule.steps);
        let mut results = Vec::new();
        for (step, made) in before {
            self.model.schedule.steps.push(step);
            results.push(made);
        }
        self.steps(visible, depth);
        results.extend(self.pick(visible, kinds));
        let steps = std::mem::replace(&mut self.model.schedule.steps, outer);
        self.model.function(id, arguments, |model| {
            model.schedule.steps = steps;
            results
        });
    }

    /// Lists what the functions of the latest step read from outside.
    fn capture(&mut self) {
        let schedule = &self.model.schedule;
        let Some(step) = schedule.steps.last() else {
            return;
        };
        let mut own: BTreeSet<ValueId> = BTreeSet::new();
        let mut read: BTreeSet<ValueId> = BTreeSet::new();
        for id in step.functions().into_iter().flatten() {
            let function = schedule.function(id).unwrap();
            own.extend(&function.inputs);
            read.extend(&function.outputs);
            for step in &function.steps {
                own.extend(step.outputs());
                read.extend(step.inputs());
            }
        }
        let outside = |id: &&ValueId| {
            let source = schedule.value(**id).unwrap().source;
            !own.contains(*id) && !matches!(source, ValueSource::Constant(_))
        };
        let captured: Vec<ValueId> = read.iter().filter(outside).copied().collect();
        match self.model.schedule.steps.last_mut() {
            Some(Step::While { inputs, .. } | Step::If { inputs, .. }) => inputs.extend(captured),
            _ => panic!("no step of the control flow"),
        }
    }
}

/// Runs a schedule on values that are never shared.
struct Interpreter<'a> {
    schedule: &'a Schedule,
    values: Vec<Option<Vec<f32>>>,
}

impl Interpreter<'_> {
    fn get(&self, id: ValueId) -> &[f32] {
        self.values[id.index()].as_deref().unwrap()
    }

    fn all(&self, ids: &[ValueId]) -> Vec<Vec<f32>> {
        ids.iter().map(|id| self.get(*id).to_vec()).collect()
    }

    fn set(&mut self, ids: &[ValueId], values: Vec<Vec<f32>>) {
        for (id, value) in ids.iter().zip(values) {
            self.values[id.index()] = Some(value);
        }
    }

    fn run(&mut self, steps: &[Step]) {
        let schedule = self.schedule;
        let function = |id| schedule.function(id).unwrap();
        for step in steps {
            let made = match step {
                Step::Residual {
                    op_type, inputs, ..
                } => vec![op(op_type, &self.all(inputs))],
                Step::If {
                    then_branch,
                    else_branch,
                    inputs,
                    ..
                } => {
                    let holds = self.get(inputs[0])[0] != 0.0;
                    let branch = function(if holds { *then_branch } else { *else_branch });
                    self.run(&branch.steps);
                    self.all(&branch.outputs)
                }
                Step::While {
                    condition, body, ..
                } => {
                    let (condition, body) = (function(*condition), function(*body));
                    let mut carried = self.all(step.own_inputs());
                    loop {
                        self.set(&condition.inputs, carried.clone());
                        self.run(&condition.steps);
                        if self.get(condition.outputs[0])[0] == 0.0 {
                            break carried;
                        }
                        self.set(&body.inputs, carried);
                        self.run(&body.steps);
                        carried = self.all(&body.outputs);
                    }
                }
                Step::Engine { .. } => panic!("no engines"),
            };
            self.set(step.outputs(), made);
        }
    }
}

fn op(op_type: &str, inputs: &[Vec<f32>]) -> Vec<f32> {
    let [x, y] = [0, 1].map(|input: usize| inputs[input][0]);
    match op_type {
        "Sub" => vec![x - y],
        "AddV2" => vec![x + y],
        "Minimum" => vec![x.min(y)],
        "Less" => vec![f32::from(u8::from(x < y))],
        "TensorListGetItem" => vec![inputs[0][y as usize]],
        "TensorListSetItem" => {
            let mut list = inputs[0].clone();
            list[y as usize] = inputs[2][0];
            list
        }
        other => panic!("{other}"),
    }
}

fn interpret(model: &Model, inputs: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let mut interpreter = Interpreter {
        schedule: &model.schedule,
        values: vec![None; model.schedule.values.len()],
    };
    for (index, value) in model.schedule.values.iter().enumerate() {
        if let ValueSource::Constant(id) = value.source {
            let entry = model.table.get(id).unwrap();
            let bytes = &model.weights[entry.offset as usize..][..entry.len_bytes as usize];
            let elements = bytes.chunks(4).map(|bytes| bytes.try_into().unwrap());
            let numbers = elements.map(|bytes| match value.dtype {
                DType::I32 => i32::from_le_bytes(bytes) as f32,
                _ => f32::from_le_bytes(bytes),
            });
            interpreter.values[index] = Some(numbers.collect());
        }
    }
    interpreter.set(&model.schedule.inputs, inputs.to_vec());
    interpreter.run(&model.schedule.steps);
    interpreter.all(&model.schedule.outputs)
}

#[test]
fn sessions_agree_with_an_interpreter_on_random_programs() {
    let (mut loops, mut conditions, mut deepest) = (0, 0, 0);
    for seed in 0..600 {
        let (mut writer, mut visible) = Writer::new(seed);
        writer.steps(&mut visible, 3);
        let kinds = [Kind::Number, Kind::List, Kind::Number, Kind::List];
        for value in writer.pick(&mut visible, &kinds) {
            writer.model.output(value);
        }
        let model = writer.model;
        model.schedule.check().unwrap();
        let count = |kind: &str| {
            model
                .schedule
                .all_steps()
                .filter(|it| it.kind() == kind)
                .count()
        };
        loops += count("While");
        conditions += count("If");
        deepest = deepest.max(model.schedule.functions.len());
        let mut session = load(&model, &no_engines());
        for round in 0..3 {
            let inputs = [
                vec![round as f32],
                vec![-1.5],
                vec![10.0, 20.0 * round as f32, 30.0],
            ];
            let given: Vec<Tensor> = inputs
                .iter()
                .map(|values| match values.as_slice() {
                    [number] => Tensor::scalar(*number),
                    list => Tensor::from_slice(&[LIST], list).unwrap(),
                })
                .collect();
            let views: Vec<_> = given.iter().map(Tensor::view).collect();
            let outputs = session.run(&views).unwrap();
            let outputs: Vec<Vec<f32>> = outputs
                .iter()
                .map(|(_, view)| view.as_slice::<f32>().unwrap().to_vec())
                .collect();
            assert_eq!(
                outputs,
                interpret(&model, &inputs),
                "seed {seed}, round {round}"
            );
        }
    }
    assert!(
        loops > 300 && conditions > 150 && deepest > 10,
        "{loops} {conditions} {deepest}"
    );
}
