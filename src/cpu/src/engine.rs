use std::fmt;
use std::sync::Arc;

use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::{DynTensor, Outlet, TensorElementType, ValueType};
use smallvec::SmallVec;
use tfjet_core::{DType, Tensor, TensorView};

use crate::raw::{self, Borrowed, Output, RawSession};
use crate::{CpuError, Library, initializers};

/// The bytes that initializers with external data refer to. The engine keeps a reference and reads
/// them in place.
pub type Weights = Arc<dyn AsRef<[u8]> + Send + Sync>;

type Dims = SmallVec<[i64; 8]>;

/// How an engine runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineOptions {
    /// Threads that share the work of one layer, the calling one included; 0 takes one for each
    /// processor that the process may use.
    pub threads: usize,
    /// Threads wait for the next layer by spinning: a little faster where the processors have
    /// nothing else to do, much slower where they have.
    pub spin: bool,
    /// Layers in INT8 are computed as floats of the very values that their 8-bit numbers stand for:
    /// what the model says, to the rounding of floats. That is what a GPU's integers are to be
    /// compared with.
    ///
    /// Without it ONNX Runtime computes in integers where it has a kernel for that: convolutions
    /// whose result is rounded at once, or after an activation that only clips. It rounds their bias
    /// to whole products. Now and then a number comes out one higher or lower than in the exact way,
    /// and what follows from that differs too. On x86-64 processors without VNNI, whose integer sums
    /// overflow there, it computes in floats all the same.
    ///
    /// EfficientNet-Lite0 with all its convolutions in INT8, on one thread of a server processor
    /// with AVX-512 VNNI: 9.1 ms of processor time for an image in integers and 16.1 ms in exact
    /// floats, where the model in 32-bit floats takes 9.4 ms. The probabilities of both ways differ
    /// from those of the 32-bit floats by 18.7 and 18.6 dB, and from each other by 27 dB; the first
    /// class is the same for 47 of 48 images.
    pub exact_quantization: bool,
}

/// An input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IoTensor {
    /// Name in the model.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Sizes; `None` where a size is known at run time only.
    pub dims: Vec<Option<usize>>,
}

impl IoTensor {
    fn fixed_shape(&self) -> Option<Vec<usize>> {
        self.dims.iter().copied().collect()
    }
}

/// A model, ready to run.
pub struct Engine {
    session: RawSession,
    inputs: Vec<IoTensor>,
    outputs: Vec<IoTensor>,
    /// Of each output: its fixed shape, or the one it had when the inputs had `input_shapes`.
    output_shapes: Vec<Option<Vec<usize>>>,
    input_shapes: Vec<Vec<usize>>,
}

impl Engine {
    /// Makes a session for the model `onnx`. All its initializers with external data lie in
    /// `weights`, whatever location they name.
    ///
    /// # Errors
    ///
    /// [`CpuError`] where the model is damaged, does not fit the weights, uses what ONNX Runtime
    /// cannot run, or has an input or output that is no tensor.
    pub fn new(
        library: &Library,
        onnx: &[u8],
        weights: Weights,
        options: &EngineOptions,
    ) -> Result<Self, CpuError> {
        let builder = builder(library, options)?;
        let find = |weights: &[u8]| initializers::external(onnx, weights);
        let session = RawSession::new(builder, onnx, find, weights)?;
        let inputs = io_tensors(session.session().inputs())?;
        let outputs = io_tensors(session.session().outputs())?;
        Ok(Self {
            output_shapes: outputs.iter().map(IoTensor::fixed_shape).collect(),
            input_shapes: Vec::new(),
            session,
            inputs,
            outputs,
        })
    }

    /// The model's inputs, in order.
    pub fn inputs(&self) -> &[IoTensor] {
        &self.inputs
    }

    /// The model's outputs, in order.
    pub fn outputs(&self) -> &[IoTensor] {
        &self.outputs
    }

