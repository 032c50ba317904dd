//! What an op enqueues, once the shapes of its inputs are known.

use tfjet_core::{AttrValue, Attrs, DType};
use tfjet_cuda::Scope;
use tfjet_cuda::kernels::{
    BinaryOp, DeviceTensor, ElementType, KernelError, Kernels, ReduceOp, Sampling, UnaryOp, Walk,
};
use tfjet_ops::OpError;

use super::arguments::{axis, expect_same_dtype, integer, shape_error, take};
use super::movement::Movement;
use super::shapes::{bias_add, check_divisor, gather, reduce, resize, select};
use super::{OpInput, element_type};

/// An op with its attributes.
#[derive(Debug, Clone)]
pub(super) enum Op {
    View(View),
    Unary(UnaryOp, f32),
    Binary(BinaryOp),
    BiasAdd { channels_first: bool },
    AddN,
    Cast { to: DType },
    Select { broadcast: bool },
    Gather { axis_input: bool, batch_dims: i64 },
    Resize { bilinear: bool, sampling: Sampling },
    Reduce { op: ReduceOp, keep_dims: bool },
    ArgExtreme { op: ReduceOp, output_type: DType },
    Movement(Movement),
}

/// An op whose output has the elements of its first input.
#[derive(Debug, Clone)]
pub(super) enum View {
    Identity,
    Reshape,
    ExpandDims,
    Squeeze { dims: Vec<i64> },
}

/// Types and shapes of an op's outputs, and what makes them.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) outputs: Vec<(DType, Vec<usize>)>,
    pub(super) work: Work,
}

/// What is enqueued. The device reads the inputs in the order of the op.
#[derive(Debug)]
pub(super) enum Work {
    Nothing,
    Unary(UnaryOp, f32),
    /// The second input under the shape given, if any.
    Binary(BinaryOp, Option<Vec<usize>>),
    AddAll,
    Cast,
    /// The condition under the shape given.
    Select(Vec<usize>),
    Gather {
        axis: usize,
        batch_dims: usize,
    },
    Resize {
        bilinear: bool,
        sampling: Sampling,
    },
    Reduce {
        op: ReduceOp,
        axes: Vec<usize>,
    },
    Copies(Vec<Copy>),
    /// Zeros, then the copy.
    ZerosAndCopy(Copy),
}

/// A walk over an input (the first tensor) and an output (the second).
#[derive(Debug)]
pub(super) struct Copy {
    input: usize,
    output: usize,
    walk: Walk<2>,
}

impl Copy {
    pub(super) fn new(input: usize, output: usize, walk: Walk<2>) -> Self {
        Self {
            input,
            output,
            walk,
        }
    }
}

impl Plan {
    /// Of an op with one output.
    pub(super) fn new(dtype: DType, shape: Vec<usize>, work: Work) -> Self {
        Self {
            outputs: vec![(dtype, shape)],
            work,
        }
    }

