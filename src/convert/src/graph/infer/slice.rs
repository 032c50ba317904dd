//! `Slice` and `StridedSlice`.

use tfjet_core::{Dim, Shape};

use super::{Context, InferError, fact, impossible};
use crate::graph::{SymbolicInt, WireFact};

/// What a strided slice does with one axis of the input or output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SliceAxis {
    /// Takes `start`, `start + stride`, ... ; `None` means from/to the border in that direction.
    Range {
        begin: Option<i64>,
        end: Option<i64>,
        stride: i64,
    },
    /// Takes one index and drops the axis.
    Shrink(i64),
    /// Puts in an axis of size 1; consumes none.
    New,
}

/// The dense form of a strided slice over a tensor of `rank`.
pub(crate) fn dense(
    context: &Context<'_>,
    rank: usize,
) -> Result<Option<Vec<SliceAxis>>, InferError> {
    let (Some(begin), Some(end), Some(strides)) = (
        context.integers(1)?,
        context.integers(2)?,
        context.integers(3)?,
    ) else {
        return Ok(None);
    };
    if begin.len() != end.len() || begin.len() != strides.len() {
        return impossible("begin, end and strides differ in length");
    }
    let mask = |name: &str| context.attrs.int_or(name, 0);
    let (begin_mask, end_mask) = (mask("begin_mask")?, mask("end_mask")?);
    let (ellipsis, new_axis) = (mask("ellipsis_mask")?, mask("new_axis_mask")?);
    let shrink = mask("shrink_axis_mask")?;
    let bit = |mask: i64, index: usize| index < 63 && mask & (1 << index) != 0;
    let explicit = (0..begin.len())
        .filter(|&i| !bit(ellipsis, i) && !bit(new_axis, i))
        .count();
    let all = SliceAxis::Range {
        begin: None,
        end: None,
        stride: 1,
    };
    let Some(missing) = rank.checked_sub(explicit) else {
        return impossible(format!("{explicit} indices into a tensor of rank {rank}"));
    };
    let mut axes = Vec::new();
    let mut filled = false;
    for i in 0..begin.len() {
        if bit(ellipsis, i) {
            if std::mem::replace(&mut filled, true) {
                return impossible("more than one ellipsis");
            }
            axes.extend(std::iter::repeat_n(all, missing));
        } else if bit(new_axis, i) {
            axes.push(SliceAxis::New);
        } else if bit(shrink, i) {
            axes.push(SliceAxis::Shrink(begin[i]));
        } else {
            if strides[i] == 0 {
                return impossible("a stride of 0");
            }
            axes.push(SliceAxis::Range {
                begin: (!bit(begin_mask, i)).then_some(begin[i]),
                end: (!bit(end_mask, i)).then_some(end[i]),
                stride: strides[i],
            });
        }
    }
    if !filled {
        axes.extend(std::iter::repeat_n(all, missing));
    }
    Ok(Some(axes))
}

/// First index and number of elements of a range over an axis of `size`.
pub(crate) fn clamp(
    size: usize,
    begin: Option<i64>,
    end: Option<i64>,
    stride: i64,
) -> (i64, usize) {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let (low, high) = if stride > 0 {
        (0, size)
    } else {
        (-1, size - 1)
    };
    let resolve = |index: Option<i64>, default: i64| match index {
        None => default,
        Some(index) if index < 0 => index.saturating_add(size).clamp(low, high),
        Some(index) => index.clamp(low, high),
    };
    let (first, last) = if stride > 0 {
        (0, size)
    } else {
        (size - 1, -1)
    };
    let (begin, end) = (resolve(begin, first), resolve(end, last));
    let distance = if stride > 0 { end - begin } else { begin - end };
    let count = if distance <= 0 {
        0
    } else {
        distance.unsigned_abs().div_ceil(stride.unsigned_abs())
    };
    (begin, usize::try_from(count).unwrap_or(0))
}

