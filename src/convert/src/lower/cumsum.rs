//! `Cumsum`: sums with neighbours at distances 1, 2, 4, ..., so that no number meets one which is
//! not in its sum.

use tfjet_core::{DType, ElementWiseOperation, Layer, SampleMode, Shape, TensorId};

use super::op::{NUMBERS, Op};
use super::{Layout, Refusal, refuse};
use crate::graph::infer::normalize_axis;

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let dtype = op.dtype(0, NUMBERS)?;
    let shape = op.shape(0)?;
    let axis = normalize_axis(op.integer(1, "axis")?, shape.rank())?;
    let exclusive = op.attrs.bool_or("exclusive", false)?;
    let reverse = op.attrs.bool_or("reverse", false)?;
    op.attrs.ignore(&["Tidx"]);
    let Some(len) = shape.dims()[axis].fixed() else {
        return refuse(format!(
            "axis {axis} of {shape}, which is summed, must be known"
        ));
    };
    let layout = op.layout(0)?;
    let along = Along {
        dtype,
        shape,
        layout,
        axis,
        len,
        reverse,
    };
    let mut sums = op.tensor(0, layout)?;
    if exclusive {
        sums = along.moved(op, sums, 1)?;
    }
    let mut distance = 1;
    while distance < len {
        let before = along.moved(op, sums, distance)?;
        let layer = Layer::ElementWise {
            operation: ElementWiseOperation::Sum,
        };
        sums = op.emit(layer, &[sums, before], dtype, &along.shape, layout);
        distance *= 2;
    }
    op.output(0, sums, layout);
    Ok(())
}

struct Along {
    dtype: DType,
    shape: Shape,
    layout: Layout,
    axis: usize,
    len: usize,
    reverse: bool,
}

impl Along {
    /// The tensor `distance` elements further along the axis, zeros before it.
    fn moved(
        &self,
        op: &mut Op<'_, '_>,
        tensor: TensorId,
        distance: usize,
    ) -> Result<TensorId, Refusal> {
        let Ok(distance) = i64::try_from(distance) else {
            return refuse(format!("axis {} is too long", self.axis));
        };
        let rank = self.shape.rank();
        let mut start = vec![0; rank];
        start[self.axis] = if self.reverse { distance } else { -distance };
        let mut size = vec![None; rank];
        size[self.axis] = Some(self.len);
        let layer = Layer::Slice {
            start: self.layout.arrange(&start),
            size: self.layout.arrange(&size),
            stride: vec![1; rank],
            mode: SampleMode::Fill(0.0),
        };
        Ok(op.emit(layer, &[tensor], self.dtype, &self.shape, self.layout))
    }
}