    /// `inputs` and `outputs` are as many as the op and this plan have.
    pub(super) fn enqueue(
        &self,
        kernels: &Kernels,
        scope: &Scope<'_, '_>,
        inputs: &[DeviceTensor],
        outputs: &[DeviceTensor],
    ) -> Result<(), KernelError> {
        match (&self.work, inputs, outputs) {
            (Work::Unary(op, alpha), [x], [y]) => kernels.unary(scope, *op, *alpha, x, y),
            (Work::Binary(op, None), [a, b], [y]) => kernels.binary(scope, *op, a, b, y),
            (Work::Binary(op, Some(shape)), [a, b], [y]) => {
                kernels.binary(scope, *op, a, &reshaped(b, shape), y)
            }
            (Work::AddAll, [first, rest @ ..], [sum]) => {
                let Some((second, rest)) = rest.split_first() else {
                    let mut whole = Walk::new([0, 0]);
                    whole.push(first.elements(), [1, 1]);
                    return kernels.copy(scope, first, sum, &whole);
                };
                kernels.binary(scope, BinaryOp::Add, first, second, sum)?;
                rest.iter()
                    .try_for_each(|x| kernels.binary(scope, BinaryOp::Add, sum, x, sum))
            }
            (Work::Cast, [x], [y]) => kernels.cast(scope, x, y),
            (Work::Select(shape), [condition, a, b], [y]) => {
                kernels.select(scope, &reshaped(condition, shape), a, b, y)
            }
            (Work::Gather { axis, batch_dims }, [params, indices, ..], [y]) => {
                kernels.gather(scope, params, indices, *axis, *batch_dims, y)
            }
            (Work::Resize { bilinear, sampling }, [x, ..], [y]) => {
                if y.elements() == 0 {
                    Ok(())
                } else if *bilinear {
                    kernels.resize_bilinear(scope, x, *sampling, y)
                } else {
                    kernels.resize_nearest(scope, x, *sampling, y)
                }
            }
            (Work::Reduce { op, axes }, [x, ..], [y]) => {
                let is_extreme = matches!(op, ReduceOp::Max | ReduceOp::Min);
                let narrowed = self.outputs.iter().any(|(dtype, _)| *dtype == DType::I64)
                    && y.dtype == ElementType::I32;
                if is_extreme && narrowed && x.elements() == 0 && y.elements() > 0 {
                    return Err(KernelError::Shapes {
                        kernel: "reduce",
                        detail: "the extreme of no int64 does not fit int32".to_owned(),
                    });
                }
                kernels.reduce(scope, *op, x, axes, y)
            }
            (Work::Copies(copies), _, _) => copies
                .iter()
                .try_for_each(|copy| copy.enqueue(kernels, scope, inputs, outputs)),
            (Work::ZerosAndCopy(copy), _, [y]) => {
                let bytes = y.elements().saturating_mul(y.dtype.size_bytes());
                scope.fill_zero(&y.region.slice(0, bytes).unwrap_or(y.region.clone()))?;
                copy.enqueue(kernels, scope, inputs, outputs)
            }
            (Work::Nothing, _, _) => Ok(()),
            (work, _, _) => Err(KernelError::Shapes {
                kernel: "residual",
                detail: format!(
                    "{work:?} of {} inputs and {} outputs",
                    inputs.len(),
                    outputs.len()
                ),
            }),
        }
    }
}

impl Copy {
    fn enqueue(
        &self,
        kernels: &Kernels,
        scope: &Scope<'_, '_>,
        inputs: &[DeviceTensor],
        outputs: &[DeviceTensor],
    ) -> Result<(), KernelError> {
        match (inputs.get(self.input), outputs.get(self.output)) {
            (Some(from), Some(to)) => kernels.copy(scope, from, to, &self.walk),
            _ => Err(KernelError::Shapes {
                kernel: "copy",
                detail: format!("no input {} or output {}", self.input, self.output),
            }),
        }
    }
}

fn reshaped(tensor: &DeviceTensor, shape: &[usize]) -> DeviceTensor {
    DeviceTensor {
        shape: shape.to_vec(),
        ..tensor.clone()
    }
}

impl Op {
    /// Which of so many inputs the host must know; nothing for another number than the op takes.
    pub(super) fn host_inputs(&self, inputs: usize) -> Option<Vec<usize>> {
        Some(match self {
            Self::View(View::Reshape | View::ExpandDims)
            | Self::Resize { .. }
            | Self::Reduce { .. }
            | Self::ArgExtreme { .. } => vec![1],
            Self::Gather {
                axis_input: true, ..
            } => vec![2],
            Self::Movement(movement) => movement.host_inputs(inputs)?,
            _ => Vec::new(),
        })
    }

    /// Has the device kernels for the types in the attributes? A type that is not there is found
    /// wanting when the op is prepared.
    pub(super) fn takes_types(&self, attrs: &Attrs) -> bool {
        let names = ["T", "Tparams", "SrcT", "DstT", "output_type"];
        let of = |name: &str| match attrs.get(name) {
            Some(AttrValue::Type(dtype)) => Some(dtype.and_then(element_type)),
            _ => None,
        };
        let all = names.iter().all(|name| of(name) != Some(None));
        all && of("T").flatten().is_none_or(|dtype| self.takes(dtype))
    }

