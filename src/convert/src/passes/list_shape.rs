use tfjet_core::{AttrValue, Attrs, DType, Dim, Tensor};

use super::simplify::RewriteOptions;
use crate::graph::{Graph, Node, NodeId, TypedGraph, WireId};

/// Gives lists that are reserved for elements of unknown shape the shape that a loop writes, where
/// it is known. Such a list has its final shape from the start.
pub(super) fn settle_reserved(
    typed: &TypedGraph,
    graph: &mut Graph,
    options: &RewriteOptions<'_>,
) -> bool {
    let mut settled = false;
    for (&id, call) in &typed.functions {
        let node = typed.graph.node(id);
        let [_, body] = call.functions.as_slice() else {
            continue;
        };
        if !typed.live[id.index()] || !node.op.contains("While") {
            continue;
        }
        for (index, wire) in node.inputs.iter().enumerate() {
            let reserved = typed.graph.node(wire.node);
            if reserved.op != "TensorListReserve" || (options.keep)(reserved) {
                continue;
            }
            let first = typed.fact(*wire).shape.as_ref().map(|shape| shape.dims());
            let result = body.graph.outputs.get(index).map(|it| body.fact(it.wire));
            let written = result.and_then(|fact| fact.shape.as_ref());
            let (Some([_, Dim::Fixed(0)]), Some([_, element @ ..])) =
                (first, written.map(|shape| shape.dims()))
            else {
                continue;
            };
            if matches!(element, [Dim::Fixed(0)]) {
                continue;
            }
            let Some(shape) = shape_wire(typed, graph, wire.node, element) else {
                continue;
            };
            let copy = Node {
                inputs: vec![shape, reserved.inputs[1]],
                control: Vec::new(),
                ..reserved.clone()
            };
            let copy = WireId::new(graph.add(copy), 0);
            graph.nodes[id.index()].inputs[index] = copy;
            settled = true;
        }
    }
    settled
}

/// A wire with these sizes; `None` where one follows from no wire of the graph.
fn shape_wire(typed: &TypedGraph, graph: &mut Graph, list: NodeId, dims: &[Dim]) -> Option<WireId> {
    let name = typed.graph.node(list).name.clone();
    let homes: Vec<Option<(WireId, usize)>> = dims
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(_) => Some(None),
            Dim::Symbolic(symbol) => typed.sizes.home(symbol).map(Some),
        })
        .collect::<Option<_>>()?;
    if homes.iter().all(Option::is_none) {
        let sizes = dims.iter().map(|dim| i32::try_from(dim.fixed()?).ok());
        let sizes: Vec<i32> = sizes.collect::<Option<_>>()?;
        return Some(integers(
            graph,
            format!("{name}/shape"),
            &[sizes.len()],
            &sizes,
        ));
    }
    let mut parts = Vec::new();
    for (axis, (dim, home)) in dims.iter().zip(homes).enumerate() {
        let name = format!("{name}/shape{axis}");
        parts.push(match (dim, home) {
            (_, Some((wire, of))) => size(graph, &name, wire, of)?,
            (dim, None) => integers(graph, name, &[], &[i32::try_from(dim.fixed()?).ok()?]),
        });
    }
    let attrs = Attrs::default()
        .with("T", AttrValue::Type(Some(DType::I32)))
        .with("N", AttrValue::Int(i64::try_from(parts.len()).ok()?))
        .with("axis", AttrValue::Int(0));
    let node = Node::new(format!("{name}/shape"), "Pack", attrs, parts);
    Some(WireId::new(graph.add(node), 0))
}

/// The size of an axis as a scalar.
fn size(graph: &mut Graph, name: &str, wire: WireId, axis: usize) -> Option<WireId> {
    let attrs = Attrs::default().with("out_type", AttrValue::Type(Some(DType::I32)));
    let shape = Node::new(format!("{name}/of"), "Shape", attrs, vec![wire]);
    let shape = WireId::new(graph.add(shape), 0);
    let axis = i32::try_from(axis).ok()?;
    let begin = integers(graph, format!("{name}/begin"), &[1], &[axis]);
    let end = integers(graph, format!("{name}/end"), &[1], &[axis.checked_add(1)?]);
    let step = integers(graph, format!("{name}/step"), &[1], &[1]);
    let mut attrs = Attrs::default()
        .with("T", AttrValue::Type(Some(DType::I32)))
        .with("shrink_axis_mask", AttrValue::Int(1));
    for mask in ["begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask"] {
        attrs.insert(mask, AttrValue::Int(0));
    }
    let node = Node::new(name, "StridedSlice", attrs, vec![shape, begin, end, step]);
    Some(WireId::new(graph.add(node), 0))
}

fn integers(graph: &mut Graph, name: String, shape: &[usize], values: &[i32]) -> WireId {
    let value = Tensor::from_slice(shape, values).unwrap_or_default();
    let attrs = Attrs::default()
        .with("dtype", AttrValue::Type(Some(DType::I32)))
        .with("value", AttrValue::Tensor(value));
    WireId::new(graph.add(Node::new(name, "Const", attrs, Vec::new())), 0)
}
