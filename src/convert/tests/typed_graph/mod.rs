//! Random graphs of every op family: an op is taken in with random arguments where shape
//! inference finds nothing wrong with it.

mod arithmetic;
mod arranged;
mod images;
mod pieces;
mod rarer;
mod reckless;
mod sizes;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use tfjet_convert::graph::{NodeId, TypedGraph, WireId, output_count};
use tfjet_convert::partition::PartitionOptions;
use tfjet_convert::tensorflow::SourceNode;
use tfjet_core::{AttrValue, Attrs, DType, Dim, Shape, Tensor};

use crate::source::{constant, node, placeholder, typed};

/// A graph whose types were inferred without an error.
#[derive(Clone)]
pub(crate) struct TypedSource(pub(crate) Vec<SourceNode>);

impl fmt::Debug for TypedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for node in &self.0 {
            let attrs: Vec<String> = node
                .attrs
                .0
                .iter()
                .map(|(name, value)| format!("{name}={value:?}"))
                .collect();
            let inputs = node.inputs.join(", ");
            writeln!(
                f,
                "  {} = {}({inputs}) {}",
                node.name,
                node.op,
                attrs.join(" ")
            )?;
        }
        Ok(())
    }
}

/// What one op is made of; its arguments are drawn from `numbers`, one after the other.
#[derive(Debug, Clone)]
struct Seed {
    family: u8,
    numbers: [u8; 24],
}

/// Graphs of up to `size` ops.
pub(crate) fn typed_graph(size: usize) -> impl Strategy<Value = TypedSource> {
    let seed =
        (any::<u8>(), any::<[u8; 24]>()).prop_map(|(family, numbers)| Seed { family, numbers });
    (any::<bool>(), prop::collection::vec(seed, 1..=size)).prop_map(|(batch, seeds)| {
        let mut growing = Growing::new((!batch).then_some(2));
        for seed in &seeds {
            growing.grow(seed);
        }
        TypedSource(growing.nodes)
    })
}

#[derive(Clone)]
struct Wire {
    name: String,
    dtype: Option<DType>,
    shape: Option<Shape>,
}

impl Wire {
    fn rank(&self) -> usize {
        self.shape.as_ref().map_or(0, Shape::rank)
    }

    fn size(&self, axis: usize) -> Option<usize> {
        self.shape.as_ref()?.dims().get(axis).and_then(Dim::fixed)
    }

    fn last(&self) -> usize {
        self.rank()
            .checked_sub(1)
            .and_then(|axis| self.size(axis))
            .unwrap_or(1)
    }
}

struct Growing {
    nodes: Vec<SourceNode>,
    wires: Vec<Wire>,
}

/// Draws numbers from a seed and collects the constants that an op needs.
struct Draft<'a> {
    numbers: std::slice::Iter<'a, u8>,
    wires: &'a [Wire],
    name: String,
    constants: Vec<SourceNode>,
}

impl Draft<'_> {
    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.numbers.next().copied().unwrap_or(0)) % limit.max(1)
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn wire(&mut self, fits: impl Fn(&Wire) -> bool) -> Option<Wire> {
        let fitting: Vec<&Wire> = self.wires.iter().rev().filter(|wire| fits(wire)).collect();
        if fitting.is_empty() {
            return None;
        }
        Some(fitting[self.below(fitting.len())].clone())
    }

    fn float(&mut self) -> Option<Wire> {
        self.wire(|wire| wire.dtype == Some(DType::F32))
    }

    fn image(&mut self) -> Option<Wire> {
        self.wire(|wire| wire.dtype == Some(DType::F32) && wire.rank() == 4)
    }

    fn axis(&mut self, rank: usize) -> i32 {
        let rank = i32::try_from(rank).unwrap_or(1);
        let number = i32::try_from(self.below(16)).unwrap_or(0);
        number.rem_euclid(2 * rank.max(1)) - rank
    }

    fn floats(&mut self, shape: &[usize]) -> String {
        let values: Vec<f32> = (0..shape.iter().product())
            .map(|index: usize| [0.5, -1.25, 2.0][index % 3])
            .collect();
        let name = format!("{}/c{}", self.name, self.constants.len());
        self.constants.push(constant(&name, shape, &values));
        name
    }

    fn ints(&mut self, shape: &[usize], values: &[i32]) -> String {
        let name = format!("{}/c{}", self.name, self.constants.len());
        self.constants.push(constant(&name, shape, values));
        name
    }

    fn vector(&mut self, values: &[i32]) -> String {
        self.ints(&[values.len()], values)
    }

    fn filled(&mut self, shape: &[usize], value: f32) -> String {
        let values = vec![value; shape.iter().product()];
        let name = format!("{}/c{}", self.name, self.constants.len());
        self.constants.push(constant(&name, shape, &values));
        name
    }

    fn long(&mut self, value: i64) -> String {
        let name = format!("{}/c{}", self.name, self.constants.len());
        self.constants.push(constant(&name, &[], &[value]));
        name
    }

    fn bools(&mut self, values: &[bool]) -> String {
        let name = format!("{}/c{}", self.name, self.constants.len());
        let value = Tensor::from_bools(&[values.len()], values).expect("the values fill the shape");
        let attrs = Attrs::default()
            .with("dtype", AttrValue::Type(Some(DType::Bool)))
            .with("value", AttrValue::Tensor(value));
        self.constants.push(SourceNode {
            attrs,
            ..node(&name, "Const", &[])
        });
        name
    }

    fn op(&self, op: &str, inputs: &[&str]) -> SourceNode {
        node(&self.name, op, inputs)
    }
}

