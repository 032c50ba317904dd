use std::sync::Arc;

use tfjet_core::{Tensor, TensorView};

use super::Network;
use crate::DataType;
use crate::sys;

/// Values of a layer, borrowed or owned.
#[derive(Debug, Clone)]
pub struct Weights<'w> {
    dtype: DataType,
    elements: usize,
    values: Values<'w>,
}

#[derive(Debug, Clone)]
enum Values<'w> {
    Borrowed(&'w [u8]),
    Owned(Arc<Tensor>),
}

impl<'w> Weights<'w> {
    /// The view's own values; `None` where TensorRT has no such type.
    pub fn borrowed(view: TensorView<'w>) -> Option<Self> {
        Some(Self {
            dtype: DataType::from_dtype(view.dtype())?,
            elements: view.elements(),
            values: Values::Borrowed(view.bytes()),
        })
    }

    /// The tensor's values, kept by the network; `None` where TensorRT has no such type.
    pub fn owned(tensor: Tensor) -> Option<Self> {
        Some(Self {
            dtype: DataType::from_dtype(tensor.dtype())?,
            elements: tensor.elements(),
            values: Values::Owned(Arc::new(tensor)),
        })
    }

    /// Type of the elements.
    pub fn dtype(&self) -> DataType {
        self.dtype
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// The values, little-endian.
    pub fn bytes(&self) -> &[u8] {
        match &self.values {
            Values::Borrowed(bytes) => bytes,
            Values::Owned(tensor) => tensor.bytes(),
        }
    }
}

impl Network<'_> {
    /// The values as the library takes them. Owned ones stay with the network.
    pub(super) fn keep<'a>(&'a self, weights: &'a Weights<'_>) -> sys::Weights<'a> {
        if let Values::Owned(tensor) = &weights.values {
            self.kept.borrow_mut().push(Arc::clone(tensor));
        }
        let count = i64::try_from(weights.elements).unwrap_or(i64::MAX);
        sys::Weights::new(weights.dtype.code(), weights.bytes(), count)
    }

    /// [`Network::keep`] of weights that may be absent.
    pub(super) fn keep_any<'a>(
        &'a self,
        weights: Option<&'a Weights<'_>>,
        dtype: DataType,
    ) -> sys::Weights<'a> {
        weights.map_or_else(
            || sys::Weights::empty(dtype.code()),
            |weights| self.keep(weights),
        )
    }
}
