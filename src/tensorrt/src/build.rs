//! Networks and engines from specifications.

mod cast;
mod constraints;
mod convolution;
mod dynamic;
mod elementwise;
mod engine;
mod gather;
mod matrix_multiply;
mod nms;
mod numbers;
mod options;
mod pooling;
mod profiles;
mod progress;
mod quantize;
mod ranges;
mod reduce;
mod refusal;
mod resize;
mod shape;
mod shuffle;
mod slice;
mod types;
mod unary;
mod weights;
mod writer;

#[cfg(test)]
mod tests;

use tfjet_core::{
    Dim, Layer, LayerSpec, NetworkSpec, NetworkTensor, TensorId, TensorView, WeightsId,
};

use crate::network::Network;
use crate::{Builder, DataType, TensorRtError};
use numbers::Numbers;
use types::Types;
use writer::{Value, Writer, Written};

pub use engine::{BuiltEngine, build_engine};
pub use options::{
    BuildOptions, Precision, Profile, QuantizationForm, ShapeRange, UnknownPrecision,
    UnknownQuantizationForm,
};
pub use progress::BuildProgress;
pub use refusal::refusal;

/// Where the values of a network's weights are.
pub trait WeightsSource {
    /// The values of `id`, or nothing where there are none.
    fn weights(&self, id: WeightsId) -> Option<TensorView<'_>>;
}

/// What [`build_network`] makes of a network, as a number: it rises with every change that makes
/// another engine of the same network, so that engines of before are not taken for ones of now.
pub const NETWORK_REVISION: u32 = 4;

/// Fills a network as the options say: precision, quantization and its form. Its inputs are
/// `input:0`, `input:1`, ..., its outputs `output:0`, ..., in the specification's order. Where the
/// version has no type of a tensor, the input or output is of another: int32 for int64 before
/// TensorRT 10, float for uint8 before TensorRT 8.5, and float for float16 in TensorRT, which
/// chooses precisions itself.
///
/// # Errors
///
/// [`TensorRtError::Layer`] names the layer and what is wrong with it or what the library lacks;
/// [`TensorRtError::Network`] where inputs and outputs are not well-formed;
/// [`TensorRtError::NoRanges`] and [`TensorRtError::Quantization`] where the quantization is
/// missing or of another network.
pub fn build_network<'w>(
    builder: &Builder,
    spec: &NetworkSpec,
    weights: &'w dyn WeightsSource,
    options: &BuildOptions,
) -> Result<Network<'w>, TensorRtError> {
    let numbers = Numbers::new(builder.version(), spec, options)?;
    let network = Network::new(builder)?;
    fill(&network, weights, &numbers)?;
    Ok(network)
}

/// Fills a network, and says whether words on the precision of its layers were given.
fn fill<'w>(
    network: &Network<'w>,
    weights: &'w dyn WeightsSource,
    numbers: &Numbers<'_>,
) -> Result<bool, TensorRtError> {
    let spec = numbers.spec();
    network.set_name(&spec.name)?;
    let edge = Edge {
        network,
        numbers,
        types: Types::new(network.version(), numbers.has_halves()),
    };
    let mut written = Written {
        tensors: vec![None; spec.tensors.len()],
        made: Vec::new(),
        same: Vec::new(),
    };
    let mut inputs = Vec::with_capacity(spec.inputs.len());
    for (index, &id) in spec.inputs.iter().enumerate() {
        inputs.push(edge.input(index, id, &mut written)?);
    }
    for (index, layer) in spec.layers.iter().enumerate() {
        if let Some(reason) = refusal(network.version(), spec, layer) {
            return Err(named(layer, reason));
        }
        let mut writer = Writer::new(network, weights, numbers, (index, layer), &mut written);
        let done = writer.cast_inputs().and_then(|()| write(&mut writer));
        done.map_err(|error| match error {
            TensorRtError::Layer { .. } => error,
            other => named(layer, other.to_string()),
        })?;
    }
    edge.outputs(&written, inputs)?;
    if numbers.is_implicit() {
        ranges::set(numbers, &written, weights)?;
    }
    constraints::set(numbers, &written)
}

fn named(layer: &LayerSpec, reason: String) -> TensorRtError {
    TensorRtError::Layer {
        layer: layer.name.clone(),
        kind: layer.layer.kind(),
        reason,
    }
}

/// The inputs and outputs of a network.
struct Edge<'n, 'w, 'a> {
    network: &'n Network<'w>,
    numbers: &'a Numbers<'a>,
    types: Types,
}

impl<'n> Edge<'n, '_, '_> {
    fn fail(&self, reason: impl Into<String>) -> TensorRtError {
        TensorRtError::Network {
            network: self.numbers.spec().name.clone(),
            reason: reason.into(),
        }
    }

