//! Random source graphs: placeholders, constants that several ops share (some through
//! `Identity`), ops with a layer, ops without one, and what the user keeps outside.

use std::collections::BTreeSet;
use std::fmt;

use proptest::prelude::*;
use tfjet_convert::graph::OutputRequest;
use tfjet_convert::partition::PartitionOptions;
use tfjet_convert::tensorflow::SourceNode;
use tfjet_core::AttrValue;

use crate::source;

/// A graph and what the user asks of its partition.
#[derive(Clone)]
pub(crate) struct RandomGraph {
    pub(crate) nodes: Vec<SourceNode>,
    pub(crate) outputs: Vec<OutputRequest>,
    pub(crate) options: PartitionOptions,
}

impl fmt::Debug for RandomGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.options)?;
        for node in &self.nodes {
            writeln!(
                f,
                "  {} = {}({})",
                node.name,
                node.op,
                node.inputs.join(", ")
            )?;
        }
        let outputs = self
            .outputs
            .iter()
            .map(|output| format!("{}:{}", output.node, output.port));
        write!(f, "  outputs: {}", outputs.collect::<Vec<_>>().join(", "))
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Unary,
    Binary,
    WithConstant,
    UnaryOutside,
    BinaryOutside,
    ConstantOutside,
    Identity,
    Constant,
    IdentityOfConstant,
    ConstantArithmetic,
    AddN,
    Concat,
    Split,
    Unpack,
    Placeholder,
}

/// How one node comes about: every number is taken modulo the number of choices.
#[derive(Debug, Clone)]
struct Seed {
    kind: Kind,
    picks: [u8; 3],
    variant: u8,
    /// First letters of the name, which decide the order of TF-TRT's walk.
    prefix: u8,
    /// Where the node stands in the file.
    place: u8,
    is_excluded: bool,
    is_output: bool,
}

fn seed(more: Kind) -> impl Strategy<Value = Seed> {
    let kind = prop_oneof![
        6 => Just(Kind::Unary),
        6 => Just(Kind::Binary),
        4 => Just(Kind::WithConstant),
        3 => Just(Kind::UnaryOutside),
        2 => Just(Kind::BinaryOutside),
        2 => Just(Kind::ConstantOutside),
        3 => Just(Kind::Identity),
        1 => Just(Kind::Constant),
        2 => Just(Kind::IdentityOfConstant),
        2 => Just(Kind::AddN),
        2 => Just(Kind::Concat),
        2 => Just(Kind::Split),
        1 => Just(Kind::Unpack),
        1 => Just(Kind::Placeholder),
        2 => Just(more),
    ];
    let pick = || prop_oneof![0u8..3, any::<u8>()];
    (
        kind,
        [pick(), pick(), pick()],
        any::<u8>(),
        0u8..26,
        any::<u8>(),
        prop::bool::weighted(0.06),
        prop::bool::weighted(0.05),
    )
        .prop_map(
            |(kind, picks, variant, prefix, place, is_excluded, is_output)| Seed {
                kind,
                picks,
                variant,
                prefix,
                place,
                is_excluded,
                is_output,
            },
        )
}

/// Graphs of up to `size` ops in which no op has constant inputs only.
pub(crate) fn random_graph(size: usize) -> impl Strategy<Value = RandomGraph> {
    graph_of(seed(Kind::Constant), size)
}

/// Graphs of up to `size` ops, some of which can be folded.
pub(crate) fn foldable_graph(size: usize) -> impl Strategy<Value = RandomGraph> {
    graph_of(seed(Kind::ConstantArithmetic), size)
}

fn graph_of(seed: impl Strategy<Value = Seed>, size: usize) -> impl Strategy<Value = RandomGraph> {
    let denied = prop::collection::btree_set(
        prop::sample::select(vec!["Mul", "AddN", "Split", "ConcatV2", "Identity", "Relu"]),
        0..2,
    );
    (
        prop::collection::vec(seed, 1..=size),
        1usize..=5,
        prop::bool::ANY,
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.3),
        prop_oneof![3 => Just(BTreeSet::new()), 1 => denied],
    )
        .prop_map(
            |(seeds, min_segment_size, batch, shuffled, chosen, denied)| {
                let mut growing = Growing::new((!batch).then_some(2));
                for seed in &seeds {
                    growing.grow(seed);
                }
                growing.finish(min_segment_size, shuffled, chosen, &denied)
            },
        )
}

/// A tensor that depends on a placeholder.
#[derive(Clone)]
struct Wire {
    name: String,
    dims: Vec<Option<usize>>,
}

