use tfjet_core::{AttrError, AttrReader, DType, Tensor, TensorView};

use crate::arguments::{Indices, axis, expect_count, integer, output, product, reset, size, take};
use crate::binary::count;
use crate::error::{shape_error, value_error};
use crate::number::{Number, with_type};
use crate::strided::Dims;
use crate::{Kernel, OpError};

/// Copies `source` under another shape of as many elements.
fn copy(source: &TensorView<'_>, shape: &[usize], target: &mut Tensor) -> Result<(), OpError> {
    reset(target, source.dtype(), shape)?;
    target.bytes_mut().copy_from_slice(source.bytes());
    Ok(())
}

/// `Reshape`.
#[derive(Debug)]
struct Reshape;

pub(crate) fn reshape(_: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Reshape))
}

impl Kernel for Reshape {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [tensor, wanted] = take(inputs)?;
        let elements = tensor.elements();
        let mut shape = Dims::new();
        let mut unknown = None;
        let mut known = 1usize;
        for dim in Indices::vector(1, wanted)?.iter() {
            if dim == -1 {
                if unknown.replace(shape.len()).is_some() {
                    return Err(value_error!("more than one size of -1"));
                }
                shape.push(1)?;
            } else {
                let dim = size("a size", dim)?;
                known = known.saturating_mul(dim);
                shape.push(dim)?;
            }
        }
        if let Some(unknown) = unknown {
            if known == 0 {
                return Err(value_error!("a size of -1 beside a size of 0"));
            }
            shape[unknown] = elements / known;
        }
        if product(&shape) != elements {
            return Err(shape_error!(
                "{elements} elements of shape {:?} do not fill shape {:?}",
                tensor.shape(),
                Indices::new(1, wanted)?.iter().collect::<Vec<_>>()
            ));
        }
        copy(tensor, &shape, output(outputs)?)
    }
}

/// `Squeeze`.
#[derive(Debug)]
struct Squeeze {
    dims: Vec<i64>,
}

pub(crate) fn squeeze(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Squeeze {
        dims: reader.ints("squeeze_dims")?.to_vec(),
    }))
}

impl Kernel for Squeeze {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let shape = x.shape();
        for &dim in &self.dims {
            let dim = axis(dim, shape.len())?;
            if shape[dim] != 1 {
                return Err(shape_error!("cannot squeeze dimension {dim} of {shape:?}"));
            }
        }
        let rank = shape.len() as i64;
        let mut squeezed = Dims::new();
        for (dim, &size) in shape.iter().enumerate() {
            let dim = dim as i64;
            let listed = self.dims.contains(&dim) || self.dims.contains(&(dim - rank));
            if !(listed || (self.dims.is_empty() && size == 1)) {
                squeezed.push(size)?;
            }
        }
        copy(x, &squeezed, output(outputs)?)
    }
}

/// `ExpandDims`.
#[derive(Debug)]
struct ExpandDims;

pub(crate) fn expand_dims(_: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(ExpandDims))
}

impl Kernel for ExpandDims {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, dim] = take(inputs)?;
        let axis = axis(integer(1, dim)?, x.shape().len() + 1)?;
        let mut shape = Dims::from_slice(&x.shape()[..axis])?;
        shape.push(1)?;
        shape.extend(&x.shape()[axis..])?;
        copy(x, &shape, output(outputs)?)
    }
}

/// `Shape`, `ShapeN`, `Size` and `Rank`: facts about the inputs' shapes.
#[derive(Debug)]
struct ShapeOf {
    what: What,
    out_type: DType,
    count: Option<usize>,
}

/// Which fact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum What {
    Shape,
    ShapeN,
    Size,
    Rank,
}

