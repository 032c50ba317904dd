//! `LRN`: local response normalization across channels.

use tfjet_core::Layer;

use super::op::{FLOATS, Op};
use super::{Layout, Refusal, refuse};

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(0, FLOATS)?;
    let (dtype, shape) = op.output_type(0)?;
    if shape.rank() != 4 {
        return refuse(format!("the input has rank {}, expected 4", shape.rank()));
    }
    let radius = usize::try_from(op.attrs.int_or("depth_radius", 5)?).unwrap_or(usize::MAX);
    let Some(window) = radius.checked_mul(2).and_then(|width| width.checked_add(1)) else {
        return refuse(format!("a depth_radius of {radius} is no radius"));
    };
    let layer = Layer::Lrn {
        window,
        // TensorRT's is a mean over the window, TensorFlow's a sum.
        alpha: op.attrs.float_or("alpha", 1.0)? * window as f32,
        beta: op.attrs.float_or("beta", 0.5)?,
        k: op.attrs.float_or("bias", 1.0)?,
    };
    let input = op.tensor(0, Layout::ChannelsFirst)?;
    let output = op.emit(layer, &[input], dtype, &shape, Layout::ChannelsFirst);
    op.output(0, output, Layout::ChannelsFirst);
    Ok(())
}
