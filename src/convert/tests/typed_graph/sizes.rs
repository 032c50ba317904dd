//! Ops that read shapes, and ops whose sizes follow from them.

use tfjet_convert::tensorflow::SourceNode;
use tfjet_core::{AttrValue, DType};

use super::{Draft, Wire, node, with};

impl Draft<'_> {
    /// A node that the op at hand needs.
    fn part(&mut self, op: &str, inputs: &[&str], attrs: &[(&str, AttrValue)]) -> String {
        let name = format!("{}/p{}", self.name, self.constants.len());
        let made = node(&name, op, inputs);
        let attrs = attrs.iter().cloned();
        self.constants
            .push(attrs.fold(made, |made, (key, value)| with(made, key, value)));
        name
    }

    /// The size of an axis, or a number that follows from it.
    fn size(&mut self, of: &Wire, axis: usize) -> String {
        let shape = self.part("Shape", &[&of.name], &[]);
        let axis = i32::try_from(axis).unwrap_or(0);
        let (begin, end) = (self.vector(&[axis]), self.vector(&[axis + 1]));
        let one = self.vector(&[1]);
        let shrink = ("shrink_axis_mask", AttrValue::Int(1));
        let size = self.part("StridedSlice", &[&shape, &begin, &end, &one], &[shrink]);
        let (op, number) = [
            ("Identity", 0),
            ("AddV2", 1),
            ("Mul", 2),
            ("Minimum", 3),
            ("Maximum", 2),
            ("FloorDiv", 1),
        ][self.below(6)];
        if op == "Identity" {
            return size;
        }
        let number = self.ints(&[], &[number]);
        self.part(op, &[&size, &number], &[])
    }

    fn pack(&mut self, parts: &[&str]) -> String {
        let count = i64::try_from(parts.len()).unwrap_or(0);
        self.part("Pack", parts, &[("N", AttrValue::Int(count))])
    }

    fn number(&mut self, number: usize) -> String {
        let number = i32::try_from(number).unwrap_or(0);
        self.ints(&[], &[number])
    }
}

pub(super) fn describe(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|wire| wire.shape.is_some())?;
    let op = ["Shape", "Size", "Rank", "Shape"][draft.below(4)];
    Some(draft.op(op, &[&input.name]))
}

pub(super) fn fill(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|wire| wire.rank() > 0)?;
    let axis = draft.below(input.rank());
    let (size, four) = (draft.size(&input, axis), draft.number(4));
    match draft.below(3) {
        0 => {
            let dims = draft.pack(&[&size, &four]);
            let value = draft.floats(&[]);
            Some(draft.op("Fill", &[&dims, &value]))
        }
        1 => {
            let dims = draft.pack(&[&four, &size]);
            let rows = [1, 4][draft.below(2)];
            let row = draft.floats(&[rows, 1]);
            Some(draft.op("BroadcastTo", &[&row, &dims]))
        }
        _ => {
            let (start, step) = (draft.below(3), draft.number(1));
            let start = draft.number(start);
            Some(draft.op("Range", &[&start, &size, &step]))
        }
    }
}

pub(super) fn like(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|wire| matches!(wire.dtype, Some(DType::F32 | DType::I32)))?;
    let op = ["ZerosLike", "OnesLike"][draft.below(2)];
    Some(draft.op(op, &[&input.name]))
}

pub(super) fn reshape(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|wire| wire.rank() > 1)?;
    let first = draft.size(&input, 0);
    let last = draft.size(&input, input.rank() - 1);
    let hole = draft.ints(&[], &[-1]);
    let target = match draft.below(3) {
        0 => draft.pack(&[&first, &hole]),
        1 => draft.pack(&[&hole, &first, &last]),
        _ => draft.pack(&[&last, &hole, &first]),
    };
    Some(draft.op("Reshape", &[&input.name, &target]))
}

pub(super) fn repeat(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|wire| matches!(wire.rank(), 1 | 2))?;
    let other = draft.wire(|wire| wire.rank() > 0)?;
    let times = draft.size(&other, 0);
    let multiples = match input.rank() {
        1 => draft.pack(&[&times]),
        _ => {
            let two = draft.number(2);
            draft.pack(&[&two, &times])
        }
    };
    Some(draft.op("Tile", &[&input.name, &multiples]))
}

pub(super) fn resize(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let image = draft.image()?;
    let other = draft.wire(|wire| wire.rank() > 0)?;
    let (height, width) = (draft.size(&image, 1), draft.size(&other, 0));
    let size = draft.pack(&[&height, &width]);
    let op = ["ResizeBilinear", "ResizeNearestNeighbor"][draft.below(2)];
    Some(draft.op(op, &[&image.name, &size]))
}

pub(super) fn cut(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|wire| wire.rank() == 2)?;
    let (rows, zero) = (draft.size(&input, 0), draft.number(0));
    let columns = draft.size(&input, 1);
    let begin = draft.pack(&[&zero, &zero]);
    let end = draft.pack(&[&rows, &columns]);
    if draft.below(2) == 0 {
        return Some(draft.op("Slice", &[&input.name, &begin, &end]));
    }
    let step = [1, 2, -1][draft.below(3)];
    let strides = draft.vector(&[1, step]);
    Some(draft.op("StridedSlice", &[&input.name, &begin, &end, &strides]))
}

pub(super) fn pad(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|wire| wire.dtype == Some(DType::F32) && wire.rank() == 2)?;
    let (size, one) = (draft.size(&input, 1), draft.number(1));
    let (first, second) = (draft.vector(&[0, 1]), draft.pack(&[&one, &size]));
    let pads = draft.pack(&[&first, &second]);
    Some(draft.op("Pad", &[&input.name, &pads]))
}
