use tfjet_core::{DType, QuantizationError, TensorId, WeightsId};

/// Why a network cannot be written as ONNX.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// A network input or output names a tensor that does not exist.
    #[error("network {network}: tensor id {} does not exist", id.0)]
    UnknownTensor {
        /// Name of the network.
        network: String,
        /// The id.
        id: TensorId,
    },
    /// A tensor name is empty or not unique.
    #[error("network {network}: tensor name `{name}` is empty or not unique")]
    TensorName {
        /// Name of the network.
        network: String,
        /// The name.
        name: String,
    },
    /// A network output is listed twice, or no layer makes it.
    #[error("network {network}: output `{name}` is {reason}")]
    Output {
        /// Name of the network.
        network: String,
        /// Name of the tensor.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A layer names a tensor that does not exist.
    #[error("layer {layer}: tensor id {} does not exist", id.0)]
    LayerTensor {
        /// Name of the layer.
        layer: String,
        /// The id.
        id: TensorId,
    },
    /// A layer reads a tensor that no earlier layer makes.
    #[error("layer {layer}: input `{tensor}` is used before it is made")]
    UsedBeforeMade {
        /// Name of the layer.
        layer: String,
        /// Name of the tensor.
        tensor: String,
    },
    /// A layer writes a tensor that was made before.
    #[error("layer {layer}: output `{tensor}` is made twice")]
    MadeTwice {
        /// Name of the layer.
        layer: String,
        /// Name of the tensor.
        tensor: String,
    },
    /// A layer has the wrong number of inputs or outputs.
    #[error("layer {layer}: {kind} has {inputs} inputs and {outputs} outputs, which do not fit")]
    Arity {
        /// Name of the layer.
        layer: String,
        /// Kind of the layer.
        kind: &'static str,
        /// Inputs that it has.
        inputs: usize,
        /// Outputs that it has.
        outputs: usize,
    },
    /// A layer names weights that do not exist.
    #[error("layer {layer}: weights id {} does not exist", id.0)]
    UnknownWeights {
        /// Name of the layer.
        layer: String,
        /// The id.
        id: WeightsId,
    },
    /// An entry of the weights table contradicts itself.
    #[error("layer {layer}: weights {} of shape {shape:?} ({dtype}) cannot lie in {len_bytes} bytes at offset {offset}", id.0)]
    WeightsEntry {
        /// Name of the layer.
        layer: String,
        /// The id.
        id: WeightsId,
        /// Element type of the entry.
        dtype: DType,
        /// Shape of the entry.
        shape: Vec<usize>,
        /// Offset of the entry.
        offset: u64,
        /// Length of the entry.
        len_bytes: u64,
    },
    /// A parameter of a layer does not fit its tensors, or ONNX has no counterpart.
    #[error("layer {layer}: {reason}")]
    Layer {
        /// Name of the layer.
        layer: String,
        /// What is wrong, naming the parameter.
        reason: String,
    },
    /// The numbers that the layers are to compute in do not fit the network.
    #[error("network {network}: the quantization does not fit: {source}")]
    Quantization {
        /// Name of the network.
        network: String,
        /// What is wrong.
        source: QuantizationError,
    },
    /// An element type has no ONNX counterpart.
    #[error("tensor {tensor}: ONNX has no type for {dtype}")]
    DType {
        /// Name of the tensor.
        tensor: String,
        /// The element type.
        dtype: DType,
    },
}
