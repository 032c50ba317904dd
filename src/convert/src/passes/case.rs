//! A `Case` becomes `If`s, one inside the other's second branch.

use std::collections::BTreeMap;
use std::sync::Arc;

use tfjet_core::{AttrValue, Attrs, DType, Tensor};

use crate::graph::{Call, Function, Graph, GraphInput, GraphOutput, Node, NodeId, WireId};

type Functions = BTreeMap<String, Arc<Function>>;

/// Replaces each `Case` of the graph and of its functions.
pub(super) fn cases(graph: &mut Graph) {
    let mut functions = std::mem::take(&mut graph.functions);
    replace_all(graph, &mut functions);
    for name in functions.keys().cloned().collect::<Vec<_>>() {
        if let Some(function) = functions.get(&name).cloned() {
            let mut changed = function.graph.clone();
            replace_all(&mut changed, &mut functions);
            let graph = changed;
            functions.insert(name.clone(), Arc::new(Function { name, graph }));
        }
    }
    graph.functions = functions;
}

fn replace_all(graph: &mut Graph, functions: &mut Functions) {
    for id in graph.ids() {
        if let Some(Call::Case { branches }) = Call::of(graph.node(id))
            && let Some(index) = graph.node(id).inputs.first().copied()
        {
            replace(graph, id, index, &branches, functions);
        }
    }
}

/// The node itself becomes the first `If`: it hands the index to its branches as well.
fn replace(
    graph: &mut Graph,
    id: NodeId,
    index: WireId,
    branches: &[String],
    functions: &mut Functions,
) {
    let Some((last, others)) = branches.split_last() else {
        return;
    };
    let name = graph.node(id).name.clone();
    let Some(width) = functions.get(last).map(|it| it.graph.inputs.len()) else {
        return;
    };
    let mut otherwise = with_index(functions, last, &name);
    for (number, branch) in others.iter().enumerate().skip(1).rev() {
        let then = with_index(functions, branch, &name);
        let called = Called {
            name: format!("{name}/else{number}"),
            number,
            then,
            otherwise,
        };
        otherwise = wrapper(&called, width, graph.node(id), functions);
    }
    let then = match others.first() {
        Some(first) => with_index(functions, first, &name),
        // A single branch is taken whatever the index.
        None => return,
    };
    let truth = equal(graph, &name, index, 0);
    let tout = graph.node(id).attrs.get("Tout").cloned();
    let node = &mut graph.nodes[id.index()];
    node.op = "If".into();
    node.inputs.insert(0, truth);
    node.attrs = attrs(then, otherwise, tout);
}

struct Called {
    name: String,
    number: usize,
    then: String,
    otherwise: String,
}

fn attrs(then: String, otherwise: String, tout: Option<AttrValue>) -> Attrs {
    Attrs::default()
        .with("then_branch", AttrValue::Func(then))
        .with("else_branch", AttrValue::Func(otherwise))
        .with("Tout", tout.unwrap_or(AttrValue::Types(Vec::new())))
}

/// The function with the index as an argument before its own.
fn with_index(functions: &mut Functions, name: &str, call: &str) -> String {
    if let Some(function) = functions.get_mut(name) {
        let graph = &mut Arc::make_mut(function).graph;
        let node = Node::new(
            format!("{name}/index"),
            "_Arg",
            Attrs::default(),
            Vec::new(),
        );
        let wire = WireId::new(graph.add(node), 0);
        graph.inputs.insert(0, input(format!("{call}/index"), wire));
    }
    name.into()
}

fn input(name: String, wire: WireId) -> GraphInput {
    GraphInput {
        name,
        wire,
        dtype: DType::F32,
        shape: None,
    }
}

/// A function that calls one branch or another one with its own arguments.
fn wrapper(called: &Called, width: usize, node: &Node, functions: &mut Functions) -> String {
    let mut graph = Graph::default();
    let name = &called.name;
    for index in 0..=width {
        let argument = format!("{name}/in{index}");
        let id = graph.add(Node::new(
            argument.clone(),
            "_Arg",
            Attrs::default(),
            Vec::new(),
        ));
        graph.inputs.push(input(argument, WireId::new(id, 0)));
    }
    let arguments: Vec<WireId> = graph.inputs.iter().map(|it| it.wire).collect();
    let number = i32::try_from(called.number).unwrap_or(i32::MAX);
    let truth = match arguments.first() {
        Some(index) => equal(&mut graph, name, *index, number),
        None => return name.clone(),
    };
    let tout = node.attrs.get("Tout").cloned();
    let results = match &tout {
        Some(AttrValue::Types(types)) => types.len(),
        _ => 0,
    };
    let inputs = std::iter::once(truth).chain(arguments).collect();
    let attrs = attrs(called.then.clone(), called.otherwise.clone(), tout);
    let id = graph.add(Node::new(format!("{name}/If"), "If", attrs, inputs));
    graph.outputs = (0..u32::try_from(results).unwrap_or(0))
        .map(|slot| GraphOutput {
            name: format!("{name}:{slot}"),
            wire: WireId::new(id, slot),
        })
        .collect();
    let function = Function {
        name: name.clone(),
        graph,
    };
    functions.insert(name.clone(), Arc::new(function));
    name.clone()
}

fn equal(graph: &mut Graph, name: &str, index: WireId, number: i32) -> WireId {
    let value = Tensor::from_slice(&[], &[number]).unwrap_or_default();
    let attrs = Attrs::default()
        .with("dtype", AttrValue::Type(Some(DType::I32)))
        .with("value", AttrValue::Tensor(value));
    let constant = graph.add(Node::new(
        format!("{name}/number"),
        "Const",
        attrs,
        Vec::new(),
    ));
    let attrs = Attrs::default().with("T", AttrValue::Type(Some(DType::I32)));
    let inputs = vec![index, WireId::new(constant, 0)];
    let id = graph.add(Node::new(
        format!("{name}/is{number}"),
        "Equal",
        attrs,
        inputs,
    ));
    WireId::new(id, 0)
}
