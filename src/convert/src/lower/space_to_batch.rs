//! `SpaceToBatchND`, `BatchToSpaceND` and their first versions as shuffles, and where they stand
//! around a convolution that a dilation does the same for.

use std::collections::{BTreeMap, BTreeSet};

use tfjet_core::{AttrReader, Dim, SampleMode, Shape};

use super::op::{ANY, NUMBERS, Op};
use super::pad::padded;
use super::slice::{Piece, cut};
use super::{Layout, Refusal, refuse};
use crate::graph::infer::{Span, padding_pairs};
use crate::graph::{Formula, Node, NodeId, SymbolicInt, TypedGraph, WireId};

/// Blocks, and the elements that are added or removed before and after each of their axes.
struct Blocks {
    sizes: Vec<usize>,
    before: Vec<Formula>,
    after: Vec<Formula>,
}

impl Blocks {
    /// Of the node's attribute or input, where every number is known or follows from sizes.
    fn of(typed: &TypedGraph, node: &Node) -> Option<Self> {
        let elements = |index: usize| typed.elements(*node.inputs.get(index)?);
        let (sizes, edges) = if node.op.ends_with("ND") {
            let sizes = elements(1)?.iter().map(|size| match size {
                SymbolicInt::Known(size) => usize::try_from(*size).ok(),
                _ => None,
            });
            (sizes.collect::<Option<Vec<usize>>>()?, elements(2)?)
        } else {
            let size = AttrReader::new(&node.attrs).int("block_size").ok()?;
            (vec![usize::try_from(size).ok()?; 2], elements(1)?)
        };
        let pairs = padding_pairs(edges)?;
        let side = |side: usize| -> Option<Vec<Formula>> {
            pairs.iter().map(|pair| pair[side].formula()).collect()
        };
        let blocks = Self {
            sizes,
            before: side(0)?,
            after: side(1)?,
        };
        let fits = pairs.len() == blocks.sizes.len() && !blocks.sizes.contains(&0);
        fits.then_some(blocks)
    }
}

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.attrs
        .ignore(&["Tblock_shape", "Tpaddings", "Tcrops", "Tidx", "block_size"]);
    let Some(blocks) = Blocks::of(op.builder.typed, op.node) else {
        return refuse("blocks and paddings must be constants or follow from shapes");
    };
    let shape = op.shape(0)?;
    let spatial = blocks.sizes.len();
    if spatial + 1 > shape.rank() || shape.rank() + spatial > 8 {
        return refuse(format!("{spatial} blocks do not divide {shape}"));
    }
    if op.node.op.starts_with("SpaceToBatch") {
        op.dtype(0, NUMBERS)?;
        divide(op, &shape, &blocks)
    } else {
        op.dtype(0, ANY)?;
        join(op, &shape, &blocks)
    }
}

fn fixed(size: usize) -> Dim {
    Dim::Fixed(size)
}

/// Each block's elements become images of their own.
fn divide(op: &mut Op<'_, '_>, shape: &Shape, blocks: &Blocks) -> Result<(), Refusal> {
    let (dtype, output) = op.output_type(0)?;
    let spatial = blocks.sizes.len();
    let rank = shape.rank();
    let none = Formula::default;
    let around = |edge: &[Formula]| -> Vec<Formula> {
        let mut all = vec![none()];
        all.extend_from_slice(edge);
        all.resize(rank, none());
        all
    };
    let (before, after) = (around(&blocks.before), around(&blocks.after));
    let mut whole = shape.clone();
    let mut split = vec![shape.0[0].clone()];
    for (axis, &size) in blocks.sizes.iter().enumerate() {
        let rows = output.0[axis + 1].clone();
        whole.0[axis + 1] = op.product(&[rows.clone(), fixed(size)])?;
        split.extend([rows, fixed(size)]);
    }
    split.extend_from_slice(&shape.0[spatial + 1..]);
    let input = op.tensor(0, Layout::Native)?;
    let input = padded(
        op,
        input,
        (dtype, shape, &whole),
        [&before, &after],
        SampleMode::Fill(0.0),
        Layout::Native,
    )?;
    let mut order: Vec<usize> = (0..spatial).map(|axis| 2 * axis + 2).collect();
    order.push(0);
    order.extend((0..spatial).map(|axis| 2 * axis + 1));
    order.extend(2 * spatial + 1..split.len());
    let name = op.node.name.clone();
    let apart = op.builder.reshape(&name, input, &Shape(split))?;
    let apart = op.builder.transpose(&name, apart, &order)?;
    let result = op.builder.reshape(&name, apart, &output)?;
    op.output(0, result, Layout::Native);
    Ok(())
}

