//! Layers whose sizes are shape tensors.

use tfjet_core::{DType, SampleMode};

use super::elementwise::axis as axis_attribute;
use super::writer::{Value, Writer};
use crate::OnnxError;
use crate::proto::AttributeProto;
use crate::types::Kernel;

pub(super) fn shape(w: &mut Writer<'_, '_>) -> Result<(), OnnxError> {
    let input = w.input(0)?;
    let shape = w.node("Shape", &[&input], Vec::new(), DType::I64);
    w.finish(0, shape)
}

/// An initializer that is part of the model: sizes in external data would not be looked at when
/// ONNX Runtime infers shapes.
pub(super) fn numbers(w: &mut Writer<'_, '_>, values: &[i64]) -> Result<(), OnnxError> {
    w.numbers(values)
}

/// Input `index`, which holds sizes.
pub(super) fn sizes(w: &mut Writer<'_, '_>, index: usize) -> Result<Value, OnnxError> {
    let sizes = w.input(index)?;
    if matches!(sizes.dtype, DType::I32 | DType::I64) && w.input_dims(index)?.len() == 1 {
        return w.cast(&sizes, DType::I64);
    }
    Err(w.fail(format!("input {index} is no vector of whole numbers")))
}

pub(super) fn reshape(w: &mut Writer<'_, '_>) -> Result<(), OnnxError> {
    let (input, sizes) = (w.input(0)?, sizes(w, 1)?);
    let allow_zero = vec![AttributeProto::int("allowzero", 1)];
    let output = w.node("Reshape", &[&input, &sizes], allow_zero, input.dtype);
    w.finish(0, output)
}

pub(super) fn slice_to(w: &mut Writer<'_, '_>, stride: &[i64]) -> Result<(), OnnxError> {
    let rank = w.input_dims(0)?.len();
    w.expect_len("stride", stride, rank)?;
    if let Some(axis) = stride.iter().position(|&stride| stride == 0) {
        return Err(w.fail(format!("stride of axis {axis} is 0")));
    }
    let (input, first, count) = (w.input(0)?, sizes(w, 1)?, sizes(w, 2)?);
    let steps = w.int64s(stride)?;
    let reach = if stride.iter().all(|&stride| stride == 1) {
        count
    } else {
        w.op("Mul", &[&count, &steps])
    };
    let mut end = w.op("Add", &[&first, &reach]);
    if stride.iter().any(|&stride| stride < 0) {
        // ONNX counts a negative end from the back, and clamps one far below to "before the first".
        let zero = w.int64s(&[0])?;
        let least = w.int64s(&[i64::MIN])?;
        let negative = w.node("Less", &[&end, &zero], Vec::new(), DType::Bool);
        end = w.node("Where", &[&negative, &least, &end], Vec::new(), DType::I64);
    }
    let axes: Vec<usize> = (0..rank).collect();
    let axes = w.int64s(&w.ints(&axes)?)?;
    let output = w.op("Slice", &[&input, &first, &end, &axes, &steps]);
    w.finish(0, output)
}

pub(super) fn pad(w: &mut Writer<'_, '_>, mode: SampleMode) -> Result<(), OnnxError> {
    let pads = sizes(w, 1)?;
    let mode = match mode {
        SampleMode::Fill(fill) => {
            let input = w.input_for(0, Kernel::PAD)?;
            let fill = w.scalar(input.dtype, fill)?;
            let output = w.op("Pad", &[&input, &pads, &fill]);
            return w.finish(0, output);
        }
        SampleMode::Reflect => "reflect",
        // No operator repeats the border in opset 17 and takes no size.
        SampleMode::Symmetric | SampleMode::Strict => {
            return Err(w.fail(format!(
                "cannot pad in mode {mode:?} where sizes are not known"
            )));
        }
    };
    let input = w.input_for(0, Kernel::PAD)?;
    let attributes = vec![AttributeProto::string("mode", mode)];
    let output = w.node("Pad", &[&input, &pads], attributes, input.dtype);
    w.finish(0, output)
}

pub(super) fn expand(w: &mut Writer<'_, '_>) -> Result<(), OnnxError> {
    repeated(w, "Expand")
}

pub(super) fn tile(w: &mut Writer<'_, '_>) -> Result<(), OnnxError> {
    repeated(w, "Tile")
}

fn repeated(w: &mut Writer<'_, '_>, op: &str) -> Result<(), OnnxError> {
    let (input, sizes) = (w.input(0)?, sizes(w, 1)?);
    let output = w.op(op, &[&input, &sizes]);
    w.finish(0, output)
}

/// `start + delta * (0, 1, ...)`, so that the number of elements does not hang on a rounding.
pub(super) fn lin_space(w: &mut Writer<'_, '_>) -> Result<(), OnnxError> {
    let count = sizes(w, 0)?;
    let (start, delta) = (w.input(1)?, w.input(2)?);
    let dtype = start.dtype;
    if delta.dtype != dtype || !w.input_dims(1)?.is_empty() || w.input_dims(2)?.len() != 1 {
        return Err(w.fail("needs a scalar to start from and a vector of one step, of one type"));
    }
    let (zero, one) = (w.scalar(DType::I64, 0.0)?, w.scalar(DType::I64, 1.0)?);
    let none = w.int64s(&[])?;
    let count = w.op("Reshape", &[&count, &none]);
    let numbers = w.op("Range", &[&zero, &count, &one]);
    let numbers = w.cast(&numbers, dtype)?;
    let steps = w.op("Mul", &[&numbers, &delta]);
    let output = w.op("Add", &[&steps, &start]);
    w.finish(0, output)
}

/// Concatenated sizes.
pub(super) fn joined(w: &mut Writer<'_, '_>, pieces: &[Value]) -> Value {
    if let [only] = pieces {
        return only.clone();
    }
    let pieces: Vec<_> = pieces.iter().collect();
    w.node("Concat", &pieces, axis_attribute(0), DType::I64)
}
