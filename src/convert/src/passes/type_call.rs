//! Types and shapes of what loops and conditions return.

use tfjet_core::{DType, Dim, Shape};

use super::trips::trips;
use super::type_graph::{Given, TypeError, Typing, type_with};
use crate::graph::infer::InferError;
use crate::graph::{Call, Graph, MAX_DEPTH, Node, Sizes, TypedCall, TypedGraph, WireFact};

/// A node that calls functions, with what is known of its inputs.
pub(super) struct Caller<'a> {
    pub(super) node: &'a Node,
    pub(super) inputs: &'a [WireFact],
    pub(super) sizes: &'a Sizes,
    pub(super) previous: Option<&'a TypedCall>,
    pub(super) depth: usize,
    pub(super) typing: &'a Typing<'a>,
}

/// What is known of a call.
pub(super) struct Called {
    pub(super) call: TypedCall,
    pub(super) outputs: Vec<WireFact>,
    /// Is the output the input of the same number, whatever happens?
    pub(super) passed: Vec<bool>,
}

pub(super) fn type_call(caller: &Caller<'_>, call: &Call) -> Result<Called, TypeError> {
    if caller.depth > MAX_DEPTH {
        return caller.error(format!(
            "loops and conditions are nested deeper than {MAX_DEPTH}"
        ));
    }
    match call {
        Call::While { condition, body } => caller.type_while(condition, body),
        Call::If { .. } | Call::Case { .. } => caller.type_branches(&call.functions()),
    }
}

