//! Between the type that the schedule gives a value and the type that an engine holds it in.

use half::f16;
use tfjet_core::{DType, Element, Tensor, TensorError, TensorView};

/// An element that the other type cannot hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutOfRange {
    /// Position in row-major order.
    pub(crate) position: usize,
    pub(crate) value: i64,
}

/// Why a tensor cannot be converted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConvertError {
    OutOfRange(OutOfRange),
    Tensor(TensorError),
}

impl From<TensorError> for ConvertError {
    fn from(error: TensorError) -> Self {
        Self::Tensor(error)
    }
}

/// Can a value that the schedule calls `scheduled` be held as `held`, and made of it again?
pub(crate) fn is_known(scheduled: DType, held: DType) -> bool {
    scheduled == held
        || matches!(
            (scheduled, held),
            (DType::I64, DType::I32)
                | (DType::U8, DType::F32 | DType::I32)
                | (DType::F32, DType::F16)
                | (DType::F16, DType::F32)
        )
}

/// `to` becomes `from` with elements of type `held`.
pub(crate) fn convert(
    from: &TensorView<'_>,
    held: DType,
    to: &mut Tensor,
) -> Result<(), ConvertError> {
    to.reset(held, from.shape())?;
    match (from.dtype(), held) {
        (DType::I64, DType::I32) => {
            let values = from.as_slice::<i64>()?;
            for (position, (to, &value)) in
                to.as_mut_slice::<i32>()?.iter_mut().zip(values).enumerate()
            {
                *to = i32::try_from(value)
                    .map_err(|_| ConvertError::OutOfRange(OutOfRange { position, value }))?;
            }
            Ok(())
        }
        (DType::I32, DType::I64) => each(from, to, |value: i32| i64::from(value)),
        (DType::U8, DType::F32) => each(from, to, |value: u8| f32::from(value)),
        (DType::F32, DType::U8) => each(from, to, |value: f32| value as u8),
        (DType::U8, DType::I32) => each(from, to, |value: u8| i32::from(value)),
        (DType::I32, DType::U8) => each(from, to, |value: i32| value as u8),
        (DType::F32, DType::F16) => each(from, to, f16::from_f32),
        (DType::F16, DType::F32) => each(from, to, f16::to_f32),
        (same, held) if same == held => Ok(to.copy_from(from)?),
        (actual, expected) => Err(TensorError::DType { expected, actual }.into()),
    }
}

fn each<F: Element, T: Element>(
    from: &TensorView<'_>,
    to: &mut Tensor,
    convert: impl Fn(F) -> T,
) -> Result<(), ConvertError> {
    let values = from.as_slice::<F>()?;
    for (to, &value) in to.as_mut_slice::<T>()?.iter_mut().zip(values) {
        *to = convert(value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(from: &Tensor, held: DType) -> Result<Tensor, ConvertError> {
        let mut to = Tensor::default();
        convert(&from.view(), held, &mut to)?;
        Ok(to)
    }

    #[test]
    fn there_and_back_is_the_same() {
        let ends = [i64::from(i32::MIN), -1, 0, i64::from(i32::MAX)];
        let bytes = [0u8, 1, 128, 255];
        for (from, held) in [
            (Tensor::from_slice(&[2, 2], &ends).unwrap(), DType::I32),
            (Tensor::from_slice(&[4], &bytes).unwrap(), DType::F32),
            (Tensor::from_slice(&[4], &bytes).unwrap(), DType::I32),
            (
                Tensor::from_slice(&[2], &[0.5f32, -8.0]).unwrap(),
                DType::F16,
            ),
            (Tensor::from_slice(&[1], &[1.5f64]).unwrap(), DType::F64),
            (Tensor::zeros(DType::I64, &[0, 3]).unwrap(), DType::I32),
        ] {
            assert!(is_known(from.dtype(), held));
            let there = converted(&from, held).unwrap();
            assert_eq!((there.dtype(), there.shape()), (held, from.shape()));
            assert_eq!(converted(&there, from.dtype()).unwrap(), from);
        }
    }

    #[test]
    fn a_number_that_does_not_fit_is_named() {
        for value in [i64::from(i32::MAX) + 1, i64::from(i32::MIN) - 1, i64::MAX] {
            let from = Tensor::from_slice(&[3], &[7, value, 0]).unwrap();
            let expected = OutOfRange { position: 1, value };
            assert_eq!(
                converted(&from, DType::I32),
                Err(ConvertError::OutOfRange(expected))
            );
        }
    }

    #[test]
    fn floats_become_bytes_by_truncation_within_the_range() {
        let from = Tensor::from_slice(&[4], &[-3.0f32, 2.9, 300.0, f32::NAN]).unwrap();
        assert_eq!(converted(&from, DType::U8).unwrap().bytes(), [0, 2, 255, 0]);
    }

    #[test]
    fn other_pairs_are_refused() {
        for (scheduled, held) in [
            (DType::F64, DType::F32),
            (DType::I32, DType::I64),
            (DType::Bool, DType::F32),
            (DType::I64, DType::F32),
        ] {
            assert!(!is_known(scheduled, held));
        }
        let error = converted(&Tensor::scalar(1.0f64), DType::F32).unwrap_err();
        assert!(matches!(
            error,
            ConvertError::Tensor(TensorError::DType { .. })
        ));
    }
}
