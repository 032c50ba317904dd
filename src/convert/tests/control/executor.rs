//! TensorFlow 1's executor, as its paper describes it (<https://arxiv.org/abs/1805.01772>): tokens
//! that are values or dead travel along edges, each in a frame and a pass. Independent of the
//! converter: it knows TensorArrays as memory behind handles, and the few ops of random programs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tfjet_convert::tensorflow::SourceNode;
use tfjet_core::{AttrValue, DType, Tensor};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Floats(Vec<f32>),
    /// Several rows of floats.
    Rows(Vec<Vec<f32>>),
    Int(i32),
    Ints(Vec<i32>),
    Bool(bool),
    Handle(usize),
}

impl Value {
    fn int(&self) -> i32 {
        match self {
            Self::Int(value) => *value,
            other => panic!("no integer: {other:?}"),
        }
    }

    fn floats(&self) -> &[f32] {
        match self {
            Self::Floats(values) => values,
            other => panic!("no floats: {other:?}"),
        }
    }

    fn bool(&self) -> bool {
        match self {
            Self::Bool(value) => *value,
            other => panic!("no truth value: {other:?}"),
        }
    }

    pub(crate) fn tensor(&self) -> Tensor {
        match self {
            Self::Floats(values) => Tensor::from_slice(&[values.len()], values),
            Self::Int(value) => Tensor::from_slice(&[], &[*value]),
            other => panic!("no output: {other:?}"),
        }
        .expect("the values fill the shape")
    }
}

/// A token; `None` for a dead one.
type Token = Option<Value>;

/// What lies in no frame.
const ROOT: usize = 0;

/// A pass of a frame that is entered in a pass of an outer one.
struct Pass {
    outer: usize,
    frame: String,
    number: u64,
    /// The frame's first pass.
    first: usize,
}

#[derive(Default)]
struct Arrived {
    data: BTreeMap<usize, Token>,
    /// Whether each control input is dead.
    control: BTreeMap<usize, bool>,
    fired: bool,
}

struct Edge {
    to: usize,
    input: usize,
}

struct Executor<'a> {
    nodes: &'a [SourceNode],
    /// Readers of each output.
    data: BTreeMap<(usize, usize), Vec<Edge>>,
    control: BTreeMap<usize, Vec<Edge>>,
    /// Number of data and control inputs.
    counts: Vec<(usize, usize)>,
    /// Number of inputs that come from the pass before.
    backs: Vec<usize>,
    arrived: BTreeMap<(usize, usize), Arrived>,
    ready: VecDeque<(usize, usize)>,
    /// All passes so far; the first one stands for what lies in no frame.
    passes: Vec<Pass>,
    numbers: BTreeMap<(usize, String, u64), usize>,
    /// Constants of a frame, handed to every pass, by its first pass.
    invariants: BTreeMap<usize, BTreeMap<usize, Token>>,
    /// Passes of a frame that began.
    begun: BTreeMap<usize, Vec<usize>>,
    arrays: Vec<Vec<Option<Vec<f32>>>>,
    /// Exits that were reached alive, and those that were dead so far.
    left: BTreeSet<(usize, usize)>,
    dead_exits: BTreeSet<(usize, usize)>,
    results: BTreeMap<String, Token>,
}

/// What the outputs of the graph are for these inputs.
pub(crate) fn execute(
    nodes: &[SourceNode],
    inputs: &BTreeMap<&str, Value>,
    outputs: &[String],
) -> Vec<Value> {
    let mut executor = Executor::new(nodes);
    for (index, node) in nodes.iter().enumerate() {
        if node.inputs.is_empty() {
            let value = inputs.get(node.name.as_str()).cloned();
            match value {
                Some(value) => executor.emit(ROOT, index, vec![Some(value)]),
                None => executor.ready.push_back((ROOT, index)),
            }
        }
    }
    executor.run();
    let results = outputs.iter().map(|name| match executor.results.get(name) {
        Some(Some(value)) => value.clone(),
        other => panic!("{name} is {other:?}"),
    });
    results.collect()
}

