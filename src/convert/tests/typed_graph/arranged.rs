//! Ops that rearrange elements, number them or sum them up along an axis.

use tfjet_convert::tensorflow::SourceNode;
use tfjet_core::{AttrValue, DType};

use super::{Draft, text, with};

pub(super) fn space_to_batch(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.image()?;
    let blocks = [1, 2].map(|_: usize| 1 + draft.below(3));
    if draft.below(2) == 0 {
        let mut edges = Vec::new();
        for (axis, block) in (1..).zip(blocks) {
            let before = draft.below(3);
            let whole = (input.size(axis)? + before).next_multiple_of(block);
            edges.extend([before, whole - input.size(axis)? - before]);
        }
        let edges: Vec<i32> = edges
            .iter()
            .filter_map(|&e| i32::try_from(e).ok())
            .collect();
        let edges = draft.ints(&[2, 2], &edges);
        let blocks = draft.vector(&blocks.map(|block| i32::try_from(block).unwrap_or(1)));
        return Some(draft.op("SpaceToBatchND", &[&input.name, &blocks, &edges]));
    }
    let crops: Vec<i32> = (0..4)
        .filter_map(|_| i32::try_from(draft.below(2)).ok())
        .collect();
    let crops = draft.ints(&[2, 2], &crops);
    let block = draft.one_of(&[1, 2]);
    let blocks = draft.vector(&[1, block]);
    Some(draft.op("BatchToSpaceND", &[&input.name, &blocks, &crops]))
}

pub(super) fn reverse(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|wire| wire.rank() > 0)?;
    if draft.below(3) == 0 {
        let flags: Vec<bool> = (0..input.rank()).map(|_| draft.below(2) == 0).collect();
        let flags = draft.bools(&flags);
        return Some(draft.op("Reverse", &[&input.name, &flags]));
    }
    let axis = draft.axis(input.rank());
    let axes = draft.vector(&[axis]);
    Some(draft.op("ReverseV2", &[&input.name, &axes]))
}

pub(super) fn cumulative(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|wire| wire.rank() > 0 && wire.dtype != Some(DType::Bool))?;
    let axis = draft.axis(input.rank());
    let axis = draft.ints(&[], &[axis]);
    let node = draft.op("Cumsum", &[&input.name, &axis]);
    let node = with(node, "exclusive", AttrValue::Bool(draft.below(2) == 0));
    Some(with(node, "reverse", AttrValue::Bool(draft.below(2) == 0)))
}

pub(super) fn one_hot(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let whole = |dtype| matches!(dtype, Some(DType::I32 | DType::I64));
    let input = draft.wire(|wire| whole(wire.dtype))?;
    let depth = draft.one_of(&[1, 3, 5]);
    let depth = draft.ints(&[], &[depth]);
    let (on, off) = (draft.floats(&[]), draft.floats(&[]));
    let axis = draft.axis(input.rank() + 1);
    let node = draft.op("OneHot", &[&input.name, &depth, &on, &off]);
    Some(with(node, "axis", AttrValue::Int(axis.into())))
}

pub(super) fn permute(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let rows = |wire: &super::Wire| wire.size(0) == Some(4) && wire.rank() <= 2;
    let input =
        draft.wire(|wire| matches!(wire.dtype, Some(DType::I32 | DType::I64)) && rows(wire))?;
    let node = draft.op("DataFormatVecPermute", &[&input.name]);
    let node = with(node, "src_format", text("NHWC"));
    Some(with(node, "dst_format", text("NCHW")))
}

pub(super) fn scatter(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|wire| wire.rank() > 0 && wire.dtype != Some(DType::Bool))?;
    let rows = i32::try_from(input.size(0)?).ok()?;
    let mut shape = vec![rows + 2];
    for axis in 1..input.rank() {
        shape.push(i32::try_from(input.size(axis)?).ok()?);
    }
    let shape = draft.vector(&shape);
    let places: Vec<i32> = (0..rows).map(|row| rows - row).collect();
    let places = draft.ints(&[input.size(0)?, 1], &places);
    Some(draft.op("ScatterNd", &[&places, &input.name, &shape]))
}
