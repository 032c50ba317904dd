use half::{bf16, f16};
use tfjet_core::{DType, Element, Tensor};

use super::error::WeightProblem;

pub(super) fn cannot_cast(from: impl Into<String>, to: impl Into<String>) -> WeightProblem {
    WeightProblem::Cast {
        from: from.into(),
        to: to.into(),
    }
}

/// The tensor in the type of its constant: TensorFlow.js stores `int64` as `int32`, and `float64`
/// and `float16` as `float32`.
pub(super) fn cast(tensor: Tensor, to: DType) -> Result<Tensor, WeightProblem> {
    let from = tensor.dtype();
    if from == to {
        return Ok(tensor);
    }
    match from {
        DType::F32 => cast_floats(&tensor, tensor.as_slice::<f32>()?, to),
        DType::F16 => {
            let values: Vec<f32> = tensor
                .as_slice::<f16>()?
                .iter()
                .map(|value| value.to_f32())
                .collect();
            cast_floats(&tensor, &values, to)
        }
        DType::I32 => cast_integers::<i32>(&tensor, to),
        DType::U8 => cast_integers::<u8>(&tensor, to),
        DType::U16 => cast_integers::<u16>(&tensor, to),
        _ => Err(cannot_cast(from.name(), to.name())),
    }
}

fn cast_floats(tensor: &Tensor, values: &[f32], to: DType) -> Result<Tensor, WeightProblem> {
    fn map<T: Element>(
        tensor: &Tensor,
        values: &[f32],
        value: impl Fn(f32) -> T,
    ) -> Result<Tensor, WeightProblem> {
        let values: Vec<T> = values.iter().map(|&element| value(element)).collect();
        Ok(Tensor::from_slice(tensor.shape(), &values)?)
    }
    match to {
        DType::F64 => map(tensor, values, f64::from),
        DType::F32 => map(tensor, values, |value| value),
        DType::F16 => map(tensor, values, f16::from_f32),
        DType::BF16 => map(tensor, values, bf16::from_f32),
        _ => Err(cannot_cast(tensor.dtype().name(), to.name())),
    }
}

fn cast_integers<T: Element + Into<i64>>(
    tensor: &Tensor,
    to: DType,
) -> Result<Tensor, WeightProblem> {
    fn map<T: Element + Into<i64>, U: Element + TryFrom<i64>>(
        tensor: &Tensor,
    ) -> Result<Tensor, WeightProblem> {
        let values: Result<Vec<U>, WeightProblem> = tensor
            .as_slice::<T>()?
            .iter()
            .map(|&element| {
                let value = element.into();
                U::try_from(value).map_err(|_| WeightProblem::Range {
                    value,
                    to: U::DTYPE,
                })
            })
            .collect();
        Ok(Tensor::from_slice(tensor.shape(), &values?)?)
    }
    match to {
        DType::I8 => map::<T, i8>(tensor),
        DType::I16 => map::<T, i16>(tensor),
        DType::I32 => map::<T, i32>(tensor),
        DType::I64 => map::<T, i64>(tensor),
        DType::U8 => map::<T, u8>(tensor),
        DType::U16 => map::<T, u16>(tensor),
        DType::U32 => map::<T, u32>(tensor),
        DType::U64 => map::<T, u64>(tensor),
        _ => Err(cannot_cast(tensor.dtype().name(), to.name())),
    }
}
