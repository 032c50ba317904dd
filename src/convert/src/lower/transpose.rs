//! `Transpose` by a constant order, `Reverse`, `ReverseV2` and `DataFormatVecPermute`.

use std::sync::Arc;

use tfjet_core::{DType, GatherMode, Layer, Tensor};

use super::op::{ANY, Op};
use super::slice::{Piece, cut};
use super::{Layout, Refusal, refuse};
use crate::graph::Formula;
use crate::graph::infer::{Span, normalize_axis};

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

pub(super) fn reverse(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let dtype = op.dtype(0, ANY)?;
    op.attrs.ignore(&["Tidx"]);
    let shape = op.shape(0)?;
    let mut reversed = vec![false; shape.rank()];
    if op.node.op == "Reverse" {
        let dims = op.require_constant(1, "dims")?;
        if dims.dtype() != DType::Bool || dims.elements() != shape.rank() {
            return refuse("dims needs one boolean per axis");
        }
        for (flag, &byte) in reversed.iter_mut().zip(dims.bytes()) {
            *flag = byte != 0;
        }
    } else {
        for axis in op.integers(1, "axis")? {
            reversed[normalize_axis(axis, shape.rank())?] = true;
        }
    }
    let layout = op.layout(0)?;
    let sizes = op.formulas(&shape);
    let mut pieces = Vec::with_capacity(shape.rank());
    for (size, reversed) in sizes.into_iter().zip(reversed) {
        let single = size.known() == Some(1);
        pieces.push(match size.sub(&Formula::from(1)) {
            Some(first) if reversed && !single => Some(Piece {
                span: Span { first, count: size },
                stride: -1,
            }),
            _ => None,
        });
    }
    let input = op.tensor(0, layout)?;
    let output = cut(op, input, (dtype, &shape), &pieces, layout)?;
    op.output(0, output, layout);
    Ok(())
}

/// Takes the rows of `x` from one layout's order into another's.
pub(super) fn data_format_vec_permute(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let dtype = op.dtype(0, &[DType::I32, DType::I64])?;
    let (_, shape) = op.output_type(0)?;
    let from = op.attrs.str_or("src_format", "NHWC")?.as_bytes();
    let to = op.attrs.str_or("dst_format", "NCHW")?.as_bytes();
    let rows = shape.dims().first().and_then(tfjet_core::Dim::fixed);
    let Some(rows) = rows.filter(|&rows| rows <= from.len()) else {
        return refuse(format!("{shape} has no row for each axis"));
    };
    // Two rows stand for the spatial axes alone.
    let spatial = |letter: &&u8| rows == from.len() || !matches!(letter, b'N' | b'C');
    let from: Vec<&u8> = from.iter().filter(spatial).collect();
    let to: Vec<&u8> = to.iter().filter(spatial).collect();
    let picks: Option<Vec<i32>> = to
        .iter()
        .map(|letter| {
            let place = from.iter().position(|other| other == letter)?;
            i32::try_from(place).ok()
        })
        .collect();
    let Some(picks) = picks.filter(|picks| picks.len() == rows) else {
        return refuse("src_format and dst_format have different axes");
    };
    let data = op.tensor(0, Layout::Native)?;
    let picks = op.constant_layer("order", DType::I32, &[rows], || {
        Ok(Arc::new(Tensor::from_slice(&[rows], &picks)?))
    })?;
    let mode = GatherMode::Default {
        axis: 0,
        batch_dims: 0,
    };
    let output = op.emit(
        Layer::Gather { mode },
        &[data, picks],
        dtype,
        &shape,
        Layout::Native,
    );
    op.output(0, output, Layout::Native);
    Ok(())
}
