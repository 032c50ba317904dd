//! What the kernels work on.

use super::KernelError;
use crate::Region;

/// How the device holds an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ElementType {
    /// 32-bit IEEE float.
    F32,
    /// 16-bit IEEE float.
    F16,
    /// Signed 32-bit integer.
    I32,
    /// Signed 64-bit integer.
    I64,
    /// Unsigned 8-bit integer.
    U8,
    /// Signed 8-bit integer.
    I8,
    /// One byte, 0 or 1.
    Bool,
}

impl ElementType {
    /// Bytes that one element takes.
    pub const fn size_bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::F16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::I64 => 8,
        }
    }

    /// Is it a floating-point type?
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16)
    }

    /// The type's name in the kernels.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::F32 => "float",
            Self::F16 => "f16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::Bool => "bool8",
        }
    }

    /// An integer type of the same size, for kernels that only move elements.
    const fn bits(self) -> &'static str {
        match self.size_bytes() {
            1 => "u8",
            2 => "u16",
            4 => "u32",
            _ => "u64",
        }
    }

    /// The type that holds elements of both: the same type, or the wider of `I32` and `I64`.
    pub(super) fn common(self, other: Self) -> Option<Self> {
        match (self, other) {
            (a, b) if a == b => Some(a),
            (Self::I32, Self::I64) | (Self::I64, Self::I32) => Some(Self::I64),
            _ => None,
        }
    }

    /// Names of the types by which elements move from `self` to `to`.
    pub(super) fn moved(self, to: Self) -> Option<[&'static str; 2]> {
        if self == to {
            return Some([self.bits(); 2]);
        }
        self.common(to).map(|_| [self.name(), to.name()])
    }
}

/// A row-major tensor in memory that the device can reach.
#[derive(Debug, Clone)]
pub struct DeviceTensor {
    /// How it holds its elements.
    pub dtype: ElementType,
    /// Its sizes.
    pub shape: Vec<usize>,
    /// Its bytes, aligned to the element's size; more than the shape needs is fine.
    pub region: Region,
}

impl DeviceTensor {
    /// Number of elements, or `usize::MAX` where it does not fit.
    pub fn elements(&self) -> usize {
        elements(&self.shape)
    }

    /// Fails where the region is too short or not aligned.
    pub(super) fn check(&self, kernel: &'static str) -> Result<(), KernelError> {
        let needed = self.elements().checked_mul(self.dtype.size_bytes());
        if needed.is_none_or(|needed| needed > self.region.len_bytes()) {
            return Err(KernelError::TooShort {
                kernel,
                dtype: self.dtype,
                shape: self.shape.clone(),
                available: self.region.len_bytes(),
            });
        }
        if !self
            .region
            .address()
            .is_multiple_of(self.dtype.size_bytes() as u64)
        {
            return Err(KernelError::Alignment {
                kernel,
                dtype: self.dtype,
                address: self.region.address(),
            });
        }
        Ok(())
    }
}

/// Number of elements of a shape, or `usize::MAX` where it does not fit.
pub(super) fn elements(shape: &[usize]) -> usize {
    if shape.contains(&0) {
        return 0;
    }
    shape
        .iter()
        .fold(1, |product: usize, &size| product.saturating_mul(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_of_two_widths_go_together_and_nothing_else_does() {
        use ElementType::{Bool, F16, F32, I8, I32, I64, U8};
        assert_eq!(I32.common(I64), Some(I64));
        assert_eq!(F16.common(F16), Some(F16));
        assert_eq!(F32.common(F16), None);
        assert_eq!(U8.common(I8), None);
        assert_eq!(I64.moved(I32), Some(["i64", "i32"]));
        assert_eq!(F16.moved(F16), Some(["u16", "u16"]));
        assert_eq!(Bool.moved(U8), None);
    }

    #[test]
    fn an_empty_tensor_has_no_elements_however_large_it_is() {
        assert_eq!(elements(&[usize::MAX, 3, 0]), 0);
        assert_eq!(elements(&[usize::MAX, 3]), usize::MAX);
        assert_eq!(elements(&[]), 1);
    }
}