impl<'a> Executor<'a> {
    fn new(nodes: &'a [SourceNode]) -> Self {
        let index: BTreeMap<&str, usize> = nodes
            .iter()
            .enumerate()
            .map(|(i, node)| (node.name.as_str(), i))
            .collect();
        let mut data: BTreeMap<_, Vec<Edge>> = BTreeMap::new();
        let mut control: BTreeMap<_, Vec<Edge>> = BTreeMap::new();
        let mut counts = Vec::new();
        let is_back = |text: &&String| {
            let name = text.split(':').next().unwrap_or_default();
            index
                .get(name)
                .is_some_and(|from| nodes[*from].op == "NextIteration")
        };
        let backs = nodes
            .iter()
            .map(|node| node.inputs.iter().filter(is_back).count());
        let backs = backs.collect();
        for (to, node) in nodes.iter().enumerate() {
            let (mut datas, mut controls) = (0, 0);
            for text in &node.inputs {
                if let Some(name) = text.strip_prefix('^') {
                    let edge = Edge {
                        to,
                        input: controls,
                    };
                    control.entry(index[name]).or_default().push(edge);
                    controls += 1;
                } else {
                    let (name, slot) = text.split_once(':').unwrap_or((text, "0"));
                    let slot: usize = slot.parse().expect("a slot");
                    let edge = Edge { to, input: datas };
                    data.entry((index[name], slot)).or_default().push(edge);
                    datas += 1;
                }
            }
            counts.push((datas, controls));
        }
        Self {
            nodes,
            data,
            control,
            counts,
            backs,
            arrived: BTreeMap::new(),
            ready: VecDeque::new(),
            passes: vec![Pass {
                outer: ROOT,
                frame: String::new(),
                number: 0,
                first: ROOT,
            }],
            numbers: BTreeMap::new(),
            invariants: BTreeMap::new(),
            begun: BTreeMap::new(),
            arrays: Vec::new(),
            left: BTreeSet::new(),
            dead_exits: BTreeSet::new(),
            results: BTreeMap::new(),
        }
    }

    fn run(&mut self) {
        loop {
            while let Some((pass, node)) = self.ready.pop_front() {
                self.fire(pass, node);
            }
            // A frame without tokens is done: an exit that was never alive is dead outside. Inner
            // frames have larger numbers.
            let Some((first, node)) = self.dead_exits.pop_last() else {
                return;
            };
            if !self.left.contains(&(first, node)) {
                self.emit(self.passes[first].outer, node, vec![None]);
            }
        }
    }

    /// The pass of that number of a frame that is entered in pass `outer`.
    fn pass(&mut self, outer: usize, frame: &str, number: u64) -> usize {
        let key = (outer, frame.to_owned(), number);
        if let Some(pass) = self.numbers.get(&key) {
            return *pass;
        }
        let first = match number {
            0 => self.passes.len(),
            _ => self.pass(outer, frame, 0),
        };
        self.passes.push(Pass {
            outer,
            frame: frame.to_owned(),
            number,
            first,
        });
        self.numbers.insert(key, self.passes.len() - 1);
        self.passes.len() - 1
    }

    fn attr(&self, node: usize, name: &str) -> Option<&AttrValue> {
        self.nodes[node].attrs.get(name)
    }

    /// Sends a node's outputs, and its end, to all readers in this pass.
    fn emit(&mut self, pass: usize, node: usize, outputs: Vec<Token>) {
        let dead = outputs.iter().all(Option::is_none) && !outputs.is_empty();
        for (slot, token) in outputs.into_iter().enumerate() {
            if pass == ROOT {
                let name = match slot {
                    0 => self.nodes[node].name.clone(),
                    _ => format!("{}:{slot}", self.nodes[node].name),
                };
                self.results.insert(name, token.clone());
            }
            let readers: Vec<(usize, usize)> = self
                .data
                .get(&(node, slot))
                .map(|edges| edges.iter().map(|edge| (edge.to, edge.input)).collect())
                .unwrap_or_default();
            for (to, input) in readers {
                let arrived = self.arrived.entry((pass, to)).or_default();
                arrived.data.insert(input, token.clone());
                self.check(pass, to);
            }
        }
        let readers: Vec<(usize, usize)> = self
            .control
            .get(&node)
            .map(|edges| edges.iter().map(|edge| (edge.to, edge.input)).collect())
            .unwrap_or_default();
        for (to, input) in readers {
            let arrived = self.arrived.entry((pass, to)).or_default();
            arrived.control.insert(input, dead);
            self.check(pass, to);
        }
    }

