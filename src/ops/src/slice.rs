use tfjet_core::{AttrReader, Tensor, TensorView};

use crate::arguments::{Indices, output, reset, take};
use crate::error::{shape_error, value_error};
use crate::number::with_size;
use crate::strided::{Dims, Strided, row_major};
use crate::{Kernel, OpError};

/// Fills `target` with the elements of `source` that the walk meets.
pub(crate) fn copy_walk(
    walk: &Strided<1>,
    start: isize,
    source: &TensorView<'_>,
    target: &mut Tensor,
) {
    with_size!(source.dtype(), N => {
        let source = source.bytes().as_chunks::<N>().0;
        walk.copy(start, source, target.bytes_mut().as_chunks_mut::<N>().0);
    });
}

/// `Slice`.
#[derive(Debug)]
struct Slice;

pub(crate) fn slice(_: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Slice))
}

impl Kernel for Slice {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, begin, size] = take(inputs)?;
        let y = output(outputs)?;
        let (begin, size) = (Indices::vector(1, begin)?, Indices::vector(2, size)?);
        let shape = x.shape();
        if begin.len() != shape.len() || size.len() != shape.len() {
            return Err(shape_error!(
                "begin has {} and size has {} elements for shape {shape:?}",
                begin.len(),
                size.len()
            ));
        }
        let strides = row_major(shape)?;
        let (mut sliced, mut walk, mut start) = (Dims::new(), Strided::new(), 0);
        for (dim, &extent) in shape.iter().enumerate() {
            let (begin, size) = (begin.get(dim), size.get(dim));
            let range = usize::try_from(begin)
                .ok()
                .and_then(|begin| Some((begin, extent.checked_sub(begin)?)))
                .and_then(|(begin, rest)| match size {
                    -1 => Some((begin, rest)),
                    _ => Some((
                        begin,
                        usize::try_from(size).ok().filter(|&size| size <= rest)?,
                    )),
                });
            let Some((begin, size)) = range else {
                return Err(value_error!(
                    "begin {begin} and size {size} are outside dimension {dim} of {shape:?}"
                ));
            };
            start += begin as isize * strides[dim];
            sliced.push(size)?;
            walk.push(size, [strides[dim]])?;
        }
        reset(y, x.dtype(), &sliced)?;
        copy_walk(&walk, start, x, y);
        Ok(())
    }
}

/// `StridedSlice`. Bit `i` of a mask is about element `i` of begin, end and strides.
#[derive(Debug)]
struct StridedSlice {
    begin_mask: i64,
    end_mask: i64,
    ellipsis_mask: i64,
    new_axis_mask: i64,
    shrink_axis_mask: i64,
}

pub(crate) fn strided_slice(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    let kernel = StridedSlice {
        begin_mask: reader.int_or("begin_mask", 0)?,
        end_mask: reader.int_or("end_mask", 0)?,
        ellipsis_mask: reader.int_or("ellipsis_mask", 0)?,
        new_axis_mask: reader.int_or("new_axis_mask", 0)?,
        shrink_axis_mask: reader.int_or("shrink_axis_mask", 0)?,
    };
    if kernel.ellipsis_mask.count_ones() > 1 {
        return Err(value_error!(
            "attribute `ellipsis_mask` has more than one bit"
        ));
    }
    Ok(Box::new(kernel))
}

/// One dimension of a tensor, as `StridedSlice` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlicedDim {
    /// First index.
    pub begin: i64,
    /// Number of indices.
    pub size: usize,
    /// From one index to the next, not 0.
    pub stride: i64,
}

