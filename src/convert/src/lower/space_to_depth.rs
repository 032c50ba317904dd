//! `SpaceToDepth` and `DepthToSpace` as shuffles.

use tfjet_core::{Dim, Shape};

use super::op::{FLOATS, Op};
use super::{Layout, Refusal, refuse};

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(0, FLOATS)?;
    let block = match usize::try_from(op.attrs.int("block_size")?) {
        Ok(block) if block > 1 => block,
        _ => return refuse("attribute `block_size` must be 2 or more"),
    };
    // Sizes of the network's NCHW tensor are the same for both of TensorFlow's formats.
    let layout = match op.attrs.str_or("data_format", "NHWC")? {
        "NHWC" => Layout::ChannelsFirst,
        "NCHW" => Layout::Native,
        other => return refuse(format!("data_format {other} is not NHWC or NCHW")),
    };
    let (_, output) = op.output_type(0)?;
    let (from, to) = (layout.shape(&op.shape(0)?), layout.shape(&output));
    let ([n, c, h, w], [_, c_out, h_out, w_out]) = (from.dims(), to.dims()) else {
        return refuse("the input has no rank of 4");
    };
    if c.fixed().is_none() || c_out.fixed().is_none() {
        return refuse("the number of channels must be known");
    }
    let b = &Dim::Fixed(block);
    let (split, order) = if op.node.op == "DepthToSpace" {
        ([n, b, b, c_out, h, w], vec![0, 3, 4, 1, 5, 2])
    } else {
        ([n, c, h_out, b, w_out, b], vec![0, 3, 5, 1, 2, 4])
    };
    let split = Shape(split.into_iter().cloned().collect());
    let input = op.tensor(0, layout)?;
    let name = op.node.name.clone();
    let apart = op.builder.reshape(&name, input, &split)?;
    let apart = op.builder.transpose(&name, apart, &order)?;
    let result = op.builder.reshape(&name, apart, &to)?;
    op.output(0, result, layout);
    Ok(())
}
