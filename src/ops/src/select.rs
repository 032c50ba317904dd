use tfjet_core::{AttrReader, DType, Tensor, TensorView};

use crate::arguments::{expect_dtype, expect_same_dtype, output, product, reset, take};
use crate::broadcast::Broadcast;
use crate::error::shape_error;
use crate::number::{with_size, with_type};
use crate::{Kernel, OpError};

/// `Select` (the condition has the values' shape, or one element for each of their rows, or is a
/// scalar) and `SelectV2` (all three broadcast).
#[derive(Debug)]
struct Select {
    broadcast: bool,
}

pub(crate) fn select(broadcast: bool) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Select { broadcast }))
}

impl Kernel for Select {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [condition, on_true, on_false] = take(inputs)?;
        let y = output(outputs)?;
        expect_dtype(0, condition, DType::Bool)?;
        expect_same_dtype(&inputs[1..])?;
        let (condition_shape, shape) = (condition.shape(), on_true.shape());
        let broadcast = if self.broadcast {
            let broadcast = Broadcast::new([condition_shape, shape, on_false.shape()])?;
            reset(y, on_true.dtype(), broadcast.shape())?;
            broadcast
        } else {
            let rows = condition_shape.len() == 1 && shape.first() == condition_shape.first();
            let fits = condition_shape == shape || condition_shape.is_empty() || rows;
            if !fits || on_false.shape() != shape {
                return Err(shape_error!(
                    "condition of shape {condition_shape:?} does not select between {shape:?} \
                     and {:?}",
                    on_false.shape()
                ));
            }
            reset(y, on_true.dtype(), shape)?;
            let flat = [condition.elements(), 1];
            let flat_values = if condition_shape.is_empty() {
                [1, on_true.elements()]
            } else if rows {
                [flat[0], product(&shape[1..])]
            } else {
                flat
            };
            Broadcast::new([&flat, &flat_values, &flat_values])?
        };
        let condition = condition.as_bools()?;
        with_size!(on_true.dtype(), N => {
            let on_true = on_true.bytes().as_chunks::<N>().0;
            let on_false = on_false.bytes().as_chunks::<N>().0;
            let y = y.bytes_mut().as_chunks_mut::<N>().0;
            let mut at = 0;
            broadcast.rows(|[mut c, mut t, mut f], len, [dc, dt, df]| {
                if [dc, dt, df] == [1; 3] {
                    let values = on_true[t..t + len].iter().zip(&on_false[f..f + len]);
                    let slots = y[at..at + len].iter_mut().zip(&condition[c..c + len]);
                    for ((slot, &condition), (on_true, on_false)) in slots.zip(values) {
                        *slot = if condition != 0 { *on_true } else { *on_false };
                    }
                    at += len;
                    return;
                }
                for slot in &mut y[at..at + len] {
                    *slot = if condition[c] != 0 { on_true[t] } else { on_false[f] };
                    c += dc;
                    t += dt;
                    f += df;
                }
                at += len;
            });
        });
        Ok(())
    }
}

/// `Where` of one input: the coordinates of its elements that are not zero.
#[derive(Debug)]
struct Where;

pub(crate) fn where_(_: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Where))
}

impl Kernel for Where {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let y = output(outputs)?;
        if x.shape().is_empty() {
            return Err(shape_error!("a scalar has no coordinates"));
        }
        if x.dtype() == DType::Bool {
            return coordinates(x.shape(), x.as_bools()?, y);
        }
        with_type!(numbers, 0, x.dtype(), T => coordinates(x.shape(), x.as_slice::<T>()?, y))
    }
}

fn coordinates<T: Copy + Default + PartialEq>(
    shape: &[usize],
    values: &[T],
    y: &mut Tensor,
) -> Result<(), OpError> {
    let zero = T::default();
    let count = values.iter().filter(|&&value| value != zero).count();
    let rank = shape.len();
    reset(y, DType::I64, &[count, rank])?;
    if count == 0 {
        return Ok(());
    }
    let mut rows = y.as_mut_slice::<i64>()?.chunks_exact_mut(rank);
    for (index, _) in values
        .iter()
        .enumerate()
        .filter(|&(_, &value)| value != zero)
    {
        let Some(row) = rows.next() else { break };
        let mut rest = index;
        for (slot, &size) in row.iter_mut().zip(shape).rev() {
            *slot = (rest % size) as i64;
            rest /= size;
        }
    }
    Ok(())
}
