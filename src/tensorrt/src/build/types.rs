//! Which TensorRT type a tensor of the specification has, inside the network and at its edge.

use tfjet_core::DType;

use crate::{DataType, Flavor, Version};

/// The types of one network, or of one layer where layers differ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Types {
    version: Version,
    /// Floats are half inside, since the types alone decide.
    half: bool,
}

impl Types {
    pub(super) fn new(version: Version, half: bool) -> Self {
        Self { version, half }
    }

    /// What 32-bit floats are inside.
    pub(super) fn float(&self) -> DataType {
        if self.half {
            DataType::Half
        } else {
            DataType::Float
        }
    }

    /// The type of shape tensors, and of 64-bit integers.
    pub(super) fn index(&self) -> DataType {
        if DataType::Int64.is_in(self.version) {
            DataType::Int64
        } else {
            DataType::Int32
        }
    }

    /// The type inside the network; `None` where the layers have none for it. TensorRT takes
    /// unsigned bytes at the edge only; floats hold every value of theirs.
    pub(super) fn inside(&self, dtype: DType) -> Option<DataType> {
        Some(match dtype {
            DType::F32 | DType::U8 => self.float(),
            DType::F16 if self.version.flavor == Flavor::TensorRtRtx => DataType::Half,
            DType::F16 => DataType::Float,
            DType::I32 => DataType::Int32,
            DType::I64 => self.index(),
            DType::Bool => DataType::Bool,
            _ => return None,
        })
    }

    /// The type of a network input or output.
    pub(super) fn edge(&self, dtype: DType) -> Option<DataType> {
        match dtype {
            DType::F32 => Some(DataType::Float),
            DType::U8 if DataType::Uint8.is_in(self.version) => Some(DataType::Uint8),
            DType::U8 => Some(DataType::Float),
            _ => self.inside(dtype),
        }
    }
}

/// Does the type hold fractions?
pub(super) fn is_float(dtype: DataType) -> bool {
    matches!(dtype, DataType::Float | DataType::Half)
}
