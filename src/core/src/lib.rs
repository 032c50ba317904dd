//! Plain data that the converter and the runtime share.
//!
//! In: nothing. Out: types. [`Tensor`] and [`TensorView`] hold values, [`Shape`] describes them,
//! [`Attrs`] carries an op's attributes, [`NetworkSpec`] is a TensorRT-shaped network as data,
//! [`Quantization`] says in which numbers it computes, [`Schedule`] is the order in which a session runs its steps, [`Manifest`] says what a
//! bundle is for, and [`Target`] what it is to run on.
//!
//! Does not: read files, know TensorFlow's formats, call foreign code, or start threads.
//!
//! ```
//! use tfjet_core::{DType, Tensor};
//!
//! let tensor = Tensor::from_slice(&[2, 2], &[1.0f32, 2.0, 3.0, 4.0])?;
//! assert_eq!(tensor.dtype(), DType::F32);
//! assert_eq!(tensor.view().as_slice::<f32>()?[3], 4.0);
//! # Ok::<(), tfjet_core::TensorError>(())
//! ```
#![forbid(unsafe_code)]

mod attr;
mod dtype;
pub mod formula;
mod manifest;
mod memory;
mod network;
mod quantization;
pub mod requirements;
mod schedule;
mod shape;
mod target;
mod tensor;

pub use attr::{AttrError, AttrReader, AttrValue, Attrs};
pub use dtype::{DType, Element};
pub use manifest::{
    BoxColumns, ColorOrder, Decoder, ImageLayout, InputSpec, Manifest, OutputSpec, Preprocess,
    ResizeFilter, ResizeMode, SegmentSummary, Summary, TargetInfo,
};
pub use memory::{Memory, MemoryError};
pub use network::{
    ActivationType, ElementWiseOperation, GatherMode, InterpolationMode, Layer, LayerSpec,
    MatrixOperation, NetworkSpec, NetworkTensor, PaddingMode, PoolingType, ReduceOperation,
    ReshapeDim, ResizeCoordinateTransformation, ResizeRounding, SampleMode, TensorId,
    TopKOperation, UnaryOperation, WeightsEntry, WeightsId, WeightsTable,
};
pub use quantization::{
    LayerPrecision, Quantization, QuantizationError, QuantizedWeights, quantized_weights,
};
pub use schedule::{
    Function, FunctionId, PlacedStep, Schedule, ScheduleError, SchedulePlace, Step, Value, ValueId,
    ValueSource,
};
pub use shape::{Dim, Shape};
pub use target::{ComputeCapability, Cpu, EngineKind, Peak, PowerMode, Precision, Release, Target};
pub use tensor::{Tensor, TensorError, TensorView};
