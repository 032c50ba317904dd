//! TensorRT's plain structs.

use std::ffi::c_void;
use std::marker::PhantomData;

use crate::TensorRtError;

/// Most dimensions that a tensor may have (`Dims::MAX_DIMS`).
pub(crate) const MAX_DIMS: usize = 8;

/// `Dims` of TensorRT 8.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dims32 {
    pub(crate) count: i32,
    pub(crate) sizes: [i32; MAX_DIMS],
}

/// `Dims` of TensorRT 10 and TensorRT-RTX.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dims64 {
    pub(crate) count: i32,
    pub(crate) sizes: [i64; MAX_DIMS],
}

/// `Dims` in both forms. As an argument: by value in TensorRT 8, by reference since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dims {
    pub(crate) narrow: Dims32,
    pub(crate) wide: Dims64,
}

impl Dims {
    /// Sizes per axis; -1 where the method takes unknown sizes.
    ///
    /// # Errors
    ///
    /// [`TensorRtError::Dims`] for more than 8 axes or sizes beyond 32 bits.
    pub(crate) fn new(sizes: &[i64]) -> Result<Self, TensorRtError> {
        let refused = || TensorRtError::Dims {
            dims: sizes.to_vec(),
        };
        let count = i32::try_from(sizes.len()).map_err(|_| refused())?;
        let mut narrow = [0; MAX_DIMS];
        let mut wide = [0; MAX_DIMS];
        for (axis, &size) in sizes.iter().enumerate() {
            *narrow.get_mut(axis).ok_or_else(refused)? =
                i32::try_from(size).map_err(|_| refused())?;
            *wide.get_mut(axis).ok_or_else(refused)? = size;
        }
        Ok(Self {
            narrow: Dims32 {
                count,
                sizes: narrow,
            },
            wide: Dims64 { count, sizes: wide },
        })
    }

    /// [`Dims::new`] of sizes that are all known.
    pub(crate) fn known(sizes: &[usize]) -> Result<Self, TensorRtError> {
        let sizes: Vec<i64> = sizes
            .iter()
            .map(|&size| i64::try_from(size).unwrap_or(i64::MAX))
            .collect();
        Self::new(&sizes)
    }
}

/// [`Dims`] as an argument by reference in all versions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByReference<'a>(pub(crate) &'a Dims);

/// A number as an argument: 32 bits in TensorRT 8, 64 since.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count(pub(crate) i64);

/// `Weights`: values that stay where they are until the engine is built.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weights<'w> {
    dtype: i32,
    values: *const c_void,
    count: i64,
    borrowed: PhantomData<&'w [u8]>,
}

impl<'w> Weights<'w> {
    /// `count` elements of the library's type `dtype`, in `bytes`.
    pub(crate) fn new(dtype: i32, bytes: &'w [u8], count: i64) -> Self {
        Self {
            dtype,
            values: bytes.as_ptr().cast(),
            count,
            borrowed: PhantomData,
        }
    }

    /// No weights; `dtype` as the other weights of the layer have it.
    pub(crate) fn empty(dtype: i32) -> Self {
        Self {
            dtype,
            values: std::ptr::null(),
            count: 0,
            borrowed: PhantomData,
        }
    }
}

/// `Permutation`: output axis `i` is input axis `order[i]`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Permutation {
    order: [i32; MAX_DIMS],
}

impl Permutation {
    /// # Errors
    ///
    /// [`TensorRtError::Dims`] for more than 8 axes.
    pub(crate) fn new(order: &[usize]) -> Result<Self, TensorRtError> {
        Ok(Self {
            order: Dims::known(order)?.narrow.sizes,
        })
    }
}
