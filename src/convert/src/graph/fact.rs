use std::collections::BTreeMap;
use std::sync::Arc;

use tfjet_core::{AttrValue, Attrs, DType, Shape, Tensor};

use super::sizes::elements;
use super::{Graph, Node, NodeId, Sizes, SymbolicInt, WireId};

/// What is known about one wire.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WireFact {
    /// Element type; `None` where not known or not one of ours.
    pub dtype: Option<DType>,
    /// Shape; `None` for unknown rank.
    pub shape: Option<Shape>,
    /// The value, where it does not depend on the inputs.
    pub value: Option<Arc<Tensor>>,
    /// The elements of a small tensor of two axes at most, the last axis running fastest, where
    /// they are known up to symbols.
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
        let elements = elements(&value);
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
    /// Nodes that compute nothing but numbers that follow from sizes: an engine works out those
    /// that it needs itself.
    pub derived: Vec<bool>,
    /// What the symbolic dims stand for.
    pub sizes: Sizes,
    /// The typed functions of each loop and condition.
    pub functions: BTreeMap<NodeId, TypedCall>,
    /// What frames go through in place of the graph's own pre-processing.
    pub image: Option<crate::passes::FoldedImage>,
    /// Rounding of activations to 8 bits is no layer but the range of a tensor.
    pub take_ranges: bool,
    /// What the passes dropped or changed that a user should know.
    pub notes: Vec<String>,
}

/// The functions of one loop or condition, typed with what is known where it stands. Symbols of
/// the graph around mean the same inside.
#[derive(Debug, Clone)]
pub struct TypedCall {
    /// Of a loop the condition and the body, of an `If` the branch for true and the one for false.
    pub functions: Vec<TypedGraph>,
    /// How often a loop's body runs, where that is known.
    pub trips: Option<u64>,
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

    /// Adds a constant that no node of the source stands for.
    pub(crate) fn add_constant(&mut self, name: &str, value: Tensor) -> WireId {
        let id = self.graph.add(Node::new(
            name,
            "Const",
            Attrs::default().with("dtype", AttrValue::Type(Some(value.dtype()))),
            Vec::new(),
        ));
        self.source_inputs.push(Vec::new());
        self.facts.push(vec![WireFact::constant(Arc::new(value))]);
        self.live.push(false);
        self.needed.push(true);
        self.derived.push(false);
        WireId::new(id, 0)
    }

    /// Takes the graph's ranges, those of its functions too.
    pub(crate) fn take_ranges(&mut self) {
        self.take_ranges = true;
        let functions = self.functions.values_mut().flat_map(|it| &mut it.functions);
        functions.for_each(Self::take_ranges);
    }

    /// Sets what computes something at run time.
    pub fn settle(&mut self, order: Vec<NodeId>) {
        self.live = vec![false; self.graph.nodes.len()];
        for id in &order {
            if let Some(live) = self.live.get_mut(id.index()) {
                *live = true;
            }
        }
        self.order = order;
    }

    /// Does the value of `wire` follow from sizes alone?
    pub fn is_derived(&self, wire: WireId) -> bool {
        self.derived
            .get(wire.node.index())
            .copied()
            .unwrap_or(false)
            && !self.graph.is_input(wire)
            && self.fact(wire).value.is_none()
    }

    /// What is known of the elements of a constant or derived `wire`.
    pub fn elements(&self, wire: WireId) -> Option<&[SymbolicInt]> {
        let fact = self.fact(wire);
        let followed = fact.value.is_some() || self.is_derived(wire);
        fact.elements.as_deref().filter(|_| followed)
    }

    /// The wires that have to be there before `id` is computed, constants not among them. An
    /// engine needs the wires whose shapes tell the sizes instead of what is derived from them.
    pub fn reads(&self, id: NodeId, in_engine: bool) -> Vec<WireId> {
        let mut reads = Vec::new();
        for &wire in &self.graph.node(id).inputs {
            if self.fact(wire).value.is_some() {
                continue;
            }
            if in_engine && self.is_derived(wire) {
                let elements = self.fact(wire).elements.as_deref().unwrap_or_default();
                reads.extend(self.sizes.homes(elements).into_iter().flatten());
            } else {
                reads.push(wire);
            }
        }
        reads
    }
}
