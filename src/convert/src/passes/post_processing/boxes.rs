//! Arithmetic on boxes: clipping to a window, its coordinates, areas.

use super::view::{Scalar, View, as_int};
use crate::graph::WireId;

/// `[y_min, x_min, y_max, x_max]`.
pub(super) type Window = [Scalar; 4];

impl View<'_> {
    /// The wire whose columns a part of a split is, and which.
    fn split(self, wire: WireId) -> Option<(WireId, u32)> {
        let node = self.op(wire, &["Split"])?;
        let &[axis, of] = node.inputs.as_slice() else {
            return None;
        };
        let four = node.attrs.get("num_split").and_then(as_int) == Some(4);
        let along = self.int(axis)?;
        (four && (along == 1 || along == -1) && self.rank(of) == Some(2)).then_some((of, wire.slot))
    }

    /// Boxes and window of clipped boxes.
    pub(super) fn clipped(self, wire: WireId) -> Option<(WireId, Window)> {
        let parts = <[WireId; 4]>::try_from(self.concat(wire, 1)?).ok()?;
        let mut corners = Vec::with_capacity(4);
        for part in parts {
            let [least, low] = self.inputs(part, &["Maximum"])?;
            let [of, high] = self.inputs(least, &["Minimum"])?;
            corners.push((self.split(of)?, self.scalar(low), self.scalar(high)));
        }
        let [
            (y_min, top, bottom),
            (x_min, left, right),
            (y_max, top_again, bottom_again),
            (x_max, left_again, right_again),
        ] = corners.try_into().ok()?;
        let boxes = y_min.0;
        let window = [top, left, bottom, right];
        let ordered = (0..).zip([y_min, x_min, y_max, x_max]);
        let ordered = ordered.fold(true, |all, (slot, part)| all && part == (boxes, slot));
        let agrees = window == [top_again, left_again, bottom_again, right_again];
        (ordered && agrees).then_some((boxes, window))
    }

    /// The boxes that are given relative to `window`.
    pub(super) fn in_frame(self, wire: WireId, window: &Window) -> Option<WireId> {
        let parts = <[WireId; 4]>::try_from(self.concat(wire, 1)?).ok()?;
        let mut moved = None;
        for (slot, part) in (0..).zip(parts) {
            let [scale, of] = self.inputs(part, &["Mul"])?;
            let (of, at) = self.split(of)?;
            let [lowest, highest] = [window[slot % 2], window[2 + slot % 2]];
            let same = moved.is_none_or(|moved| moved == of);
            if !same || usize::try_from(at) != Ok(slot) || !self.is_scale(scale, lowest, highest) {
                return None;
            }
            moved = Some(of);
        }
        let [boxes, origin] = self.inputs(moved?, &["Sub"])?;
        let corner = [window[0], window[1], window[0], window[1]];
        let from = match self.constant(origin) {
            Some(values) => {
                let values = values.as_slice::<f32>().ok()?;
                values.iter().map(|v| Scalar::Known(v.to_bits())).collect()
            }
            None => {
                let pack = self.op(origin, &["Pack"])?;
                let scalars = pack.inputs.iter().map(|&input| self.scalar(input));
                scalars.collect::<Vec<_>>()
            }
        };
        (from == corner).then_some(boxes)
    }

    /// Is it `1 / (highest - lowest)`?
    fn is_scale(self, wire: WireId, lowest: Scalar, highest: Scalar) -> bool {
        if let Some(value) = self.float(wire) {
            return match (lowest, highest) {
                (Scalar::Known(lowest), Scalar::Known(highest)) => {
                    let expected = 1.0 / (f32::from_bits(highest) - f32::from_bits(lowest));
                    value.to_bits() == expected.to_bits()
                }
                _ => false,
            };
        }
        let quotient = self.inputs::<2>(wire, &["RealDiv", "Div"]);
        let quotient = quotient.filter(|[one, _]| self.float(*one) == Some(1.0));
        let inverse = self.inputs::<1>(wire, &["Reciprocal", "Inv"]);
        let side = quotient.map(|[_, side]| side);
        side.or(inverse.map(|[side]| side))
            .is_some_and(|side| self.is_difference(side, lowest, highest))
    }

    fn is_difference(self, wire: WireId, lowest: Scalar, highest: Scalar) -> bool {
        self.inputs::<2>(wire, &["Sub"])
            .is_some_and(|[a, b]| self.scalar(a) == highest && self.scalar(b) == lowest)
    }

    /// The boxes whose areas a vector holds.
    pub(super) fn area(self, wire: WireId) -> Option<WireId> {
        let [product] = self.inputs(wire, &["Squeeze"])?;
        let [a, b] = self.inputs(product, &["Mul"])?;
        let side = |wire: WireId| -> Option<(WireId, [u32; 2])> {
            let [high, low] = self.inputs(wire, &["Sub"])?;
            let ((boxes, high), (other, low)) = (self.split(high)?, self.split(low)?);
            (boxes == other).then_some((boxes, [high, low]))
        };
        let ((boxes, a), (other, b)) = (side(a)?, side(b)?);
        (boxes == other && a == [2, 0] && b == [3, 1] && self.rank(wire) == Some(1))
            .then_some(boxes)
    }
}
