use half::{bf16, f16};
use tfjet_core::{DType, TensorView};

use super::bad;
use crate::VideoError;

/// An output's elements, read one at a time as float32.
#[derive(Debug, Clone, Copy)]
pub(super) enum Numbers<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
    F16(&'a [f16]),
    BF16(&'a [bf16]),
    I32(&'a [i32]),
    I64(&'a [i64]),
    U8(&'a [u8]),
    I8(&'a [i8]),
}

impl<'a> Numbers<'a> {
    pub(super) fn new(
        decoder: &'static str,
        output: usize,
        view: TensorView<'a>,
    ) -> Result<Self, VideoError> {
        Ok(match view.dtype() {
            DType::F32 => Self::F32(view.as_slice()?),
            DType::F64 => Self::F64(view.as_slice()?),
            DType::F16 => Self::F16(view.as_slice()?),
            DType::BF16 => Self::BF16(view.as_slice()?),
            DType::I32 => Self::I32(view.as_slice()?),
            DType::I64 => Self::I64(view.as_slice()?),
            DType::U8 => Self::U8(view.as_slice()?),
            DType::I8 => Self::I8(view.as_slice()?),
            other => return Err(bad(decoder, output, format!("elements of {other}"))),
        })
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::F16(values) => values.len(),
            Self::BF16(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::U8(values) => values.len(),
            Self::I8(values) => values.len(),
        }
    }

    /// Element `index`; not a number where there is none.
    pub(super) fn get(&self, index: usize) -> f32 {
        match self {
            Self::F32(values) => values.get(index).copied(),
            Self::F64(values) => values.get(index).map(|&value| value as f32),
            Self::F16(values) => values.get(index).map(|value| value.to_f32()),
            Self::BF16(values) => values.get(index).map(|value| value.to_f32()),
            Self::I32(values) => values.get(index).map(|&value| value as f32),
            Self::I64(values) => values.get(index).map(|&value| value as f32),
            Self::U8(values) => values.get(index).map(|&value| f32::from(value)),
            Self::I8(values) => values.get(index).map(|&value| f32::from(value)),
        }
        .unwrap_or(f32::NAN)
    }
}
