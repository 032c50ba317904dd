//! Sizes that are known when the engine runs only.

use tfjet_core::{Dim, ElementWiseOperation};

use super::writer::{Value, Writer};
use crate::TensorRtError;
use crate::network::{Outside, Part, Sizes};

/// One size of a shape.
#[derive(Debug, Clone)]
pub(super) enum Size<'n> {
    Known(i64),
    /// Of one axis of a tensor.
    Axis(Value<'n>, usize),
    /// The product of these.
    Product(Vec<Size<'n>>),
}

impl<'n> Writer<'n, '_, '_> {
    /// The size of axis `axis` of input `index`.
    pub(super) fn size(&self, index: usize, axis: usize) -> Result<Size<'n>, TensorRtError> {
        match self.input_dims(index)?.get(axis) {
            Some(Dim::Fixed(size)) => Ok(Size::Known(self.int(*size)?)),
            Some(Dim::Symbolic(_)) => Ok(Size::Axis(self.input(index)?, axis)),
            None => Err(self.fail(format!("input {index} has no axis {axis}"))),
        }
    }

    /// The sizes as numbers where all are known, else as a shape tensor.
    pub(super) fn sizes(&mut self, sizes: &[Size<'n>]) -> Result<Sizes<'n>, TensorRtError> {
        let known: Option<Vec<i64>> = sizes.iter().map(known).collect();
        if let Some(known) = known {
            return Ok(Sizes::Known(known));
        }
        let parts = sizes
            .iter()
            .map(|size| self.one(size))
            .collect::<Result<Vec<_>, _>>()?;
        let shape = match &parts[..] {
            [only] => *only,
            _ => {
                let tensors: Vec<_> = parts.iter().map(|part| part.tensor).collect();
                let layer = self.network.add_concatenation(&tensors, 0)?;
                self.value("shape", layer, self.types.index())?
            }
        };
        Ok(Sizes::Tensor {
            tensor: shape.tensor,
            rank: sizes.len(),
        })
    }

    /// One size as a shape tensor of one element.
    fn one(&mut self, size: &Size<'n>) -> Result<Value<'n>, TensorRtError> {
        if let Some(known) = known(size) {
            return self.integer(known, 1);
        }
        match size {
            Size::Known(known) => self.integer(*known, 1),
            Size::Axis(value, axis) => {
                let layer = self.network.add_shape(value.tensor)?;
                let shape = self.value("shape", layer, self.types.index())?;
                let part = Part {
                    start: Sizes::Known(vec![self.int(*axis)?]),
                    size: Sizes::Known(vec![1]),
                    stride: Sizes::Known(vec![1]),
                };
                let layer = self
                    .network
                    .add_slice(shape.tensor, &part, Outside::Never)?;
                self.value("size", layer, shape.dtype)
            }
            Size::Product(factors) => {
                let mut product: Option<Value<'n>> = None;
                for factor in factors {
                    let factor = self.one(factor)?;
                    product = Some(match product {
                        None => factor,
                        Some(before) => self.binary(ElementWiseOperation::Prod, before, factor)?,
                    });
                }
                product.map_or_else(|| self.integer(1, 1), Ok)
            }
        }
    }
}

fn known(size: &Size<'_>) -> Option<i64> {
    match size {
        Size::Known(size) => Some(*size),
        Size::Axis(..) => None,
        Size::Product(factors) => factors
            .iter()
            .try_fold(1i64, |product, size| product.checked_mul(known(size)?)),
    }
}
