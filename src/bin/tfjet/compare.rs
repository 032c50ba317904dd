//! Compares outputs with reference arrays, as numbers or as detections.

mod detections;

use serde::Serialize;
use tfjet::core::{DType, Tensor, TensorError, TensorView};

pub(crate) use detections::{
    DetectionComparison, DetectionTolerance, Row, Rows, detection_row, iou, match_rows,
};

/// How one output compares.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct OutputComparison {
    pub(crate) name: String,
    pub(crate) elements: usize,
    /// Largest difference.
    pub(crate) max_abs: f64,
    /// Largest difference by the reference's largest magnitude.
    pub(crate) max_rel: f64,
    /// Elements that exceed both tolerances.
    pub(crate) exceeding: usize,
    /// What makes a comparison impossible.
    pub(crate) problem: Option<String>,
}

impl OutputComparison {
    pub(crate) fn is_good(&self) -> bool {
        self.exceeding == 0 && self.problem.is_none()
    }
}

/// Every element as `f64`, a complex one as its two parts.
pub(crate) fn numbers(view: &TensorView<'_>) -> Result<Vec<f64>, TensorError> {
    macro_rules! all {
        ($type:ty) => {
            view.as_slice::<$type>()?
                .iter()
                .map(|&value| value as f64)
                .collect()
        };
    }
    Ok(match view.dtype() {
        DType::F32 => all!(f32),
        DType::F64 => all!(f64),
        DType::F16 => view
            .as_slice::<half::f16>()?
            .iter()
            .map(|v| v.to_f64())
            .collect(),
        DType::BF16 => view
            .as_slice::<half::bf16>()?
            .iter()
            .map(|v| v.to_f64())
            .collect(),
        DType::I8 => all!(i8),
        DType::I16 => all!(i16),
        DType::I32 => all!(i32),
        DType::I64 => all!(i64),
        DType::U8 => all!(u8),
        DType::U16 => all!(u16),
        DType::U32 => all!(u32),
        DType::U64 => all!(u64),
        DType::C64 => view
            .as_slice::<[f32; 2]>()?
            .as_flattened()
            .iter()
            .map(|&part| part.into())
            .collect(),
        _ => view
            .as_bools()?
            .iter()
            .map(|&value| f64::from(value))
            .collect(),
    })
}

/// Compares element by element. An element is bad where it exceeds `atol` and also `rtol` times
/// the reference's largest magnitude.
pub(crate) fn compare(
    name: &str,
    ours: &TensorView<'_>,
    reference: &Tensor,
    atol: f64,
    rtol: f64,
) -> Result<OutputComparison, TensorError> {
    let mut result = OutputComparison {
        name: name.into(),
        elements: reference.elements(),
        max_abs: 0.0,
        max_rel: 0.0,
        exceeding: 0,
        problem: None,
    };
    if ours.shape() != reference.shape() {
        result.problem = Some(format!(
            "shape {:?}, the reference has {:?}",
            ours.shape(),
            reference.shape()
        ));
        return Ok(result);
    }
    let is_complex = |dtype| dtype == DType::C64;
    if is_complex(ours.dtype()) != is_complex(reference.dtype()) {
        result.problem = Some(format!(
            "it is {}, the reference {}",
            ours.dtype(),
            reference.dtype()
        ));
        return Ok(result);
    }
    let ours = numbers(ours)?;
    let reference = numbers(&reference.view())?;
    let largest = reference
        .iter()
        .filter(|v| v.is_finite())
        .fold(0.0f64, |m, v| m.max(v.abs()));
    for (a, b) in ours.iter().zip(&reference) {
        if a == b || (a.is_nan() && b.is_nan()) {
            continue;
        }
        let difference = (a - b).abs();
        let difference = if difference.is_nan() {
            f64::INFINITY
        } else {
            difference
        };
        result.max_abs = result.max_abs.max(difference);
        if difference > atol && difference > rtol * largest {
            result.exceeding += 1;
        }
    }
    if largest > 0.0 {
        result.max_rel = result.max_abs / largest;
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(values: &[f32]) -> Tensor {
        Tensor::from_slice(&[values.len()], values).unwrap()
    }

    #[test]
    fn an_element_must_exceed_both_tolerances() {
        let reference = tensor(&[100.0, 0.0]);
        let check =
            |values: &[f32]| compare("y", &tensor(values).view(), &reference, 1e-4, 1e-3).unwrap();
        assert!(check(&[100.05, 0.0]).is_good());
        assert!(check(&[100.0, 0.05]).is_good());
        assert_eq!(check(&[100.2, 0.0]).exceeding, 1);
        assert_eq!(check(&[f32::NAN, 0.0]).exceeding, 1);
        assert!(check(&[100.0]).problem.is_some());
    }

    #[test]
    fn complex_numbers_are_compared_by_their_parts() {
        let reference = Tensor::from_slice(&[2], &[[1.0f32, 0.0], [2.0, -4.0]]).unwrap();
        let check = |values: &[[f32; 2]]| {
            let ours = Tensor::from_slice(&[2], values).unwrap();
            compare("y", &ours.view(), &reference, 0.0, 1e-3).unwrap()
        };
        assert!(check(&[[1.0, 0.0], [2.0, -4.001]]).is_good());
        assert_eq!(check(&[[1.0, 0.1], [2.0, 4.0]]).exceeding, 2);
        assert_eq!(
            compare("y", &tensor(&[1.0, 2.0]).view(), &reference, 0.0, 0.0)
                .unwrap()
                .problem
                .unwrap(),
            "it is float32, the reference complex64"
        );
    }

    #[test]
    fn equal_infinities_and_nans_agree() {
        let reference = tensor(&[f32::NAN, f32::INFINITY, 1.0]);
        let result = compare("y", &reference.view(), &reference, 0.0, 0.0).unwrap();
        assert!(result.is_good());
        assert_eq!(result.max_abs, 0.0);
    }
}
