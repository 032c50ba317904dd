use tfjet_core::{Layer, PaddingMode, WeightsId};

use super::rounding::Channels8;
use super::writer::{Value, Writer};
use crate::OnnxError;
use crate::proto::AttributeProto;

/// What both directions share.
struct Window<'a> {
    kernel: WeightsId,
    bias: Option<WeightsId>,
    stride: &'a [usize],
    dilation: Option<&'a [usize]>,
    pre_padding: &'a [usize],
    post_padding: &'a [usize],
    padding_mode: PaddingMode,
    groups: usize,
}

pub(super) fn convolution(w: &mut Writer<'_, '_>) -> Result<(), OnnxError> {
    let Layer::Convolution {
        kernel,
        bias,
        stride,
        dilation,
        pre_padding,
        post_padding,
        padding_mode,
        groups,
    } = &w.spec.layer
    else {
        return Err(w.fail("is no convolution"));
    };
    let window = Window {
        kernel: *kernel,
        bias: *bias,
        stride,
        dilation: Some(dilation),
        pre_padding,
        post_padding,
        padding_mode: *padding_mode,
        groups: *groups,
    };
    write(w, "Conv", &window)
}

pub(super) fn deconvolution(w: &mut Writer<'_, '_>) -> Result<(), OnnxError> {
    let Layer::Deconvolution {
        kernel,
        bias,
        stride,
        pre_padding,
        post_padding,
        groups,
    } = &w.spec.layer
    else {
        return Err(w.fail("is no deconvolution"));
    };
    let window = Window {
        kernel: *kernel,
        bias: *bias,
        stride,
        dilation: None,
        pre_padding,
        post_padding,
        padding_mode: PaddingMode::Explicit,
        groups: *groups,
    };
    write(w, "ConvTranspose", &window)
}

fn write(w: &mut Writer<'_, '_>, op: &'static str, window: &Window<'_>) -> Result<(), OnnxError> {
    let rank = w.input_dims(0)?.len();
    let kernel = &w.entry(window.kernel)?.shape;
    w.expect_len("kernel", kernel, rank)?;
    let Some(spatial) = kernel.get(2..).filter(|spatial| !spatial.is_empty()) else {
        return Err(w.fail("the input has no spatial axis"));
    };
    w.expect_len("stride", window.stride, spatial.len())?;
    w.expect_len("pre_padding", window.pre_padding, spatial.len())?;
    w.expect_len("post_padding", window.post_padding, spatial.len())?;
    if window.groups == 0 || kernel.iter().chain(window.stride).any(|&size| size == 0) {
        return Err(w.fail("groups, kernel sizes and strides are at least 1"));
    }
    let (inputs, groups) = operands(w, window, kernel)?;
    let mut attributes = vec![
        AttributeProto::ints("kernel_shape", w.ints(spatial)?),
        AttributeProto::ints("strides", w.ints(window.stride)?),
        padding(
            w,
            window.padding_mode,
            window.pre_padding,
            window.post_padding,
        )?,
        AttributeProto::int("group", w.int(groups)?),
    ];
    if let Some(dilation) = window.dilation {
        w.expect_len("dilation", dilation, spatial.len())?;
        attributes.push(AttributeProto::ints("dilations", w.ints(dilation)?));
    }
    let inputs: Vec<_> = inputs.iter().collect();
    let dtype = w.input(0)?.dtype;
    let output = w.node(op, &inputs, attributes, dtype);
    w.finish(0, output)
}

/// Input, kernel and bias, with the channels that the input has and the output is to have, and the
/// number of groups.
fn operands(
    w: &mut Writer<'_, '_>,
    window: &Window<'_>,
    kernel: &[usize],
) -> Result<(Vec<Value>, usize), OnnxError> {
    let input = w.input(0)?;
    let channels = w.padded_channels(window.groups, kernel);
    let axis = usize::from(window.dilation.is_none());
    let mut weights = w.weights(window.kernel, kernel, input.dtype)?;
    if let Some(channels) = &channels {
        weights = w.appended(&weights, kernel, &[channels.output, channels.input])?;
    }
    let mut added = None;
    if let Some(bias) = window.bias {
        let shape = &w.entry(bias)?.shape;
        w.expect_len("bias shape", shape, 1)?;
        let mut weights = w.weights(bias, shape, input.dtype)?;
        if let Some(channels) = &channels {
            weights = w.appended(&weights, shape, &[channels.output])?;
        }
        added = Some(w.in_fp16(weights)?);
    }
    let own = kernel.get(axis).copied().unwrap_or_default();
    let made = match (&channels, axis) {
        (Some(channels), 0) => channels.output,
        _ => own,
    };
    let scaled = Channels8 {
        axis,
        own,
        made,
        bias: added.as_ref(),
    };
    let weights = w.rounded_weights(weights, &scaled)?;
    let input = w.beside_float_weights(input);
    let values = [input, weights].into_iter().chain(added).collect();
    let groups = channels.map_or(window.groups, |channels| channels.groups);
    Ok((values, groups))
}

/// ONNX's `pads` (all before, then all after), or `auto_pad`.
pub(super) fn padding(
    w: &Writer<'_, '_>,
    mode: PaddingMode,
    before: &[usize],
    after: &[usize],
) -> Result<AttributeProto, OnnxError> {
    match mode {
        PaddingMode::Explicit => Ok(AttributeProto::ints("pads", pads(w, before, after)?)),
        PaddingMode::SameUpper if before.iter().chain(after).any(|&pad| pad != 0) => {
            Err(w.fail("paddings besides the mode SameUpper"))
        }
        PaddingMode::SameUpper => Ok(AttributeProto::string("auto_pad", "SAME_UPPER")),
    }
}

fn pads(w: &Writer<'_, '_>, before: &[usize], after: &[usize]) -> Result<Vec<i64>, OnnxError> {
    before.iter().chain(after).map(|&pad| w.int(pad)).collect()
}
