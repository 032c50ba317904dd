//! Places in sorted numbers.

use std::cmp::Ordering;

use tfjet_core::{AttrReader, DType, Tensor, TensorView};

use crate::arguments::{
    Indices, expect_dtype, expect_rank, expect_same_dtype, integer, output, reset, take,
};
use crate::error::shape_error;
use crate::number::{Number, with_type};
use crate::{Kernel, OpError};

/// `LowerBound` and `UpperBound`: where in its row of sorted numbers each value would go.
#[derive(Debug)]
struct Bound {
    upper: bool,
    dtype: DType,
}

pub(crate) fn bound(reader: &AttrReader<'_>, upper: bool) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Bound {
        upper,
        dtype: reader.dtype_or("out_type", DType::I32)?,
    }))
}

impl Kernel for Bound {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [sorted, values] = take(inputs)?;
        let places = output(outputs)?;
        expect_same_dtype(inputs)?;
        expect_rank(0, sorted, 2)?;
        expect_rank(1, values, 2)?;
        let (&[rows, width], &[same, count]) = (sorted.shape(), values.shape()) else {
            return Err(shape_error!("matrices are expected"));
        };
        if rows != same {
            return Err(shape_error!("{rows} sorted rows for {same} rows of values"));
        }
        reset(places, self.dtype, values.shape())?;
        with_type!(numbers, 0, sorted.dtype(), T => {
            let (sorted, values) = (sorted.as_slice::<T>()?, values.as_slice::<T>()?);
            let place = |i: usize| {
                let row = &sorted[i / count * width..][..width];
                row.partition_point(|x| *x < values[i] || (self.upper && *x == values[i]))
            };
            match self.dtype {
                DType::I32 => {
                    for (i, slot) in places.as_mut_slice::<i32>()?.iter_mut().enumerate() {
                        *slot = i32::try_from(place(i)).unwrap_or(i32::MAX);
                    }
                }
                _ => {
                    for (i, slot) in places.as_mut_slice::<i64>()?.iter_mut().enumerate() {
                        *slot = place(i) as i64;
                    }
                }
            }
            Ok(())
        })
    }
}

/// `Bucketize`: how many of the sorted boundaries are not above each value.
#[derive(Debug)]
struct Bucketize {
    boundaries: Vec<f32>,
}

pub(crate) fn bucketize(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    use tfjet_core::{AttrError, AttrValue};
    let boundaries = match reader.get("boundaries") {
        Some(AttrValue::Floats(values)) => values.clone(),
        Some(AttrValue::Ints(values)) if values.is_empty() => Vec::new(),
        _ => return Err(AttrError::Missing("boundaries".into()).into()),
    };
    if !boundaries.is_sorted() {
        return Err(AttrError::Value {
            name: "boundaries".into(),
            value: format!("{boundaries:?}"),
            expected: "a sorted list",
        }
        .into());
    }
    Ok(Box::new(Bucketize { boundaries }))
}

impl Kernel for Bucketize {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let buckets = output(outputs)?;
        reset(buckets, DType::I32, x.shape())?;
        with_type!(numbers, 0, x.dtype(), T => {
            let slots = buckets.as_mut_slice::<i32>()?.iter_mut();
            for (slot, x) in slots.zip(x.as_slice::<T>()?) {
                let x = x.to_f64();
                let above = |boundary: &f32| {
                    x.partial_cmp(&f64::from(*boundary)) == Some(Ordering::Less)
                };
                *slot = self.boundaries.partition_point(|boundary| !above(boundary)) as i32;
            }
            Ok(())
        })
    }
}

/// `InTopK` and `InTopKV2`: is the target's prediction among the `k` largest, ties included?
#[derive(Debug)]
struct InTopK {
    k: Option<i64>,
}

pub(crate) fn in_top_k(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(InTopK {
        k: Some(reader.int("k")?),
    }))
}

pub(crate) fn in_top_k_v2() -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(InTopK { k: None }))
}

impl Kernel for InTopK {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let (predictions, targets, k) = match self.k {
            Some(k) => {
                let [predictions, targets] = take(inputs)?;
                (predictions, targets, k)
            }
            None => {
                let [predictions, targets, k] = take(inputs)?;
                (predictions, targets, integer(2, k)?)
            }
        };
        let inside = output(outputs)?;
        expect_dtype(0, predictions, DType::F32)?;
        expect_rank(0, predictions, 2)?;
        let classes = predictions.shape()[1];
        let targets = Indices::vector(1, targets)?;
        if targets.len() != predictions.shape()[0] {
            return Err(shape_error!(
                "{} targets for predictions of shape {:?}",
                targets.len(),
                predictions.shape()
            ));
        }
        reset(inside, DType::Bool, &[targets.len()])?;
        let values = predictions.as_slice::<f32>()?;
        for (i, slot) in inside.bytes_mut().iter_mut().enumerate() {
            let row = &values[i * classes..(i + 1) * classes];
            let target = usize::try_from(targets.get(i))
                .ok()
                .and_then(|t| row.get(t));
            *slot = u8::from(target.is_some_and(|target| {
                let larger = row.iter().filter(|x| *x > target).count();
                let finite = row.iter().all(|x| x.is_finite());
                finite && i64::try_from(larger).is_ok_and(|larger| larger < k)
            }));
        }
        Ok(())
    }
}
