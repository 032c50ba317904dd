//! Residual kernels: the ops that stay outside TensorRT segments, on the CPU, with TensorFlow's
//! semantics. The converter folds constants with them, the runtime runs what is left of a graph.
//!
//! In: an op's type and [`Attrs`](tfjet_core::Attrs), then [`TensorView`](tfjet_core::TensorView)s.
//! Out: [`Tensor`](tfjet_core::Tensor)s, whose allocations are used again from run to run.
//!
//! Does not: know graphs, bundles or devices, start threads, or guess: an unknown op or attribute,
//! a type or shape that the op does not define, and an output above [`MAX_OUTPUT_BYTES`] are
//! errors. Denormal numbers stay as they are, where TensorFlow flushes them to zero; half-precision
//! floats are computed in 32 bits and rounded once, where TensorFlow rounds after every step.
//!
//! ```
//! use tfjet_core::{AttrValue, Attrs, Tensor};
//!
//! let attrs = Attrs::default().with("alpha", AttrValue::Float(0.5));
//! let kernel = tfjet_ops::kernel("LeakyRelu", &attrs)?;
//! let x = Tensor::from_slice(&[3], &[-2.0f32, 0.0, 2.0])?;
//! let mut y = [Tensor::default()];
//! kernel.run(&[x.view()], &mut y)?;
//! assert_eq!(y[0].as_slice::<f32>()?, [-1.0, 0.0, 2.0]);
//! # Ok::<(), tfjet_ops::OpError>(())
//! ```
#![forbid(unsafe_code)]

mod activation;
mod arguments;
mod assert;
mod batch_norm;
mod biased_conv2d;
mod binary;
mod bitwise;
mod broadcast;
mod cast;
mod clip;
mod color;
mod combined_non_max_suppression;
mod compare;
mod complex;
mod concat;
mod conv2d;
mod conv2d_backprop_input;
mod crop_and_resize;
mod cumsum;
mod einsum;
mod error;
mod fake_quant;
mod fill;
mod fourier;
mod fused;
mod gather;
mod kernel;
mod local_response;
mod matmul;
mod matrix_diag;
mod multi_class_non_max_suppression;
mod non_max_suppression;
mod number;
mod pad;
mod partition;
mod patches;
mod pool;
mod quantize_and_dequantize;
mod reduce;
mod registry;
mod reshape;
mod resize;
mod resize_weighted;
mod roll;
mod scatter;
mod search;
mod segment;
mod select;
mod slice;
mod softmax;
mod space_to_batch;
mod special;
mod strided;
mod tensor_list;
mod tie_order;
mod tile;
mod top_k;
mod transpose;
mod unary;
mod unique;
mod volume;
mod window;

pub use arguments::MAX_OUTPUT_BYTES;
pub use error::OpError;
pub use kernel::Kernel;
pub use registry::{is_supported, kernel, supported_ops};
pub use slice::SlicedDim;
