//! Random programs of loops, conditions and TensorArrays, written as TensorFlow 1 writes them.

use tfjet_convert::tensorflow::SourceNode;
use tfjet_core::{AttrValue, Attrs, DType, Element, Tensor};

/// A tensor and the layer of control flow that it lies in.
#[derive(Debug, Clone)]
struct Var {
    wire: String,
    depth: usize,
}

#[derive(Debug, Clone)]
enum Layer {
    Loop { frame: String },
    Branch { predicate: Var, value: bool },
}

/// What can be read at a place.
#[derive(Debug, Clone, Default)]
struct Scope {
    floats: Vec<Var>,
    ints: Vec<Var>,
    predicates: Vec<Var>,
}

/// A graph and its outputs: vectors of three floats, and integers.
pub(crate) struct Program {
    pub(crate) nodes: Vec<SourceNode>,
    pub(crate) outputs: Vec<String>,
    layers: Vec<(Layer, String)>,
    state: u64,
    count: usize,
}

const FLOAT: &str = "float";

/// Writes a loop's body: the program, the loop's counter, what it carries; returns what it hands on.
type Body<'a> = dyn FnMut(&mut Program, &str, &[String]) -> Vec<String> + 'a;

impl Program {
    pub(crate) fn random(seed: u64) -> Self {
        let mut program = Self {
            nodes: Vec::new(),
            outputs: Vec::new(),
            layers: Vec::new(),
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            count: 0,
        };
        let mut scope = Scope::default();
        for name in ["x", "y"] {
            let shape = tfjet_core::Shape::fixed(&[3]);
            program.placeholder(name, DType::F32, shape);
            scope.floats.push(program.here(name));
        }
        for name in ["n", "m"] {
            program.placeholder(name, DType::I32, tfjet_core::Shape::default());
            scope.ints.push(program.here(name));
        }
        let room = if seed.is_multiple_of(7) { 3 } else { 2 };
        program.statements(&mut scope, room);
        let (float, int) = (program.any_float(&scope), program.any_int(&scope));
        let other = scope.floats.last().cloned().map(|var| program.read(&var));
        for wire in [Some(float), Some(int), other].into_iter().flatten() {
            let name = program.name("out");
            program.push(&name, "Identity", &[&wire], &[]);
            program.outputs.push(name);
        }
        program
    }

