use std::fmt;

use tfjet_core::DType;

use crate::sys::Api;
use crate::{Flavor, Version};

/// TensorRT's `DataType`: what the elements of a tensor are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataType {
    /// 32-bit float.
    Float,
    /// 16-bit IEEE float.
    Half,
    /// 8-bit integer, quantized.
    Int8,
    /// 32-bit integer.
    Int32,
    /// One byte, 0 or 1.
    Bool,
    /// Unsigned 8-bit integer, for inputs and outputs; since TensorRT 8.5.
    Uint8,
    /// 8-bit float; since TensorRT 8.6.
    Fp8,
    /// bfloat16; since TensorRT 10.
    Bf16,
    /// 64-bit integer; since TensorRT 10.
    Int64,
    /// 4-bit integer; since TensorRT 10.
    Int4,
    /// 4-bit float; since TensorRT 10.8.
    Fp4,
}

impl DataType {
    const ALL: [Self; 11] = [
        Self::Float,
        Self::Half,
        Self::Int8,
        Self::Int32,
        Self::Bool,
        Self::Uint8,
        Self::Fp8,
        Self::Bf16,
        Self::Int64,
        Self::Int4,
        Self::Fp4,
    ];

    /// TensorRT's type of the same values; `None` where it has none in any version.
    pub fn from_dtype(dtype: DType) -> Option<Self> {
        Some(match dtype {
            DType::F32 => Self::Float,
            DType::F16 => Self::Half,
            DType::BF16 => Self::Bf16,
            DType::I8 => Self::Int8,
            DType::I32 => Self::Int32,
            DType::I64 => Self::Int64,
            DType::U8 => Self::Uint8,
            DType::Bool => Self::Bool,
            _ => return None,
        })
    }

    /// The same type in tfjet's tensors; `None` for types of 4 and 8 bits that those lack.
    pub fn dtype(self) -> Option<DType> {
        Some(match self {
            Self::Float => DType::F32,
            Self::Half => DType::F16,
            Self::Int8 => DType::I8,
            Self::Int32 => DType::I32,
            Self::Bool => DType::Bool,
            Self::Uint8 => DType::U8,
            Self::Bf16 => DType::BF16,
            Self::Int64 => DType::I64,
            Self::Fp8 | Self::Int4 | Self::Fp4 => return None,
        })
    }

    /// Does the version have the type?
    pub fn is_in(self, version: Version) -> bool {
        if version.flavor == Flavor::TensorRtRtx {
            return true;
        }
        match self {
            Self::Float | Self::Half | Self::Int8 | Self::Int32 | Self::Bool => true,
            Self::Uint8 => version.at_least(8, 5),
            Self::Fp8 => version.at_least(8, 6),
            Self::Bf16 | Self::Int64 | Self::Int4 => version.at_least(10, 0),
            Self::Fp4 => version.at_least(10, 8),
        }
    }

    /// The enumerator's value, the same in all versions that have it.
    pub(crate) fn code(self) -> i32 {
        Self::ALL
            .into_iter()
            .zip(0..)
            .find_map(|(dtype, code)| (dtype == self).then_some(code))
            .unwrap_or(0)
    }

    pub(crate) fn from_code(code: i32, api: Api) -> Option<Self> {
        let dtype = Self::ALL.get(usize::try_from(code).ok()?).copied()?;
        Some(dtype).filter(|dtype| dtype.is_in(api.version))
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Float => "FLOAT",
            Self::Half => "HALF",
            Self::Int8 => "INT8",
            Self::Int32 => "INT32",
            Self::Bool => "BOOL",
            Self::Uint8 => "UINT8",
            Self::Fp8 => "FP8",
            Self::Bf16 => "BF16",
            Self::Int64 => "INT64",
            Self::Int4 => "INT4",
            Self::Fp4 => "FP4",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_headers() {
        let codes = [
            (DataType::Float, 0),
            (DataType::Half, 1),
            (DataType::Int8, 2),
            (DataType::Int32, 3),
            (DataType::Bool, 4),
            (DataType::Uint8, 5),
            (DataType::Fp8, 6),
            (DataType::Bf16, 7),
            (DataType::Int64, 8),
            (DataType::Int4, 9),
            (DataType::Fp4, 10),
        ];
        for (dtype, code) in codes {
            assert_eq!(dtype.code(), code, "{dtype}");
        }
    }

    #[test]
    fn core_types_keep_their_meaning_both_ways() {
        for dtype in [DType::F32, DType::F16, DType::I64, DType::U8, DType::Bool] {
            assert_eq!(DataType::from_dtype(dtype).unwrap().dtype(), Some(dtype));
        }
        assert_eq!(DataType::from_dtype(DType::F64), None);
    }
}
