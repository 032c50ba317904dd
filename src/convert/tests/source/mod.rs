//! Source graphs made in memory, and the stages up to the partition.

use tfjet_convert::graph::{OutputRequest, TypedGraph, build};
use tfjet_convert::partition::{Partition, PartitionOptions, partition};
use tfjet_convert::passes::type_graph;
use tfjet_convert::tensorflow::{Format, SourceGraph, SourceNode};
use tfjet_core::{AttrValue, Attrs, DType, Dim, Element, Shape, Tensor};

/// A node over `f32` tensors.
pub(crate) fn node(name: &str, op: &str, inputs: &[&str]) -> SourceNode {
    SourceNode {
        name: name.into(),
        op: op.into(),
        device: String::new(),
        inputs: inputs.iter().map(|&input| input.into()).collect(),
        attrs: Attrs::default().with("T", AttrValue::Type(Some(DType::F32))),
    }
}

/// A placeholder of `f32`; `None` stands for an unknown dim.
pub(crate) fn placeholder(name: &str, dims: &[Option<usize>]) -> SourceNode {
    let dims = dims
        .iter()
        .map(|dim| dim.map_or_else(|| Dim::Symbolic("?".into()), Dim::Fixed));
    SourceNode {
        attrs: Attrs::default()
            .with("dtype", AttrValue::Type(Some(DType::F32)))
            .with("shape", AttrValue::Shape(Some(Shape(dims.collect())))),
        ..node(name, "Placeholder", &[])
    }
}

/// A `Const`.
pub(crate) fn constant<T: Element>(name: &str, shape: &[usize], values: &[T]) -> SourceNode {
    let tensor = Tensor::from_slice(shape, values).expect("the values fill the shape");
    SourceNode {
        attrs: Attrs::default()
            .with("dtype", AttrValue::Type(Some(T::DTYPE)))
            .with("value", AttrValue::Tensor(tensor)),
        ..node(name, "Const", &[])
    }
}

/// A graph of these nodes and nothing else.
pub(crate) fn graph(nodes: Vec<SourceNode>) -> SourceGraph {
    SourceGraph {
        nodes,
        signature: None,
        functions: Vec::new(),
        producer: 0,
        format: Format::FrozenGraph,
        notes: Vec::new(),
    }
}

/// The graph of these nodes, with type and shape on every wire. Without `outputs` its sinks are
/// its outputs.
pub(crate) fn typed(
    nodes: &[SourceNode],
    outputs: &[OutputRequest],
    options: &PartitionOptions,
) -> Result<TypedGraph, String> {
    let graph = build(graph(nodes.to_vec()), &[], outputs).map_err(|error| error.to_string())?;
    type_graph(graph, &|node| {
        options.exclusion(&node.name, &node.op).is_some()
    })
    .map_err(|error| error.to_string())
}

/// A typed graph and its parts.
pub(crate) struct Parts {
    pub(crate) typed: TypedGraph,
    pub(crate) partition: Partition,
}

impl Parts {
    pub(crate) fn new(mut typed: TypedGraph, options: &PartitionOptions) -> Self {
        let partition = partition(&typed, options);
        typed.settle(partition.computed.clone());
        Self { typed, partition }
    }
}
