use tfjet_core::{Layer, PaddingMode};

use super::writer::Writer;
use crate::network::{Convolved, Kernel, Window};
use crate::{Flavor, TensorRtError};

type Done = Result<(), TensorRtError>;

pub(super) fn convolution(w: &mut Writer<'_, '_, '_>) -> Done {
    let Layer::Convolution {
        kernel,
        bias,
        stride,
        dilation,
        pre_padding,
        post_padding,
        padding_mode,
        groups,
    } = &w.layer.layer
    else {
        return Err(w.fail("is no convolution"));
    };
    let window = Window {
        stride,
        dilation,
        pre_padding,
        post_padding,
        padding_mode: *padding_mode,
    };
    convolve(w, *kernel, *bias, &window, *groups, false)
}

pub(super) fn deconvolution(w: &mut Writer<'_, '_, '_>) -> Done {
    let Layer::Deconvolution {
        kernel,
        bias,
        stride,
        pre_padding,
        post_padding,
        groups,
    } = &w.layer.layer
    else {
        return Err(w.fail("is no deconvolution"));
    };
    let window = Window {
        stride,
        dilation: &[],
        pre_padding,
        post_padding,
        padding_mode: PaddingMode::Explicit,
    };
    convolve(w, *kernel, *bias, &window, *groups, true)
}

fn convolve(
    w: &mut Writer<'_, '_, '_>,
    kernel: tfjet_core::WeightsId,
    bias: Option<tfjet_core::WeightsId>,
    window: &Window<'_>,
    groups: usize,
    transposed: bool,
) -> Done {
    let input = w.input(0)?;
    let shape = w.weights_view(kernel)?.shape().to_vec();
    w.expect_len("kernel", &shape, w.input_dims(0)?.len())?;
    let (Some(&outer), Some(&inner), Some(size)) = (shape.first(), shape.get(1), shape.get(2..))
    else {
        return Err(w.fail("the kernel has no spatial axis"));
    };
    check(w, window, size)?;
    let maps = if transposed {
        inner.checked_mul(groups)
    } else {
        Some(outer)
    };
    let maps = maps
        .filter(|_| groups > 0 && !size.contains(&0))
        .ok_or_else(|| w.fail("groups and kernel sizes are at least 1"))?;
    let kernel = match w.int8_channels() {
        // TensorRT-RTX has no INT8 kernels for groups, and makes one dense kernel of them.
        Some(channels) if groups > 1 && w.network.version().flavor == Flavor::TensorRtRtx => {
            Kernel::Weights(w.rounded_floats(kernel, channels, input.dtype)?)
        }
        Some(channels) => {
            let axis = usize::from(transposed);
            let rounded = w.rounded_weights(kernel, axis, channels, input.dtype)?;
            Kernel::Tensor(rounded.tensor)
        }
        None => Kernel::Weights(w.weights(kernel, input.dtype)?),
    };
    let bias = bias.map(|id| w.vector(id, input.dtype)).transpose()?;
    let convolved = Convolved {
        input: input.tensor,
        maps,
        size,
        groups,
        kernel,
        bias,
        bias_type: input.dtype,
    };
    let layer = if transposed {
        w.network.add_deconvolution(convolved, window)?
    } else {
        w.network.add_convolution(convolved, window)?
    };
    let value = w.value("convolution", layer, input.dtype)?;
    w.finish(0, value)
}

/// Every parameter has a value for each spatial axis, and a mode that computes paddings none
/// beside it.
pub(super) fn check(w: &Writer<'_, '_, '_>, window: &Window<'_>, size: &[usize]) -> Done {
    w.expect_len("stride", window.stride, size.len())?;
    w.expect_len("pre_padding", window.pre_padding, size.len())?;
    w.expect_len("post_padding", window.post_padding, size.len())?;
    if !window.dilation.is_empty() {
        w.expect_len("dilation", window.dilation, size.len())?;
    }
    let mut paddings = window.pre_padding.iter().chain(window.post_padding);
    if window.padding_mode == PaddingMode::SameUpper && paddings.any(|&pad| pad != 0) {
        return Err(w.fail("paddings besides the mode SameUpper"));
    }
    if window.stride.contains(&0) || size.contains(&0) {
        return Err(w.fail("window sizes and strides are at least 1"));
    }
    Ok(())
}
