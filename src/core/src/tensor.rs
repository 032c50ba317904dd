use serde::{Deserialize, Serialize};

use crate::memory::Storage;
use crate::{DType, Element, Memory, MemoryError};

/// What is wrong with a tensor access.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// The bytes do not fill the shape exactly.
    #[error("shape {shape:?} of {dtype} needs {expected} bytes, got {actual}")]
    Length {
        /// Shape that was asked for.
        shape: Vec<usize>,
        /// Element type that was asked for.
        dtype: DType,
        /// Bytes that the shape needs.
        expected: usize,
        /// Bytes that were given.
        actual: usize,
    },
    /// The number of bytes of the shape does not fit the address space.
    #[error("shape {shape:?} of {dtype} is too large")]
    TooLarge {
        /// Shape that was asked for.
        shape: Vec<usize>,
        /// Element type that was asked for.
        dtype: DType,
    },
    /// The elements are of another type.
    #[error("expected elements of {expected}, the tensor holds {actual}")]
    DType {
        /// Element type that was asked for.
        expected: DType,
        /// Element type that the tensor has.
        actual: DType,
    },
    /// The bytes do not start at a multiple of the element's size.
    #[error("the bytes of a {0} tensor are not aligned")]
    Alignment(DType),
    /// The tensor's own kind of memory has no room for it.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

fn byte_len(dtype: DType, shape: &[usize]) -> Result<usize, TensorError> {
    shape
        .iter()
        .try_fold(dtype.size_bytes(), |product, &dim| product.checked_mul(dim))
        .filter(|&bytes| bytes <= isize::MAX as usize)
        .ok_or_else(|| TensorError::TooLarge {
            shape: shape.to_vec(),
            dtype,
        })
}

/// A tensor that owns its bytes: row-major, little-endian, aligned to 8 bytes.
///
/// [`Tensor::reset`] gives it another type and shape and keeps the allocation where it is large
/// enough, so a tensor can serve as an output buffer frame after frame. The bytes lie on the heap,
/// or in a [`Memory`] of another kind; a clone's always lie on the heap.
#[derive(Debug, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Tensor {
    dtype: DType,
    shape: Vec<usize>,
    storage: Storage,
    len_bytes: usize,
}

impl Default for Tensor {
    fn default() -> Self {
        Self::empty(Storage::Words(Vec::new()))
    }
}

impl Clone for Tensor {
    fn clone(&self) -> Self {
        self.view().to_tensor()
    }
}

impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        self.view() == other.view()
    }
}

impl Tensor {
    fn empty(storage: Storage) -> Self {
        Self {
            dtype: DType::F32,
            shape: vec![0],
            storage,
            len_bytes: 0,
        }
    }

    /// An empty tensor (float32, shape \[0\]) whose bytes lie in `memory`, and stay there when
    /// [`Tensor::reset`] gives it a larger shape.
    pub fn in_memory(memory: Box<dyn Memory>) -> Self {
        Self::empty(Storage::Memory(memory))
    }

    /// A tensor of zeros.
    pub fn zeros(dtype: DType, shape: &[usize]) -> Result<Self, TensorError> {
        let mut tensor = Self::default();
        tensor.reset(dtype, shape)?;
        Ok(tensor)
    }

    /// A tensor that copies `values`.
    pub fn from_slice<T: Element>(shape: &[usize], values: &[T]) -> Result<Self, TensorError> {
        Self::from_bytes(T::DTYPE, shape, bytemuck::cast_slice(values))
    }

    /// A boolean tensor.
    pub fn from_bools(shape: &[usize], values: &[bool]) -> Result<Self, TensorError> {
        let bytes: Vec<u8> = values.iter().map(|&value| u8::from(value)).collect();
        Self::from_bytes(DType::Bool, shape, &bytes)
    }

    /// A tensor that copies little-endian bytes. Bytes of a boolean tensor become 0 or 1.
    pub fn from_bytes(dtype: DType, shape: &[usize], bytes: &[u8]) -> Result<Self, TensorError> {
        let expected = byte_len(dtype, shape)?;
        if expected != bytes.len() {
            return Err(TensorError::Length {
                shape: shape.to_vec(),
                dtype,
                expected,
                actual: bytes.len(),
            });
        }
        let mut tensor = Self::zeros(dtype, shape)?;
        tensor.bytes_mut().copy_from_slice(bytes);
        if dtype == DType::Bool {
            for byte in tensor.bytes_mut() {
                *byte = u8::from(*byte != 0);
            }
        }
        Ok(tensor)
    }