pub(crate) fn shape_of(reader: &AttrReader<'_>, what: What) -> Result<Box<dyn Kernel>, OpError> {
    let out_type = if what == What::Rank {
        DType::I32
    } else {
        reader.dtype_or("out_type", DType::I32)?
    };
    if !matches!(out_type, DType::I32 | DType::I64) {
        return Err(AttrError::Value {
            name: "out_type".into(),
            value: out_type.name().into(),
            expected: "int32 or int64",
        }
        .into());
    }
    let count = if what == What::ShapeN {
        reader.int("N")?;
        count(reader, "N")?
    } else {
        Some(1)
    };
    Ok(Box::new(ShapeOf {
        what,
        out_type,
        count,
    }))
}

impl Kernel for ShapeOf {
    fn output_count(&self) -> usize {
        self.count.unwrap_or(1)
    }

    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let count = self.output_count();
        expect_count(inputs, count)?;
        if outputs.len() != count {
            return Err(OpError::OutputCount {
                expected: count,
                actual: outputs.len(),
            });
        }
        for (input, output) in inputs.iter().zip(outputs) {
            match self.what {
                What::Shape | What::ShapeN => {
                    reset(output, self.out_type, &[input.shape().len()])?;
                    self.write(output, input.shape())?;
                }
                What::Size | What::Rank => {
                    let value = if self.what == What::Size {
                        input.elements()
                    } else {
                        input.shape().len()
                    };
                    reset(output, self.out_type, &[])?;
                    self.write(output, &[value])?;
                }
            }
        }
        Ok(())
    }
}

impl ShapeOf {
    fn write(&self, output: &mut Tensor, values: &[usize]) -> Result<(), OpError> {
        let overflow = |value: usize| value_error!("size {value} does not fit {}", self.out_type);
        if self.out_type == DType::I64 {
            for (slot, &value) in output.as_mut_slice::<i64>()?.iter_mut().zip(values) {
                *slot = i64::try_from(value).map_err(|_| overflow(value))?;
            }
        } else {
            for (slot, &value) in output.as_mut_slice::<i32>()?.iter_mut().zip(values) {
                *slot = i32::try_from(value).map_err(|_| overflow(value))?;
            }
        }
        Ok(())
    }
}

/// `Identity` and the ops that are one at inference.
#[derive(Debug)]
struct Identity;

pub(crate) fn identity(_: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Identity))
}

/// `PreventGradient`: its message is for gradients only.
pub(crate) fn prevent_gradient(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    reader.ignore(&["message"]);
    Ok(Box::new(Identity))
}

impl Kernel for Identity {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        copy(x, x.shape(), output(outputs)?)
    }
}

/// `IdentityN`.
#[derive(Debug)]
struct IdentityN {
    count: usize,
}

pub(crate) fn identity_n(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    use tfjet_core::AttrValue;
    let count = match reader.get("T") {
        Some(AttrValue::Types(types)) => types.len(),
        Some(_) => {
            return Err(AttrError::Kind {
                name: "T".into(),
                expected: "a list of types",
            }
            .into());
        }
        None => return Err(AttrError::Missing("T".into()).into()),
    };
    Ok(Box::new(IdentityN { count }))
}

impl Kernel for IdentityN {
    fn output_count(&self) -> usize {
        self.count
    }

    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        expect_count(inputs, self.count)?;
        if outputs.len() != self.count {
            return Err(OpError::OutputCount {
                expected: self.count,
                actual: outputs.len(),
            });
        }
        inputs
            .iter()
            .zip(outputs)
            .try_for_each(|(input, output)| copy(input, input.shape(), output))
    }
}

/// `CheckNumerics`: an error where the input holds NaN or an infinity.
#[derive(Debug)]
struct CheckNumerics {
    message: String,
}

pub(crate) fn check_numerics(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(CheckNumerics {
        message: reader.str_or("message", "")?.into(),
    }))
}

impl Kernel for CheckNumerics {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        with_type!(reals, 0, x.dtype(), T => {
            match x.as_slice::<T>()?.iter().find(|value| !value.to_f64().is_finite()) {
                Some(value) => Err(value_error!("{}: the tensor holds {value:?}", self.message)),
                None => copy(x, x.shape(), output(outputs)?),
            }
        })
    }
}
