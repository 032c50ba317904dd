//! `MaxPool` and `AvgPool`.

use tfjet_core::{Layer, PoolingType};

use super::conv2d::window;
use super::op::{FLOATS, Op};
use super::{Layout, Refusal, refuse};

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(0, FLOATS)?;
    let (dtype, output) = op.output_type(0)?;
    let input = op.shape(0)?;
    let ksize = op.attrs.ints("ksize")?;
    let axes = match op.attrs.str_or("data_format", "NHWC")? {
        "NCHW" => [2, 3],
        _ => [1, 2],
    };
    if ksize.len() != 4 || (0..4).any(|axis| !axes.contains(&axis) && ksize[axis] != 1) {
        return refuse("ksize needs 4 values and must be 1 on batch and channels");
    }
    let size = |axis: usize| match usize::try_from(ksize[axis]) {
        Ok(size) if size > 0 => Ok(size),
        _ => refuse("ksize must be positive"),
    };
    let size = [size(axes[0])?, size(axes[1])?];
    let window = window(op, size, &input, &output)?;
    let layout: Layout = window.layout;
    let layer = Layer::Pooling {
        kind: match op.node.op.as_str() {
            "MaxPool" => PoolingType::Max,
            _ => PoolingType::Average,
        },
        window: size.to_vec(),
        stride: window.stride.to_vec(),
        pre_padding: window.pre_padding.to_vec(),
        post_padding: window.post_padding.to_vec(),
        padding_mode: window.padding_mode,
        average_count_excludes_padding: true,
    };
    let image = op.tensor(0, layout)?;
    let result = op.emit(layer, &[image], dtype, &output, layout);
    op.output(0, result, layout);
    Ok(())
}