    /// A scalar.
    pub fn scalar<T: Element>(value: T) -> Self {
        let mut tensor = Self {
            dtype: T::DTYPE,
            shape: Vec::new(),
            storage: Storage::zeros(8),
            len_bytes: T::DTYPE.size_bytes(),
        };
        tensor
            .bytes_mut()
            .copy_from_slice(bytemuck::bytes_of(&value));
        tensor
    }

    /// Gives the tensor another type and shape. The contents are zeros or left-overs; the
    /// allocation grows only where the new size exceeds every earlier one.
    pub fn reset(&mut self, dtype: DType, shape: &[usize]) -> Result<(), TensorError> {
        let len_bytes = byte_len(dtype, shape)?;
        self.storage.reserve(len_bytes)?;
        self.dtype = dtype;
        self.shape.clear();
        self.shape.extend_from_slice(shape);
        self.len_bytes = len_bytes;
        Ok(())
    }

    /// Gives the tensor another shape and keeps its bytes as far as they fit; what is new is zero.
    pub fn resize(&mut self, shape: &[usize]) -> Result<(), TensorError> {
        let len_bytes = byte_len(self.dtype, shape)?;
        let kept = self.len_bytes;
        let moves = matches!(self.storage, Storage::Memory(_));
        if moves && len_bytes > self.storage.bytes().len() {
            let old = self.bytes().to_vec();
            self.storage.reserve(len_bytes)?;
            self.storage.bytes_mut()[..old.len()].copy_from_slice(&old);
        } else {
            self.storage.reserve(len_bytes)?;
        }
        self.shape.clear();
        self.shape.extend_from_slice(shape);
        self.len_bytes = len_bytes;
        if let Some(new) = self.bytes_mut().get_mut(kept..) {
            new.fill(0);
        }
        Ok(())
    }

    /// Becomes a copy of `view`, in the present allocation where it fits.
    pub fn copy_from(&mut self, view: &TensorView<'_>) -> Result<(), TensorError> {
        self.reset(view.dtype(), view.shape())?;
        self.bytes_mut().copy_from_slice(view.bytes());
        Ok(())
    }

    /// The same bytes under another shape with as many elements.
    pub fn reshape(&mut self, shape: &[usize]) -> Result<(), TensorError> {
        let expected = byte_len(self.dtype, shape)?;
        if expected != self.len_bytes {
            return Err(TensorError::Length {
                shape: shape.to_vec(),
                dtype: self.dtype,
                expected,
                actual: self.len_bytes,
            });
        }
        self.shape.clear();
        self.shape.extend_from_slice(shape);
        Ok(())
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Sizes of all dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.len_bytes / self.dtype.size_bytes()
    }

    /// The raw bytes.
    pub fn bytes(&self) -> &[u8] {
        let bytes = self.storage.bytes();
        bytes.get(..self.len_bytes).unwrap_or(bytes)
    }

    /// The raw bytes, to be written. Boolean tensors take 0 and 1 only.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let bytes = self.storage.bytes_mut();
        let len = self.len_bytes.min(bytes.len());
        &mut bytes[..len]
    }

    /// A borrowed view.
    pub fn view(&self) -> TensorView<'_> {
        TensorView {
            dtype: self.dtype,
            shape: &self.shape,
            bytes: self.bytes(),
        }
    }

    /// The elements.
    pub fn as_slice<T: Element>(&self) -> Result<&[T], TensorError> {
        expect(T::DTYPE, self.dtype)?;
        cast(T::DTYPE, self.bytes())
    }

    /// The elements, to be written.
    pub fn as_mut_slice<T: Element>(&mut self) -> Result<&mut [T], TensorError> {
        expect(T::DTYPE, self.dtype)?;
        bytemuck::try_cast_slice_mut(self.bytes_mut()).map_err(|_| TensorError::Alignment(T::DTYPE))
    }
}

/// A tensor whose shape and bytes lie elsewhere: in a [`Tensor`], a memory-mapped bundle, or an
/// engine's buffer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TensorView<'a> {
    dtype: DType,
    shape: &'a [usize],
    bytes: &'a [u8],
}

