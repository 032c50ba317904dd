//! Element types: their ONNX codes, and which of them an ONNX Runtime kernel computes in.

use tfjet_core::DType;

/// `TensorProto.DataType`.
pub(crate) fn code(dtype: DType) -> Option<i32> {
    Some(match dtype {
        DType::F32 => 1,
        DType::U8 => 2,
        DType::I8 => 3,
        DType::U16 => 4,
        DType::I16 => 5,
        DType::I32 => 6,
        DType::I64 => 7,
        DType::Bool => 9,
        DType::F16 => 10,
        DType::F64 => 11,
        DType::U32 => 12,
        DType::U64 => 13,
        DType::BF16 => 16,
        _ => return None,
    })
}

/// The types that a kernel takes as they are. Others are computed in a wider one.
#[derive(Clone, Copy)]
pub(crate) struct Kernel(&'static [DType]);

impl Kernel {
    pub(crate) const FLOAT: Self = Self(&[DType::F32, DType::F64, DType::F16]);
    pub(crate) const ARITHMETIC: Self = Self(&[
        DType::F32,
        DType::F64,
        DType::F16,
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::U16,
        DType::U32,
        DType::U64,
    ]);
    pub(crate) const COMPARE: Self = Self(&[
        DType::F32,
        DType::F64,
        DType::F16,
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::U16,
        DType::U32,
        DType::U64,
        DType::Bool,
    ]);
    pub(crate) const EXTREMUM: Self = Self(&[
        DType::F32,
        DType::F64,
        DType::F16,
        DType::I32,
        DType::I64,
        DType::U32,
        DType::U64,
    ]);
    /// Power, sums, means and products along axes, slopes.
    pub(crate) const WIDE: Self =
        Self(&[DType::F32, DType::F64, DType::F16, DType::I32, DType::I64]);
    pub(crate) const MATRIX: Self = Self(&[
        DType::F32,
        DType::F64,
        DType::F16,
        DType::I32,
        DType::I64,
        DType::U32,
        DType::U64,
    ]);
    pub(crate) const SELECT: Self = Self(&[
        DType::F32,
        DType::F64,
        DType::F16,
        DType::I32,
        DType::I64,
        DType::U8,
    ]);
    pub(crate) const MAX_POOL: Self =
        Self(&[DType::F32, DType::F64, DType::F16, DType::I8, DType::U8]);
    pub(crate) const PAD: Self = Self(&[
        DType::F32,
        DType::F64,
        DType::F16,
        DType::I8,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::U32,
        DType::U64,
        DType::Bool,
    ]);
    pub(crate) const RESIZE: Self =
        Self(&[DType::F32, DType::F16, DType::I8, DType::I32, DType::U8]);

    /// The type to compute in: the same where the kernel takes it, else one that holds every value
    /// of it; unchanged where there is none, and then ONNX Runtime refuses the model by name.
    pub(crate) fn compute_type(self, dtype: DType) -> DType {
        if self.0.contains(&dtype) {
            return dtype;
        }
        match dtype {
            DType::Bool | DType::I8 | DType::U8 | DType::I16 | DType::U16 => DType::I32,
            DType::U32 => DType::I64,
            DType::BF16 => DType::F32,
            other => other,
        }
    }
}

/// Little-endian bytes of `value` as one element of `dtype`, truncated for integers.
pub(crate) fn scalar_bytes(dtype: DType, value: f32) -> Vec<u8> {
    macro_rules! bytes {
        ($rust:ty) => {
            (value as $rust).to_le_bytes().to_vec()
        };
    }
    match dtype {
        DType::F64 => bytes!(f64),
        DType::I8 => bytes!(i8),
        DType::I16 => bytes!(i16),
        DType::I32 => bytes!(i32),
        DType::I64 => bytes!(i64),
        DType::U8 => bytes!(u8),
        DType::U16 => bytes!(u16),
        DType::U32 => bytes!(u32),
        DType::U64 => bytes!(u64),
        DType::Bool => vec![u8::from(value != 0.0)],
        DType::F16 => half::f16::from_f32(value).to_le_bytes().to_vec(),
        DType::BF16 => half::bf16::from_f32(value).to_le_bytes().to_vec(),
        _ => value.to_le_bytes().to_vec(),
    }
}