    fn tensor(&self, id: TensorId) -> Result<(&NetworkTensor, DataType, DataType), TensorRtError> {
        let tensor = self.numbers.spec().tensor(id);
        let tensor = tensor.ok_or_else(|| self.fail(format!("tensor {} does not exist", id.0)))?;
        let types = (
            self.types.edge(tensor.dtype),
            self.types.inside(tensor.dtype),
        );
        let (Some(edge), Some(inside)) = types else {
            return Err(self.fail(format!(
                "{} is {}, of which TensorRT has no tensors",
                tensor.name, tensor.dtype
            )));
        };
        Ok((tensor, edge, inside))
    }

    fn cast(&self, value: Value<'n>, to: DataType, name: &str) -> Result<Value<'n>, TensorRtError> {
        if value.dtype == to {
            return Ok(value);
        }
        let layer = self.network.add_cast(value.tensor, to)?;
        layer.set_name(&format!("{name}/cast"))?;
        Ok(Value::new(layer.output(0)?, to))
    }

    /// Adds an input, and returns it as the library knows it.
    fn input(
        &self,
        index: usize,
        id: TensorId,
        written: &mut Written<'n>,
    ) -> Result<Value<'n>, TensorRtError> {
        let (tensor, edge, inside) = self.tensor(id)?;
        let dims: Vec<i64> = tensor
            .shape
            .dims()
            .iter()
            .map(|dim| match dim {
                Dim::Fixed(size) => i64::try_from(*size).unwrap_or(i64::MAX),
                Dim::Symbolic(_) => -1,
            })
            .collect();
        let name = format!("input:{index}");
        let input = self.network.add_input(&name, edge, &dims)?;
        for (axis, dim) in tensor.shape.dims().iter().enumerate() {
            if let Dim::Symbolic(symbol) = dim {
                input.set_dimension_name(axis, symbol)?;
            }
        }
        let input = Value::new(input, edge);
        let mut value = self.cast(input, inside, &name)?;
        if let Some(range) = self.numbers.explicit(id) {
            value = quantize::rounded(self.network, value, range, &tensor.name)?;
        }
        match written.set(id, value) {
            true => Ok(input),
            false => Err(self.fail(format!("{} is an input twice", tensor.name))),
        }
    }

    /// Marks the outputs. What is an input, an output already, or a constant is copied before.
    fn outputs(
        &self,
        written: &Written<'n>,
        mut taken: Vec<Value<'n>>,
    ) -> Result<(), TensorRtError> {
        let spec = self.numbers.spec();
        for layer in &spec.layers {
            let constant = matches!(layer.layer, Layer::Constant { .. } | Layer::Numbers { .. });
            if let (true, Some(id)) = (constant, layer.outputs.first()) {
                taken.extend(written.get(*id));
            }
        }
        for (index, &id) in spec.outputs.iter().enumerate() {
            let (tensor, edge, _) = self.tensor(id)?;
            let made = written.get(id);
            let made =
                made.ok_or_else(|| self.fail(format!("output {} is never made", tensor.name)))?;
            let name = format!("output:{index}");
            let mut value = self.cast(made, edge, &name)?;
            if taken.iter().any(|taken| taken.tensor == value.tensor) {
                let layer = self.network.add_identity(value.tensor)?;
                layer.set_name(&format!("{name}/copy"))?;
                value = Value::new(layer.output(0)?, edge);
            }
            self.network.mark_output(value.tensor, &name, edge)?;
            taken.push(value);
        }
        Ok(())
    }
}

/// Adds the layers of one specification.
fn write(w: &mut Writer<'_, '_, '_>) -> Result<(), TensorRtError> {
    match &w.layer.layer {
        Layer::Constant { weights } => unary::constant(w, *weights),
        Layer::Convolution { .. } => convolution::convolution(w),
        Layer::Deconvolution { .. } => convolution::deconvolution(w),
        Layer::Activation { kind, alpha, beta } => unary::activation(w, *kind, *alpha, *beta),
        Layer::Scale { scale, shift } => elementwise::scale(w, *scale, *shift),
        Layer::ElementWise { operation } => elementwise::elementwise(w, *operation),
        Layer::Unary { operation } => unary::unary(w, *operation),
        Layer::Pooling { .. } => pooling::pooling(w),
        Layer::MatrixMultiply { first, second } => {
            matrix_multiply::matrix_multiply(w, *first, *second)
        }
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
        Layer::Cast { to } => cast::cast(w, *to),
        Layer::ParametricRelu => unary::parametric_relu(w),
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
