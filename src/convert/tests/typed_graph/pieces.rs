//! Ops that reshape, join and cut tensors.

use tfjet_convert::tensorflow::SourceNode;
use tfjet_core::{AttrValue, Dim};

use super::{Draft, Wire, with};

pub(super) fn reshape(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|_| true)?;
    let dims = input.shape?;
    let inner: usize = dims.dims().iter().skip(1).filter_map(Dim::fixed).product();
    let inner = i32::try_from(inner).ok()?;
    let shape = match draft.below(4) {
        0 => vec![-1, inner],
        1 => vec![-1],
        2 if inner % 2 == 0 => vec![-1, 2, inner / 2],
        _ => vec![-1, 1, 1, inner],
    };
    let shape = draft.vector(&shape);
    Some(draft.op("Reshape", &[&input.name, &shape]))
}

pub(super) fn transpose(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|wire| wire.rank() >= 2)?;
    let rank = i32::try_from(input.rank()).ok()?;
    let turn = i32::try_from(draft.below(input.rank())).ok()?;
    let mut order: Vec<i32> = (0..rank).map(|axis| (axis + turn) % rank).collect();
    if draft.below(2) == 1 {
        order.swap(0, 1);
    }
    let order = draft.vector(&order);
    Some(draft.op("Transpose", &[&input.name, &order]))
}

pub(super) fn axes(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|_| true)?;
    if draft.below(2) == 0 {
        let axis = draft.axis(input.rank() + 1);
        let axis = draft.ints(&[], &[axis]);
        return Some(draft.op("ExpandDims", &[&input.name, &axis]));
    }
    let ones: Vec<i64> = (0..input.rank())
        .filter(|&axis| input.size(axis) == Some(1))
        .filter_map(|axis| i64::try_from(axis).ok())
        .collect();
    let node = draft.op("Squeeze", &[&input.name]);
    Some(match draft.below(3) {
        0 => node,
        _ => with(node, "squeeze_dims", AttrValue::Ints(ones)),
    })
}

pub(super) fn join(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let first = draft.wire(|wire| wire.rank() > 0)?;
    let fits = |wire: &Wire| wire.dtype == first.dtype && wire.rank() == first.rank();
    let second = draft.wire(fits)?;
    if draft.below(3) == 0 && first.shape == second.shape {
        let axis = draft.axis(first.rank() + 1);
        let node = draft.op("Pack", &[&first.name, &second.name]);
        let node = with(node, "axis", AttrValue::Int(axis.into()));
        return Some(with(node, "N", AttrValue::Int(2)));
    }
    let axis = draft.axis(first.rank());
    let axis = draft.ints(&[], &[axis]);
    let node = match draft.below(4) {
        0 => draft.op("Concat", &[&axis, &first.name, &second.name]),
        _ => draft.op("ConcatV2", &[&first.name, &second.name, &axis]),
    };
    Some(with(node, "N", AttrValue::Int(2)))
}

pub(super) fn take_apart(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|wire| wire.rank() > 0)?;
    let axis = draft.axis(input.rank());
    let place = usize::try_from(axis.rem_euclid(i32::try_from(input.rank()).ok()?)).ok()?;
    let size = i64::try_from(input.size(place)?).ok()?;
    match draft.below(3) {
        0 if size <= 8 => {
            let node = draft.op("Unpack", &[&input.name]);
            let node = with(node, "num", AttrValue::Int(size));
            Some(with(node, "axis", AttrValue::Int(axis.into())))
        }
        1 if size >= 2 => {
            let sizes = draft.vector(&[1, i32::try_from(size).ok()? - 1]);
            let axis = draft.ints(&[], &[axis]);
            let node = draft.op("SplitV", &[&input.name, &sizes, &axis]);
            Some(with(node, "num_split", AttrValue::Int(2)))
        }
        _ => {
            let axis = draft.ints(&[], &[axis]);
            let node = draft.op("Split", &[&axis, &input.name]);
            Some(with(
                node,
                "num_split",
                AttrValue::Int(if size % 2 == 0 { 2 } else { 1 }),
            ))
        }
    }
}

pub(super) fn slice(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|wire| wire.rank() > 0)?;
    let mut begin = vec![0; input.rank()];
    let mut size = vec![-1; input.rank()];
    for axis in 0..input.rank() {
        if let Some(limit) = input.size(axis)
            && draft.below(2) == 1
        {
            begin[axis] = i32::try_from(draft.below(limit)).ok()?;
            size[axis] = 1;
        }
    }
    let (begin, size) = (draft.vector(&begin), draft.vector(&size));
    Some(draft.op("Slice", &[&input.name, &begin, &size]))
}

pub(super) fn strided_slice(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|wire| wire.rank() > 0)?;
    let specs = 1 + draft.below(input.rank());
    let begin: Vec<i32> = (0..specs).map(|_| [0, 1, -2][draft.below(3)]).collect();
    let end: Vec<i32> = (0..specs).map(|_| [2, 3, -1][draft.below(3)]).collect();
    let step = draft.one_of(&[1, 1, 1, 2, -1]);
    let begin = draft.vector(&begin);
    let end = draft.vector(&end);
    let strides = draft.vector(&vec![step; specs]);
    let mut node = draft.op("StridedSlice", &[&input.name, &begin, &end, &strides]);
    for mask in [
        "begin_mask",
        "end_mask",
        "shrink_axis_mask",
        "new_axis_mask",
        "ellipsis_mask",
    ] {
        let bits = match mask {
            "new_axis_mask" | "ellipsis_mask" if draft.below(4) != 0 => 0,
            _ => draft.below(4),
        };
        node = with(node, mask, AttrValue::Int(i64::try_from(bits).ok()?));
    }
    Some(node)
}

pub(super) fn gather(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|wire| wire.rank() > 0)?;
    let indices = draft.vector(&[1, 0]);
    match draft.below(4) {
        0 => Some(draft.op("Gather", &[&input.name, &indices])),
        1 => {
            let points = draft.ints(&[2, 1], &[0, 1]);
            Some(draft.op("GatherNd", &[&input.name, &points]))
        }
        _ => {
            let axis = draft.axis(input.rank());
            let axis = draft.ints(&[], &[axis]);
            Some(draft.op("GatherV2", &[&input.name, &indices, &axis]))
        }
    }
}

pub(super) fn tile(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|wire| wire.rank() > 0)?;
    let mut counts = vec![1; input.rank()];
    let axis = draft.below(input.rank());
    counts[axis] = 2;
    let multiples = draft.vector(&counts);
    Some(draft.op("Tile", &[&input.name, &multiples]))
}