struct Growing {
    batch: Option<usize>,
    nodes: Vec<(u8, SourceNode)>,
    tensors: Vec<Wire>,
    /// Scalar `f32` constants.
    scalars: Vec<String>,
    /// Constants 1 of `i32`, for axes.
    axes: Vec<String>,
    excluded: BTreeSet<String>,
    outputs: Vec<OutputRequest>,
}

impl Growing {
    fn new(batch: Option<usize>) -> Self {
        let mut growing = Self {
            batch,
            nodes: Vec::new(),
            tensors: Vec::new(),
            scalars: Vec::new(),
            axes: Vec::new(),
            excluded: BTreeSet::new(),
            outputs: Vec::new(),
        };
        growing.placeholder("feed".into(), 0);
        growing
    }

    fn placeholder(&mut self, name: String, place: u8) {
        let dims = vec![self.batch, Some(4)];
        self.nodes.push((place, source::placeholder(&name, &dims)));
        self.tensors.push(Wire { name, dims });
    }

    fn add(&mut self, seed: &Seed, op: &str, inputs: &[&str], attrs: &[(&str, i64)]) -> String {
        let name = self.name(seed);
        let mut node = source::node(&name, op, inputs);
        for &(attr, value) in attrs {
            node.attrs.insert(attr, AttrValue::Int(value));
        }
        self.nodes.push((seed.place, node));
        if seed.is_excluded {
            self.excluded.insert(name.clone());
        }
        if seed.is_output {
            self.outputs.push(OutputRequest {
                node: name.clone(),
                port: 0,
            });
        }
        name
    }

    fn name(&self, seed: &Seed) -> String {
        format!("{}{}", char::from(b'a' + seed.prefix), self.nodes.len())
    }

    fn tensor(&self, pick: u8, fits: impl Fn(&Wire) -> bool) -> Option<Wire> {
        let fitting: Vec<&Wire> = self
            .tensors
            .iter()
            .rev()
            .filter(|wire| fits(wire))
            .collect();
        (!fitting.is_empty()).then(|| fitting[usize::from(pick) % fitting.len()].clone())
    }

    fn any_tensor(&self, pick: u8) -> Wire {
        self.tensor(pick, |_| true).expect("there is a placeholder")
    }

    fn like(&self, pick: u8, wire: &Wire) -> Wire {
        self.tensor(pick, |other| other.dims == wire.dims)
            .expect("the wire is like itself")
    }

    fn push(&mut self, name: String, dims: Vec<Option<usize>>) {
        self.tensors.push(Wire { name, dims });
    }

    /// One of the constants, or a new one.
    fn scalar(&mut self, seed: &Seed) -> String {
        let choice = usize::from(seed.picks[2]) % (self.scalars.len() + 1);
        if let Some(name) = self.scalars.iter().rev().nth(choice) {
            return name.clone();
        }
        let name = format!("{}_c", self.name(seed));
        self.nodes
            .push((seed.place, source::constant(&name, &[], &[0.5f32])));
        self.scalars.push(name.clone());
        name
    }

    fn axis(&mut self, seed: &Seed) -> String {
        let choice = usize::from(seed.picks[2]) % (self.axes.len() + 1);
        if let Some(name) = self.axes.iter().rev().nth(choice) {
            return name.clone();
        }
        let name = format!("{}_axis", self.name(seed));
        self.nodes
            .push((seed.place, source::constant(&name, &[], &[1i32])));
        self.axes.push(name.clone());
        name
    }

