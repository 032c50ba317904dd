//! `Pad`, `PadV2` and `MirrorPad`, as slices that read outside the tensor.

use tfjet_core::{Layer, SampleMode};

use super::batch_norm::floats;
use super::op::{FLOATS, Op};
use super::{Layout, Refusal, refuse};
use crate::graph::infer::padding_pairs;

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(0, FLOATS)?;
    let paddings = op.require_constant(1, "paddings")?;
    let mode = match op.node.op.as_str() {
        "MirrorPad" => match op.attrs.str_or("mode", "REFLECT")? {
            "REFLECT" => SampleMode::Reflect,
            "SYMMETRIC" => SampleMode::Symmetric,
            other => return refuse(format!("mode {other} is not known")),
        },
        "PadV2" => {
            let value = op.require_constant(2, "constant_values")?;
            SampleMode::Fill(floats(&value)?.first().copied().unwrap_or(0.0))
        }
        _ => SampleMode::Fill(0.0),
    };
    let Some(pairs) = padding_pairs(&paddings) else {
        return refuse("paddings are no int32 or int64 pairs");
    };
    // Padding of height and width only stands before a convolution, which wants NCHW.
    let layout = match pairs.as_slice() {
        [(0, 0), _, _, (0, 0)] => Layout::ChannelsFirst,
        _ => op.layout(0)?,
    };
    let (dtype, shape) = op.output_type(0)?;
    let input_shape = op.shape(0)?;
    let mut start = Vec::with_capacity(pairs.len());
    let mut size = Vec::with_capacity(pairs.len());
    for ((before, after), dim) in pairs.iter().zip(input_shape.dims()) {
        start.push(-i64::try_from(*before).unwrap_or(i64::MAX));
        size.push(match dim.fixed() {
            Some(whole) => Some(whole + before + after),
            None if *before == 0 && *after == 0 => None,
            None => return refuse("an axis of unknown size is padded"),
        });
    }
    let layer = Layer::Slice {
        start: layout.arrange(&start),
        size: layout.arrange(&size),
        stride: vec![1; pairs.len()],
        mode,
    };
    let input = op.tensor(0, layout)?;
    let output = op.emit(layer, &[input], dtype, &shape, layout);
    op.output(0, output, layout);
    Ok(())
}
