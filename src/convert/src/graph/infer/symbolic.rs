use tfjet_core::{Dim, Shape};

use super::{InferError, impossible};

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

/// What is left of `shape`'s elements when `divisor` dims are divided out: a fixed size, a
/// symbol, or `None` where the quotient has no name.
pub(super) fn quotient(shape: &[Dim], divisor: &[Dim]) -> Result<Option<Dim>, InferError> {
    let mut symbols: Vec<&String> = Vec::new();
    let mut numerator: usize = 1;
    for dim in shape {
        match dim {
            Dim::Fixed(size) => match numerator.checked_mul(*size) {
                Some(product) => numerator = product,
                None => return Ok(None),
            },
            Dim::Symbolic(name) => symbols.push(name),
        }
    }
    let mut denominator: usize = 1;
    for dim in divisor {
        match dim {
            Dim::Fixed(size) => match denominator.checked_mul(*size) {
                Some(product) => denominator = product,
                None => return Ok(None),
            },
            Dim::Symbolic(name) => match symbols.iter().position(|symbol| *symbol == name) {
                Some(index) => {
                    symbols.swap_remove(index);
                }
                None => return Ok(None),
            },
        }
    }
    if denominator == 0 {
        return Ok(None);
    }
    match (symbols.as_slice(), numerator % denominator) {
        ([], 0) => Ok(Some(Dim::Fixed(numerator / denominator))),
        ([], _) => impossible(format!(
            "{numerator} elements do not divide into rows of {denominator}"
        )),
        ([name], 0) if numerator == denominator => Ok(Some(Dim::Symbolic((*name).clone()))),
        _ => Ok(None),
    }
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
        for (a, b, expected) in [
            ("n,7,7,64", "3136", Some("n")),
            ("n,7,7,64", "n", Some("3136")),
            ("n,m,4", "4", None),
            ("6,4", "8", Some("3")),
        ] {
            let result = quotient(shape(a).dims(), shape(b).dims()).unwrap();
            assert_eq!(
                result,
                expected.map(|text| shape(text).0[0].clone()),
                "{a} {b}"
            );
        }
        assert!(quotient(shape("5").dims(), shape("2").dims()).is_err());
    }
}