impl Kernel for StridedSlice {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, begin, end, strides] = take(inputs)?;
        let y = output(outputs)?;
        let (begin, end) = (Indices::vector(1, begin)?, Indices::vector(2, end)?);
        let strides = Indices::vector(3, strides)?;
        let count = begin.len();
        if end.len() != count || strides.len() != count || count > 32 {
            return Err(shape_error!(
                "begin, end and strides must have one length up to 32, have {count}, {} and {}",
                end.len(),
                strides.len()
            ));
        }
        let bit = |mask: i64, i: usize| mask >> i & 1 == 1;
        let ellipsis = (0..count)
            .find(|&i| bit(self.ellipsis_mask, i))
            .unwrap_or(count);
        let consumed = (0..count)
            .filter(|&i| i != ellipsis && !bit(self.new_axis_mask, i))
            .count();
        let shape = x.shape();
        let Some(covered) = shape.len().checked_sub(consumed) else {
            return Err(shape_error!("{consumed} slices for shape {shape:?}"));
        };

        let input_strides = row_major(shape)?;
        let (mut sliced, mut walk, mut start) = (Dims::new(), Strided::new(), 0);
        let mut dim = 0;
        for i in 0..=count {
            if i == ellipsis {
                for _ in 0..covered {
                    sliced.push(shape[dim])?;
                    walk.push(shape[dim], [input_strides[dim]])?;
                    dim += 1;
                }
                continue;
            }
            if i == count {
                break;
            }
            if bit(self.new_axis_mask, i) {
                sliced.push(1)?;
                continue;
            }
            let (begin, end, stride) = (begin.get(i), end.get(i), strides.get(i));
            let range = if bit(self.shrink_axis_mask, i) {
                SlicedDim::index(begin, stride, shape[dim], dim)?
            } else {
                let begin = (!bit(self.begin_mask, i)).then_some(begin);
                let end = (!bit(self.end_mask, i)).then_some(end);
                SlicedDim::range(begin, end, stride, shape[dim])?
            };
            if !bit(self.shrink_axis_mask, i) {
                sliced.push(range.size)?;
            }
            if range.size > 0 {
                start += range.begin as isize * input_strides[dim];
            }
            walk.push(
                range.size,
                [input_strides[dim].wrapping_mul(range.stride as isize)],
            )?;
            dim += 1;
        }
        reset(y, x.dtype(), &sliced)?;
        if y.elements() > 0 {
            copy_walk(&walk, start, x, y);
        }
        Ok(())
    }
}

impl SlicedDim {
    /// A single index of dimension `dim`, whose size is `extent`; negative ones count from the end.
    ///
    /// # Errors
    /// Outside the dimension, or a stride that is not positive.
    pub fn index(begin: i64, stride: i64, extent: usize, dim: usize) -> Result<Self, OpError> {
        if stride <= 0 {
            return Err(value_error!("stride {stride} for a single index"));
        }
        let from_end = if begin < 0 { extent as i64 } else { 0 };
        let index = begin.saturating_add(from_end);
        if !(0..extent as i64).contains(&index) {
            return Err(value_error!(
                "index {begin} is outside dimension {dim} of size {extent}"
            ));
        }
        Ok(Self {
            begin: index,
            size: 1,
            stride: 1,
        })
    }

    /// A range; a bound of `None` reaches as far as the stride's direction goes.
    ///
    /// # Errors
    /// A stride of 0.
    pub fn range(
        begin: Option<i64>,
        end: Option<i64>,
        stride: i64,
        extent: usize,
    ) -> Result<Self, OpError> {
        if stride == 0 {
            return Err(value_error!("a stride of 0"));
        }
        let extent = extent as i64;
        let (low, high) = if stride > 0 {
            (0, extent)
        } else {
            (-1, extent - 1)
        };
        let bound = |value: i64| {
            let from_end = if value < 0 { extent } else { 0 };
            value.saturating_add(from_end).clamp(low, high)
        };
        let (first, last) = if stride > 0 { (low, high) } else { (high, low) };
        let begin = begin.map_or(first, bound);
        let end = end.map_or(last, bound);
        let distance = if stride > 0 { end - begin } else { begin - end };
        let size =
            u64::try_from(distance).map_or(0, |distance| distance.div_ceil(stride.unsigned_abs()));
        Ok(Self {
            begin,
            size: size as usize,
            stride,
        })
    }
}