fn with(mut node: SourceNode, name: &str, value: AttrValue) -> SourceNode {
    node.attrs.insert(name, value);
    node
}

fn text(value: &str) -> AttrValue {
    AttrValue::Str(value.as_bytes().to_vec())
}

fn texts(values: &[&str]) -> AttrValue {
    AttrValue::Strs(
        values
            .iter()
            .map(|value| value.as_bytes().to_vec())
            .collect(),
    )
}

impl Growing {
    fn new(batch: Option<usize>) -> Self {
        let mut growing = Self {
            nodes: Vec::new(),
            wires: Vec::new(),
        };
        growing.take(vec![placeholder(
            "image",
            &[batch, Some(6), Some(6), Some(4)],
        )]);
        growing.take(vec![placeholder("rows", &[batch, Some(4)])]);
        growing.take(vec![node("relu", "Relu", &["rows"])]);
        growing
    }

    fn grow(&mut self, seed: &Seed) {
        let mut draft = Draft {
            numbers: seed.numbers.iter(),
            wires: &self.wires,
            name: format!("n{}", self.nodes.len()),
            constants: Vec::new(),
        };
        let family = match usize::from(seed.family) {
            family if family % 8 == 0 => reckless::reckless,
            family => FAMILIES[(family / 8 + family % 8 * 32) % FAMILIES.len()],
        };
        if let Some(node) = family(&mut draft) {
            let mut nodes = draft.constants;
            nodes.push(node);
            self.take(nodes);
        }
    }

    /// Keeps the nodes where the graph with them can be typed and stays small, and where typing
    /// it panics, so that the property that is tried on the graph says so.
    fn take(&mut self, new: Vec<SourceNode>) {
        let before = self.nodes.len();
        self.nodes.extend(new);
        let index = self.nodes.len() - 1;
        let last = &self.nodes[index];
        let count = output_count(&last.op, &last.attrs).unwrap_or(1);
        let facts: Vec<(Option<DType>, Option<Shape>)> = if let Some(AttrValue::Shape(shape)) =
            last.attrs.get("shape").filter(|_| last.op == "Placeholder")
        {
            vec![(Some(DType::F32), shape.clone())]
        } else {
            let found = catch_unwind(AssertUnwindSafe(|| {
                typed(&self.nodes, &[], &PartitionOptions::default())
            }));
            let Ok(found) = found else {
                return;
            };
            let fact = |typed: &TypedGraph, slot| {
                let fact = typed.fact(WireId::new(NodeId::from_index(index), slot));
                (fact.dtype, fact.shape.clone())
            };
            found.map_or_else(
                |_| Vec::new(),
                |typed| (0..count.min(16)).map(|slot| fact(&typed, slot)).collect(),
            )
        };
        let is_small = |shape: &Option<Shape>| {
            let Some(shape) = shape else {
                return true;
            };
            let mut sizes = shape.dims().iter().filter_map(Dim::fixed);
            let elements = sizes.try_fold(1usize, |product, size| product.checked_mul(size));
            shape.rank() <= 6 && elements.is_some_and(|elements| (1..=4096).contains(&elements))
        };
        if facts.is_empty() || !facts.iter().all(|(_, shape)| is_small(shape)) {
            self.nodes.truncate(before);
            return;
        }
        let name = last.name.clone();
        self.wires.extend(
            facts
                .into_iter()
                .enumerate()
                .map(|(slot, (dtype, shape))| Wire {
                    name: if slot == 0 {
                        name.clone()
                    } else {
                        format!("{name}:{slot}")
                    },
                    dtype,
                    shape,
                }),
        );
    }
}

type Family = fn(&mut Draft<'_>) -> Option<SourceNode>;

const FAMILIES: &[Family] = &[
    arithmetic::activation,
    arithmetic::unary,
    arithmetic::pairwise,
    arithmetic::with_constant,
    images::convolution,
    images::backward,
    images::pool,
    images::bias,
    images::batch_norm,
    pieces::reshape,
    pieces::transpose,
    pieces::axes,
    arithmetic::reduce,
    pieces::join,
    pieces::take_apart,
    pieces::slice,
    pieces::strided_slice,
    images::pad,
    arithmetic::softmax,
    arithmetic::product,
    images::resize,
    images::rearrange,
    arithmetic::cast,
    arithmetic::compare,
    arithmetic::select,
    arithmetic::extreme,
    pieces::gather,
    pieces::tile,
    arithmetic::outside,
    sizes::describe,
    sizes::fill,
    sizes::like,
    sizes::reshape,
    sizes::repeat,
    sizes::resize,
    sizes::cut,
    sizes::pad,
    arranged::space_to_batch,
    arranged::reverse,
    arranged::cumulative,
    arranged::one_hot,
    arranged::permute,
    arranged::scatter,
    rarer::rarer,
    rarer::suppression,
    rarer::volume,
];
