//! Ops that only check or only print.

use std::fmt::Write as _;

use tfjet_core::{AttrReader, AttrValue, DType, Dim, Tensor, TensorView};

use crate::arguments::{expect_dtype, output, outputs, take};
use crate::error::{shape_error, value_error};
use crate::number::{Number, with_type};
use crate::{Kernel, OpError};

/// `Assert`: an error where its condition is false. Behind the condition come the tensors that the
/// error shows; texts among them are not inputs but the attribute `message`, joined by spaces.
#[derive(Debug)]
struct Assert {
    message: String,
    shown: usize,
}

pub(crate) fn assert(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    let shown = reader.int_or("summarize", 3)?;
    Ok(Box::new(Assert {
        message: reader.str_or("message", "")?.into(),
        shown: usize::try_from(shown).unwrap_or(usize::MAX),
    }))
}

impl Kernel for Assert {
    fn output_count(&self) -> usize {
        0
    }

    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        self::outputs::<0>(outputs)?;
        let Some((condition, data)) = inputs.split_first() else {
            return Err(OpError::InputCount {
                expected: 1,
                actual: 0,
            });
        };
        expect_dtype(0, condition, DType::Bool)?;
        match condition.as_bools()? {
            [0] => {}
            [_] => return Ok(()),
            _ => {
                return Err(shape_error!(
                    "the condition must be a scalar, has shape {:?}",
                    condition.shape()
                ));
            }
        }
        let mut detail = String::from("assertion failed");
        if !self.message.is_empty() {
            let _ = write!(detail, ": {}", self.message);
        }
        for view in data {
            let _ = write!(detail, " {}", first_elements(view, self.shown)?);
        }
        Err(value_error!("{detail}"))
    }
}

fn first_elements(view: &TensorView<'_>, count: usize) -> Result<String, OpError> {
    let values: Vec<f64> = if view.dtype() == DType::Bool {
        let values = view.as_bools()?.iter().take(count);
        values.map(|&value| value.into()).collect()
    } else {
        with_type!(numbers, 0, view.dtype(), T => {
            let values = view.as_slice::<T>()?.iter().take(count);
            Ok(values.map(|value| value.to_f64()).collect())
        })?
    };
    let mut text = format!("{values:?}");
    if view.elements() > values.len() {
        text.insert_str(text.len() - 1, " ...");
    }
    Ok(text)
}

/// `NoOp` and `PrintV2`: nothing, from anything.
#[derive(Debug)]
struct Nothing;

pub(crate) fn nothing(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    reader.ignore(&["output_stream", "end"]);
    Ok(Box::new(Nothing))
}

impl Kernel for Nothing {
    fn output_count(&self) -> usize {
        0
    }

    fn run(&self, _: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        self::outputs::<0>(outputs)?;
        Ok(())
    }
}

/// `Print`: its first input, and nothing is printed.
#[derive(Debug)]
struct Print;

pub(crate) fn print(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    reader.ignore(&["message", "first_n", "summarize", "U"]);
    Ok(Box::new(Print))
}

impl Kernel for Print {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let Some(first) = inputs.first() else {
            return Err(OpError::InputCount {
                expected: 1,
                actual: 0,
            });
        };
        Ok(output(outputs)?.copy_from(first)?)
    }
}

/// `EnsureShape`.
#[derive(Debug)]
struct EnsureShape {
    expected: Option<Vec<Option<usize>>>,
}

pub(crate) fn ensure_shape(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    let expected = match reader.get("shape") {
        Some(AttrValue::Shape(Some(shape))) => Some(shape.dims().iter().map(Dim::fixed).collect()),
        _ => None,
    };
    Ok(Box::new(EnsureShape { expected }))
}

impl Kernel for EnsureShape {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let fits = self.expected.as_ref().is_none_or(|expected| {
            expected.len() == x.shape().len()
                && expected
                    .iter()
                    .zip(x.shape())
                    .all(|(expected, size)| expected.is_none_or(|expected| expected == *size))
        });
        if !fits {
            return Err(shape_error!(
                "the shape is {:?}, expected {:?}",
                x.shape(),
                self.expected
            ));
        }
        Ok(output(outputs)?.copy_from(x)?)
    }
}