/// The other way round.
fn join(op: &mut Op<'_, '_>, shape: &Shape, blocks: &Blocks) -> Result<(), Refusal> {
    let (dtype, output) = op.output_type(0)?;
    let spatial = blocks.sizes.len();
    let batch = output.0[0].clone();
    let mut split: Vec<Dim> = blocks.sizes.iter().copied().map(fixed).collect();
    split.push(batch);
    split.extend_from_slice(&shape.0[1..]);
    let mut order = vec![spatial];
    for axis in 0..spatial {
        order.extend([spatial + 1 + axis, axis]);
    }
    order.extend(2 * spatial + 1..split.len());
    let mut whole = Shape(output.0[..1].to_vec());
    let mut pieces = vec![None];
    for (axis, &size) in blocks.sizes.iter().enumerate() {
        let dim = op.product(&[shape.0[axis + 1].clone(), fixed(size)])?;
        whole.0.push(dim);
        let count = op.formulas(&output)[axis + 1].clone();
        pieces.push(Some(Piece {
            span: Span {
                first: blocks.before[axis].clone(),
                count,
            },
            stride: 1,
        }));
    }
    whole.0.extend_from_slice(&shape.0[spatial + 1..]);
    pieces.resize(whole.rank(), None);
    let input = op.tensor(0, Layout::Native)?;
    let name = op.node.name.clone();
    let apart = op.builder.reshape(&name, input, &Shape(split))?;
    let apart = op.builder.transpose(&name, apart, &order)?;
    let joined = op.builder.reshape(&name, apart, &whole)?;
    let result = cut(op, joined, (dtype, &whole), &pieces, Layout::Native)?;
    op.output(0, result, Layout::Native);
    Ok(())
}

/// A convolution between `SpaceToBatchND` and `BatchToSpaceND`, which is one with gaps.
#[derive(Debug, Clone)]
pub(super) struct Dilated {
    /// What is taken apart.
    pub(super) from: WireId,
    /// What is joined.
    pub(super) to: WireId,
    pub(super) block: Vec<usize>,
    /// What is added before and not cut off again, per spatial axis.
    pub(super) pre_padding: Vec<usize>,
    pub(super) post_padding: Vec<usize>,
}

/// Convolutions of a segment that are lowered as dilated ones.
#[derive(Debug, Default)]
pub(super) struct DilatedConvolutions {
    pub(super) by_node: BTreeMap<NodeId, Dilated>,
    /// The nodes around them, of which nothing is left.
    pub(super) gone: BTreeSet<NodeId>,
}

impl DilatedConvolutions {
    /// Those among `nodes`.
    pub(super) fn of(typed: &TypedGraph, nodes: &[NodeId]) -> Self {
        let mut found = Self::default();
        let is_split = |id: &&NodeId| typed.graph.node(**id).op.starts_with("SpaceToBatch");
        if !nodes.iter().any(|id| is_split(&id)) {
            return found;
        }
        let mut readers: BTreeMap<WireId, Vec<NodeId>> = BTreeMap::new();
        for &id in &typed.order {
            for &wire in &typed.graph.node(id).inputs {
                readers.entry(wire).or_default().push(id);
            }
        }
        let sole_reader = |id: NodeId| -> Option<NodeId> {
            let wire = WireId::new(id, 0);
            if typed.graph.outputs.iter().any(|output| output.wire == wire) {
                return None;
            }
            match readers.get(&wire)?[..] {
                [reader] if nodes.contains(&reader) => Some(reader),
                _ => None,
            }
        };
        for &split in nodes.iter().filter(is_split) {
            let Some(convolution) = sole_reader(split) else {
                continue;
            };
            let Some(join) = sole_reader(convolution) else {
                continue;
            };
            if let Some(dilated) = dilated(typed, split, convolution, join) {
                found.by_node.insert(convolution, dilated);
                found.gone.extend([split, join]);
            }
        }
        found
    }
}

fn dilated(
    typed: &TypedGraph,
    split: NodeId,
    convolution: NodeId,
    join: NodeId,
) -> Option<Dilated> {
    let [before, middle, behind] = [split, convolution, join].map(|id| typed.graph.node(id));
    let convolves = matches!(
        middle.op.as_str(),
        "Conv2D" | "DepthwiseConv2dNative" | "_FusedConv2D" | "FusedDepthwiseConv2dNative"
    );
    let joins = behind.op.starts_with("BatchToSpace") && behind.inputs.first()?.node == convolution;
    if !convolves || !joins || middle.inputs.first() != Some(&WireId::new(split, 0)) {
        return None;
    }
    let attrs = AttrReader::new(&middle.attrs);
    let ones = |name: &str| {
        let values = attrs.ints(name);
        values.is_ok_and(|values| values.iter().all(|&value| value == 1))
    };
    let plain = attrs.str_or("data_format", "NHWC").ok()? == "NHWC"
        && attrs.str_or("padding", "").ok()? == "VALID";
    if !plain || !ones("strides") || !ones("dilations") {
        return None;
    }
    let (from, to) = (Blocks::of(typed, before)?, Blocks::of(typed, behind)?);
    if from.sizes != to.sizes || from.sizes.len() != 2 {
        return None;
    }
    let kept = |added: &[Formula], removed: &[Formula]| -> Option<Vec<usize>> {
        let pairs = added.iter().zip(removed);
        pairs
            .map(|(added, removed)| usize::try_from(added.sub(removed)?.known()?).ok())
            .collect()
    };
    Some(Dilated {
        from: *before.inputs.first()?,
        to: WireId::new(join, 0),
        pre_padding: kept(&from.before, &to.before)?,
        post_padding: kept(&from.after, &to.after)?,
        block: from.sizes,
    })
}
