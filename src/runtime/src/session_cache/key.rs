use std::fmt;

use tfjet_core::TensorView;

/// Shapes of all model inputs, in the manifest's order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShapeKey(pub Vec<Vec<usize>>);

impl ShapeKey {
    /// The shapes of `inputs`.
    pub fn of(inputs: &[TensorView<'_>]) -> Self {
        Self(inputs.iter().map(|input| input.shape().to_vec()).collect())
    }

    /// May a session that was built for these shapes run a request of those? TF-TRT's rule: for
    /// every input the ranks are equal, dim 0 of the request is from 1 to this one's, and all other
    /// dims are equal.
    pub fn serves(&self, request: &Self) -> bool {
        self.serves_all(request.0.iter().map(Vec::as_slice))
    }

    /// As [`ShapeKey::serves`], for the shapes of `inputs`.
    pub(super) fn serves_inputs(&self, inputs: &[TensorView<'_>]) -> bool {
        self.serves_all(inputs.iter().map(TensorView::shape))
    }

    fn serves_all<'a>(&self, request: impl ExactSizeIterator<Item = &'a [usize]>) -> bool {
        self.0.len() == request.len() && self.0.iter().zip(request).all(|(own, it)| fits(own, it))
    }

    /// Has an input no elements? No engine is built for such shapes.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().flatten().any(|&size| size == 0)
    }
}

fn fits(own: &[usize], request: &[usize]) -> bool {
    match (own, request) {
        ([most, own @ ..], [batch, request @ ..]) => {
            (batch == most || (1..=*most).contains(batch)) && own == request
        }
        _ => own == request,
    }
}

/// `1x224x224x3, 4`; an input without dims is `scalar`.
impl fmt::Display for ShapeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, shape) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            let Some((first, others)) = shape.split_first() else {
                f.write_str("scalar")?;
                continue;
            };
            write!(f, "{first}")?;
            others.iter().try_for_each(|size| write!(f, "x{size}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tfjet_core::{DType, Tensor};

    fn key(shapes: &[&[usize]]) -> ShapeKey {
        ShapeKey(shapes.iter().map(|shape| shape.to_vec()).collect())
    }

    #[test]
    fn a_larger_batch_serves_smaller_ones_of_the_same_other_dims() {
        for (built, request, expected) in [
            (&[&[2, 2][..]][..], &[&[2, 2][..]][..], true),
            (&[&[2, 2]], &[&[1, 2]], true),
            (&[&[2, 2]], &[&[3, 2]], false),
            (&[&[2, 2]], &[&[2, 1]], false),
            (&[&[2, 2]], &[&[0, 2]], false),
            (&[&[0, 2]], &[&[0, 2]], true),
            (&[&[2, 2]], &[&[2]], false),
            (&[&[2, 2]], &[&[2, 2, 1]], false),
            (&[&[2, 2]], &[&[]], false),
            (&[&[]], &[&[]], true),
            (&[&[]], &[&[1]], false),
            (&[&[4, 2], &[4]], &[&[2, 2], &[2]], true),
            (&[&[4, 2], &[4]], &[&[2, 2], &[5]], false),
            (&[&[4, 2], &[4]], &[&[2, 2]], false),
            (&[], &[], true),
        ] {
            let (built, request) = (key(built), key(request));
            assert_eq!(built.serves(&request), expected, "{built} for {request}");
            let shapes = request.0.iter();
            let tensors: Vec<Tensor> = shapes
                .map(|shape| Tensor::zeros(DType::U8, shape).unwrap())
                .collect();
            let views: Vec<_> = tensors.iter().map(Tensor::view).collect();
            assert_eq!(ShapeKey::of(&views), request);
            assert_eq!(built.serves_inputs(&views), expected);
        }
    }

    #[test]
    fn prints_sizes_of_all_inputs() {
        let shapes: &[&[usize]] = &[&[1, 224, 224, 3], &[4], &[]];
        assert_eq!(key(shapes).to_string(), "1x224x224x3, 4, scalar");
        assert_eq!(key(&[]).to_string(), "");
    }
}
