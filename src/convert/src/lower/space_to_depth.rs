//! `SpaceToDepth` and `DepthToSpace` as shuffles.

use tfjet_core::{Dim, Layer, ReshapeDim, Shape};

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
    let (dtype, output) = op.output_type(0)?;
    let fixed = |shape: &Shape| -> Option<Vec<usize>> {
        layout.shape(shape).dims()[1..]
            .iter()
            .map(Dim::fixed)
            .collect()
    };
    let (Some(from), Some(to)) = (fixed(&op.shape(0)?), fixed(&output)) else {
        return refuse("channels, height and width must be known");
    };
    let (&[c, h, w], &[c_out, h_out, w_out]) = (from.as_slice(), to.as_slice()) else {
        return refuse("the input has no rank of 4");
    };
    let (split, order) = if op.node.op == "DepthToSpace" {
        (vec![block, block, c_out, h, w], vec![0, 3, 4, 1, 5, 2])
    } else {
        (vec![c, h_out, block, w_out, block], vec![0, 3, 5, 1, 2, 4])
    };
    let batch = output.dims()[0].clone();
    let first: Vec<ReshapeDim> = std::iter::once(ReshapeDim::Copy)
        .chain(split.iter().map(|&size| ReshapeDim::Fixed(size)))
        .collect();
    let mut dims = vec![batch];
    dims.extend(split.iter().map(|&size| Dim::Fixed(size)));
    let apart = Shape(
        order
            .iter()
            .map(|&axis: &usize| dims[axis].clone())
            .collect(),
    );
    let input = op.tensor(0, layout)?;
    let name = op.node.name.clone();
    let shuffle = Layer::Shuffle {
        first_transpose: Vec::new(),
        reshape: Some(first),
        second_transpose: order,
    };
    let apart = op
        .builder
        .layer(&name, shuffle, &[input], &[(dtype, apart)])[0];
    let join = Layer::Shuffle {
        first_transpose: Vec::new(),
        reshape: Some(vec![
            ReshapeDim::Copy,
            ReshapeDim::Fixed(c_out),
            ReshapeDim::Fixed(h_out),
            ReshapeDim::Fixed(w_out),
        ]),
        second_transpose: Vec::new(),
    };
    let result = op.emit(join, &[apart], dtype, &output, layout);
    op.output(0, result, layout);
    Ok(())
}