pub(super) fn infer(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    if context.node.op == "Slice" {
        return slice(context);
    }
    let dtype = context.dtype(0);
    let input = context.input(0)?;
    let Some(shape) = input.shape.as_ref() else {
        return Ok(vec![fact(dtype, None)]);
    };
    let Some(axes) = dense(context, shape.rank())? else {
        return Ok(vec![fact(dtype, None)]);
    };
    let mut dims = Vec::new();
    let mut source = shape.dims().iter();
    for axis in &axes {
        if *axis == SliceAxis::New {
            dims.push(Dim::Fixed(1));
            continue;
        }
        let Some(dim) = source.next() else {
            return impossible("more indices than axes");
        };
        match (*axis, dim) {
            (SliceAxis::Shrink(index), Dim::Fixed(size)) => {
                let size = i64::try_from(*size).unwrap_or(i64::MAX);
                if index >= size || index < -size {
                    return impossible(format!("index {index} is outside an axis of {size}"));
                }
            }
            (SliceAxis::Range { begin, end, stride }, Dim::Fixed(size)) => {
                dims.push(Dim::Fixed(clamp(*size, begin, end, stride).1));
            }
            (
                SliceAxis::Range {
                    begin: None | Some(0),
                    end: None,
                    stride: 1,
                },
                dim,
            ) => {
                dims.push(dim.clone());
            }
            (SliceAxis::Range { .. }, _) => dims.push(context.symbol(0, dims.len())),
            (SliceAxis::Shrink(_) | SliceAxis::New, _) => {}
        }
    }
    let mut result = fact(dtype, Some(Shape(dims)));
    if let (Some(elements), [axis]) = (input.elements.as_deref(), axes.as_slice()) {
        result.elements = pick(elements, *axis);
    }
    Ok(vec![result])
}

fn pick(elements: &[SymbolicInt], axis: SliceAxis) -> Option<Vec<SymbolicInt>> {
    let len = i64::try_from(elements.len()).ok()?;
    let at = |index: i64| elements.get(usize::try_from(index).ok()?).cloned();
    match axis {
        SliceAxis::Shrink(index) => Some(vec![at(if index < 0 { index + len } else { index })?]),
        SliceAxis::Range { begin, end, stride } => {
            let (first, count) = clamp(elements.len(), begin, end, stride);
            (0..i64::try_from(count).ok()?)
                .map(|i| at(first + i * stride))
                .collect()
        }
        SliceAxis::New => None,
    }
}

fn slice(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let dtype = context.dtype(0);
    let input = context.input(0)?;
    let Some(shape) = input.shape.as_ref() else {
        return Ok(vec![fact(dtype, None)]);
    };
    let begin = context.integers(1)?;
    let Some(size) = context.input(2)?.elements.clone() else {
        return Ok(vec![fact(dtype, Some(context.symbols(0, shape.rank())))]);
    };
    if size.len() != shape.rank() {
        return impossible(format!("{} sizes to slice {shape}", size.len()));
    }
    let mut dims = Vec::with_capacity(size.len());
    for (axis, (dim, size)) in shape.dims().iter().zip(&size).enumerate() {
        let start = begin.as_ref().and_then(|begin| begin.get(axis).copied());
        dims.push(match (size, start, dim) {
            (SymbolicInt::Known(-1), Some(start), Dim::Fixed(whole)) => {
                match usize::try_from(start)
                    .ok()
                    .and_then(|start| whole.checked_sub(start))
                {
                    Some(rest) => Dim::Fixed(rest),
                    None => return impossible(format!("begin {start} is outside {shape}")),
                }
            }
            (SymbolicInt::Known(-1), Some(0), dim) => dim.clone(),
            (SymbolicInt::Known(size), _, dim) if *size >= 0 => {
                let size = usize::try_from(*size).unwrap_or(usize::MAX);
                let start = start
                    .and_then(|start| usize::try_from(start).ok())
                    .unwrap_or(0);
                if dim
                    .fixed()
                    .is_some_and(|whole| start.saturating_add(size) > whole)
                {
                    return impossible(format!("begin {start}, size {size} is outside {shape}"));
                }
                Dim::Fixed(size)
            }
            (SymbolicInt::Symbol(name), _, _) => Dim::Symbolic(name.clone()),
            _ => context.symbol(0, axis),
        });
    }
    let mut result = fact(dtype, Some(Shape(dims)));
    if let (Some(elements), Some([start]), Some(Dim::Fixed(count))) = (
        input.elements.as_deref(),
        begin.as_deref(),
        result
            .shape
            .as_ref()
            .and_then(|shape| shape.dims().first().cloned()),
    ) {
        result.elements = usize::try_from(*start)
            .ok()
            .and_then(|start| elements.get(start..start.checked_add(count)?))
            .map(<[SymbolicInt]>::to_vec);
    }
    Ok(vec![result])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clamps_as_python_slices_do() {
        for (size, begin, end, stride, expected) in [
            (5, None, None, 1, (0, 5)),
            (5, Some(1), Some(4), 1, (1, 3)),
            (5, Some(-2), None, 1, (3, 2)),
            (5, None, None, -1, (4, 5)),
            (5, Some(3), Some(0), -2, (3, 2)),
            (5, Some(7), Some(9), 1, (5, 0)),
            (5, None, Some(100), 2, (0, 3)),
            (0, None, None, 1, (0, 0)),
        ] {
            assert_eq!(
                clamp(size, begin, end, stride),
                expected,
                "{size} {begin:?} {end:?}"
            );
        }
    }
}
