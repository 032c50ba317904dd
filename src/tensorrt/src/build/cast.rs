use tfjet_core::{DType, ElementWiseOperation, UnaryOperation};

use super::types::is_float;
use super::writer::{Value, Writer};
use crate::{DataType, TensorRtError};

pub(super) fn cast(w: &mut Writer<'_, '_, '_>, to: DType) -> Result<(), TensorRtError> {
    let input = w.input(0)?;
    let from = w.input_dtype(0)?;
    let target = w.inside(to)?;
    let value = match to {
        // Unsigned bytes are floats inside, so their fractions are cut off by way of an integer.
        DType::U8 if from.is_float() => {
            let whole = w.cast(input, DataType::Int32)?;
            w.cast(whole, target)?
        }
        _ => w.cast(input, target)?,
    };
    w.finish(0, value)
}

impl<'n> Writer<'n, '_, '_> {
    /// `value` as `to`: floats become integers by truncation, and booleans by comparing with 0.
    pub(super) fn cast(
        &mut self,
        value: Value<'n>,
        to: DataType,
    ) -> Result<Value<'n>, TensorRtError> {
        if value.dtype == to {
            return Ok(value);
        }
        if to == DataType::Bool {
            let zero = if is_float(value.dtype) {
                self.float(0.0, value)?
            } else {
                self.integer_like(0, value)?
            };
            let equal = self.binary(ElementWiseOperation::Equal, value, zero)?;
            let layer = self.network.add_unary(equal.tensor, UnaryOperation::Not)?;
            return self.value("bool", layer, DataType::Bool);
        }
        let layer = self.network.add_cast(value.tensor, to)?;
        self.value("cast", layer, to)
    }
}
