//! TensorFlow 1's TensorArrays become lists on the wire that carries their `flow`.
//!
//! A TensorArray is a resource that ops reach by a handle; its `flow`, a number without meaning,
//! orders them. A list is a value. Since each op hands on the `flow` of what it does to the array,
//! the list can take that wire, and nothing reads the handle any more.

use std::collections::{BTreeMap, BTreeSet};

use tfjet_core::{AttrValue, Attrs, DType, Dim, Shape, Tensor};

use crate::graph::{Graph, Node, NodeId, WireId};

/// Replaces the TensorArrays of a graph. An op whose array cannot be told stays as it is.
pub(super) fn tensor_arrays(graph: &mut Graph) {
    let arrays: BTreeMap<NodeId, Array> = graph
        .ids()
        .filter_map(|id| Some((id, Array::of(graph.node(id))?)))
        .collect();
    if arrays.is_empty() {
        return;
    }
    let users: Vec<(NodeId, NodeId, &'static Use)> = graph
        .ids()
        .filter_map(|id| {
            let uses = Use::of(&graph.node(id).op)?;
            Some((id, array_of(graph, &arrays, id)?, uses))
        })
        .collect();
    let mut moved = BTreeMap::new();
    for (&id, array) in &arrays {
        let list = reserve(graph, id, array);
        moved.insert(WireId::new(id, 1), list);
        for (user, _, uses) in users.iter().filter(|(_, of, _)| *of == id) {
            if let Some(start) = constant_flow(graph, *user, uses) {
                moved.insert(start, list);
            }
        }
    }
    for (user, array, uses) in users {
        if let Some(array) = arrays.get(&array) {
            replace(graph, user, array, uses);
        }
    }
    let readers = graph.nodes.iter_mut().flat_map(|node| &mut node.inputs);
    let outputs = graph.outputs.iter_mut().map(|output| &mut output.wire);
    for wire in readers.chain(outputs) {
        if let Some(list) = moved.get(wire) {
            *wire = *list;
        }
    }
}

/// What an array's node says of it.
struct Array {
    dtype: Option<DType>,
    element_shape: Option<Shape>,
    grows: bool,
    size: WireId,
}

impl Array {
    fn of(node: &Node) -> Option<Self> {
        if !matches!(node.op.as_str(), "TensorArrayV2" | "TensorArrayV3") {
            return None;
        }
        Some(Self {
            dtype: match node.attrs.get("dtype") {
                Some(AttrValue::Type(dtype)) => *dtype,
                _ => None,
            },
            element_shape: shape_attr(node, "element_shape"),
            grows: node.attrs.get("dynamic_size") == Some(&AttrValue::Bool(true)),
            size: *node.inputs.first()?,
        })
    }
}

fn shape_attr(node: &Node, name: &str) -> Option<Shape> {
    match node.attrs.get(name) {
        Some(AttrValue::Shape(shape)) => shape.clone(),
        _ => None,
    }
}

/// An op on an array: which list op does the same, and where the op has its `flow`.
struct Use {
    op: &'static str,
    list_op: &'static str,
    flow: usize,
    /// The inputs of the list op, as inputs of the op; the shape of an element behind them.
    inputs: &'static [usize],
    takes_shape: bool,
}

const USES: &[Use] = &[
    usage("TensorArrayRead", "TensorListGetItem", 2, &[2, 1], true),
    usage(
        "TensorArrayWrite",
        "TensorListSetItem",
        3,
        &[3, 1, 2],
        false,
    ),
    usage("TensorArrayGather", "TensorListGather", 2, &[2, 1], true),
    usage(
        "TensorArrayScatter",
        "TensorListScatterIntoExistingList",
        3,
        &[3, 2, 1],
        false,
    ),
    usage("TensorArraySize", "TensorListLength", 1, &[1], false),
    usage("TensorArrayConcat", "TensorListConcatV2", 1, &[1], true),
    usage("TensorArraySplit", "TensorListSplit", 3, &[1], true),
];

const fn usage(
    op: &'static str,
    list_op: &'static str,
    flow: usize,
    inputs: &'static [usize],
    takes_shape: bool,
) -> Use {
    Use {
        op,
        list_op,
        flow,
        inputs,
        takes_shape,
    }
}

impl Use {
    fn of(op: &str) -> Option<&'static Self> {
        let name = op.strip_suffix("V3").or_else(|| op.strip_suffix("V2"))?;
        USES.iter().find(|usage| usage.op == name)
    }
}

/// What a wire was before control flow handed it on.
fn before(graph: &Graph, wire: WireId) -> Option<WireId> {
    let node = graph.node(wire.node);
    match node.op.as_str() {
        "Enter" | "Exit" | "Switch" | "_SwitchN" | "Identity" | "RefEnter" | "RefSwitch" => {
            node.inputs.first().copied()
        }
        "Merge" | "RefMerge" => {
            let mut inputs = node.inputs.iter().copied();
            inputs.find(|wire| !graph.node(wire.node).op.ends_with("NextIteration"))
        }
        _ => None,
    }
}

