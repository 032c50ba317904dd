use tfjet_core::{DType, Tensor};

use super::Formula;

/// Longer tensors are not followed.
const MAX_ELEMENTS: usize = 64;
/// Fractions of sizes are followed down to this part.
const MAX_DENOMINATOR: i64 = 1 << 12;
/// Whole numbers up to here are floats without rounding.
const EXACT: f64 = (1 << 24) as f64;

/// One element of a small tensor whose value is known up to symbols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SymbolicInt {
    /// A number.
    Known(i64),
    /// A number that the sizes of symbolic dims decide.
    Size(Formula),
    /// A formula divided by a number above 1: an element of a float tensor.
    Ratio(Formula, i64),
    /// Not known.
    Unknown,
}

impl From<Formula> for SymbolicInt {
    fn from(formula: Formula) -> Self {
        match formula.known() {
            Some(number) => Self::Known(number),
            None => Self::Size(formula),
        }
    }
}

impl From<Option<Formula>> for SymbolicInt {
    fn from(formula: Option<Formula>) -> Self {
        formula.map_or(Self::Unknown, Self::from)
    }
}

impl SymbolicInt {
    /// The formula of a whole number.
    pub fn formula(&self) -> Option<Formula> {
        match self {
            Self::Known(number) => Some(Formula::from(*number)),
            Self::Size(formula) => Some(formula.clone()),
            Self::Ratio(..) | Self::Unknown => None,
        }
    }

    /// Is it a number?
    pub fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }

    /// Numerator and denominator.
    pub fn ratio(&self) -> Option<(Formula, i64)> {
        match self {
            Self::Ratio(formula, denominator) => Some((formula.clone(), *denominator)),
            other => Some((other.formula()?, 1)),
        }
    }

    /// `numerator / denominator`, in its simplest form.
    pub fn from_ratio(numerator: Formula, denominator: i64) -> Self {
        let shared = numerator.shared_factor(denominator);
        let (Some(numerator), Some(denominator)) = (
            numerator.exact_div(&Formula::from(shared)),
            denominator.checked_div(shared),
        ) else {
            return Self::Unknown;
        };
        match denominator {
            1 => Self::from(numerator),
            2..=MAX_DENOMINATOR => Self::Ratio(numerator, denominator),
            _ => Self::Unknown,
        }
    }

    /// The whole number that a cast to an integer makes of it: without its fraction. Rounding down
    /// is that for what is not negative.
    pub fn truncated(&self) -> Self {
        let floor = || {
            let (numerator, denominator) = self.ratio()?;
            if denominator > 1 && numerator.low()? < 0 {
                return None;
            }
            numerator.floor_div(&Formula::from(denominator))
        };
        Self::from(floor())
    }
}

/// The elements of a constant of two axes at most.
pub(crate) fn elements(value: &Tensor) -> Option<Vec<SymbolicInt>> {
    if value.shape().len() > 2 || value.elements() > MAX_ELEMENTS {
        return None;
    }
    match value.dtype() {
        DType::I32 => {
            let values = value.as_slice::<i32>().ok()?.iter();
            Some(values.map(|&v| SymbolicInt::Known(v.into())).collect())
        }
        DType::I64 => {
            let values = value.as_slice::<i64>().ok()?.iter();
            Some(values.map(|&v| SymbolicInt::Known(v)).collect())
        }
        DType::F32 => {
            let values = value.as_slice::<f32>().ok()?.iter();
            Some(values.map(|&v| fraction(v.into())).collect())
        }
        DType::F64 => {
            let values = value.as_slice::<f64>().ok()?.iter();
            Some(values.map(|&v| fraction(v)).collect())
        }
        _ => None,
    }
}

/// A float as a whole number or a fraction of a power of two.
fn fraction(value: f64) -> SymbolicInt {
    let denominator = MAX_DENOMINATOR as f64;
    let numerator = value * denominator;
    if value.abs() >= EXACT || numerator.fract() != 0.0 {
        return SymbolicInt::Unknown;
    }
    SymbolicInt::from_ratio(Formula::from(numerator as i64), MAX_DENOMINATOR)
}