    /// Runs the model. Each of `outputs` gets the type and shape of the model's output and is
    /// written in place where the shape is fixed or the inputs have the shapes of the last run;
    /// otherwise it is copied once.
    ///
    /// # Errors
    ///
    /// [`CpuError`] where a tensor does not fit the model, or ONNX Runtime fails. The contents of
    /// `outputs` are then undefined.
    pub fn run(
        &mut self,
        inputs: &[TensorView<'_>],
        outputs: &mut [Tensor],
    ) -> Result<(), CpuError> {
        count("inputs", self.inputs.len(), inputs.len())?;
        count("outputs", self.outputs.len(), outputs.len())?;
        for (io, view) in self.inputs.iter().zip(inputs) {
            fits(io, view)?;
        }
        let seen = self.input_shapes.iter().map(Vec::as_slice);
        if !seen.eq(inputs.iter().map(TensorView::shape)) {
            self.forget();
        }
        let guessed = self.guesses();
        let result = self.attempt(inputs, outputs);
        if result.is_err() && guessed {
            self.forget();
            return self.attempt(inputs, outputs);
        }
        result
    }

    /// Is there an output whose shape comes from the last run?
    fn guesses(&self) -> bool {
        let known = self.outputs.iter().zip(&self.output_shapes);
        known
            .into_iter()
            .any(|(io, shape)| shape.is_some() && io.dims.contains(&None))
    }

    fn forget(&mut self) {
        self.input_shapes.clear();
        for (io, shape) in self.outputs.iter().zip(&mut self.output_shapes) {
            if io.dims.contains(&None) {
                *shape = None;
            }
        }
    }

    fn attempt(
        &mut self,
        inputs: &[TensorView<'_>],
        outputs: &mut [Tensor],
    ) -> Result<(), CpuError> {
        let mut values: SmallVec<[Borrowed<'_>; 8]> = SmallVec::new();
        for (io, view) in self.inputs.iter().zip(inputs) {
            let value = self
                .session
                .input(view.bytes(), io_type(io)?, &dims(view.shape()))
                .map_err(CpuError::runtime("take an input"))?;
            values.push(value);
        }
        let mut results: SmallVec<[Output<'_>; 8]> = SmallVec::new();
        let wires = self.outputs.iter().zip(&self.output_shapes);
        for ((io, shape), tensor) in wires.zip(outputs.iter_mut()) {
            results.push(match shape {
                Some(shape) => {
                    reset(io, tensor, shape)?;
                    let given = self
                        .session
                        .output(tensor.bytes_mut(), io_type(io)?, &dims(shape))
                        .map_err(CpuError::runtime("take an output"))?;
                    Output::Given(given)
                }
                None => Output::Allocated(None),
            });
        }
        self.session
            .run(&values, &mut results)
            .map_err(CpuError::runtime("run the model"))?;
        let allocated: SmallVec<[Option<DynTensor>; 8]> = results
            .into_iter()
            .map(|result| match result {
                Output::Given(_) => None,
                Output::Allocated(tensor) => tensor,
            })
            .collect();
        self.copy_out(allocated, inputs, outputs)
    }

    /// Copies what ONNX Runtime allocated, and notes its shapes for the next run.
    fn copy_out(
        &mut self,
        allocated: SmallVec<[Option<DynTensor>; 8]>,
        inputs: &[TensorView<'_>],
        outputs: &mut [Tensor],
    ) -> Result<(), CpuError> {
        if allocated.iter().all(Option::is_none) {
            return Ok(());
        }
        for (i, result) in allocated.iter().enumerate() {
            let (Some(result), Some(io), Some(tensor), Some(known)) = (
                result,
                self.outputs.get(i),
                outputs.get_mut(i),
                self.output_shapes.get_mut(i),
            ) else {
                continue;
            };
            let shape: Vec<usize> = result
                .shape()
                .iter()
                .map(|&dim| usize::try_from(dim).unwrap_or(0))
                .collect();
            reset(io, tensor, &shape)?;
            let len = tensor.bytes().len();
            tensor.bytes_mut().copy_from_slice(raw::bytes(result, len));
            *known = Some(shape);
        }
        self.input_shapes = inputs.iter().map(|input| input.shape().to_vec()).collect();
        Ok(())
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("inputs", &self.inputs)
            .field("outputs", &self.outputs)
            .finish_non_exhaustive()
    }
}

fn builder(library: &Library, options: &EngineOptions) -> Result<SessionBuilder, CpuError> {
    let threads = match options.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let provider = ort::ep::CPU::default().with_arena_allocator(true).build();
    let builder = Session::builder(library.environment())
        .map_err(CpuError::runtime("make session options"))?
        .with_execution_providers([provider])
        .map_err(refused)?
        .with_optimization_level(GraphOptimizationLevel::All)
        .map_err(refused)?
        .with_intra_threads(threads)
        .map_err(refused)?
        .with_inter_threads(1)
        .map_err(refused)?
        .with_intra_op_spinning(options.spin)
        .map_err(refused)?
        .with_quant_qdq(!options.exact_quantization && sums_integers())
        .map_err(refused)?;
    builder.with_memory_pattern(true).map_err(refused)
}

/// Are ONNX Runtime's sums of products of integers those of integers? On x86-64 processors without
/// VNNI they are of 16 bits, and stop at the largest.
fn sums_integers() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni");
    #[cfg(not(target_arch = "x86_64"))]
    true
}

fn refused(error: ort::Error<SessionBuilder>) -> CpuError {
    CpuError::runtime("set a session option")(error)
}

fn io_tensors(outlets: &[Outlet]) -> Result<Vec<IoTensor>, CpuError> {
    outlets.iter().map(io_tensor).collect()
}

fn io_tensor(outlet: &Outlet) -> Result<IoTensor, CpuError> {
    let tensor = match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => core_type(*ty).map(|dtype| IoTensor {
            name: outlet.name().to_owned(),
            dtype,
            dims: shape.iter().map(|&dim| usize::try_from(dim).ok()).collect(),
        }),
        _ => None,
    };
    tensor.ok_or_else(|| CpuError::Interface {
        name: outlet.name().to_owned(),
        found: outlet.dtype().to_string(),
    })
}

fn count(what: &'static str, expected: usize, actual: usize) -> Result<(), CpuError> {
    if expected == actual {
        return Ok(());
    }
    Err(CpuError::Count {
        what,
        expected,
        actual,
    })
}

fn fits(io: &IoTensor, view: &TensorView<'_>) -> Result<(), CpuError> {
    let same_dims = io.dims.len() == view.shape().len()
        && io
            .dims
            .iter()
            .zip(view.shape())
            .all(|(dim, size)| dim.is_none_or(|dim| dim == *size));
    let reason = if view.dtype() != io.dtype {
        format!("expected {}, got {}", io.dtype, view.dtype())
    } else if !same_dims {
        let dims = io
            .dims
            .iter()
            .map(|dim| dim.map_or("?".into(), |dim| dim.to_string()));
        let dims = dims.collect::<Vec<_>>().join(",");
        format!("expected shape [{dims}], got {:?}", view.shape())
    } else if !(view.bytes().as_ptr() as usize).is_multiple_of(io.dtype.size_bytes()) {
        format!("the bytes are not aligned for {}", io.dtype)
    } else if io.dtype == DType::Bool && view.bytes().iter().any(|&byte| byte > 1) {
        "a boolean is neither 0 nor 1".into()
    } else {
        return Ok(());
    };
    Err(CpuError::Input {
        name: io.name.clone(),
        reason,
    })
}

fn reset(io: &IoTensor, tensor: &mut Tensor, shape: &[usize]) -> Result<(), CpuError> {
    tensor
        .reset(io.dtype, shape)
        .map_err(|source| CpuError::Output {
            name: io.name.clone(),
            source,
        })
}

fn dims(shape: &[usize]) -> Dims {
    shape
        .iter()
        .map(|&dim| i64::try_from(dim).unwrap_or(i64::MAX))
        .collect()
}

fn io_type(io: &IoTensor) -> Result<TensorElementType, CpuError> {
    element_type(io.dtype).ok_or_else(|| CpuError::Interface {
        name: io.name.clone(),
        found: io.dtype.to_string(),
    })
}

const TYPES: [(DType, TensorElementType); 13] = [
    (DType::F32, TensorElementType::Float32),
    (DType::F64, TensorElementType::Float64),
    (DType::F16, TensorElementType::Float16),
    (DType::BF16, TensorElementType::Bfloat16),
    (DType::I8, TensorElementType::Int8),
    (DType::I16, TensorElementType::Int16),
    (DType::I32, TensorElementType::Int32),
    (DType::I64, TensorElementType::Int64),
    (DType::U8, TensorElementType::Uint8),
    (DType::U16, TensorElementType::Uint16),
    (DType::U32, TensorElementType::Uint32),
    (DType::U64, TensorElementType::Uint64),
    (DType::Bool, TensorElementType::Bool),
];

pub(crate) fn element_type(dtype: DType) -> Option<TensorElementType> {
    TYPES
        .iter()
        .find(|(ours, _)| *ours == dtype)
        .map(|(_, theirs)| *theirs)
}

fn core_type(ty: TensorElementType) -> Option<DType> {
    TYPES
        .iter()
        .find(|(_, theirs)| *theirs == ty)
        .map(|(ours, _)| *ours)
}
