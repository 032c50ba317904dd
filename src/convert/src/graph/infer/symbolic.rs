use tfjet_core::{Dim, Shape};

use super::{InferError, impossible};
use crate::graph::{Formula, Sizes};

/// The shape of an elementwise op, after
/// [NumPy's rule](https://numpy.org/doc/stable/user/basics.broadcasting.html). `fresh` names a
/// dim that neither side settles.
pub fn broadcast(
    a: &Shape,
    b: &Shape,
    mut fresh: impl FnMut(usize) -> Dim,
) -> Result<Shape, InferError> {
    let rank = a.rank().max(b.rank());
    let mut dims = Vec::with_capacity(rank);
    for axis in 0..rank {
        let pick = |shape: &Shape| -> Dim {
            (axis + shape.rank())
                .checked_sub(rank)
                .map_or(Dim::Fixed(1), |index| shape.dims()[index].clone())
        };
        dims.push(match (pick(a), pick(b)) {
            (x, y) if x == y => x,
            (Dim::Fixed(1), other) | (other, Dim::Fixed(1)) => other,
            (Dim::Fixed(_), Dim::Fixed(_)) => {
                return impossible(format!("shapes {a} and {b} do not broadcast"));
            }
            (fixed @ Dim::Fixed(_), Dim::Symbolic(_))
            | (Dim::Symbolic(_), fixed @ Dim::Fixed(_)) => fixed,
            (Dim::Symbolic(_), Dim::Symbolic(_)) => fresh(axis),
        });
    }
    Ok(Shape(dims))
}

/// What is left of `shape`'s elements when the dims of `divisor` are divided out, where a formula
/// says it.
pub(super) fn quotient(
    sizes: &Sizes,
    shape: &[Dim],
    divisor: &[Dim],
) -> Result<Option<Formula>, InferError> {
    let (Some(elements), Some(row)) = (product(sizes, shape), product(sizes, divisor)) else {
        return Ok(None);
    };
    match (elements.known(), row.known()) {
        (_, Some(0)) => Ok(None),
        (Some(elements), Some(row)) if elements % row != 0 => impossible(format!(
            "{elements} elements do not divide into rows of {row}"
        )),
        // The division leaves nothing, or TensorFlow would not take it.
        _ => Ok(elements.floor_div(&row)),
    }
}

/// The number of elements.
pub(super) fn product(sizes: &Sizes, dims: &[Dim]) -> Option<Formula> {
    dims.iter().try_fold(Formula::from(1), |product, dim| {
        product.mul(&sizes.formula(dim))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Shape {
        Shape(
            text.split(',')
                .filter(|dim| !dim.is_empty())
                .map(|dim| {
                    dim.parse()
                        .map_or_else(|_| Dim::Symbolic(dim.into()), Dim::Fixed)
                })
                .collect(),
        )
    }

    #[test]
    fn broadcasts_as_numpy_does() {
        for (a, b, expected) in [
            ("2,3", "3", Some("2,3")),
            ("n,1,3", "4,1", Some("n,4,3")),
            ("n,3", "n,1", Some("n,3")),
            ("n", "m", Some("fresh")),
            ("n", "5", Some("5")),
            ("", "2,2", Some("2,2")),
            ("2", "3", None),
        ] {
            let result = broadcast(&shape(a), &shape(b), |_| Dim::Symbolic("fresh".into()));
            assert_eq!(result.ok(), expected.map(shape), "{a} {b}");
        }
    }

    #[test]
    fn divides_symbols_out() {
        let sizes = Sizes::default();
        for (a, b, expected) in [
            ("n,7,7,64", "3136", "n"),
            ("n,7,7,64", "n", "3136"),
            ("n,m,4", "4", "m*n"),
            ("n,m,12", "n,4", "3*m"),
            ("6,4", "8", "3"),
            ("n,6", "m", "floor((6*n)/m)"),
        ] {
            let result = quotient(&sizes, shape(a).dims(), shape(b).dims()).unwrap();
            assert_eq!(result.unwrap().to_string(), expected, "{a} {b}");
        }
        assert!(quotient(&sizes, shape("5").dims(), shape("2").dims()).is_err());
        assert_eq!(
            quotient(&sizes, shape("5").dims(), shape("0").dims()),
            Ok(None)
        );
    }
}
