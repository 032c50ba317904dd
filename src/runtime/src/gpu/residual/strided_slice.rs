//! `StridedSlice`.

use tfjet_core::{AttrError, AttrReader};
use tfjet_cuda::kernels::row_major;
use tfjet_ops::{OpError, SlicedDim};

use super::arguments::shape_error;

/// Bit `i` of a mask is about element `i` of begin, end and strides.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StridedSlice {
    begin_mask: i64,
    end_mask: i64,
    ellipsis_mask: i64,
    new_axis_mask: i64,
    shrink_axis_mask: i64,
}

/// What of a tensor is taken: the shape of the result, and where its elements lie.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sliced {
    pub(super) shape: Vec<usize>,
    pub(super) start: i64,
    /// Sizes and strides in the input.
    pub(super) dims: Vec<(usize, i64)>,
}

impl StridedSlice {
    pub(super) fn read(reader: &AttrReader<'_>) -> Result<Self, AttrError> {
        Ok(Self {
            begin_mask: reader.int_or("begin_mask", 0)?,
            end_mask: reader.int_or("end_mask", 0)?,
            ellipsis_mask: reader.int_or("ellipsis_mask", 0)?,
            new_axis_mask: reader.int_or("new_axis_mask", 0)?,
            shrink_axis_mask: reader.int_or("shrink_axis_mask", 0)?,
        })
    }

    /// The slice of a tensor of `shape`.
    pub(super) fn of(
        &self,
        shape: &[usize],
        begin: &[i64],
        end: &[i64],
        strides: &[i64],
    ) -> Result<Sliced, OpError> {
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
        let Some(covered) = shape.len().checked_sub(consumed) else {
            return Err(shape_error!("{consumed} slices for shape {shape:?}"));
        };
        let mut sliced = Sliced::default();
        let mut inputs = shape.iter().copied().zip(row_major(shape)).enumerate();
        for i in 0..=count {
            if i == ellipsis {
                for (_, (size, stride)) in inputs.by_ref().take(covered) {
                    sliced.shape.push(size);
                    sliced.dims.push((size, stride));
                }
                continue;
            }
            if i == count {
                break;
            }
            if bit(self.new_axis_mask, i) {
                sliced.shape.push(1);
                continue;
            }
            let Some((dim, (extent, input_stride))) = inputs.next() else {
                break;
            };
            let shrinks = bit(self.shrink_axis_mask, i);
            let range = if shrinks {
                SlicedDim::index(begin[i], strides[i], extent, dim)?
            } else {
                let begin = (!bit(self.begin_mask, i)).then_some(begin[i]);
                let end = (!bit(self.end_mask, i)).then_some(end[i]);
                SlicedDim::range(begin, end, strides[i], extent)?
            };
            if !shrinks {
                sliced.shape.push(range.size);
            }
            if range.size > 0 {
                let from = range.begin.saturating_mul(input_stride);
                sliced.start = sliced.start.saturating_add(from);
            }
            let stride = if range.size > 1 {
                input_stride.saturating_mul(range.stride)
            } else {
                0
            };
            sliced.dims.push((range.size, stride));
        }
        Ok(sliced)
    }
}