    fn next(&mut self, below: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state >> 33).expect("31 bits") % below
    }

    fn name(&mut self, base: &str) -> String {
        self.count += 1;
        format!("{base}_{}", self.count)
    }

    fn here(&self, wire: &str) -> Var {
        Var {
            wire: wire.into(),
            depth: self.layers.len(),
        }
    }

    fn push(&mut self, name: &str, op: &str, inputs: &[&str], attrs: &[(&str, AttrValue)]) {
        let mut all = Attrs::default();
        for (name, value) in attrs {
            all.insert(*name, value.clone());
        }
        self.nodes.push(SourceNode {
            name: name.into(),
            op: op.into(),
            device: String::new(),
            inputs: inputs.iter().map(|input| (*input).to_owned()).collect(),
            attrs: all,
        });
    }

    fn placeholder(&mut self, name: &str, dtype: DType, shape: tfjet_core::Shape) {
        let attrs = [
            ("dtype", AttrValue::Type(Some(dtype))),
            ("shape", AttrValue::Shape(Some(shape))),
        ];
        self.push(name, "Placeholder", &[], &attrs);
    }

    /// A constant of the present layer: a control edge alone says where it belongs.
    fn constant<T: Element>(&mut self, shape: &[usize], values: &[T]) -> String {
        let name = self.name("const");
        let value = Tensor::from_slice(shape, values).expect("the values fill the shape");
        let attrs = [
            ("dtype", AttrValue::Type(Some(T::DTYPE))),
            ("value", AttrValue::Tensor(value)),
        ];
        let pivot = self.layers.last().map(|(_, pivot)| format!("^{pivot}"));
        let inputs: Vec<&str> = pivot.as_deref().into_iter().collect();
        self.push(&name, "Const", &inputs, &attrs);
        name
    }

    fn typed(&mut self, op: &str, dtype: &str, inputs: &[&str]) -> String {
        let name = self.name(&op.to_lowercase());
        let dtype = if dtype == FLOAT {
            DType::F32
        } else {
            DType::I32
        };
        self.push(&name, op, inputs, &[("T", AttrValue::Type(Some(dtype)))]);
        name
    }

    /// The wire of a variable in the present layer, through an `Enter` or a `Switch` for each layer
    /// between.
    fn read(&mut self, var: &Var) -> String {
        let mut wire = var.wire.clone();
        for depth in var.depth..self.layers.len() {
            let inner = self.layers.split_off(depth + 1);
            let (layer, _) = self.layers[depth].clone();
            let last = self.layers.pop();
            wire = match layer {
                Layer::Loop { frame } => {
                    let name = self.name("enter");
                    let attrs = [
                        ("frame_name", AttrValue::Str(frame.into_bytes())),
                        ("is_constant", AttrValue::Bool(true)),
                    ];
                    self.push(&name, "Enter", &[&wire], &attrs);
                    name
                }
                Layer::Branch { predicate, value } => {
                    let predicate = self.read(&predicate);
                    let name = self.name("switch");
                    self.push(&name, "Switch", &[&wire, &predicate], &[]);
                    format!("{name}:{}", usize::from(value))
                }
            };
            self.layers.extend(last);
            self.layers.extend(inner);
        }
        wire
    }

    fn any_float(&mut self, scope: &Scope) -> String {
        let index = self.next(scope.floats.len());
        self.read(&scope.floats[index])
    }

    fn any_int(&mut self, scope: &Scope) -> String {
        let index = self.next(scope.ints.len());
        self.read(&scope.ints[index])
    }

    fn statements(&mut self, scope: &mut Scope, room: usize) {
        for _ in 0..1 + self.next(3) {
            match self.next(if room == 0 { 2 } else { 7 }) {
                0 => self.arithmetic(scope),
                1 => self.counting(scope),
                2 | 3 => self.condition(scope, room - 1),
                4 | 5 => self.repetition(scope, room - 1),
                _ => self.array(scope),
            }
        }
    }

    fn arithmetic(&mut self, scope: &mut Scope) {
        let a = self.any_float(scope);
        let b = match self.next(3) {
            0 => self.constant(&[3], &[0.5f32, -1.0, 0.25]),
            _ => self.any_float(scope),
        };
        let op = ["AddV2", "Sub", "Minimum", "Maximum"][self.next(4)];
        let mut made = self.typed(op, FLOAT, &[&a, &b]);
        if self.next(3) == 0 {
            let half = self.constant(&[3], &[0.5f32; 3]);
            made = self.typed("Mul", FLOAT, &[&made, &half]);
        }
        scope.floats.push(self.here(&made));
    }

    /// An integer from -1 to 3.
    fn counting(&mut self, scope: &mut Scope) {
        let a = self.any_int(scope);
        let b = self.any_int(scope);
        let op = ["AddV2", "Sub"][self.next(2)];
        let sum = self.typed(op, "int", &[&a, &b]);
        let three = self.constant(&[], &[3i32]);
        let low = self.constant(&[], &[-1i32]);
        let most = self.typed("Minimum", "int", &[&sum, &three]);
        let made = self.typed("Maximum", "int", &[&most, &low]);
        scope.ints.push(self.here(&made));
    }

    fn predicate(&mut self, scope: &Scope) -> Var {
        let a = self.any_int(scope);
        let b = match self.next(2) {
            0 => self.constant(&[], &[1i32]),
            _ => self.any_int(scope),
        };
        let op = ["Less", "Greater"][self.next(2)];
        let mut made = self.typed(op, "int", &[&a, &b]);
        if self.next(4) == 0 {
            made = self.typed("LogicalNot", "int", &[&made]);
        }
        let made = self.typed("Identity", "int", &[&made]);
        self.here(&made)
    }

    fn branch(&mut self, scope: &Scope, predicate: &Var, value: bool, room: usize) -> [String; 3] {
        let condition = self.read(predicate);
        let switch = self.name("switch");
        self.push(&switch, "Switch", &[&condition, &condition], &[]);
        let pivot = self.name("pivot");
        let side = format!("{switch}:{}", usize::from(value));
        self.push(&pivot, "Identity", &[&side], &[]);
        let layer = Layer::Branch {
            predicate: predicate.clone(),
            value,
        };
        self.layers.push((layer, pivot));
        let mut inner = scope.clone();
        self.statements(&mut inner, room);
        let constant = match self.next(3) {
            0 => self.constant(&[3], &[1.0f32, 2.0, 3.0]),
            _ => self.any_float(&inner),
        };
        let results = [self.any_float(&inner), constant, self.any_int(&inner)];
        self.layers.pop();
        results
    }

    fn condition(&mut self, scope: &mut Scope, room: usize) {
        // One that is known from further out may be asked again, on a side or in a loop.
        let predicate = match (scope.predicates.len(), self.next(3)) {
            (1.., 0) => {
                let index = self.next(scope.predicates.len());
                scope.predicates[index].clone()
            }
            _ => self.predicate(scope),
        };
        scope.predicates.push(predicate.clone());
        let before = scope.clone();
        for _ in 0..1 + self.next(2) {
            // A second condition on the same predicate may read what the first made.
            let base = if self.next(2) == 0 {
                before.clone()
            } else {
                scope.clone()
            };
            let yes = self.branch(&base, &predicate, true, room);
            let no = self.branch(&base, &predicate, false, room);
            for (index, (yes, no)) in yes.iter().zip(&no).enumerate() {
                let merge = self.name("merge");
                self.push(&merge, "Merge", &[no, yes], &[("N", AttrValue::Int(2))]);
                let made = self.here(&merge);
                if index < 2 {
                    scope.floats.push(made);
                } else {
                    scope.ints.push(made);
                }
                if self.next(3) == 0 {
                    scope.ints.push(self.here(&format!("{merge}:1")));
                }
            }
        }
    }

    fn enter(&mut self, frame: &str, wire: &str) -> String {
        let name = self.name("enter");
        let attrs = [
            ("frame_name", AttrValue::Str(frame.as_bytes().to_vec())),
            ("is_constant", AttrValue::Bool(false)),
        ];
        self.push(&name, "Enter", &[wire], &attrs);
        name
    }

    /// A loop that carries a counter, `firsts` and whatever `body` returns for them; the wires that
    /// leave it, the counter's first.
    fn looped(&mut self, limit: &Var, firsts: &[String], body: &mut Body<'_>) -> Vec<String> {
        let frame = self.name("frame");
        let zero = self.constant(&[], &[0i32]);
        let firsts: Vec<String> = std::iter::once(zero).chain(firsts.to_vec()).collect();
        let enters: Vec<String> = firsts.iter().map(|wire| self.enter(&frame, wire)).collect();
        let next: Vec<String> = firsts.iter().map(|_| self.name("next")).collect();
        let merges: Vec<String> = enters
            .iter()
            .zip(&next)
            .map(|(enter, next)| {
                let merge = self.name("merge");
                self.push(&merge, "Merge", &[enter, next], &[("N", AttrValue::Int(2))]);
                merge
            })
            .collect();
        let layer = Layer::Loop {
            frame: frame.clone(),
        };
        // In the condition's part the first merge is the pivot.
        self.layers.push((layer.clone(), merges[0].clone()));
        let most = self.read(limit);
        let less = self.typed("Less", "int", &[&merges[0], &most]);
        let truth = self.name("loopcond");
        self.push(&truth, "LoopCond", &[&less], &[]);
        self.layers.pop();
        let switches: Vec<String> = merges
            .iter()
            .map(|merge| {
                let switch = self.name("switch");
                self.push(&switch, "Switch", &[merge, &truth], &[]);
                switch
            })
            .collect();
        let bodies: Vec<String> = switches
            .iter()
            .map(|switch| {
                let name = self.name("identity");
                self.push(&name, "Identity", &[&format!("{switch}:1")], &[]);
                name
            })
            .collect();
        self.layers.push((layer, bodies[0].clone()));
        let one = self.constant(&[], &[1i32]);
        let counter = self.typed("AddV2", "int", &[&bodies[0], &one]);
        let results = body(self, &bodies[0], &bodies[1..]);
        self.layers.pop();
        for (next, result) in next.iter().zip(std::iter::once(&counter).chain(&results)) {
            self.push(next, "NextIteration", &[result], &[]);
        }
        switches
            .iter()
            .map(|switch| {
                let exit = self.name("exit");
                self.push(&exit, "Exit", &[switch], &[]);
                exit
            })
            .collect()
    }

    /// The same value, alive where `pivot` is.
    fn gated(&mut self, wire: &str, pivot: &str) -> String {
        let name = self.name("gated");
        self.push(&name, "Identity", &[wire, &format!("^{pivot}")], &[]);
        name
    }

    fn repetition(&mut self, scope: &mut Scope, room: usize) {
        let limit = match self.next(3) {
            0 => {
                let constant = self.constant(&[], &[2i32]);
                self.here(&constant)
            }
            _ => {
                let index = self.next(scope.ints.len());
                scope.ints[index].clone()
            }
        };
        let firsts = [
            self.any_float(scope),
            self.any_float(scope),
            self.any_int(scope),
        ];
        let outer = scope.clone();
        let exits = self.looped(&limit, &firsts, &mut |program, counter, carried| {
            let mut inner = outer.clone();
            inner.ints.push(program.here(counter));
            inner.floats.push(program.here(&carried[0]));
            inner.floats.push(program.here(&carried[1]));
            inner.ints.push(program.here(&carried[2]));
            program.statements(&mut inner, room);
            let half = program.constant(&[3], &[0.5f32; 3]);
            let float = program.any_float(&inner);
            let damped = program.typed("Mul", FLOAT, &[&float, &half]);
            let (float, int) = (program.any_float(&inner), program.any_int(&inner));
            // What is the same in all passes would be alive behind the last one.
            let float = program.gated(&float, counter);
            let int = program.gated(&int, counter);
            vec![damped, float, int]
        });
        for (index, exit) in exits.iter().enumerate() {
            let var = self.here(exit);
            match index {
                0 | 3 => scope.ints.push(var),
                _ => scope.floats.push(var),
            }
        }
    }

    /// A loop writes an array, another one reads it, and its sum is taken.
    fn array(&mut self, scope: &mut Scope) {
        let index = self.next(scope.ints.len());
        let int = self.read(&scope.ints[index].clone());
        let one = self.constant(&[], &[1i32]);
        let size = self.typed("Maximum", "int", &[&int, &one]);
        let array = self.name("array");
        let attrs = [
            ("dtype", AttrValue::Type(Some(DType::F32))),
            ("element_shape", AttrValue::Shape(None)),
        ];
        self.push(&array, "TensorArrayV3", &[&size], &attrs);
        let handle = self.here(&array);
        let limit = self.here(&size);
        let first = self.any_float(scope);
        let flow = format!("{array}:1");
        let start = scope.clone();
        let exits = self.looped(&limit, &[first, flow], &mut |program, counter, carried| {
            let value = program.any_float(&start);
            let sum = program.typed("AddV2", FLOAT, &[&carried[0], &value]);
            let handle = program.read(&handle);
            let write = program.name("write");
            let inputs = [handle.as_str(), counter, &sum, &carried[1]];
            program.push(&write, "TensorArrayWriteV3", &inputs, &[]);
            vec![sum, write]
        });
        let written = self.here(&exits[2]);
        let second = self.any_float(scope);
        let sums = self.looped(&limit, &[second], &mut |program, counter, carried| {
            let (handle, flow) = (program.read(&handle), program.read(&written));
            let read = program.name("read");
            let attrs = [("dtype", AttrValue::Type(Some(DType::F32)))];
            let inputs = [handle.as_str(), counter, &flow];
            program.push(&read, "TensorArrayReadV3", &inputs, &attrs);
            vec![program.typed("Minimum", FLOAT, &[&carried[0], &read])]
        });
        scope.floats.push(self.here(&sums[1]));
        let (handle, flow) = (self.read(&handle), self.read(&written));
        let count = self.name("size");
        self.push(&count, "TensorArraySizeV3", &[&handle, &flow], &[]);
        let zero = self.constant(&[], &[0i32]);
        let step = self.constant(&[], &[1i32]);
        let range = self.name("range");
        let index_type = [("Tidx", AttrValue::Type(Some(DType::I32)))];
        self.push(&range, "Range", &[&zero, &count, &step], &index_type);
        let gather = self.name("gather");
        let attrs = [
            ("dtype", AttrValue::Type(Some(DType::F32))),
            ("element_shape", AttrValue::Shape(None)),
        ];
        self.push(
            &gather,
            "TensorArrayGatherV3",
            &[&handle, &range, &flow],
            &attrs,
        );
        let axis = self.constant(&[], &[0i32]);
        let sum = self.typed("Sum", FLOAT, &[&gather, &axis]);
        scope.floats.push(self.here(&sum));
        scope.ints.push(self.here(&count));
    }
}