    fn check(&mut self, pass: usize, node: usize) {
        let (data, control) = self.counts[node];
        let is_merge = self.nodes[node].op == "Merge";
        let backs = self.backs[node];
        let Some(arrived) = self.arrived.get_mut(&(pass, node)) else {
            return;
        };
        let all = match is_merge {
            // The back edge brings nothing in the first pass, and it alone does later.
            true => {
                arrived.data.values().any(Option::is_some) || arrived.data.len() + backs >= data
            }
            false => arrived.data.len() == data,
        };
        if all && arrived.control.len() == control && !arrived.fired {
            arrived.fired = true;
            self.ready.push_back((pass, node));
        }
    }

    fn enter_pass(&mut self, pass: usize) {
        let first = self.passes[pass].first;
        let begun = self.begun.entry(first).or_default();
        if begun.contains(&pass) {
            return;
        }
        begun.push(pass);
        let invariants = self.invariants.get(&first).cloned().unwrap_or_default();
        for (node, token) in invariants {
            self.emit(pass, node, vec![token]);
        }
    }

    fn fire(&mut self, pass: usize, node: usize) {
        let arrived = self.arrived.get(&(pass, node));
        let data: Vec<(usize, Token)> = arrived
            .map(|arrived| arrived.data.clone().into_iter().collect())
            .unwrap_or_default();
        let dead_control = arrived.is_some_and(|it| it.control.values().any(|dead| *dead));
        let op = self.nodes[node].op.clone();
        if op == "Merge" {
            let alive = data.iter().find(|(_, token)| token.is_some());
            let outputs = match alive.filter(|_| !dead_control) {
                Some((input, token)) => {
                    let number = i32::try_from(*input).expect("few inputs");
                    vec![token.clone(), Some(Value::Int(number))]
                }
                None => vec![None, None],
            };
            return self.emit(pass, node, outputs);
        }
        let dead = dead_control || data.iter().any(|(_, token)| token.is_none());
        let inputs: Vec<Value> = data.into_iter().filter_map(|(_, token)| token).collect();
        let first = inputs.first().cloned().filter(|_| !dead);
        match op.as_str() {
            "Enter" => {
                let Some(AttrValue::Str(name)) = self.attr(node, "frame_name") else {
                    panic!("a frame without a name");
                };
                let name = String::from_utf8_lossy(name).into_owned();
                let is_constant = self.attr(node, "is_constant") == Some(&AttrValue::Bool(true));
                let inner = self.pass(pass, &name, 0);
                if is_constant {
                    let invariants = self.invariants.entry(inner).or_default();
                    invariants.insert(node, first.clone());
                    for pass in self.begun.get(&inner).cloned().unwrap_or_default() {
                        self.emit(pass, node, vec![first.clone()]);
                    }
                    self.enter_pass(inner);
                } else {
                    self.enter_pass(inner);
                    self.emit(inner, node, vec![first]);
                }
            }
            "NextIteration" => {
                if first.is_some() {
                    let Pass {
                        outer,
                        frame,
                        number,
                        ..
                    } = &self.passes[pass];
                    let (outer, frame, number) = (*outer, frame.clone(), *number);
                    let next = self.pass(outer, &frame, number + 1);
                    self.enter_pass(next);
                    self.emit(next, node, vec![first]);
                }
            }
            "Exit" => {
                let Pass {
                    outer,
                    first: frame,
                    ..
                } = self.passes[pass];
                if first.is_some() {
                    self.left.insert((frame, node));
                    self.dead_exits.remove(&(frame, node));
                    self.emit(outer, node, vec![first]);
                } else if !self.left.contains(&(frame, node)) {
                    self.dead_exits.insert((frame, node));
                }
            }
            "Switch" => {
                let outputs = match (first, inputs.get(1)) {
                    (Some(value), Some(predicate)) if predicate.bool() => vec![None, Some(value)],
                    (Some(value), Some(_)) => vec![Some(value), None],
                    _ => vec![None, None],
                };
                self.emit(pass, node, outputs);
            }
            _ if dead => {
                let outputs = if op == "TensorArrayV3" { 2 } else { 1 };
                self.emit(pass, node, vec![None; outputs]);
            }
            _ => {
                let outputs = self.compute(node, &op, &inputs);
                self.emit(pass, node, outputs.into_iter().map(Some).collect());
            }
        }
    }

