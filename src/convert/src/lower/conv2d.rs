//! `Conv2D`, `Conv3D`, `DepthwiseConv2dNative`, and the fused forms `_FusedConv2D`,
//! `_FusedDepthwiseConv2dNative`, `FusedDepthwiseConv2dNative` and `FusedConv2DBiasActivation` of
//! TensorFlow.js and Grappler.

use std::sync::Arc;

use tfjet_core::{DType, Layer, Shape, Tensor, TensorId, WeightsId};

use super::activation::{activation, fused_prelu};
use super::batch_norm::floats;
use super::op::{FLOATS, Op};
use super::window::window;
use super::{Layout, Refusal, permute, refuse};
use crate::graph::WireId;

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(0, FLOATS)?;
    let mut filter = op.require_constant(1, "filter")?;
    if op.node.op == "FusedConv2DBiasActivation" {
        bias_activation::check(op)?;
        if op.attrs.str_or("filter_format", "HWIO")? == "OIHW" && filter.shape().len() == 4 {
            filter = Arc::new(permute(&filter, &[2, 3, 1, 0])?);
        }
    }
    let spatial = if op.node.op == "Conv3D" { 3 } else { 2 };
    let (size, &[input_channels, output_channels]) = match filter.shape().split_last_chunk() {
        Some(parts) if parts.0.len() == spatial => parts,
        _ => {
            return refuse(format!(
                "the filter has rank {}, expected {}",
                filter.shape().len(),
                spatial + 2
            ));
        }
    };
    let dilated = op.builder.dilated(op.id).cloned();
    let (from, to) = match &dilated {
        Some(dilated) => (dilated.from, dilated.to),
        None => (op.wire(0)?, WireId::new(op.id, 0)),
    };
    let (_, input) = op.builder.type_of(from)?;
    let (dtype, output) = op.builder.type_of(to)?;
    let mut window = match &dilated {
        Some(_) => window(op, size, &op.shape(0)?, &op.output_type(0)?.1)?,
        None => window(op, size, &input, &output)?,
    };
    if let Some(dilated) = dilated {
        window.dilation = dilated.block;
        window.pre_padding = dilated.pre_padding;
        window.post_padding = dilated.post_padding;
    }
    let layout = window.layout;
    let channel_axis = match layout {
        Layout::ChannelsFirst => spatial + 1,
        Layout::Native => 1,
    };
    let Some(channels) = input.dims()[channel_axis].fixed() else {
        return refuse("the number of channels is not known");
    };
    let depthwise = op.node.op.contains("Depthwise");
    let (groups, mut kernel_shape, mut order) = if depthwise {
        let maps = input_channels * output_channels;
        (channels, vec![maps, 1], vec![spatial, spatial + 1])
    } else {
        let groups = channels / input_channels.max(1);
        (
            groups,
            vec![output_channels, input_channels],
            vec![spatial + 1, spatial],
        )
    };
    kernel_shape.extend(size);
    order.extend(0..spatial);
    let kernel = op.weights(|| {
        let mut kernel = permute(&filter, &order)?;
        kernel.reshape(&kernel_shape)?;
        Ok(Arc::new(kernel))
    })?;
    let fused = match op.node.op.as_str() {
        "FusedConv2DBiasActivation" => bias_activation::read(op)?,
        _ => Fused::read(op)?,
    };
    let bias = match fused.bias {
        Some(index) => Some(vector(op, index, "bias", kernel_shape[0])?),
        None => None,
    };
    let image = op.builder.tensor(from, layout)?;
    let layer = Layer::Convolution {
        kernel,
        bias,
        stride: window.stride,
        dilation: window.dilation,
        pre_padding: window.pre_padding,
        post_padding: window.post_padding,
        padding_mode: window.padding_mode,
        groups,
    };
    let result = op.emit(layer, &[image], dtype, &output, layout);
    let result = fused.activate(op, result, (dtype, &output), layout)?;
    op.builder.place(to, result, layout);
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
        (dtype, shape): (DType, &Shape),
        layout: Layout,
    ) -> Result<TensorId, Refusal> {
        let Some(name) = self.activation.as_deref() else {
            return Ok(tensor);
        };
        let Some(layer) = activation(name, self.alpha) else {
            return fused_prelu(op, tensor, self.slopes, (dtype, shape), layout);
        };
        Ok(op.emit(layer, &[tensor], dtype, shape, layout))
    }
}

/// cuDNN's convolution with a bias and an activation, which scales its inputs and adds another one.
mod bias_activation {
    use super::{Fused, Op, Refusal, floats, refuse};

    /// Checks that nothing is scaled or added.
    pub(super) fn check(op: &Op<'_, '_>) -> Result<(), Refusal> {
        let scale = |index: usize, role: &str| -> Result<Option<f32>, Refusal> {
            Ok(floats(&*op.require_constant(index, role)?)?
                .first()
                .copied())
        };
        if scale(4, "conv_input_scale")? != Some(1.0) {
            return refuse("conv_input_scale must be 1");
        }
        let side = op
            .fact(3)?
            .shape
            .as_ref()
            .and_then(tfjet_core::Shape::elements);
        if side != Some(0) && scale(5, "side_input_scale")? != Some(0.0) {
            return refuse("a side_input has no layer");
        }
        Ok(())
    }

    pub(super) fn read(op: &Op<'_, '_>) -> Result<Fused, Refusal> {
        let mode = op.attrs.str_or("activation_mode", "Relu")?;
        let alpha = op.attrs.float_or("leakyrelu_alpha", 0.2)?;
        if mode != "None" && super::activation(mode, alpha).is_none() {
            return refuse(format!("activation_mode {mode} has no layer"));
        }
        op.attrs.ignore(&["Tbias"]);
        Ok(Fused {
            bias: Some(2),
            activation: (mode != "None").then(|| mode.to_owned()),
            slopes: 3,
            alpha,
        })
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