impl<'a> TensorView<'a> {
    /// Views `bytes` as a tensor.
    pub fn new(dtype: DType, shape: &'a [usize], bytes: &'a [u8]) -> Result<Self, TensorError> {
        let expected = byte_len(dtype, shape)?;
        if expected != bytes.len() {
            return Err(TensorError::Length {
                shape: shape.to_vec(),
                dtype,
                expected,
                actual: bytes.len(),
            });
        }
        Ok(Self {
            dtype,
            shape,
            bytes,
        })
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Sizes of all dimensions.
    pub fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.bytes.len() / self.dtype.size_bytes()
    }

    /// The raw bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The elements.
    pub fn as_slice<T: Element>(&self) -> Result<&'a [T], TensorError> {
        expect(T::DTYPE, self.dtype)?;
        cast(T::DTYPE, self.bytes)
    }

    /// The elements of a boolean tensor, 0 for false and anything else for true.
    pub fn as_bools(&self) -> Result<&'a [u8], TensorError> {
        expect(DType::Bool, self.dtype)?;
        Ok(self.bytes)
    }

    /// An owned copy.
    pub fn to_tensor(&self) -> Tensor {
        let mut tensor = Tensor {
            dtype: self.dtype,
            shape: self.shape.to_vec(),
            storage: Storage::zeros(self.bytes.len()),
            len_bytes: self.bytes.len(),
        };
        tensor.bytes_mut().copy_from_slice(self.bytes);
        tensor
    }
}

fn expect(expected: DType, actual: DType) -> Result<(), TensorError> {
    if expected == actual {
        Ok(())
    } else {
        Err(TensorError::DType { expected, actual })
    }
}

fn cast<T: Element>(dtype: DType, bytes: &[u8]) -> Result<&[T], TensorError> {
    bytemuck::try_cast_slice(bytes).map_err(|_| TensorError::Alignment(dtype))
}

#[derive(Serialize, Deserialize)]
struct Stored {
    dtype: DType,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl From<Tensor> for Stored {
    fn from(tensor: Tensor) -> Self {
        Self {
            dtype: tensor.dtype,
            bytes: tensor.bytes().to_vec(),
            shape: tensor.shape,
        }
    }
}

impl TryFrom<Stored> for Tensor {
    type Error = TensorError;