impl Caller<'_> {
    fn error<T>(&self, reason: impl Into<String>) -> Result<T, TypeError> {
        Err(TypeError {
            node: self.node.name.clone(),
            op: self.node.op.clone(),
            source: InferError::Impossible(reason.into()),
        })
    }

    /// The graph of a function with so many arguments and results.
    fn graph(&self, name: &str, arguments: usize, results: usize) -> Result<&Graph, TypeError> {
        let Some(function) = self.typing.library.get(name) else {
            return self.error(format!("the graph has no function `{name}`"));
        };
        let graph = &function.graph;
        let (takes, gives) = (graph.inputs.len(), graph.outputs.len());
        if (takes, gives) != (arguments, results) {
            return self.error(format!(
                "function `{name}` takes {takes} and returns {gives}, the node hands in \
                 {arguments} and expects {results}"
            ));
        }
        Ok(graph)
    }

    fn typed(
        &self,
        graph: &Graph,
        arguments: Vec<WireFact>,
        previous: Option<&TypedGraph>,
    ) -> Result<TypedGraph, TypeError> {
        let given = Given {
            inputs: arguments,
            sizes: self.sizes.inherited(),
            previous,
            depth: self.depth,
        };
        let typed = type_with(graph.clone(), given, self.typing)?;
        self.sizes.absorb(&typed.sizes);
        Ok(typed)
    }

    fn before(&self, index: usize) -> Option<&TypedGraph> {
        self.previous?.functions.get(index)
    }

    /// Shapes that change from pass to pass get a symbol; types must stay.
    fn type_while(&self, condition: &str, body: &str) -> Result<Called, TypeError> {
        let count = self.inputs.len();
        let body = self.graph(body, count, count)?;
        let condition = self.graph(condition, count, 1)?;
        let passed: Vec<bool> = (0..count).map(|i| self.passes_through(body, i)).collect();
        let mut arguments: Vec<WireFact> = self
            .inputs
            .iter()
            .zip(&passed)
            .map(|(fact, passed)| match passed {
                true => fact.clone(),
                false => WireFact {
                    dtype: fact.dtype,
                    shape: fact.shape.clone(),
                    ..WireFact::default()
                },
            })
            .collect();
        let mut typed: Option<TypedGraph> = None;
        let typed = loop {
            let previous = typed.as_ref().or(self.before(1));
            let next = self.typed(body, arguments.clone(), previous)?;
            let mut stays = true;
            for (index, argument) in arguments.iter_mut().enumerate() {
                if passed[index] {
                    continue;
                }
                let after = next.fact(next.graph.outputs[index].wire);
                let name = &body.inputs[index].name;
                let dtype = self.one_type(argument.dtype, after.dtype, name)?;
                let fresh = |axis| format!("{}/{name}_{axis}", self.node.name);
                let shape = match (argument.dtype, dtype) {
                    (None, Some(_)) if argument.shape.is_none() => None,
                    _ => join(argument.shape.as_ref(), after.shape.as_ref(), &fresh),
                };
                stays &= argument.dtype == dtype && argument.shape == shape;
                (argument.dtype, argument.shape) = (dtype, shape);
            }
            if stays {
                break next;
            }
            typed = Some(next);
        };
        let condition = self.typed(condition, arguments.clone(), self.before(0))?;
        self.check_truth(
            condition.fact(condition.graph.outputs[0].wire),
            "its condition",
        )?;
        let outputs = (0u32..).zip(arguments).zip(&passed).zip(&body.inputs);
        let outputs = outputs.map(|(((slot, mut fact), passed), input)| {
            if let Some(shape) = fact.shape.as_mut().filter(|_| !*passed) {
                let inside = |axis| format!("{}/{}_{axis}", self.node.name, input.name);
                let outside = |axis| match slot {
                    0 => format!("{}_{axis}", self.node.name),
                    _ => format!("{}:{slot}_{axis}", self.node.name),
                };
                rename(shape, &inside, &outside);
            }
            fact
        });
        Ok(Called {
            outputs: outputs.collect(),
            call: TypedCall {
                trips: trips(&condition, &typed, self.inputs),
                functions: vec![condition, typed],
            },
            passed,
        })
    }

    /// The branches' common type and what their shapes have in common.
    fn type_branches(&self, names: &[&str]) -> Result<Called, TypeError> {
        let Some((index, arguments)) = self.inputs.split_first() else {
            return self.error("it has no input");
        };
        if names.len() == 2 && !self.node.op.contains("Case") {
            self.check_truth(index, "its predicate")?;
        }
        let count = crate::graph::output_count(&self.node.op, &self.node.attrs).unwrap_or(0);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let mut functions = Vec::with_capacity(names.len());
        for (number, name) in names.iter().enumerate() {
            let graph = self.graph(name, arguments.len(), count)?;
            functions.push(self.typed(graph, arguments.to_vec(), self.before(number))?);
        }
        let mut outputs = Vec::with_capacity(count);
        for slot in 0..count {
            let of = |typed: &TypedGraph| typed.fact(typed.graph.outputs[slot].wire).clone();
            let mut facts = functions.iter().map(of);
            let mut joined = facts.next().unwrap_or_default();
            for fact in facts {
                let dtype = self.one_type(joined.dtype, fact.dtype, &format!("result {slot}"))?;
                let fresh = |axis| match slot {
                    0 => format!("{}_{axis}", self.node.name),
                    _ => format!("{}:{slot}_{axis}", self.node.name),
                };
                let known = joined.value.is_some() && joined.value == fact.value;
                let followed = joined.elements == fact.elements;
                joined = WireFact {
                    dtype,
                    shape: join(joined.shape.as_ref(), fact.shape.as_ref(), &fresh),
                    value: joined.value.filter(|_| known),
                    elements: joined.elements.filter(|_| followed),
                };
            }
            outputs.push(joined);
        }
        Ok(Called {
            call: TypedCall {
                functions,
                trips: None,
            },
            passed: vec![false; outputs.len()],
            outputs,
        })
    }

    fn one_type(
        &self,
        a: Option<DType>,
        b: Option<DType>,
        what: &str,
    ) -> Result<Option<DType>, TypeError> {
        match (a, b) {
            (Some(a), Some(b)) if a != b => {
                self.error(format!("the element type of `{what}` is {a} or {b}"))
            }
            (a, b) => Ok(a.or(b)),
        }
    }

    fn check_truth(&self, fact: &WireFact, what: &str) -> Result<(), TypeError> {
        match (fact.dtype, fact.rank()) {
            (Some(DType::Bool) | None, Some(0) | None) => Ok(()),
            _ => self.error(format!("{what} is no scalar of type bool")),
        }
    }

    /// Does the body return argument `index` as it is?
    fn passes_through(&self, body: &Graph, index: usize) -> bool {
        let mut wire = body.outputs[index].wire;
        let mut steps = body.nodes.len();
        loop {
            if body.inputs[index].wire == wire {
                return true;
            }
            if steps == 0 || body.is_input(wire) {
                return false;
            }
            steps -= 1;
            let node = body.node(wire.node);
            let slot = usize::try_from(wire.slot).unwrap_or(usize::MAX);
            let passes = match Call::of(node) {
                Some(Call::While { body: inner, .. }) => {
                    let inner = self.typing.library.get(&inner);
                    inner.is_some_and(|inner| {
                        let graph = &inner.graph;
                        graph.outputs.len() > slot
                            && graph.inputs.len() > slot
                            && self.passes_through(graph, slot)
                    })
                }
                _ => node.op == "Identity" && !(self.typing.keep)(node),
            };
            match node.inputs.get(slot) {
                Some(input) if passes => wire = *input,
                _ => return false,
            }
        }
    }
}

/// The shape of which both are cases; `fresh` names a dim that differs.
fn join(a: Option<&Shape>, b: Option<&Shape>, fresh: &dyn Fn(usize) -> String) -> Option<Shape> {
    let (a, b) = (a?, b?);
    if a.rank() != b.rank() {
        return None;
    }
    let dims = a.dims().iter().zip(b.dims()).enumerate();
    let dims = dims.map(|(axis, (a, b))| match a == b {
        true => a.clone(),
        false => Dim::Symbolic(fresh(axis)),
    });
    Some(Shape(dims.collect()))
}

fn rename(shape: &mut Shape, from: &dyn Fn(usize) -> String, to: &dyn Fn(usize) -> String) {
    for (axis, dim) in shape.0.iter_mut().enumerate() {
        if *dim == Dim::Symbolic(from(axis)) {
            *dim = Dim::Symbolic(to(axis));
        }
    }
}
