//! `Conv2DBackpropInput` and `Conv3DBackpropInputV2`: transposed convolutions.

use std::sync::Arc;

use tfjet_core::{Dim, Layer};

use super::op::{FLOATS, Op};
use super::window::{data_format, window};
use super::{Refusal, permute, refuse};
use crate::graph::Formula;

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(2, FLOATS)?;
    op.attrs.ignore(&["Tshape", "use_cudnn_on_gpu"]);
    let filter = op.require_constant(1, "filter")?;
    let spatial = match op.node.op.as_str() {
        "Conv2DBackpropInput" => 2,
        _ => 3,
    };
    if filter.shape().len() != spatial + 2 {
        return refuse(format!(
            "the filter has rank {}, expected {}",
            filter.shape().len(),
            spatial + 2
        ));
    }
    let size = &filter.shape()[..spatial];
    let input_channels = filter.shape()[spatial + 1];
    let (dtype, output) = op.output_type(0)?;
    let input = op.shape(2)?;
    let window = window(op, size, &output, &input)?;
    if window.dilation.iter().any(|&step| step != 1) {
        return refuse(format!("a dilated {} has no layer", op.node.op));
    }
    let (layout, axes) = data_format(op, spatial)?;
    let mut post_padding = window.post_padding;
    let pre_padding = window.pre_padding;
    op.sizes(0, "input_sizes")?;
    let (from, to) = (op.formulas(&input), op.formulas(&output));
    for (index, &size) in size.iter().enumerate() {
        let stride = window.stride[index];
        let axis = axes[index];
        // What the full convolution has more than the output, which may hold for any size.
        let Some(rest) = surplus(&from[axis], &to[axis], size, stride) else {
            return refuse(format!(
                "an output of {} elements does not follow from {} in steps of {stride}",
                to[axis], from[axis]
            ));
        };
        match rest.checked_sub(pre_padding[index]) {
            Some(rest) => post_padding[index] = rest,
            None => return refuse(format!("an output of {} exceeds the full size", to[axis])),
        }
    }
    let mut order = vec![spatial + 1, spatial];
    order.extend(0..spatial);
    let kernel = op.weights(|| Ok(Arc::new(permute(&filter, &order)?)))?;
    let channel_axis = (1..spatial + 2).find(|axis| !axes.contains(axis));
    if channel_axis.map(|axis| &input.dims()[axis]) != Some(&Dim::Fixed(input_channels)) {
        return refuse("the filter does not fit the number of channels");
    }
    let image = op.tensor(2, layout)?;
    let layer = Layer::Deconvolution {
        kernel,
        bias: None,
        stride: window.stride,
        pre_padding,
        post_padding,
        groups: 1,
    };
    let result = op.emit(layer, &[image], dtype, &output, layout);
    op.output(0, result, layout);
    Ok(())
}

/// Elements of the full transposed convolution, `(from - 1) * stride + size`, that are not in the
/// output; `None` where that depends on the size or is negative.
fn surplus(from: &Formula, to: &Formula, size: usize, stride: usize) -> Option<usize> {
    let number = |number: usize| i64::try_from(number).ok();
    let steps = from.sub(&Formula::from(1))?.scaled(number(stride)?)?;
    let full = steps.add(&Formula::from(number(size)?))?;
    usize::try_from(full.sub(to)?.known()?).ok()
}