    /// Is the op defined for elements of this type?
    fn takes(&self, dtype: ElementType) -> bool {
        match self {
            Self::Unary(op, _) => op.is_defined_for(dtype),
            Self::Binary(op) => op.computed_in(dtype, dtype).is_some(),
            Self::BiasAdd { .. } | Self::AddN => dtype != ElementType::Bool,
            Self::Reduce {
                op: ReduceOp::Mean, ..
            } => dtype.is_float(),
            Self::Reduce { op, .. } => op.is_defined_for(dtype),
            Self::Resize { bilinear, .. } => !bilinear || dtype != ElementType::Bool,
            _ => true,
        }
    }

    fn expect_type(&self, input: usize, found: &OpInput<'_>) -> Result<(), OpError> {
        match element_type(found.dtype) {
            Some(dtype) if self.takes(dtype) => Ok(()),
            _ => Err(OpError::DType {
                input,
                dtype: found.dtype,
                allowed: "a type that the device has this op for",
            }),
        }
    }

    pub(super) fn plan(&self, inputs: &[OpInput<'_>]) -> Result<Plan, OpError> {
        match self {
            Self::View(view) => view.plan(inputs),
            Self::Unary(op, alpha) => {
                let [x] = take(inputs)?;
                self.expect_type(0, x)?;
                let dtype = if op.is_test() { DType::Bool } else { x.dtype };
                Ok(Plan::new(dtype, x.shape.to_vec(), Work::Unary(*op, *alpha)))
            }
            Self::Binary(op) => {
                let [a, b] = take(inputs)?;
                self.expect_type(0, a)?;
                expect_same_dtype(inputs)?;
                let (shape, _) = Walk::broadcast([a.shape, b.shape]).ok_or_else(|| {
                    shape_error!("shapes {:?} and {:?} do not broadcast", a.shape, b.shape)
                })?;
                check_divisor(*op, b)?;
                let dtype = if op.is_test() { DType::Bool } else { a.dtype };
                Ok(Plan::new(dtype, shape, Work::Binary(*op, None)))
            }
            Self::BiasAdd { channels_first } => {
                let [value, bias] = take(inputs)?;
                self.expect_type(0, value)?;
                bias_add(*channels_first, value, bias)
            }
            Self::AddN => {
                expect_same_dtype(inputs)?;
                let Some(first) = inputs.first() else {
                    return Err(OpError::InputCount {
                        expected: 1,
                        actual: 0,
                    });
                };
                self.expect_type(0, first)?;
                if let Some(other) = inputs.iter().find(|other| other.shape != first.shape) {
                    return Err(shape_error!(
                        "inputs have shapes {:?} and {:?}",
                        first.shape,
                        other.shape
                    ));
                }
                Ok(Plan::new(first.dtype, first.shape.to_vec(), Work::AddAll))
            }
            Self::Cast { to } => {
                let [x] = take(inputs)?;
                self.expect_type(0, x)?;
                Ok(Plan::new(*to, x.shape.to_vec(), Work::Cast))
            }
            Self::Select { broadcast } => select(*broadcast, inputs),
            Self::Gather {
                axis_input,
                batch_dims,
            } => gather(*axis_input, *batch_dims, inputs),
            Self::Resize { bilinear, sampling } => {
                let [x, size] = take(inputs)?;
                self.expect_type(0, x)?;
                resize(*bilinear, *sampling, x, size)
            }
            Self::Reduce { op, keep_dims } => {
                let [x, which] = take(inputs)?;
                self.expect_type(0, x)?;
                reduce(*op, *keep_dims, x, which)
            }
            Self::ArgExtreme { op, output_type } => {
                let [x, dim] = take(inputs)?;
                self.expect_type(0, x)?;
                let axis = axis(integer(1, dim)?, x.shape.len())?;
                if x.shape[axis] == 0 {
                    return Err(shape_error!("axis {axis} of {:?} is empty", x.shape));
                }
                let shape = [&x.shape[..axis], &x.shape[axis + 1..]].concat();
                let work = Work::Reduce {
                    op: *op,
                    axes: vec![axis],
                };
                Ok(Plan::new(*output_type, shape, work))
            }
            Self::Movement(movement) => movement.plan(inputs),
        }
    }
}
