//! Sums and other reductions of the rows that share an id, and counts of ids.

use tfjet_core::{AttrReader, Tensor, TensorView};

use crate::arguments::{Indices, integer, output, product, reset, size, take};
use crate::error::{shape_error, value_error};
use crate::number::{Number, with_type};
use crate::strided::Dims;
use crate::{Kernel, OpError};

/// What becomes of the rows of a segment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Segment {
    Sum,
    Mean,
    Prod,
    Max,
    Min,
}

/// `SegmentSum` and the like, whose ids are sorted and whose empty segments are zeros (ones for
/// products); `UnsortedSegmentSum` and the like, whose ids may have more dimensions and be
/// negative, which leaves rows out.
#[derive(Debug)]
struct Segments {
    what: Segment,
    sorted: bool,
}

pub(crate) fn segments(
    reader: &AttrReader<'_>,
    what: Segment,
    sorted: bool,
) -> Result<Box<dyn Kernel>, OpError> {
    reader.ignore(&["Tnumsegments"]);
    Ok(Box::new(Segments { what, sorted }))
}

impl Segments {
    /// Number of segments, after a check of the ids.
    fn count(&self, ids: Indices<'_>, given: Option<i64>) -> Result<usize, OpError> {
        if let Some(count) = given {
            let count = size("the number of segments", count)?;
            let large = |&id: &i64| usize::try_from(id).is_ok_and(|id| id >= count);
            if let Some(id) = ids.iter().find(large) {
                return Err(value_error!("id {id} is outside {count} segments"));
            }
            return Ok(count);
        }
        let mut previous = 0;
        for id in ids.iter() {
            if id < previous {
                return Err(value_error!("ids are not sorted: {id} behind {previous}"));
            }
            previous = id;
        }
        match ids.len() {
            0 => Ok(0),
            _ => size("a segment", previous.saturating_add(1)),
        }
    }

    fn reduce<T: Number>(
        &self,
        ids: Indices<'_>,
        x: &[T],
        y: &mut [T],
        inner: usize,
    ) -> Result<(), OpError> {
        let empty = match self.what {
            Segment::Prod => T::ONE,
            Segment::Max if !self.sorted => T::lowest_finite(),
            Segment::Min if !self.sorted => T::highest_finite(),
            _ => T::ZERO,
        };
        y.fill(empty);
        if inner == 0 {
            return Ok(());
        }
        let mut counts = vec![0usize; y.len() / inner];
        for (id, row) in ids.iter().zip(x.chunks_exact(inner)) {
            let Ok(id) = usize::try_from(id) else {
                continue;
            };
            let target = &mut y[id * inner..(id + 1) * inner];
            let first = counts[id] == 0;
            counts[id] += 1;
            for (slot, &value) in target.iter_mut().zip(row) {
                *slot = match self.what {
                    _ if first => value,
                    Segment::Sum | Segment::Mean => slot.plus(value),
                    Segment::Prod => slot.times(value),
                    Segment::Max => slot.greater(value),
                    Segment::Min => slot.lesser(value),
                };
            }
        }
        if self.what == Segment::Mean {
            for (target, &count) in y.chunks_exact_mut(inner).zip(&counts) {
                let count = T::from_f64(count.max(1) as f64);
                for slot in target {
                    *slot = slot.quotient(count);
                }
            }
        }
        Ok(())
    }
}

impl Kernel for Segments {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let (x, id_view, given) = if self.sorted {
            let [x, ids] = take(inputs)?;
            (x, ids, None)
        } else {
            let [x, ids, count] = take(inputs)?;
            (x, ids, Some(integer(2, count)?))
        };
        let y = output(outputs)?;
        let (shape, outer) = (x.shape(), id_view.shape());
        let fits = shape.get(..outer.len()) == Some(outer) && (!self.sorted || outer.len() == 1);
        if !fits {
            return Err(shape_error!(
                "ids of shape {outer:?} do not fit data of shape {shape:?}"
            ));
        }
        let ids = Indices::new(1, id_view)?;
        let count = self.count(ids, given)?;
        let mut result = Dims::new();
        result.push(count)?;
        result.extend(&shape[outer.len()..])?;
        reset(y, x.dtype(), &result)?;
        let inner = product(&shape[outer.len()..]);
        with_type!(numbers, 0, x.dtype(), T => {
            self.reduce::<T>(ids, x.as_slice()?, y.as_mut_slice()?, inner)
        })
    }
}

/// `Bincount` and `DenseBincount`: how often each number below a size is there, or the sum of the
/// weights beside it.
#[derive(Debug)]
struct Bincount {
    /// Every row of a matrix by itself.
    rows: bool,
    /// Is it there at all?
    binary: bool,
}

pub(crate) fn bincount(reader: &AttrReader<'_>, rows: bool) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Bincount {
        rows,
        binary: rows && reader.bool_or("binary_output", false)?,
    }))
}

impl Kernel for Bincount {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, limit, weights] = take(inputs)?;
        let y = output(outputs)?;
        let values = Indices::new(0, x)?;
        let limit = size("the size", integer(1, limit)?)?;
        let width = match *x.shape() {
            [_, width] if self.rows => width,
            ref shape if shape.len() <= 1 || !self.rows => values.len(),
            ref shape => return Err(shape_error!("an input of shape {shape:?}")),
        };
        let weighted = weights.elements() > 0;
        if weighted && weights.shape() != x.shape() {
            return Err(shape_error!(
                "weights of shape {:?} for an input of shape {:?}",
                weights.shape(),
                x.shape()
            ));
        }
        if let Some(value) = values.iter().find(|&value| value < 0) {
            return Err(value_error!("{value} is negative"));
        }
        match *x.shape() {
            [rows, _] if self.rows => reset(y, weights.dtype(), &[rows, limit])?,
            _ => reset(y, weights.dtype(), &[limit])?,
        }
        with_type!(numbers, 2, weights.dtype(), T => {
            let (weights, y) = (weights.as_slice::<T>()?, y.as_mut_slice::<T>()?);
            y.fill(T::ZERO);
            for (i, value) in values.iter().enumerate() {
                let Some(value) = usize::try_from(value).ok().filter(|&value| value < limit) else {
                    continue;
                };
                let slot = &mut y[i / width * limit + value];
                *slot = match (self.binary, weighted) {
                    (true, _) => T::ONE,
                    (false, true) => slot.plus(weights[i]),
                    (false, false) => slot.plus(T::ONE),
                };
            }
            Ok(())
        })
    }
}