    fn try_from(stored: Stored) -> Result<Self, TensorError> {
        Self::from_bytes(stored.dtype, &stored.shape, &stored.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reset_keeps_the_allocation() {
        let mut tensor = Tensor::zeros(DType::F32, &[4, 4]).unwrap();
        let before = tensor.bytes().as_ptr();
        tensor.reset(DType::I64, &[2, 3]).unwrap();
        assert_eq!(tensor.as_slice::<i64>().unwrap().len(), 6);
        assert_eq!(tensor.bytes().as_ptr(), before);
    }

    #[test]
    fn wrong_length_type_and_size_are_errors() {
        assert!(matches!(
            Tensor::from_slice(&[3], &[1.0f32]),
            Err(TensorError::Length {
                expected: 12,
                actual: 4,
                ..
            })
        ));
        assert!(matches!(
            Tensor::scalar(1i32).as_slice::<f32>(),
            Err(TensorError::DType { .. })
        ));
        assert!(matches!(
            Tensor::zeros(DType::F64, &[usize::MAX, 2]),
            Err(TensorError::TooLarge { .. })
        ));
    }

    /// Memory for so many bytes in all, at an odd address if `shift` is.
    #[derive(Debug)]
    struct Limited {
        bytes: Vec<u8>,
        limit: usize,
        shift: usize,
    }

    impl Limited {
        fn tensor(limit: usize, shift: usize) -> Tensor {
            Tensor::in_memory(Box::new(Self {
                bytes: vec![0; shift],
                limit,
                shift,
            }))
        }
    }

    impl Memory for Limited {
        fn bytes(&self) -> &[u8] {
            &self.bytes[self.shift..]
        }

        fn bytes_mut(&mut self) -> &mut [u8] {
            &mut self.bytes[self.shift..]
        }

        fn resize(&mut self, len_bytes: usize) -> Result<(), MemoryError> {
            if len_bytes > self.limit {
                return Err(MemoryError {
                    requested: len_bytes,
                    reason: format!("{} is all", self.limit),
                });
            }
            self.bytes.resize(len_bytes + self.shift, 0);
            Ok(())
        }
    }

    #[test]
    fn a_tensor_grows_in_its_own_memory() {
        let mut tensor = Limited::tensor(16, 0);
        assert_eq!((tensor.dtype(), tensor.shape()), (DType::F32, &[0][..]));
        assert!(tensor.bytes().is_empty());
        let values = Tensor::from_slice(&[2, 2], &[1u32, 2, 3, 4]).unwrap();
        tensor.copy_from(&values.view()).unwrap();
        let before = tensor.bytes().as_ptr();
        assert_eq!(tensor, values);
        tensor.reset(DType::U8, &[3]).unwrap();
        assert_eq!(tensor.bytes(), [1, 0, 0]);
        tensor.reset(DType::F64, &[2]).unwrap();
        assert_eq!(tensor.bytes().as_ptr(), before);
        let error = tensor.reset(DType::F64, &[3]).unwrap_err();
        assert_eq!(error.to_string(), "cannot allocate 24 bytes: 16 is all");
        assert_eq!((tensor.shape(), tensor.bytes().len()), (&[2][..], 16));
    }

    #[test]
    fn a_resized_tensor_keeps_its_elements() {
        let longer = |mut tensor: Tensor| {
            tensor
                .copy_from(&Tensor::from_slice(&[4], &[1u8, 2, 3, 4]).unwrap().view())
                .unwrap();
            tensor.resize(&[3]).unwrap();
            tensor.resize(&[3, 4]).unwrap();
            tensor
        };
        let expected = [1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for tensor in [Tensor::default(), Limited::tensor(16, 0)] {
            let tensor = longer(tensor);
            assert_eq!(
                (tensor.shape(), tensor.bytes()),
                (&[3, 4][..], &expected[..])
            );
        }
        let mut full = longer(Limited::tensor(16, 0));
        assert!(full.resize(&[17]).is_err());
        assert_eq!(full.shape(), [3, 4]);
    }

    #[test]
    fn copies_of_a_tensor_lie_on_the_heap() {
        let values = Tensor::from_slice(&[2], &[5i64, -6]).unwrap();
        let mut tensor = Limited::tensor(16, 0);
        tensor.copy_from(&values.view()).unwrap();
        let mut copy = tensor.clone();
        assert_eq!(copy, tensor);
        copy.reset(DType::U8, &[100]).unwrap();
        assert_eq!(copy.bytes().len(), 100);
        let stored = Stored::from(tensor);
        assert_eq!(Tensor::try_from(stored).unwrap(), values);
    }

    #[test]
    fn elements_in_memory_that_is_not_aligned_are_an_error() {
        let mut tensor = Limited::tensor(16, 1);
        tensor.reset(DType::F64, &[2]).unwrap();
        let error = TensorError::Alignment(DType::F64);
        assert_eq!(tensor.as_slice::<f64>(), Err(error.clone()));
        assert_eq!(tensor.as_mut_slice::<f64>(), Err(error));
        assert_eq!(tensor.bytes().len(), 16);
    }

    #[test]
    fn memory_that_does_not_grow_is_an_error() {
        #[derive(Debug)]
        struct Stuck;
        impl Memory for Stuck {
            fn bytes(&self) -> &[u8] {
                &[]
            }
            fn bytes_mut(&mut self) -> &mut [u8] {
                &mut []
            }
            fn resize(&mut self, _: usize) -> Result<(), MemoryError> {
                Ok(())
            }
        }
        let mut tensor = Tensor::in_memory(Box::new(Stuck));
        let error = tensor.reset(DType::U8, &[5]).unwrap_err();
        let expected = "cannot allocate 5 bytes: the memory stays at 0 bytes";
        assert_eq!(error.to_string(), expected);
        tensor.reset(DType::U8, &[0]).unwrap();
    }

    #[test]
    fn equality_is_of_contents() {
        let mut reused = Tensor::from_slice(&[3], &[1u8, 2, 3]).unwrap();
        reused.reset(DType::U8, &[2]).unwrap();
        assert_eq!(reused, Tensor::from_slice(&[2], &[1u8, 2]).unwrap());
    }

    #[test]
    fn booleans_are_normalised() {
        let tensor = Tensor::from_bytes(DType::Bool, &[3], &[0, 1, 7]).unwrap();
        assert_eq!(tensor.view().as_bools().unwrap(), [0, 1, 1]);
    }
}
