//! The small idioms of which the pattern is made: sizes, index vectors, columns, constants.

use tfjet_core::{AttrValue, DType, Dim, Tensor};

use crate::graph::{Node, TypedGraph, WireId};

/// A number of rows, as far as two can be told to be the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Size {
    /// A number.
    Known(i64),
    /// The first dim of a wire.
    Rows(WireId),
    /// A symbolic dim.
    Symbol(String),
    /// The smaller of two.
    Least(Box<Size>, Box<Size>),
    /// The first without the second.
    Less(Box<Size>, Box<Size>),
    /// An element of a wire of one.
    Other(WireId),
}

impl Size {
    /// `a` in `min(a, b)` with `a` a number; for a number, itself alone.
    pub(super) fn limit(&self) -> Option<(i64, Option<&Self>)> {
        match self {
            Self::Known(limit) => Some((*limit, None)),
            Self::Least(a, b) => match (&**a, &**b) {
                (Self::Known(limit), other) | (other, Self::Known(limit)) => {
                    Some((*limit, Some(other)))
                }
                _ => None,
            },
            _ => None,
        }
    }
}

/// A float that does not depend on the box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    /// A constant's bits.
    Known(u32),
    /// An element of a vector.
    Element(WireId, i64),
    /// Of a wire with one element.
    Wire(WireId),
}

/// Reads a typed graph.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a>(pub(super) &'a TypedGraph);