    fn compute(&mut self, node: usize, op: &str, inputs: &[Value]) -> Vec<Value> {
        let floats = |f: fn(f32, f32) -> f32| {
            let pairs = inputs[0].floats().iter().zip(inputs[1].floats());
            Value::Floats(pairs.map(|(a, b)| f(*a, *b)).collect())
        };
        let is_int = matches!(inputs.first(), Some(Value::Int(_)));
        let (a, b) = match inputs {
            [Value::Int(a), Value::Int(b), ..] => (*a, *b),
            _ => (0, 0),
        };
        vec![match op {
            "Const" => match self.attr(node, "value") {
                Some(AttrValue::Tensor(value)) => constant(value),
                other => panic!("{other:?}"),
            },
            "Identity" | "LoopCond" => inputs[0].clone(),
            "AddV2" if is_int => Value::Int(a + b),
            "Sub" if is_int => Value::Int(a - b),
            "Minimum" if is_int => Value::Int(a.min(b)),
            "Maximum" if is_int => Value::Int(a.max(b)),
            "Less" => Value::Bool(a < b),
            "Greater" => Value::Bool(a > b),
            "LogicalNot" => Value::Bool(!inputs[0].bool()),
            "AddV2" => floats(|a, b| a + b),
            "Sub" => floats(|a, b| a - b),
            "Mul" => floats(|a, b| a * b),
            "Minimum" => floats(f32::min),
            "Maximum" => floats(f32::max),
            "Range" => Value::Ints((0..inputs[1].int()).collect()),
            "TensorArrayV3" => {
                let size = usize::try_from(inputs[0].int()).expect("a size");
                self.arrays.push(vec![None; size]);
                return vec![
                    Value::Handle(self.arrays.len() - 1),
                    Value::Floats(vec![0.0]),
                ];
            }
            "TensorArrayWriteV3" => {
                let index = usize::try_from(inputs[1].int()).expect("an index");
                let value = inputs[2].floats().to_vec();
                self.array(&inputs[0])[index] = Some(value);
                inputs[3].clone()
            }
            "TensorArrayReadV3" => {
                let index = usize::try_from(inputs[1].int()).expect("an index");
                Value::Floats(
                    self.array(&inputs[0])[index]
                        .clone()
                        .expect("written before"),
                )
            }
            "TensorArraySizeV3" => {
                let size = self.array(&inputs[0]).len();
                Value::Int(i32::try_from(size).expect("few elements"))
            }
            "TensorArrayGatherV3" => {
                let Value::Ints(indices) = inputs[1].clone() else {
                    panic!("no indices");
                };
                let array = self.array(&inputs[0]);
                let rows = indices.iter().map(|index| {
                    let index = usize::try_from(*index).expect("an index");
                    array[index].clone().expect("written before")
                });
                Value::Rows(rows.collect())
            }
            "Sum" => match &inputs[0] {
                Value::Rows(rows) => {
                    let mut sum = vec![0.0; 3];
                    for row in rows {
                        sum.iter_mut()
                            .zip(row)
                            .for_each(|(sum, value)| *sum += value);
                    }
                    Value::Floats(sum)
                }
                other => panic!("{other:?}"),
            },
            other => panic!("op {other}"),
        }]
    }

    fn array(&mut self, handle: &Value) -> &mut Vec<Option<Vec<f32>>> {
        match handle {
            Value::Handle(index) => &mut self.arrays[*index],
            other => panic!("no handle: {other:?}"),
        }
    }
}

fn constant(value: &Tensor) -> Value {
    match (value.dtype(), value.shape()) {
        (DType::F32, _) => Value::Floats(value.as_slice::<f32>().expect("floats").to_vec()),
        (DType::I32, []) => Value::Int(value.as_slice::<i32>().expect("integers")[0]),
        (DType::I32, _) => Value::Ints(value.as_slice::<i32>().expect("integers").to_vec()),
        other => panic!("{other:?}"),
    }
}
