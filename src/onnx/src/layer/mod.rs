//! One ONNX counterpart for each layer, by family.

mod convolution;
mod elementwise;
mod gather;
mod pooling;
mod reduce;
mod resize;
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
        Layer::Constant { .. } => (inputs, outputs) == (0, 1),
        Layer::Concatenation { .. } => inputs >= 1 && outputs == 1,
        Layer::TopK { .. } => (inputs, outputs) == (1, 2),
        Layer::Select => (inputs, outputs) == (3, 1),
        Layer::ElementWise { .. }
        | Layer::MatrixMultiply { .. }
        | Layer::Gather { .. }
        | Layer::ParametricRelu => (inputs, outputs) == (2, 1),
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

/// Writes the nodes and initializers of one layer.
pub(crate) fn write<'a>(graph: &mut Graph<'a>, spec: &'a LayerSpec) -> Result<(), OnnxError> {
    let mut w = Writer::new(graph, spec);
    match &spec.layer {
        Layer::Constant { weights } => w.constant(*weights),
        Layer::Convolution { .. } => convolution::convolution(&mut w),
        Layer::Deconvolution { .. } => convolution::deconvolution(&mut w),
        Layer::Activation { kind, alpha, beta } => unary::activation(&mut w, *kind, *alpha, *beta),
        Layer::Scale { scale, shift } => elementwise::scale(&mut w, *scale, *shift),
        Layer::ElementWise { operation } => elementwise::elementwise(&mut w, *operation),
        Layer::Unary { operation } => unary::unary(&mut w, *operation),
        Layer::Pooling { .. } => pooling::pooling(&mut w),
        Layer::MatrixMultiply { first, second } => reduce::matrix_multiply(&mut w, *first, *second),
        Layer::Softmax { axis } => reduce::softmax(&mut w, *axis),
        Layer::Reduce {
            operation,
            axes,
            keep_dims,
        } => reduce::reduce(&mut w, *operation, axes, *keep_dims),
        Layer::Shuffle {
            first_transpose,
            reshape,
            second_transpose,
        } => shuffle::shuffle(
            &mut w,
            first_transpose,
            reshape.as_deref(),
            second_transpose,
        ),
        Layer::Slice {
            start,
            size,
            stride,
            mode,
        } => slice::slice(&mut w, start, size, stride, *mode),
        Layer::Concatenation { axis } => shuffle::concatenation(&mut w, *axis),
        Layer::Gather { mode } => gather::gather(&mut w, *mode),
        Layer::TopK { operation, k, axis } => gather::top_k(&mut w, *operation, *k, *axis),
        Layer::Resize {
            mode,
            coordinates,
            rounding,
            size,
        } => resize::resize(&mut w, *mode, *coordinates, *rounding, size),
        Layer::Select => elementwise::select(&mut w),
        Layer::Cast { to } => {
            let input = w.input(0)?;
            let cast = w.cast(&input, *to)?;
            w.finish(0, cast)
        }
        Layer::ParametricRelu => elementwise::parametric_relu(&mut w),
    }
}
