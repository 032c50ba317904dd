//! Weights in the type that a layer computes in.

use half::f16;
use tfjet_core::{DType, Element, Tensor, TensorError, TensorView};

use crate::DataType;
use crate::network::Weights;

/// `view` as elements of `to`. Floats that exceed the range of half become its largest.
///
/// # Errors
///
/// Says why not, where an integer does not fit or the types do not convert.
pub(super) fn convert(view: TensorView<'_>, to: DataType) -> Result<Weights<'_>, String> {
    if let Some(weights) = Weights::borrowed(view).filter(|weights| weights.dtype() == to) {
        return Ok(weights);
    }
    let tensor = converted(view, to)?;
    Weights::owned(tensor).ok_or_else(|| unfit(&view, to))
}

/// As [`convert`], of a tensor that nobody else needs.
pub(super) fn owned(tensor: Tensor, to: DataType) -> Result<Weights<'static>, String> {
    let refused = unfit(&tensor.view(), to);
    let tensor = if DataType::from_dtype(tensor.dtype()) == Some(to) {
        tensor
    } else {
        converted(tensor.view(), to)?
    };
    Weights::owned(tensor).ok_or(refused)
}

fn converted(view: TensorView<'_>, to: DataType) -> Result<Tensor, String> {
    let shape = view.shape();
    match to {
        DataType::Float => made(Tensor::from_slice(shape, &floats(&view)?)),
        DataType::Half => {
            let halves: Vec<f16> = floats(&view)?.into_iter().map(saturated).collect();
            made(Tensor::from_slice(shape, &halves))
        }
        DataType::Int32 => integers::<i32>(&view),
        DataType::Int64 => integers::<i64>(&view),
        _ => Err(unfit(&view, to)),
    }
}

fn made<T>(result: Result<T, TensorError>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

/// The largest magnitude of floats; `None` where it is 0 or there is none.
pub(super) fn largest_magnitude(view: &TensorView<'_>) -> Option<f32> {
    let largest = floats(view).ok()?.into_iter().fold(0.0, |largest: f32, x| {
        if x.is_finite() {
            largest.max(x.abs())
        } else {
            largest
        }
    });
    Some(largest).filter(|&largest| largest > 0.0)
}

/// Is one of the elements 0?
pub(super) fn has_zero(view: &TensorView<'_>) -> bool {
    whole(view).is_ok_and(|values| values.contains(&0))
}

fn unfit(view: &TensorView<'_>, to: DataType) -> String {
    format!("weights of {} do not become {to}", view.dtype())
}

fn saturated(value: f32) -> f16 {
    if value.is_finite() {
        f16::from_f32(value.clamp(f16::MIN.to_f32(), f16::MAX.to_f32()))
    } else {
        f16::from_f32(value)
    }
}

fn floats(view: &TensorView<'_>) -> Result<Vec<f32>, String> {
    Ok(match view.dtype() {
        DType::F32 => made(view.as_slice::<f32>())?.to_vec(),
        DType::F16 => made(view.as_slice::<f16>())?
            .iter()
            .map(|x| x.to_f32())
            .collect(),
        DType::U8 => made(view.as_slice::<u8>())?
            .iter()
            .map(|&x| x.into())
            .collect(),
        _ => return Err(unfit(view, DataType::Float)),
    })
}

fn whole(view: &TensorView<'_>) -> Result<Vec<i64>, String> {
    Ok(match view.dtype() {
        DType::I32 => made(view.as_slice::<i32>())?
            .iter()
            .map(|&x| x.into())
            .collect(),
        _ => made(view.as_slice::<i64>())?.to_vec(),
    })
}

fn integers<T: Element + TryFrom<i64>>(view: &TensorView<'_>) -> Result<Tensor, String> {
    let values: Vec<T> = whole(view)?
        .into_iter()
        .map(|value| T::try_from(value).map_err(|_| format!("{value} does not fit {}", T::DTYPE)))
        .collect::<Result<_, _>>()?;
    made(Tensor::from_slice(view.shape(), &values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_range_checked_and_floats_saturate() {
        let wide = Tensor::from_slice(&[2], &[7i64, 1 << 40]).unwrap();
        let error = convert(wide.view(), DataType::Int32).unwrap_err();
        assert_eq!(error, "1099511627776 does not fit int32");
        let floats = Tensor::from_slice(&[3], &[1.5f32, -1e9, f32::INFINITY]).unwrap();
        let halves = convert(floats.view(), DataType::Half).unwrap();
        assert_eq!(halves.dtype(), DataType::Half);
        let expected = [f16::from_f32(1.5), f16::MIN, f16::INFINITY];
        let bytes: Vec<u8> = expected.iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(halves.bytes(), bytes);
        assert!(convert(floats.view(), DataType::Int32).is_err());
    }
}
