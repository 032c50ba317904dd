//! Writes a [`NetworkSpec`] as an ONNX model.
//!
//! In: a network as plain data and the table that says where its weights lie. Out: the bytes of an
//! ONNX `ModelProto` (opset 17), the same bytes for the same network. Weights stay where they are:
//! each becomes an initializer with external data, addressed by offset and length in one blob under
//! [`OnnxOptions::weights_location`]. Tensors keep their names, so inputs and outputs of the model
//! are those of the network.
//!
//! Does not: read or copy weights, know TensorFlow, or run anything.
//!
//! ```
//! use tfjet_core::{
//!     ActivationType, DType, Layer, LayerSpec, NetworkSpec, NetworkTensor, Shape, TensorId,
//!     WeightsTable,
//! };
//! use tfjet_onnx::{OnnxOptions, to_onnx};
//!
//! let tensor = |name: &str| NetworkTensor {
//!     name: name.into(),
//!     dtype: DType::F32,
//!     shape: Shape::fixed(&[1, 8]),
//! };
//! let spec = NetworkSpec {
//!     name: "segment".into(),
//!     tensors: vec![tensor("x"), tensor("y")],
//!     inputs: vec![TensorId(0)],
//!     outputs: vec![TensorId(1)],
//!     layers: vec![LayerSpec {
//!         name: "relu".into(),
//!         layer: Layer::Activation { kind: ActivationType::Relu, alpha: 0.0, beta: 0.0 },
//!         inputs: vec![TensorId(0)],
//!         outputs: vec![TensorId(1)],
//!     }],
//! };
//! let bytes = to_onnx(&spec, &WeightsTable::default(), &OnnxOptions::default())?;
//! assert!(!bytes.is_empty());
//! # Ok::<(), tfjet_onnx::OnnxError>(())
//! ```
#![forbid(unsafe_code)]

mod error;
mod graph;
mod layer;
mod numbers;
mod padding;
mod proto;
mod types;

pub use error::OnnxError;
pub use graph::{rounds_fp16, to_onnx};

use tfjet_core::Quantization;

#[cfg(doc)]
use tfjet_core::{LayerPrecision, NetworkSpec};

/// How a model is written.
#[derive(Debug, Clone, PartialEq)]
pub struct OnnxOptions {
    /// The `location` of every initializer with external data: the name under which the weights
    /// section is handed to the engine.
    pub weights_location: String,
    /// In which numbers the layers compute; 32-bit floats where there is none. Layers in INT8 are
    /// written as floats with a `QuantizeLinear` and a `DequantizeLinear` (QDQ) behind what makes
    /// their input and behind their weights, which stay the floats of the weights section.
    pub quantization: Option<Quantization>,
    /// Layers of [`LayerPrecision::Fp16`] read float tensors and weights rounded to 16 bits and
    /// give results rounded so; what is beyond 65504 is infinite. Between that they compute in 32
    /// bits. Without it they compute as [`LayerPrecision::Fp32`].
    pub round_fp16: bool,
}

impl Default for OnnxOptions {
    fn default() -> Self {
        Self {
            weights_location: "weights".into(),
            quantization: None,
            round_fp16: false,
        }
    }
}
