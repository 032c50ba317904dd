//! `Transpose` by a constant order.

use super::op::{ANY, Op};
use super::{Layout, Refusal, refuse};
use crate::graph::infer::normalize_axis;

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(0, ANY)?;
    let shape = op.shape(0)?;
    let rank = shape.rank();
    let mut order = Vec::with_capacity(rank);
    for axis in op.integers(1, "perm")? {
        order.push(normalize_axis(axis, rank)?);
    }
    if order.len() != rank {
        return refuse("perm needs one value per axis");
    }
    let layout = op.layout(0)?;
    let input = op.tensor(0, layout)?;
    let from_layout: Vec<usize> = order.iter().map(|&axis| layout.axis(axis, rank)).collect();
    let name = op.node.name.clone();
    let output = op.builder.transpose(&name, input, &from_layout)?;
    op.output(0, output, Layout::Native);
    // A transpose to NCHW and back is undone here rather than by two layers.
    if order == super::layout::inverse(&Layout::ChannelsFirst.order(rank)) && rank > 2 {
        let native = op.tensor(0, Layout::Native)?;
        op.output(0, native, Layout::ChannelsFirst);
    }
    Ok(())
}
