//! `Conv2D`, `DepthwiseConv2dNative`, `Conv2DBackpropInput`, and the fused forms
//! `_FusedConv2D` and `FusedDepthwiseConv2dNative` of TensorFlow.js and Grappler.

use std::sync::Arc;

use tfjet_core::{Dim, Layer, PaddingMode, Shape, Tensor, TensorId, WeightsId};

use super::activation::{activation, fused_prelu};
use super::op::{FLOATS, Op};
use super::{Layout, Refusal, permute, refuse};
use crate::graph::Formula;

/// Attributes that all sliding windows share, for the two spatial axes.
pub(super) struct Window {
    pub(super) layout: Layout,
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    pub(super) pre_padding: [usize; 2],
    pub(super) post_padding: [usize; 2],
    pub(super) padding_mode: PaddingMode,
}

/// Reads strides, dilations and padding for a window of `size` that maps `input` to `output`
/// (TensorFlow shapes).
pub(super) fn window(
    op: &Op<'_, '_>,
    size: [usize; 2],
    input: &Shape,
    output: &Shape,
) -> Result<Window, Refusal> {
    let (layout, axes) = match op.attrs.str_or("data_format", "NHWC")? {
        "NHWC" => (Layout::ChannelsFirst, [1, 2]),
        "NCHW" => (Layout::Native, [2, 3]),
        other => return refuse(format!("data_format {other} is not NHWC or NCHW")),
    };
    let per_axis = |name: &str| -> Result<[usize; 2], Refusal> {
        let values = op.attrs.ints(name)?;
        if values.is_empty() && name == "dilations" {
            return Ok([1, 1]);
        }
        if values.len() != 4 {
            return refuse(format!(
                "attribute `{name}` needs 4 values, it has {}",
                values.len()
            ));
        }
        let outside = (0..4).filter(|axis| !axes.contains(axis));
        if outside.map(|axis| values[axis]).any(|value| value != 1) {
            return refuse(format!(
                "attribute `{name}` must be 1 on batch and channels"
            ));
        }
        let get = |axis: usize| match usize::try_from(values[axis]) {
            Ok(value) if value > 0 => Ok(value),
            _ => refuse(format!("attribute `{name}` must be positive")),
        };
        Ok([get(axes[0])?, get(axes[1])?])
    };
    let stride = per_axis("strides")?;
    let dilation = per_axis("dilations")?;
    let explicit = op.attrs.ints("explicit_paddings")?;
    let padding = op.attrs.str_or("padding", "VALID")?;
    let mut pre_padding = [0; 2];
    let mut post_padding = [0; 2];
    let mut padding_mode = PaddingMode::Explicit;
    for spatial in 0..2 {
        let axis = axes[spatial];
        let extent = (size[spatial] - 1) * dilation[spatial] + 1;
        match padding {
            "VALID" => {}
            "EXPLICIT" => {
                let get = |i: usize| explicit.get(i).and_then(|&v| usize::try_from(v).ok());
                let (Some(before), Some(after)) = (get(2 * axis), get(2 * axis + 1)) else {
                    return refuse("attribute `explicit_paddings` needs 8 values of 0 or more");
                };
                (pre_padding[spatial], post_padding[spatial]) = (before, after);
            }
            "SAME" => {
                let total = match (&input.dims()[axis], &output.dims()[axis]) {
                    (Dim::Fixed(input), Dim::Fixed(output)) => {
                        (output.saturating_sub(1) * stride[spatial] + extent).saturating_sub(*input)
                    }
                    _ if stride[spatial] == 1 => extent - 1,
                    _ => {
                        padding_mode = PaddingMode::SameUpper;
                        0
                    }
                };
                pre_padding[spatial] = total / 2;
                post_padding[spatial] = total - total / 2;
            }
            other => return refuse(format!("padding {other} is not known")),
        }
    }
    if padding_mode == PaddingMode::SameUpper {
        pre_padding = [0; 2];
        post_padding = [0; 2];
    }
    Ok(Window {
        padding_mode,
        layout,
        stride,
        dilation,
        pre_padding,
        post_padding,
    })
}

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    if op.node.op == "Conv2DBackpropInput" {
        return backprop_input(op);
    }
    op.dtype(0, FLOATS)?;
    let filter = op.require_constant(1, "filter")?;
    let &[height, width, input_channels, output_channels] = filter.shape() else {
        return refuse(format!(
            "the filter has rank {}, expected 4",
            filter.shape().len()
        ));
    };
    let (dtype, output) = op.output_type(0)?;
    let input = op.shape(0)?;
    let window = window(op, [height, width], &input, &output)?;
    let layout = window.layout;
    let channel_axis = if layout == Layout::ChannelsFirst {
        3
    } else {
        1
    };
    let Some(channels) = input.dims()[channel_axis].fixed() else {
        return refuse("the number of channels is not known");
    };
    let depthwise = op.node.op.contains("Depthwise");
    let (groups, kernel_shape, order) = if depthwise {
        let maps = input_channels * output_channels;
        (channels, [maps, 1, height, width], [2, 3, 0, 1])
    } else {
        let groups = channels / input_channels.max(1);
        (
            groups,
            [output_channels, input_channels, height, width],
            [3, 2, 0, 1],
        )
    };
    let kernel = op.weights(|| {
        let mut kernel = permute(&filter, &order)?;
        kernel.reshape(&kernel_shape)?;
        Ok(Arc::new(kernel))
    })?;
    let fused = Fused::read(op)?;
    let bias = match fused.bias {
        Some(index) => Some(vector(op, index, "bias", kernel_shape[0])?),
        None => None,
    };
    let image = op.tensor(0, layout)?;
    let layer = Layer::Convolution {
        kernel,
        bias,
        stride: window.stride.to_vec(),
        dilation: window.dilation.to_vec(),
        pre_padding: window.pre_padding.to_vec(),
        post_padding: window.post_padding.to_vec(),
        padding_mode: window.padding_mode,
        groups,
    };
    let result = op.emit(layer, &[image], dtype, &output, layout);
    let result = fused.activate(op, result, layout)?;
    op.output(0, result, layout);
    Ok(())
}

