//! Residual ops with kernels on the device: which, on what types, and how they are enqueued.

use tfjet_core::{AttrReader, Attrs, DType, TensorView};
use tfjet_cuda::Scope;
use tfjet_cuda::kernels::{DeviceTensor, ElementType, KernelError, Kernels};
use tfjet_ops::{MAX_OUTPUT_BYTES, OpError};

use super::GpuError;

mod arguments;
mod movement;
mod plan;
mod shapes;
mod strided_slice;
mod table;

use plan::{Op, Plan};
pub use table::device_ops;

/// A residual op with its attributes bound, which the device has kernels for.
///
/// Results are those of the op's kernel in [`tfjet_ops`], except for what a device cannot report:
/// an index of `Gather` out of range gives zeros (TensorFlow's GPU kernels do that, too), an integer
/// divided by 0 or raised to a negative power gives 0. Where the indices, divisors or exponents are
/// known on the host, [`DeviceOp::prepare`] refuses them as the op's own kernel does.
#[derive(Debug)]
pub(crate) struct DeviceOp {
    op: Op,
    inputs: usize,
    host_inputs: Vec<usize>,
}

/// What is known of an op's input before the op runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpInput<'a> {
    /// Type in the schedule, whatever the device holds it in.
    pub(crate) dtype: DType,
    pub(crate) shape: &'a [usize],
    /// The elements, where the host has them; it must for [`DeviceOp::host_inputs`].
    pub(crate) host: Option<TensorView<'a>>,
}

impl DeviceOp {
    /// The op with `inputs` inputs; nothing where the device has no kernel for it, for its types or
    /// for these attributes.
    pub(crate) fn new(op_type: &str, attrs: &Attrs, inputs: usize) -> Option<Self> {
        let constructor = table::find(op_type)?;
        tfjet_ops::kernel(op_type, attrs).ok()?;
        let op = constructor(&AttrReader::new(attrs)).ok()?;
        if !op.takes_types(attrs) {
            return None;
        }
        Some(Self {
            host_inputs: op.host_inputs(inputs)?,
            op,
            inputs,
        })
    }

    /// The inputs, in ascending order, whose elements must be known on the host; the device does
    /// not read them.
    pub(crate) fn host_inputs(&self) -> &[usize] {
        &self.host_inputs
    }

    /// Is the output the first input that the device reads, under another shape?
    pub(crate) fn is_view(&self) -> bool {
        matches!(self.op, Op::View(_))
    }

    /// Types and shapes of the outputs.
    ///
    /// # Errors
    /// As the op's kernel in [`tfjet_ops`], for what can be known before the op runs.
    pub(crate) fn prepare(
        &self,
        inputs: &[OpInput<'_>],
    ) -> Result<Vec<(DType, Vec<usize>)>, OpError> {
        Ok(self.plan(inputs)?.outputs)
    }

    /// Enqueues the op's kernels. `inputs` and `known` have an entry for each of the op's inputs, of
    /// which the tensors of [`DeviceOp::host_inputs`] are not read; the outputs have the shapes that
    /// [`DeviceOp::prepare`] gives for `known`. A view enqueues nothing.
    ///
    /// # Errors
    /// As [`DeviceOp::prepare`], and where types or regions do not fit, a kernel cannot be compiled,
    /// or the driver refuses.
    pub(crate) fn enqueue(
        &self,
        kernels: &Kernels,
        scope: &Scope<'_, '_>,
        inputs: &[DeviceTensor],
        known: &[OpInput<'_>],
        outputs: &[DeviceTensor],
    ) -> Result<(), GpuError> {
        let plan = self.plan(known).map_err(op_error)?;
        if inputs.len() != self.inputs {
            return Err(op_error(OpError::InputCount {
                expected: self.inputs,
                actual: inputs.len(),
            }));
        }
        if outputs.len() != plan.outputs.len() {
            return Err(op_error(OpError::OutputCount {
                expected: plan.outputs.len(),
                actual: outputs.len(),
            }));
        }
        plan.enqueue(kernels, scope, inputs, outputs)
            .map_err(|error| match error {
                KernelError::Cuda(error) => GpuError::Cuda(error),
                other => GpuError::Op(other.to_string()),
            })
    }

    fn plan(&self, inputs: &[OpInput<'_>]) -> Result<Plan, OpError> {
        if inputs.len() != self.inputs {
            return Err(OpError::InputCount {
                expected: self.inputs,
                actual: inputs.len(),
            });
        }
        let plan = self.op.plan(inputs)?;
        for (dtype, shape) in &plan.outputs {
            let bytes = shape
                .iter()
                .try_fold(dtype.size_bytes(), |bytes, &size| bytes.checked_mul(size));
            if bytes.is_none_or(|bytes| bytes > MAX_OUTPUT_BYTES) {
                return Err(OpError::TooLarge {
                    shape: shape.clone(),
                    dtype: *dtype,
                });
            }
        }
        Ok(plan)
    }
}

fn op_error(error: OpError) -> GpuError {
    GpuError::Op(error.to_string())
}

/// The type in which the device holds elements of `dtype`, unless an engine narrowed them; nothing
/// where no kernel takes them.
pub(crate) fn element_type(dtype: DType) -> Option<ElementType> {
    Some(match dtype {
        DType::F32 => ElementType::F32,
        DType::F16 => ElementType::F16,
        DType::I32 => ElementType::I32,
        DType::I64 => ElementType::I64,
        DType::U8 => ElementType::U8,
        DType::I8 => ElementType::I8,
        DType::Bool => ElementType::Bool,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