impl<'a> View<'a> {
    /// The node that computes a wire at run time, where its op is one of `ops`.
    pub(super) fn op(self, wire: WireId, ops: &[&str]) -> Option<&'a Node> {
        let node = self.0.graph.node(wire.node);
        let given = self.0.graph.is_input(wire) || self.0.fact(wire).value.is_some();
        (!given && ops.contains(&node.op.as_str())).then_some(node)
    }

    /// As [`Self::op`], with the node's inputs, where they are so many.
    pub(super) fn inputs<const N: usize>(self, wire: WireId, ops: &[&str]) -> Option<[WireId; N]> {
        self.op(wire, ops)?.inputs.as_slice().try_into().ok()
    }

    pub(super) fn constant(self, wire: WireId) -> Option<&'a Tensor> {
        self.0.fact(wire).value.as_deref()
    }

    pub(super) fn rank(self, wire: WireId) -> Option<usize> {
        self.0.fact(wire).rank()
    }

    pub(super) fn dtype(self, wire: WireId) -> Option<DType> {
        self.0.fact(wire).dtype
    }

    /// Dim `axis` of a wire, where it is a number.
    pub(super) fn dim(self, wire: WireId, axis: usize) -> Option<usize> {
        let dims = self.0.fact(wire).shape.as_ref()?.dims();
        dims.get(axis)?.fixed()
    }

    /// The element of a float constant of one.
    pub(super) fn float(self, wire: WireId) -> Option<f32> {
        match self.constant(wire)?.as_slice::<f32>() {
            Ok(&[value]) => Some(value),
            _ => None,
        }
    }

    /// The elements of an integer tensor that is known.
    pub(super) fn ints(self, wire: WireId) -> Option<Vec<i64>> {
        if let Some(tensor) = self.constant(wire) {
            return match tensor.dtype() {
                DType::I32 => {
                    let values = tensor.as_slice::<i32>().ok()?;
                    Some(values.iter().map(|&value| value.into()).collect())
                }
                DType::I64 => Some(tensor.as_slice::<i64>().ok()?.to_vec()),
                _ => None,
            };
        }
        self.0.fact(wire).known_elements()
    }

    pub(super) fn int(self, wire: WireId) -> Option<i64> {
        match self.ints(wire)?.as_slice() {
            &[value] => Some(value),
            _ => None,
        }
    }

    /// Does a float constant consist of nothing but `value`?
    fn is_all(self, wire: WireId, value: f32) -> bool {
        self.constant(wire)
            .is_some_and(|tensor| match tensor.dtype() {
                DType::F32 => tensor
                    .as_slice::<f32>()
                    .is_ok_and(|values| values.iter().all(|&other| other == value)),
                DType::I32 => tensor
                    .as_slice::<i32>()
                    .is_ok_and(|values| values.iter().all(|&other| other as f32 == value)),
                _ => false,
            })
    }

    /// The first dim of a wire.
    pub(super) fn rows(self, wire: WireId) -> Size {
        match self.0.fact(wire).shape.as_ref().map(|shape| shape.dims()) {
            Some([Dim::Fixed(rows), ..]) => Size::Known(i64::try_from(*rows).unwrap_or(i64::MAX)),
            Some([Dim::Symbolic(name), ..]) => Size::Symbol(name.clone()),
            _ => Size::Rows(wire),
        }
    }

    /// What an integer of one element says.
    pub(super) fn size(self, wire: WireId) -> Size {
        self.follow_size(wire, 0)
    }

    fn follow_size(self, wire: WireId, depth: usize) -> Size {
        if let Some(known) = self.int(wire) {
            return Size::Known(known);
        }
        let node = self.0.graph.node(wire.node);
        let follow = |input: usize| self.follow_size(node.inputs[input], depth + 1);
        if depth > 16 || self.0.graph.is_input(wire) {
            return Size::Other(wire);
        }
        let found = match (node.op.as_str(), node.inputs.len()) {
            ("StridedSlice", 4) => match self.counted(wire) {
                Some((of, 0)) => Some(self.rows(of)),
                _ => None,
            },
            ("Size", 1) if self.rank(node.inputs[0]) == Some(1) => Some(self.rows(node.inputs[0])),
            ("Minimum", 2) => Some(Size::Least(Box::new(follow(0)), Box::new(follow(1)))),
            ("Sub", 2) => Some(Size::Less(Box::new(follow(0)), Box::new(follow(1)))),
            ("Reshape" | "ExpandDims", 2) | ("Pack" | "Squeeze", 1) => Some(follow(0)),
            _ => None,
        };
        found.unwrap_or(Size::Other(wire))
    }

    /// Wire and axis in `shape(wire)[axis]`.
    pub(super) fn counted(self, wire: WireId) -> Option<(WireId, usize)> {
        let (vector, axis) = self.element(wire)?;
        let [of] = self.inputs(vector, &["Shape"])?;
        Some((of, usize::try_from(axis).ok()?))
    }

    /// Vector and index in `vector[index]`.
    fn element(self, wire: WireId) -> Option<(WireId, i64)> {
        if let Some(node) = self.op(wire, &["Unpack"]) {
            let axis = node.attrs.get("axis").and_then(as_int).unwrap_or(0);
            let vector = *node.inputs.first()?;
            return (axis == 0 && self.rank(vector) == Some(1))
                .then_some((vector, wire.slot.into()));
        }
        let node = self.op(wire, &["StridedSlice"])?;
        let [vector, begin, _, stride] = node.inputs.as_slice().try_into().ok()?;
        let mask = |name: &str| node.attrs.get(name).and_then(as_int).unwrap_or(0);
        let masks = ["begin_mask", "ellipsis_mask", "new_axis_mask"];
        let plain = masks.iter().all(|name| mask(name) == 0) && mask("shrink_axis_mask") == 1;
        let index = self.int(begin)?;
        (plain && index >= 0 && self.int(stride)? == 1 && self.rank(wire) == Some(0))
            .then_some((vector, index))
    }

    pub(super) fn scalar(self, wire: WireId) -> Scalar {
        if let Some(value) = self.float(wire) {
            return Scalar::Known(value.to_bits());
        }
        match self.element(wire) {
            Some((vector, index)) => Scalar::Element(vector, index),
            None => Scalar::Wire(wire),
        }
    }

    /// Params and indices of a gather of rows.
    pub(super) fn gather(self, wire: WireId) -> Option<(WireId, WireId)> {
        if let Some([params, indices]) = self.inputs(wire, &["Gather"]) {
            return Some((params, indices));
        }
        let node = self.op(wire, &["GatherV2"])?;
        let [params, indices, axis] = node.inputs.as_slice().try_into().ok()?;
        let batched = node.attrs.get("batch_dims").and_then(as_int).unwrap_or(0) != 0;
        (!batched && self.int(axis)? == 0).then_some((params, indices))
    }

    /// The parts of a concatenation along `axis`.
    pub(super) fn concat(self, wire: WireId, axis: usize) -> Option<&'a [WireId]> {
        let node = self.op(wire, &["ConcatV2", "Concat"])?;
        let (along, parts) = match node.op.as_str() {
            "Concat" => node.inputs.split_first()?,
            _ => node.inputs.split_last()?,
        };
        let along = self.int(*along)?;
        let rank = i64::try_from(self.rank(wire)?).ok()?;
        let along = if along < 0 { along + rank } else { along };
        (usize::try_from(along) == Ok(axis)).then_some(parts)
    }

    /// The limit of `range(limit)`.
    pub(super) fn range(self, wire: WireId) -> Option<Size> {
        if let Some(values) = self.constant(wire) {
            let values = values.as_slice::<i32>().ok()?;
            let counts = (0..).zip(values).all(|(i, &value): (i32, _)| i == value);
            return counts.then(|| Size::Known(i64::try_from(values.len()).unwrap_or(i64::MAX)));
        }
        let [start, limit, delta] = self.inputs(wire, &["Range"])?;
        (self.int(start)? == 0 && self.int(delta)? == 1).then(|| self.size(limit))
    }

    /// The length of a vector of nothing but `value`.
    pub(super) fn filled(self, wire: WireId, value: f32) -> Option<Size> {
        if self.constant(wire).is_some() {
            return (self.is_all(wire, value) && self.rank(wire) == Some(1))
                .then(|| self.rows(wire));
        }
        if let Some([dims, of]) = self.inputs(wire, &["Fill"]) {
            return self.is_all(of, value).then(|| self.size(dims));
        }
        let [a, b] = self.inputs(wire, &["Mul"])?;
        let (factor, ones) = if self.float(a).is_some() {
            (a, b)
        } else {
            (b, a)
        };
        (self.float(factor) == Some(value) && value != 1.0)
            .then(|| self.filled(ones, 1.0))
            .flatten()
    }

    /// The source and the column where a vector is `source[:, column]`.
    pub(super) fn column(self, wire: WireId) -> Option<(WireId, usize)> {
        if let Some(found) = self.unpacked(wire, 2) {
            return Some(found);
        }
        let [sliced, _] = self
            .inputs::<2>(wire, &["Reshape"])
            .or_else(|| Some([self.inputs::<1>(wire, &["Squeeze"])?[0], wire]))?;
        let [source, begin, size] = self.inputs(sliced, &["Slice"])?;
        let &[0, column] = self.ints(begin)?.as_slice() else {
            return None;
        };
        let whole = match self.pack(size)?.as_slice() {
            [Size::Known(-1), Size::Known(1)] => true,
            [rows, Size::Known(1)] => *rows == self.rows(source),
            _ => false,
        };
        let plain = self.rank(source) == Some(2) && self.rank(wire) == Some(1);
        (whole && plain).then_some((source, usize::try_from(column).ok()?))
    }

    /// The source and the index where a wire is `source[:, index]`, the source of rank `rank`.
    pub(super) fn unpacked(self, wire: WireId, rank: usize) -> Option<(WireId, usize)> {
        let node = self.op(wire, &["Unpack"])?;
        let &[source] = node.inputs.as_slice() else {
            return None;
        };
        let axis = node.attrs.get("axis").and_then(as_int).unwrap_or(0);
        let from_end = i64::try_from(rank).ok()?;
        let along = if axis < 0 { axis + from_end } else { axis };
        (along == 1 && self.rank(source) == Some(rank))
            .then_some((source, usize::try_from(wire.slot).ok()?))
    }

    /// The elements of an integer vector.
    pub(super) fn pack(self, wire: WireId) -> Option<Vec<Size>> {
        if let Some(known) = self.ints(wire) {
            return Some(known.into_iter().map(Size::Known).collect());
        }
        let node = self.op(wire, &["Pack"])?;
        let axis = node.attrs.get("axis").and_then(as_int).unwrap_or(0);
        (axis == 0 && self.rank(wire) == Some(1))
            .then(|| node.inputs.iter().map(|&input| self.size(input)).collect())
    }

    /// Condition and values of a choice.
    pub(super) fn select(self, wire: WireId) -> Option<[WireId; 3]> {
        self.inputs(wire, &["Select", "SelectV2"])
    }
}

/// The number of an integer attribute.
pub(super) fn as_int(value: &AttrValue) -> Option<i64> {
    match value {
        AttrValue::Int(value) => Some(*value),
        _ => None,
    }
}
