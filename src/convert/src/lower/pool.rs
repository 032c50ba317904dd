//! `MaxPool`, `AvgPool` and their forms over three axes.

use tfjet_core::{Layer, PoolingType};

use super::op::{FLOATS, Op};
use super::window::{data_format, per_axis, window};
use super::{Refusal, refuse};

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(0, FLOATS)?;
    let (kind, spatial) = match op.node.op.as_str() {
        "MaxPool" => (PoolingType::Max, 2),
        "AvgPool" => (PoolingType::Average, 2),
        "MaxPool3D" => (PoolingType::Max, 3),
        "AvgPool3D" => (PoolingType::Average, 3),
        other => return refuse(format!("{other} is no pooling")),
    };
    let (dtype, output) = op.output_type(0)?;
    let input = op.shape(0)?;
    let (_, axes) = data_format(op, spatial)?;
    let size = per_axis(op, "ksize", &axes, false)?;
    let window = window(op, &size, &input, &output)?;
    let layer = Layer::Pooling {
        kind,
        window: size,
        stride: window.stride,
        pre_padding: window.pre_padding,
        post_padding: window.post_padding,
        padding_mode: window.padding_mode,
        average_count_excludes_padding: true,
    };
    let image = op.tensor(0, window.layout)?;
    let result = op.emit(layer, &[image], dtype, &output, window.layout);
    op.output(0, result, window.layout);
    Ok(())
}
