//! One ONNX counterpart for each layer, by family.

mod convolution;
mod dynamic;
mod elementwise;
mod gather;
mod nms;
mod padded;
mod pooling;
mod reduce;
mod resize;
mod rounding;
mod shuffle;
mod slice;
mod unary;
mod writer;

use std::collections::HashSet;

use tfjet_core::{Layer, LayerSpec, TensorId};

use crate::OnnxError;
use crate::graph::Graph;
use writer::Writer;

/// Checks a layer's wires, and notes what it makes.
pub(crate) fn check(
    graph: &Graph<'_>,
    layer: &LayerSpec,
    made: &mut HashSet<TensorId>,
) -> Result<(), OnnxError> {
    let name = |id: TensorId| {
        let tensor = graph
            .spec
            .tensor(id)
            .ok_or_else(|| OnnxError::LayerTensor {
                layer: layer.name.clone(),
                id,
            })?;
        Ok(tensor.name.clone())
    };
    for &id in &layer.inputs {
        let tensor = name(id)?;
        if !made.contains(&id) {
            return Err(OnnxError::UsedBeforeMade {
                layer: layer.name.clone(),
                tensor,
            });
        }
    }
    for &id in &layer.outputs {
        let tensor = name(id)?;
        if !made.insert(id) {
            return Err(OnnxError::MadeTwice {
                layer: layer.name.clone(),
                tensor,
            });
        }
    }
    let (inputs, outputs) = (layer.inputs.len(), layer.outputs.len());
    let fits = match &layer.layer {
        Layer::Constant { .. } | Layer::Numbers { .. } => (inputs, outputs) == (0, 1),
        Layer::Concatenation { .. } => inputs >= 1 && outputs == 1,
        Layer::TopK { .. } => (inputs, outputs) == (1, 2),
        Layer::Nms { .. } => (inputs, outputs) == (2, 2),
        Layer::Select | Layer::SliceTo { .. } | Layer::LinSpace => (inputs, outputs) == (3, 1),
        Layer::ElementWise { .. }
        | Layer::MatrixMultiply { .. }
        | Layer::Gather { .. }
        | Layer::ParametricRelu
        | Layer::Reshape
        | Layer::Pad { .. }
        | Layer::ResizeTo { .. }
        | Layer::Expand
        | Layer::Tile => (inputs, outputs) == (2, 1),
        _ => (inputs, outputs) == (1, 1),
    };
    if fits {
        return Ok(());
    }
    Err(OnnxError::Arity {
        layer: layer.name.clone(),
        kind: layer.layer.kind(),
        inputs,
        outputs,
    })
}

/// Writes the nodes and initializers of layer `index`.
pub(crate) fn write<'a>(
    graph: &mut Graph<'a>,
    spec: &'a LayerSpec,
    index: usize,
) -> Result<(), OnnxError> {
    let mut w = Writer::new(graph, spec, index);
    w.round_network_inputs()?;
    w.cut_inputs()?;
    w.round_inputs_to_fp16()?;
    w.begin();
    family(&mut w, spec)?;
    w.cut_outputs()
}

fn family<'a>(w: &mut Writer<'_, 'a>, spec: &'a LayerSpec) -> Result<(), OnnxError> {
    match &spec.layer {
        Layer::Constant { weights } => w.constant(*weights),
        Layer::Convolution { .. } => convolution::convolution(w),
        Layer::Deconvolution { .. } => convolution::deconvolution(w),
        Layer::Activation { kind, alpha, beta } => unary::activation(w, *kind, *alpha, *beta),
        Layer::Scale { scale, shift } => elementwise::scale(w, *scale, *shift),
        Layer::ElementWise { operation } => elementwise::elementwise(w, *operation),
        Layer::Unary { operation } => unary::unary(w, *operation),
        Layer::Pooling { .. } => pooling::pooling(w),
        Layer::MatrixMultiply { first, second } => reduce::matrix_multiply(w, *first, *second),
        Layer::Softmax { axis } => reduce::softmax(w, *axis),
        Layer::Reduce {
            operation,
            axes,
            keep_dims,
        } => reduce::reduce(w, *operation, axes, *keep_dims),
        Layer::Shuffle {
            first_transpose,
            reshape,
            second_transpose,
        } => shuffle::shuffle(w, first_transpose, reshape.as_deref(), second_transpose),
        Layer::Slice {
            start,
            size,
            stride,
            mode,
        } => slice::slice(w, start, size, stride, *mode),
        Layer::Concatenation { axis } => shuffle::concatenation(w, *axis),
        Layer::Gather { mode } => gather::gather(w, *mode),
        Layer::TopK { operation, k, axis } => gather::top_k(w, *operation, *k, *axis),
        Layer::Resize {
            mode,
            coordinates,
            rounding,
            size,
        } => resize::resize(w, *mode, *coordinates, *rounding, size),
        Layer::Select => elementwise::select(w),
        Layer::Cast { to } => {
            let input = w.input(0)?;
            let cast = w.cast(&input, *to)?;
            w.finish(0, cast)
        }
        Layer::ParametricRelu => elementwise::parametric_relu(w),
        Layer::Lrn {
            window,
            alpha,
            beta,
            k,
        } => pooling::lrn(w, *window, [*alpha, *beta, *k]),
        Layer::Nms {
            max_output_boxes,
            iou_threshold,
            score_threshold,
        } => nms::nms(w, *max_output_boxes, *iou_threshold, *score_threshold),
        Layer::Shape => dynamic::shape(w),
        Layer::Reshape => dynamic::reshape(w),
        Layer::SliceTo { stride } => dynamic::slice_to(w, stride),
        Layer::Pad { mode } => dynamic::pad(w, *mode),
        Layer::ResizeTo {
            mode,
            coordinates,
            rounding,
        } => resize::resize_to(w, *mode, *coordinates, *rounding),
        Layer::ResizeBy {
            mode,
            coordinates,
            rounding,
            scales,
        } => resize::resize_by(w, *mode, *coordinates, *rounding, scales),
        Layer::Expand => dynamic::expand(w),
        Layer::Tile => dynamic::tile(w),
        Layer::Numbers { values } => dynamic::numbers(w, values),
        Layer::LinSpace => dynamic::lin_space(w),
    }
}
