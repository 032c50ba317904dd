use std::collections::{BTreeMap, BTreeSet};

use tfjet_core::{Function, FunctionId, Schedule, Step, Value, ValueId, ValueSource};

use crate::ConvertError;
use crate::graph::{NodeId, TypedGraph, WireId, output_count};
use crate::lower::WeightsStore;
use crate::partition::{Partition, Unit, is_control_flow, parts};
use crate::stages::Lowered;

/// Refuses what cannot run outside an engine.
pub(super) fn check_residual(
    typed: &TypedGraph,
    partition: &Partition,
) -> Result<(), ConvertError> {
    let parts = parts(typed, partition);
    for part in &parts {
        check_carried(part.typed)?;
    }
    let nodes = parts.iter().flat_map(|part| {
        let residual = part.partition.residual.iter();
        residual.map(|residual| part.typed.graph.node(residual.node))
    });
    let nodes: Vec<_> = nodes.collect();
    let control = nodes.iter().filter(|node| is_control_flow(&node.op));
    if let Some(node) = control.clone().next() {
        return Err(ConvertError::ControlFlow {
            count: control.count(),
            node: node.name.clone(),
            op: node.op.clone(),
        });
    }
    let bad = nodes.into_iter().filter_map(|node| {
        let error = tfjet_ops::kernel(&node.op, &node.attrs).err()?;
        Some((node, error.to_string()))
    });
    let bad: Vec<_> = bad.collect();
    let Some((node, reason)) = bad.first() else {
        return Ok(());
    };
    let others = bad.iter().map(|(node, _)| node.op.as_str());
    let others: BTreeSet<&str> = others.filter(|op| *op != node.op).collect();
    let others: Vec<&str> = others.into_iter().collect();
    Err(ConvertError::NoKernel {
        count: bad.len(),
        node: node.name.clone(),
        op: node.op.clone(),
        reason: reason.clone(),
        more: match others.as_slice() {
            [] => String::new(),
            others => format!("; also {}", others.join(", ")),
        },
    })
}

/// Refuses loops that carry what no tensor can hold.
fn check_carried(typed: &TypedGraph) -> Result<(), ConvertError> {
    for (id, call) in &typed.functions {
        let node = typed.graph.node(*id);
        let [_, body] = call.functions.as_slice() else {
            continue;
        };
        if !typed.live[id.index()] || !node.op.contains("While") {
            continue;
        }
        let pairs = body.graph.inputs.iter().zip(&body.graph.outputs);
        for ((argument, result), wire) in pairs.zip(&node.inputs) {
            if argument.wire != result.wire && body.fact(argument.wire).dtype.is_none() {
                return Err(ConvertError::Carried {
                    node: node.name.clone(),
                    op: node.op.clone(),
                    what: typed.graph.wire_name(*wire),
                });
            }
        }
    }
    Ok(())
}

/// The steps of a partitioned graph; `weights` takes the constants that they read.
pub(super) fn schedule(
    lowered: &Lowered,
    weights: &mut WeightsStore,
) -> Result<Schedule, ConvertError> {
    let mut emitter = Emitter {
        weights,
        schedule: Schedule::default(),
    };
    let graph = &lowered.typed.graph;
    let mut scope = Scope::new(&lowered.typed, &lowered.partition, false);
    let inputs = graph.inputs.iter().map(|input| input.wire);
    emitter.schedule.inputs = emitter.ids(&mut scope, inputs)?;
    emitter.schedule.steps = emitter.steps(&mut scope)?;
    let outputs = graph.outputs.iter().map(|output| output.wire);
    emitter.schedule.outputs = emitter.ids(&mut scope, outputs)?;
    emitter.schedule.check()?;
    Ok(emitter.schedule)
}

/// A graph or function with the values that hold its wires.
struct Scope<'a> {
    typed: &'a TypedGraph,
    partition: &'a Partition,
    ids: BTreeMap<WireId, ValueId>,
    is_function: bool,
}

impl<'a> Scope<'a> {
    fn new(typed: &'a TypedGraph, partition: &'a Partition, is_function: bool) -> Self {
        Self {
            typed,
            partition,
            ids: BTreeMap::new(),
            is_function,
        }
    }

    /// The wires that steps of the graph or its caller read.
    fn read(&self) -> BTreeSet<WireId> {
        let graph = &self.typed.graph;
        let mut read: BTreeSet<WireId> = graph.outputs.iter().map(|it| it.wire).collect();
        for unit in &self.partition.order {
            match *unit {
                Unit::Segment(index) => read.extend(&self.partition.segments[index].inputs),
                Unit::Residual(id) | Unit::Call(id) => read.extend(&graph.node(id).inputs),
            }
        }
        read
    }
}

struct Emitter<'a> {
    weights: &'a mut WeightsStore,
    schedule: Schedule,
}