    fn grow(&mut self, seed: &Seed) {
        let one_of = |ops: &[&'static str]| ops[usize::from(seed.variant) % ops.len()];
        let first = self.any_tensor(seed.picks[0]);
        match seed.kind {
            Kind::Unary | Kind::UnaryOutside | Kind::Identity => {
                let op = match seed.kind {
                    Kind::Unary => one_of(&["Relu", "Sigmoid", "Neg"]),
                    Kind::UnaryOutside => "Erfc",
                    _ => one_of(&["Identity", "Identity", "StopGradient", "Snapshot"]),
                };
                let name = self.add(seed, op, &[&first.name], &[]);
                self.push(name, first.dims);
            }
            Kind::Binary | Kind::BinaryOutside => {
                let op = match seed.kind {
                    Kind::Binary => one_of(&["Add", "Mul", "Maximum"]),
                    _ => "Atan2",
                };
                let second = self.like(seed.picks[1], &first);
                let name = self.add(seed, op, &[&first.name, &second.name], &[]);
                self.push(name, first.dims);
            }
            Kind::WithConstant | Kind::ConstantOutside => {
                let op = match seed.kind {
                    Kind::WithConstant => one_of(&["Add", "Mul", "Sub"]),
                    _ => "Atan2",
                };
                let constant = self.scalar(seed);
                let inputs = match seed.picks[1] % 2 {
                    0 => [first.name.as_str(), &constant],
                    _ => [constant.as_str(), &first.name],
                };
                let name = self.add(seed, op, &inputs, &[]);
                self.push(name, first.dims);
            }
            Kind::Constant => {
                if self.scalars.len() < 4 {
                    let name = format!("{}_c", self.name(seed));
                    self.nodes
                        .push((seed.place, source::constant(&name, &[], &[0.25f32])));
                    self.scalars.push(name);
                }
            }
            Kind::IdentityOfConstant => {
                let seed = Seed {
                    is_output: false,
                    ..seed.clone()
                };
                if seed.variant.is_multiple_of(3) {
                    let axis = self.axis(&seed);
                    let name = self.add(&seed, "Identity", &[&axis], &[]);
                    self.axes.push(name);
                } else {
                    let constant = self.scalar(&seed);
                    let name = self.add(&seed, "Identity", &[&constant], &[]);
                    self.scalars.push(name);
                }
            }
            Kind::ConstantArithmetic => {
                let (first, second) = (self.scalar(seed), self.scalar(seed));
                let name = self.add(seed, "Mul", &[&first, &second], &[]);
                self.scalars.push(name);
            }
            Kind::AddN => {
                let second = self.like(seed.picks[1], &first);
                let third = self.like(seed.picks[2], &first);
                let inputs = [first.name.as_str(), &second.name, &third.name];
                let count = 2 + usize::from(seed.variant % 2);
                let attrs = [("N", if count == 2 { 2 } else { 3 })];
                let name = self.add(seed, "AddN", &inputs[..count], &attrs);
                self.push(name, first.dims);
            }
            Kind::Concat => {
                let Some(first) = self.tensor(seed.picks[0], |wire| wire.dims.len() == 2) else {
                    return;
                };
                let second = self.tensor(seed.picks[1], |wire| wire.dims.len() == 2);
                let second = second.unwrap_or_else(|| first.clone());
                let width: usize = [&first, &second]
                    .iter()
                    .filter_map(|wire| wire.dims[1])
                    .sum();
                if width > 16 {
                    return;
                }
                let axis = self.axis(seed);
                let inputs = [first.name.as_str(), &second.name, &axis];
                let name = self.add(seed, "ConcatV2", &inputs, &[("N", 2)]);
                self.push(name, vec![self.batch, Some(width)]);
            }
            Kind::Split | Kind::Unpack => {
                let even = |wire: &Wire| matches!(wire.dims[..], [_, Some(w)] if w % 2 == 0);
                let pair = |wire: &Wire| matches!(wire.dims[..], [_, Some(2 | 4)]);
                let is_split = matches!(seed.kind, Kind::Split);
                let fits = |wire: &Wire| if is_split { even(wire) } else { pair(wire) };
                let Some(Wire { name: input, dims }) = self.tensor(seed.picks[0], fits) else {
                    return;
                };
                let width = dims[1].unwrap_or(2);
                let (name, count, part) = if is_split {
                    let axis = self.axis(seed);
                    let name = self.add(seed, "Split", &[&axis, &input], &[("num_split", 2)]);
                    (name, 2, vec![self.batch, Some(width / 2)])
                } else {
                    let num = if width == 2 { 2 } else { 4 };
                    let attrs = [("num", num), ("axis", 1)];
                    (
                        self.add(seed, "Unpack", &[&input], &attrs),
                        width,
                        vec![self.batch],
                    )
                };
                for slot in 0..count {
                    let wire = if slot == 0 {
                        name.clone()
                    } else {
                        format!("{name}:{slot}")
                    };
                    self.push(wire, part.clone());
                }
            }
            Kind::Placeholder => self.placeholder(self.name(seed), seed.place),
        }
    }

    fn finish(
        mut self,
        min_segment_size: usize,
        shuffled: bool,
        chosen: bool,
        denied: &BTreeSet<&str>,
    ) -> RandomGraph {
        if self
            .nodes
            .iter()
            .all(|(_, node)| matches!(node.op.as_str(), "Placeholder" | "Const"))
        {
            self.nodes.push((0, source::node("z", "Relu", &["feed"])));
        }
        if shuffled {
            self.nodes.sort_by_key(|(place, _)| *place);
        }
        RandomGraph {
            nodes: self.nodes.into_iter().map(|(_, node)| node).collect(),
            outputs: if chosen { self.outputs } else { Vec::new() },
            options: PartitionOptions {
                min_segment_size,
                exclude_nodes: self.excluded,
                deny_ops: denied.iter().map(|&op| op.into()).collect(),
                ..PartitionOptions::default()
            },
        }
    }
}
