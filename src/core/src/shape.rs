use std::fmt;

use serde::{Deserialize, Serialize};

/// One dimension of a [`Shape`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Dim {
    /// Known at conversion.
    Fixed(usize),
    /// Known at run time only. Equal names mean equal sizes.
    Symbolic(String),
}

impl Dim {
    /// The size, where it is known.
    pub fn fixed(&self) -> Option<usize> {
        match self {
            Self::Fixed(size) => Some(*size),
            Self::Symbolic(_) => None,
        }
    }
}

impl From<usize> for Dim {
    fn from(size: usize) -> Self {
        Self::Fixed(size)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Symbolic(name) => f.write_str(name),
        }
    }
}

/// A tensor's shape: known rank, each dimension fixed or symbolic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape(pub Vec<Dim>);

impl Shape {
    /// A shape of fixed dimensions.
    pub fn fixed(dims: &[usize]) -> Self {
        Self(dims.iter().map(|&size| Dim::Fixed(size)).collect())
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The dimensions.
    pub fn dims(&self) -> &[Dim] {
        &self.0
    }

    /// All sizes, where every dimension is fixed.
    pub fn as_fixed(&self) -> Option<Vec<usize>> {
        self.0.iter().map(Dim::fixed).collect()
    }

    /// Number of elements, where every dimension is fixed and the product fits.
    pub fn elements(&self) -> Option<usize> {
        self.0
            .iter()
            .try_fold(1usize, |product, dim| product.checked_mul(dim.fixed()?))
    }

    /// Does a concrete shape fit: same rank, fixed dims equal, equal symbols equal?
    pub fn admits(&self, actual: &[usize]) -> bool {
        self.rank() == actual.len()
            && self
                .0
                .iter()
                .zip(actual)
                .enumerate()
                .all(|(i, (dim, size))| match dim {
                    Dim::Fixed(fixed) => fixed == size,
                    Dim::Symbolic(_) => self.0[..i]
                        .iter()
                        .position(|earlier| earlier == dim)
                        .is_none_or(|earlier| actual[earlier] == *size),
                })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, dim) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{dim}")?;
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admits_only_fitting_shapes() {
        let n = || Dim::Symbolic("n".into());
        let shape = Shape(vec![n(), Dim::Fixed(3), n()]);
        for (actual, expected) in [
            (&[2, 3, 2][..], true),
            (&[2, 3, 4], false),
            (&[2, 4, 2], false),
            (&[2, 3], false),
        ] {
            assert_eq!(shape.admits(actual), expected, "{actual:?}");
        }
        assert_eq!(shape.to_string(), "[n,3,n]");
    }
}