impl Emitter<'_> {
    /// The value that holds `wire`.
    fn id(&mut self, scope: &mut Scope<'_>, wire: WireId) -> Result<ValueId, ConvertError> {
        if let Some(id) = scope.ids.get(&wire) {
            return Ok(*id);
        }
        let fact = scope.typed.fact(wire);
        let is_input = scope.typed.graph.is_input(wire);
        let source = match fact.value.clone() {
            _ if is_input && !scope.is_function => ValueSource::Input,
            Some(value) => ValueSource::Constant(self.weights.add(value)),
            None if is_input => ValueSource::Argument,
            None => ValueSource::Computed,
        };
        let id = self.value(scope.typed, wire, source)?;
        scope.ids.insert(wire, id);
        Ok(id)
    }

    fn value(
        &mut self,
        typed: &TypedGraph,
        wire: WireId,
        source: ValueSource,
    ) -> Result<ValueId, ConvertError> {
        let fact = typed.fact(wire);
        let name = typed.graph.wire_name(wire);
        let Some(dtype) = fact.dtype else {
            return Err(ConvertError::UnknownType(name));
        };
        let id = ValueId(u32::try_from(self.schedule.values.len()).unwrap_or(u32::MAX));
        self.schedule.values.push(Value {
            name,
            dtype,
            shape: fact.shape.clone(),
            source,
        });
        Ok(id)
    }

    fn ids(
        &mut self,
        scope: &mut Scope<'_>,
        wires: impl IntoIterator<Item = WireId>,
    ) -> Result<Vec<ValueId>, ConvertError> {
        let wires = wires.into_iter();
        wires.map(|wire| self.id(scope, wire)).collect()
    }

    fn steps(&mut self, scope: &mut Scope<'_>) -> Result<Vec<Step>, ConvertError> {
        let mut steps = Vec::with_capacity(scope.partition.order.len());
        for &unit in &scope.partition.order {
            steps.push(match unit {
                Unit::Segment(index) => {
                    let segment = &scope.partition.segments[index];
                    Step::Engine {
                        segment: u32::try_from(segment.number).unwrap_or(u32::MAX),
                        inputs: self.ids(scope, segment.inputs.iter().copied())?,
                        outputs: self.ids(scope, segment.outputs.iter().copied())?,
                    }
                }
                Unit::Residual(id) => self.residual(scope, id)?,
                Unit::Call(id) => self.call(scope, id)?,
            });
        }
        Ok(steps)
    }

    fn residual(&mut self, scope: &mut Scope<'_>, id: NodeId) -> Result<Step, ConvertError> {
        let node = scope.typed.graph.node(id);
        let count = output_count(&node.op, &node.attrs).unwrap_or(1);
        let outputs = (0..count).map(|slot| WireId::new(id, slot));
        Ok(Step::Residual {
            inputs: self.ids(scope, node.inputs.iter().copied())?,
            outputs: outputs
                .map(|wire| self.made(scope, wire))
                .collect::<Result<_, _>>()?,
            node: node.name.clone(),
            op_type: node.op.clone(),
            attrs: node.attrs.clone(),
        })
    }

    /// The value that a step makes of `wire`. What is known or given without the step is read from
    /// there; the step's own result is then read by no one.
    fn made(&mut self, scope: &mut Scope<'_>, wire: WireId) -> Result<ValueId, ConvertError> {
        let known = scope.typed.fact(wire).value.is_some() || scope.typed.graph.is_input(wire);
        match known {
            true => self.value(scope.typed, wire, ValueSource::Computed),
            false => self.id(scope, wire),
        }
    }

    fn call(&mut self, scope: &mut Scope<'_>, id: NodeId) -> Result<Step, ConvertError> {
        let (typed, partition) = (scope.typed, scope.partition);
        let node = typed.graph.node(id);
        let parts = partition.calls.get(&id).map(|it| it.functions.as_slice());
        let typed = typed.functions.get(&id).map(|it| it.functions.as_slice());
        let (Some(typed @ [first, second]), Some(parts @ [_, _])) = (typed, parts) else {
            return Err(ConvertError::ControlFlow {
                count: 1,
                node: node.name.clone(),
                op: node.op.clone(),
            });
        };
        let mut functions = [
            Scope::new(first, &parts[0], true),
            Scope::new(second, &parts[1], true),
        ];
        debug_assert_eq!(typed.len(), parts.len());
        match node.op.contains("While") {
            true => self.loop_step(scope, id, &mut functions),
            false => self.condition(scope, id, &mut functions),
        }
    }

    fn loop_step(
        &mut self,
        scope: &mut Scope<'_>,
        id: NodeId,
        functions: &mut [Scope<'_>; 2],
    ) -> Result<Step, ConvertError> {
        let node = scope.typed.graph.node(id);
        let [condition, body] = functions;
        let mut carried = Vec::new();
        for (index, wire) in node.inputs.iter().enumerate() {
            let argument = body.typed.graph.inputs[index].wire;
            if body.typed.graph.outputs[index].wire == argument {
                for function in [&mut *condition, &mut *body] {
                    self.bind(scope, *wire, function, index)?;
                }
            } else {
                carried.push(index);
            }
        }
        let slot = |index: &usize| u32::try_from(*index).unwrap_or(u32::MAX);
        let firsts = carried.iter().map(|index| node.inputs[*index]);
        let mut inputs = self.ids(scope, firsts)?;
        let finals = carried.iter().map(|index| WireId::new(id, slot(index)));
        let outputs = self.ids(scope, finals)?;
        let argument =
            |function: &Scope<'_>, index: &usize| function.typed.graph.inputs[*index].wire;
        let wires: Vec<WireId> = carried.iter().map(|it| argument(condition, it)).collect();
        let truth = condition.typed.graph.outputs.iter().map(|it| it.wire);
        let truth: Vec<WireId> = truth.collect();
        let condition = self.function(condition, node_role(node, "cond"), &wires, &truth)?;
        let wires: Vec<WireId> = carried.iter().map(|it| argument(body, it)).collect();
        let results = carried
            .iter()
            .map(|index| body.typed.graph.outputs[*index].wire);
        let results: Vec<WireId> = results.collect();
        let body = self.function(body, node_role(node, "body"), &wires, &results)?;
        inputs.extend(self.captured(&[condition, body]));
        Ok(Step::While {
            node: node.name.clone(),
            condition,
            body,
            inputs,
            outputs,
        })
    }

    fn condition(
        &mut self,
        scope: &mut Scope<'_>,
        id: NodeId,
        functions: &mut [Scope<'_>; 2],
    ) -> Result<Step, ConvertError> {
        let node = scope.typed.graph.node(id);
        let Some((predicate, arguments)) = node.inputs.split_first() else {
            return Err(ConvertError::ControlFlow {
                count: 1,
                node: node.name.clone(),
                op: node.op.clone(),
            });
        };
        let read = scope.read();
        let wanted = (0..).zip(&functions[0].typed.graph.outputs);
        let wanted = wanted.map(|(slot, _)| WireId::new(id, slot));
        let wanted: Vec<WireId> = wanted
            .filter(|wire| read.contains(wire) && scope.typed.fact(*wire).value.is_none())
            .collect();
        let mut inputs = vec![self.id(scope, *predicate)?];
        let outputs = self.ids(scope, wanted.iter().copied())?;
        let mut made = Vec::new();
        for (function, role) in functions.iter_mut().zip(["then", "else"]) {
            for (index, wire) in arguments.iter().enumerate() {
                self.bind(scope, *wire, function, index)?;
            }
            let results = wanted.iter().filter_map(|wire| {
                let index = usize::try_from(wire.slot).ok()?;
                Some(function.typed.graph.outputs.get(index)?.wire)
            });
            let results: Vec<WireId> = results.collect();
            made.push(self.function(function, node_role(node, role), &[], &results)?);
        }
        let [then_branch, else_branch] = made[..] else {
            return Err(ConvertError::UnknownType(node.name.clone()));
        };
        inputs.extend(self.captured(&made));
        Ok(Step::If {
            node: node.name.clone(),
            then_branch,
            else_branch,
            inputs,
            outputs,
        })
    }

    /// Lets an argument of a function be the value outside that is handed in. An argument of a type
    /// that no tensor can hold is read by nothing, or that is the error.
    fn bind(
        &mut self,
        outer: &mut Scope<'_>,
        wire: WireId,
        function: &mut Scope<'_>,
        index: usize,
    ) -> Result<(), ConvertError> {
        let argument = function.typed.graph.inputs[index].wire;
        let fact = function.typed.fact(argument);
        if fact.value.is_none() && fact.dtype.is_some() {
            let id = self.id(outer, wire)?;
            function.ids.insert(argument, id);
        }
        Ok(())
    }

    /// Adds a function; those that it calls come behind it.
    fn function(
        &mut self,
        scope: &mut Scope<'_>,
        name: String,
        arguments: &[WireId],
        results: &[WireId],
    ) -> Result<FunctionId, ConvertError> {
        let index = self.schedule.functions.len();
        self.schedule.functions.push(Function::default());
        let mut inputs = Vec::with_capacity(arguments.len());
        for wire in arguments {
            let id = self.value(scope.typed, *wire, ValueSource::Argument)?;
            scope.ids.insert(*wire, id);
            inputs.push(id);
        }
        let steps = self.steps(scope)?;
        self.schedule.functions[index] = Function {
            name,
            inputs,
            outputs: self.ids(scope, results.iter().copied())?,
            steps,
        };
        Ok(FunctionId(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    /// The values from outside that functions read, constants not among them.
    fn captured(&self, functions: &[FunctionId]) -> Vec<ValueId> {
        let mut captured = Vec::new();
        for function in functions
            .iter()
            .filter_map(|id| self.schedule.function(*id))
        {
            let mut own: BTreeSet<ValueId> = function.inputs.iter().copied().collect();
            own.extend(function.steps.iter().flat_map(Step::outputs));
            let read = function.steps.iter().flat_map(Step::inputs);
            for id in read.chain(&function.outputs) {
                let value = self.schedule.value(*id).map(|value| value.source);
                let is_constant = matches!(value, Some(ValueSource::Constant(_)));
                if !is_constant && !own.contains(id) && !captured.contains(id) {
                    captured.push(*id);
                }
            }
        }
        captured
    }
}

fn node_role(node: &crate::graph::Node, role: &str) -> String {
    format!("{}/{role}", node.name)
}