/// The array whose handle a node reads.
fn array_of(graph: &Graph, arrays: &BTreeMap<NodeId, Array>, id: NodeId) -> Option<NodeId> {
    let mut wire = *graph.node(id).inputs.first()?;
    let mut seen = BTreeSet::new();
    while !arrays.contains_key(&wire.node) {
        if !seen.insert(wire) {
            return None;
        }
        wire = before(graph, wire)?;
    }
    (wire.slot == 0).then_some(wire.node)
}

/// The constant that a `flow` began as: the second version of the array has no `flow` of its own.
fn constant_flow(graph: &Graph, user: NodeId, uses: &Use) -> Option<WireId> {
    let mut wire = *graph.node(user).inputs.get(uses.flow)?;
    let mut seen = BTreeSet::new();
    loop {
        let node = graph.node(wire.node);
        if node.op == "Const" {
            return Some(wire);
        }
        if !seen.insert(wire) {
            return None;
        }
        wire = match Use::of(&node.op) {
            Some(uses) => *node.inputs.get(uses.flow)?,
            None => before(graph, wire)?,
        };
    }
}

/// The list that an array is at first.
fn reserve(graph: &mut Graph, id: NodeId, array: &Array) -> WireId {
    let node = graph.node(id);
    let name = node.name.clone();
    let source = node.source;
    let shape = element_shape(graph, &name, array.element_shape.as_ref());
    let attrs = Attrs::default()
        .with("element_dtype", AttrValue::Type(array.dtype))
        .with("shape_type", AttrValue::Type(Some(DType::I32)));
    let list = graph.add(Node {
        source,
        ..Node::new(name, "TensorListReserve", attrs, vec![shape, array.size])
    });
    WireId::new(list, 0)
}

/// A constant with the shape of an element: -1 for an unknown size, a scalar for an unknown rank.
fn element_shape(graph: &mut Graph, name: &str, shape: Option<&Shape>) -> WireId {
    let size = |dim: &Dim| {
        let size = dim.fixed().and_then(|size| i32::try_from(size).ok());
        size.unwrap_or(-1)
    };
    let value = match shape {
        Some(shape) => {
            let sizes: Vec<i32> = shape.dims().iter().map(size).collect();
            Tensor::from_slice(&[sizes.len()], &sizes)
        }
        None => Tensor::from_slice(&[], &[-1i32]),
    };
    let attrs = Attrs::default()
        .with("dtype", AttrValue::Type(Some(DType::I32)))
        .with("value", AttrValue::Tensor(value.unwrap_or_default()));
    let name = format!("{name}/element_shape");
    let id = graph.add(Node::new(name, "Const", attrs, Vec::new()));
    WireId::new(id, 0)
}

fn replace(graph: &mut Graph, id: NodeId, array: &Array, uses: &Use) {
    let node = graph.node(id);
    let inputs = uses.inputs.iter().map(|index| node.inputs.get(*index));
    let Some(mut inputs) = inputs.map(|wire| wire.copied()).collect::<Option<Vec<_>>>() else {
        return;
    };
    let own = shape_attr(node, "element_shape");
    let name = node.name.clone();
    let lengths = node.inputs.get(2).copied();
    let mut attrs = Attrs::default();
    if uses.list_op != "TensorListLength" {
        attrs.insert("element_dtype", AttrValue::Type(array.dtype));
    }
    if uses.list_op == "TensorListSetItem" {
        attrs.insert(
            "resize_if_index_out_of_bounds",
            AttrValue::Bool(array.grows),
        );
    }
    if uses.takes_shape {
        let without_first = match uses.list_op {
            "TensorListConcatV2" | "TensorListSplit" => None,
            _ => Some(own.as_ref().or(array.element_shape.as_ref())),
        };
        let wire = element_shape(graph, &name, without_first.flatten());
        inputs.push(wire);
    }
    match uses.list_op {
        "TensorListConcatV2" => {
            let none = Tensor::from_slice::<i64>(&[0], &[]).unwrap_or_default();
            let value = Attrs::default()
                .with("dtype", AttrValue::Type(Some(DType::I64)))
                .with("value", AttrValue::Tensor(none));
            let leading = Node::new(format!("{name}/leading_dims"), "Const", value, Vec::new());
            inputs.push(WireId::new(graph.add(leading), 0));
            attrs.insert("shape_type", AttrValue::Type(Some(DType::I32)));
        }
        "TensorListSplit" => {
            inputs.extend(lengths);
            attrs.insert("shape_type", AttrValue::Type(Some(DType::I32)));
        }
        _ => {}
    }
    let node = &mut graph.nodes[id.index()];
    node.op = uses.list_op.into();
    node.attrs = attrs;
    node.inputs = inputs;
}
