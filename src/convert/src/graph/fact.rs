use std::sync::Arc;

use tfjet_core::{DType, Dim, Shape, Tensor};

use super::{Graph, NodeId, WireId};

/// One element of a small integer tensor whose value is known up to symbols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SymbolicInt {
    /// A number.
    Known(i64),
    /// The size of a symbolic dim.
    Symbol(String),
    /// Not known.
    Unknown,
}

impl From<&Dim> for SymbolicInt {
    fn from(dim: &Dim) -> Self {
        match dim {
            Dim::Fixed(size) => i64::try_from(*size).map_or(Self::Unknown, Self::Known),
            Dim::Symbolic(name) => Self::Symbol(name.clone()),
        }
    }
}

/// What is known about one wire.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WireFact {
    /// Element type; `None` where not known or not one of ours.
    pub dtype: Option<DType>,
    /// Shape; `None` for unknown rank.
    pub shape: Option<Shape>,
    /// The value, where it does not depend on the inputs.
    pub value: Option<Arc<Tensor>>,
    /// The elements of a scalar or vector of integers, where they are known up to symbols.
    pub elements: Option<Vec<SymbolicInt>>,
}

impl WireFact {
    /// Type and shape.
    pub fn new(dtype: DType, shape: Option<Shape>) -> Self {
        Self {
            dtype: Some(dtype),
            shape,
            ..Self::default()
        }
    }

    /// A known value.
    pub fn constant(value: Arc<Tensor>) -> Self {
        let elements = integers(&value);
        Self {
            dtype: Some(value.dtype()),
            shape: Some(Shape::fixed(value.shape())),
            value: Some(value),
            elements,
        }
    }

    /// Rank, where known.
    pub fn rank(&self) -> Option<usize> {
        self.shape.as_ref().map(Shape::rank)
    }

    /// The elements as numbers, where every one is known.
    pub fn known_elements(&self) -> Option<Vec<i64>> {
        self.elements
            .as_ref()?
            .iter()
            .map(|element| match element {
                SymbolicInt::Known(value) => Some(*value),
                _ => None,
            })
            .collect()
    }
}

fn integers(value: &Tensor) -> Option<Vec<SymbolicInt>> {
    if value.shape().len() > 1 || value.elements() > 64 {
        return None;
    }
    match value.dtype() {
        DType::I32 => Some(
            value
                .as_slice::<i32>()
                .ok()?
                .iter()
                .map(|&v| SymbolicInt::Known(i64::from(v)))
                .collect(),
        ),
        DType::I64 => Some(
            value
                .as_slice::<i64>()
                .ok()?
                .iter()
                .map(|&v| SymbolicInt::Known(v))
                .collect(),
        ),
        _ => None,
    }
}

/// A graph after the passes: no-ops bypassed, constants folded, type and shape on every wire.
#[derive(Debug, Clone)]
pub struct TypedGraph {
    /// The graph; inputs of live nodes bypass removed no-ops.
    pub graph: Graph,
    /// The source's wiring, before no-ops were bypassed.
    pub source_inputs: Vec<Vec<WireId>>,
    /// Facts of each node's outputs.
    pub facts: Vec<Vec<WireFact>>,
    /// Nodes that an output needs in the source graph, in topological order.
    pub source_order: Vec<NodeId>,
    /// Nodes that compute something at run time and that an output needs, in topological order.
    pub order: Vec<NodeId>,
    /// Is the node in `order`?
    pub live: Vec<bool>,
    /// Is the node needed for an output in the source graph?
    pub needed: Vec<bool>,
    /// Name of the while frame that a node lies in.
    pub frames: Vec<Option<String>>,
    /// What the passes dropped or changed that a user should know.
    pub notes: Vec<String>,
}

impl TypedGraph {
    /// What is known about `wire`.
    pub fn fact(&self, wire: WireId) -> &WireFact {
        static UNKNOWN: WireFact = WireFact {
            dtype: None,
            shape: None,
            value: None,
            elements: None,
        };
        self.facts
            .get(wire.node.index())
            .and_then(|slots| slots.get(usize::try_from(wire.slot).unwrap_or(usize::MAX)))
            .unwrap_or(&UNKNOWN)
    }
}