/// What a fused op does after its product.
pub(super) struct Fused {
    /// Input that holds the bias.
    pub(super) bias: Option<usize>,
    activation: Option<String>,
    slopes: usize,
    alpha: f32,
}

impl Fused {
    /// Reads `fused_ops` of a fused op; any other op has none.
    pub(super) fn read(op: &Op<'_, '_>) -> Result<Self, Refusal> {
        let names = op.attrs.strs("fused_ops")?;
        let alpha = op.attrs.float_or("leakyrelu_alpha", 0.2)?;
        op.attrs
            .ignore(&["epsilon", "num_host_args", "filter_format"]);
        let mut fused = Self {
            bias: None,
            activation: None,
            slopes: 2,
            alpha,
        };
        for name in names {
            match name {
                "BiasAdd" if fused.bias.is_none() && fused.activation.is_none() => {
                    fused.bias = Some(2);
                    fused.slopes = 3;
                }
                "Prelu" => fused.activation = Some(name.into()),
                _ if activation(name, alpha).is_some() => fused.activation = Some(name.into()),
                _ => return refuse(format!("the fused op {name} has no layer")),
            }
        }
        Ok(fused)
    }

    /// Puts the activation behind `tensor`.
    pub(super) fn activate(
        &self,
        op: &mut Op<'_, '_>,
        tensor: TensorId,
        layout: Layout,
    ) -> Result<TensorId, Refusal> {
        let Some(name) = self.activation.as_deref() else {
            return Ok(tensor);
        };
        let Some(layer) = activation(name, self.alpha) else {
            return fused_prelu(op, tensor, self.slopes, layout);
        };
        let (dtype, shape) = op.output_type(0)?;
        Ok(op.emit(layer, &[tensor], dtype, &shape, layout))
    }
}

/// A constant vector of `len` elements as weights.
pub(super) fn vector(
    op: &mut Op<'_, '_>,
    index: usize,
    role: &str,
    len: usize,
) -> Result<WeightsId, Refusal> {
    let value = op.require_constant(index, role)?;
    if value.elements() != len {
        return refuse(format!(
            "the {role} has {} elements, expected {len}",
            value.elements()
        ));
    }
    op.weights(|| {
        let mut value: Tensor = (*value).clone();
        value.reshape(&[len])?;
        Ok(Arc::new(value))
    })
}

fn backprop_input(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(2, FLOATS)?;
    let filter = op.require_constant(1, "filter")?;
    let &[height, width, _, input_channels] = filter.shape() else {
        return refuse(format!(
            "the filter has rank {}, expected 4",
            filter.shape().len()
        ));
    };
    let (dtype, output) = op.output_type(0)?;
    let input = op.shape(2)?;
    let window = window(op, [height, width], &output, &input)?;
    if window.dilation != [1, 1] {
        return refuse("a dilated Conv2DBackpropInput has no layer");
    }
    let axes = if window.layout == Layout::ChannelsFirst {
        [1, 2]
    } else {
        [2, 3]
    };
    let mut post_padding = window.post_padding;
    let pre_padding = window.pre_padding;
    op.sizes(0, "input_sizes")?;
    let (from, to) = (op.formulas(&input), op.formulas(&output));
    for (spatial, size) in [height, width].into_iter().enumerate() {
        let stride = window.stride[spatial];
        let axis = axes[spatial];
        // What the full convolution has more than the output, which may hold for any size.
        let Some(rest) = surplus(&from[axis], &to[axis], size, stride) else {
            return refuse(format!(
                "an output of {} elements does not follow from {} in steps of {stride}",
                to[axis], from[axis]
            ));
        };
        match rest.checked_sub(pre_padding[spatial]) {
            Some(rest) => post_padding[spatial] = rest,
            None => return refuse(format!("an output of {} exceeds the full size", to[axis])),
        }
    }
    let kernel = op.weights(|| Ok(Arc::new(permute(&filter, &[3, 2, 0, 1])?)))?;
    let channel_axis = if window.layout == Layout::ChannelsFirst {
        3
    } else {
        1
    };
    if input.dims()[channel_axis] != Dim::Fixed(input_channels) {
        return refuse("the filter does not fit the number of channels");
    }
    let image = op.tensor(2, window.layout)?;
    let layer = Layer::Deconvolution {
        kernel,
        bias: None,
        stride: window.stride.to_vec(),
        pre_padding: pre_padding.to_vec(),
        post_padding: post_padding.to_vec(),
        groups: 1,
    };
    let result = op.emit(layer, &[image], dtype, &output, window.layout);
    op.output(0, result, window.layout);
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
