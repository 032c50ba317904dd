use std::cmp::Ordering;

use tfjet_core::{AttrError, AttrReader, DType, Tensor, TensorView};

use crate::arguments::{integer, outputs, reset, size, take};
use crate::error::{shape_error, value_error};
use crate::number::{Number, with_type};
use crate::strided::Dims;
use crate::{Kernel, OpError};

/// `TopK` (k is an attribute) and `TopKV2` (k is an input), along the last dimension.
///
/// Of equal values the one of the lower index comes first, and NaN comes after every number. The
/// result is sorted even where `sorted` is false, which leaves the order open.
#[derive(Debug)]
struct TopK {
    k: Option<usize>,
    index_type: DType,
}

pub(crate) fn top_k(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    let k = reader.int("k")?;
    let k = usize::try_from(k).map_err(|_| AttrError::Value {
        name: "k".into(),
        value: k.to_string(),
        expected: "0 or more",
    })?;
    make(reader, Some(k))
}

pub(crate) fn top_k_v2(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    reader.ignore(&["Tk"]);
    make(reader, None)
}

fn make(reader: &AttrReader<'_>, k: Option<usize>) -> Result<Box<dyn Kernel>, OpError> {
    reader.bool_or("sorted", true)?;
    let index_type = reader.dtype_or("index_type", DType::I32)?;
    if !matches!(index_type, DType::I16 | DType::I32 | DType::I64) {
        return Err(AttrError::Value {
            name: "index_type".into(),
            value: index_type.name().into(),
            expected: "int16, int32 or int64",
        }
        .into());
    }
    Ok(Box::new(TopK { k, index_type }))
}

impl Kernel for TopK {
    fn output_count(&self) -> usize {
        2
    }

    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let (x, k) = match self.k {
            Some(k) => (take::<1>(inputs)?.first(), k),
            None => {
                let [_, k] = take(inputs)?;
                (inputs.first(), top(k)?)
            }
        };
        let Some((x, (&columns, outer))) = x.and_then(|x| Some((x, x.shape().split_last()?)))
        else {
            return Err(shape_error!("a scalar has no dimension for a top k"));
        };
        if k > columns {
            return Err(value_error!(
                "k is {k}, but the last dimension has {columns} elements"
            ));
        }
        let [values, indices] = self::outputs(outputs)?;
        let mut shape = Dims::from_slice(outer)?;
        shape.push(k)?;
        reset(values, x.dtype(), &shape)?;
        reset(indices, self.index_type, &shape)?;
        if values.elements() == 0 {
            return Ok(());
        }
        with_type!(numbers, 0, x.dtype(), T => {
            let mut order = Vec::with_capacity(columns);
            let rows = x.as_slice::<T>()?.chunks_exact(columns);
            let tops = values.as_mut_slice::<T>()?.chunks_exact_mut(k);
            for (row, (x, top)) in rows.zip(tops).enumerate() {
                best(x, k, &mut order);
                for (slot, &i) in top.iter_mut().zip(&order) {
                    *slot = x[i];
                }
                self.write_indices(indices, row * k, &order[..k])?;
            }
            Ok(())
        })
    }
}

fn top(k: &TensorView<'_>) -> Result<usize, OpError> {
    if k.dtype() == DType::I16
        && let [k] = k.as_slice::<i16>()?
    {
        return size("k", (*k).into());
    }
    size("k", integer(1, k)?)
}

/// Puts the indices of the `k` largest of `x` in front of `order`, the largest first.
fn best<T: Number>(x: &[T], k: usize, order: &mut Vec<usize>) {
    let rank = |&i: &usize, &j: &usize| {
        let by_value = x[j].partial_cmp(&x[i]).unwrap_or_else(|| {
            let is_nan = |i: usize| x[i].partial_cmp(&x[i]) != Some(Ordering::Equal);
            is_nan(i).cmp(&is_nan(j))
        });
        by_value.then(i.cmp(&j))
    };
    order.clear();
    if k == 1 && !x.is_empty() {
        order.push(largest(x));
        return;
    }
    if k <= FEW && k < x.len() / SPARSE {
        few_best(x, k, order, rank);
        return;
    }
    order.extend(0..x.len());
    if k < x.len() {
        order.select_nth_unstable_by(k, rank);
    }
    order[..k].sort_unstable_by(rank);
}

/// The first of the largest; NaN only where there is nothing else.
fn largest<T: Number>(x: &[T]) -> usize {
    let (mut at, mut best) = (0, x[0]);
    for (i, &value) in x.iter().enumerate() {
        let is_nan = best.partial_cmp(&best).is_none();
        if value > best || (is_nan && value.partial_cmp(&value).is_some()) {
            (at, best) = (i, value);
        }
    }
    at
}

/// So many are kept in order while the elements go by, where one of so many elements is kept.
const FEW: usize = 128;
const SPARSE: usize = 512;

/// [`best`] of a few: most elements are below the last one kept.
fn few_best<T: Number>(
    x: &[T],
    k: usize,
    order: &mut Vec<usize>,
    rank: impl Fn(&usize, &usize) -> Ordering,
) {
    for i in 0..x.len() {
        if order.len() == k {
            let Some(&last) = order.last() else { return };
            // Not above the last one, which came first; only NaN is not comparable.
            if x[i] <= x[last] || rank(&i, &last) != Ordering::Less {
                continue;
            }
            order.pop();
        }
        let place = order.partition_point(|kept| rank(kept, &i) == Ordering::Less);
        order.insert(place, i);
    }
}

impl TopK {
    fn write_indices(
        &self,
        indices: &mut Tensor,
        at: usize,
        order: &[usize],
    ) -> Result<(), OpError> {
        let slots = at..at + order.len();
        match self.index_type {
            DType::I16 => fill(&mut indices.as_mut_slice::<i16>()?[slots], order),
            DType::I64 => fill(&mut indices.as_mut_slice::<i64>()?[slots], order),
            _ => fill(&mut indices.as_mut_slice::<i32>()?[slots], order),
        }
    }
}

fn fill<I: TryFrom<usize>>(slots: &mut [I], order: &[usize]) -> Result<(), OpError> {
    for (slot, &i) in slots.iter_mut().zip(order) {
        *slot = I::try_from(i).map_err(|_| value_error!("index {i} does not fit index_type"))?;
    }
    Ok(())
}
