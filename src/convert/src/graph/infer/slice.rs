//! `Slice` and `StridedSlice`.

use tfjet_core::{Dim, Shape};

use super::{Context, InferError, fact, impossible};
use crate::graph::{Formula, SymbolicInt, WireFact};

/// One end of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bound {
    /// The border in that direction.
    Border,
    /// An index; below 0 it counts from the end.
    At(Formula),
    /// Only the run time knows.
    Unknown,
}

impl Bound {
    fn of(element: &SymbolicInt) -> Self {
        element.formula().map_or(Self::Unknown, Self::At)
    }

    fn known(&self) -> Option<i64> {
        match self {
            Self::At(formula) => formula.known(),
            _ => None,
        }
    }
}

/// What a strided slice does with one axis of the input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SliceAxis {
    /// Takes `begin`, `begin + stride`, ... up to `end`.
    Range {
        begin: Bound,
        end: Bound,
        stride: i64,
    },
    /// Takes one index and drops the axis.
    Shrink(Bound),
    /// Puts in an axis of size 1; consumes none.
    New,
}

/// Which elements of an axis are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    /// The first.
    pub(crate) first: Formula,
    /// How many.
    pub(crate) count: Formula,
}

/// The dense form of a strided slice over a tensor of `rank`.
pub(crate) fn dense(
    context: &Context<'_>,
    rank: usize,
) -> Result<Option<Vec<SliceAxis>>, InferError> {
    let (Some(begin), Some(end), Some(strides)) = (
        context.elements(1)?,
        context.elements(2)?,
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
    let bound = |mask: i64, elements: &[SymbolicInt], index: usize| {
        if bit(mask, index) {
            Bound::Border
        } else {
            Bound::of(&elements[index])
        }
    };
    let explicit = (0..begin.len())
        .filter(|&i| !bit(ellipsis, i) && !bit(new_axis, i))
        .count();
    let all = SliceAxis::Range {
        begin: Bound::Border,
        end: Bound::Border,
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
            axes.extend(std::iter::repeat_n(all.clone(), missing));
        } else if bit(new_axis, i) {
            axes.push(SliceAxis::New);
        } else if bit(shrink, i) {
            axes.push(SliceAxis::Shrink(Bound::of(&begin[i])));
        } else {
            if strides[i] == 0 {
                return impossible("a stride of 0");
            }
            axes.push(SliceAxis::Range {
                begin: bound(begin_mask, &begin, i),
                end: bound(end_mask, &end, i),
                stride: strides[i],
            });
        }
    }
    if !filled {
        axes.extend(std::iter::repeat_n(all, missing));
    }
    Ok(Some(axes))
}

/// The elements that a range takes of an axis of `size`; `None` where no formula says it.
pub(crate) fn span(size: &Formula, begin: &Bound, end: &Bound, stride: i64) -> Option<Span> {
    let plain = |bound: &Bound| *bound == Bound::Border || bound.known().is_some();
    if let Some(size) = size.known()
        && plain(begin)
        && plain(end)
    {
        let size = usize::try_from(size).ok()?;
        let (first, count) = clamp(size, begin.known(), end.known(), stride);
        return Some(Span {
            first: Formula::from(first),
            count: Formula::from(i64::try_from(count).ok()?),
        });
    }
    let zero = Formula::default();
    let last = size.sub(&Formula::from(1))?;
    // An index from the front, one from the back, or the border.
    let index = |bound: &Bound, border: &Formula| match bound {
        Bound::Border => Some((border.clone(), true)),
        Bound::At(index) if index.low().is_some_and(|low| low >= 0) => Some((index.clone(), true)),
        Bound::At(index) if index.high().is_some_and(|high| high < 0) => {
            Some((index.add(size)?, false))
        }
        _ => None,
    };
    if stride > 0 {
        if let (Bound::At(index), Bound::Border) = (begin, end)
            && index.high().is_some_and(|high| high < 0)
        {
            let last = index.scaled(-1)?.smaller(size)?;
            return Some(Span {
                first: size.sub(&last)?,
                count: last.ceil_div(stride)?,
            });
        }
        let (first, ahead) = index(begin, &zero)?;
        let first = if ahead { first } else { first.larger(&zero)? };
        let (end, ahead) = index(end, size)?;
        let end = if ahead { end.smaller(size)? } else { end };
        let count = end.sub(&first)?.ceil_div(stride)?.larger(&zero)?;
        return Some(Span { first, count });
    }
    let before = Formula::from(-1);
    let (first, ahead) = index(begin, &last)?;
    let first = if ahead {
        first.smaller(&last)?
    } else {
        first.larger(&before)?
    };
    let (end, ahead) = match end {
        Bound::Border => (before.clone(), false),
        _ => index(end, &before)?,
    };
    let end = if ahead {
        end.smaller(&last)?
    } else {
        end.larger(&before)?
    };
    let count = first
        .sub(&end)?
        .ceil_div(stride.checked_neg()?)?
        .larger(&zero)?;
    Some(Span { first, count })
}

/// First index and number of elements of a range over an axis of `size`.
fn clamp(size: usize, begin: Option<i64>, end: Option<i64>, stride: i64) -> (i64, usize) {
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
        match axis {
            SliceAxis::Shrink(index) => in_range(index, dim)?,
            SliceAxis::Range { begin, end, stride } => {
                let whole = matches!(begin, Bound::Border) || begin.known() == Some(0);
                dims.push(if whole && *end == Bound::Border && *stride == 1 {
                    dim.clone()
                } else {
                    let size = context.sizes.formula(dim);
                    let count = span(&size, begin, end, *stride).map(|span| span.count);
                    context.dim(count, 0, dims.len())
                });
            }
            SliceAxis::New => {}
        }
    }
    let mut result = fact(dtype, Some(Shape(dims)));
    if let (Some(elements), [axis]) = (input.elements.as_deref(), axes.as_slice()) {
        result.elements = pick(elements, axis);
    }
    Ok(vec![result])
}

fn in_range(index: &Bound, dim: &Dim) -> Result<(), InferError> {
    if let (Some(index), Dim::Fixed(size)) = (index.known(), dim) {
        let size = i64::try_from(*size).unwrap_or(i64::MAX);
        if index >= size || index < -size {
            return impossible(format!("index {index} is outside an axis of {size}"));
        }
    }
    Ok(())
}

fn pick(elements: &[SymbolicInt], axis: &SliceAxis) -> Option<Vec<SymbolicInt>> {
    let len = i64::try_from(elements.len()).ok()?;
    let at = |index: i64| elements.get(usize::try_from(index).ok()?).cloned();
    match axis {
        SliceAxis::Shrink(index) => {
            let index = index.known()?;
            Some(vec![at(if index < 0 { index + len } else { index })?])
        }
        SliceAxis::Range { begin, end, stride } => {
            let span = span(&Formula::from(len), begin, end, *stride)?;
            let first = span.first.known()?;
            (0..span.count.known()?)
                .map(|i| at(first + i * stride))
                .collect()
        }
        SliceAxis::New => None,
    }
}

/// What `Slice` takes of each axis: `None` stands for the whole.
pub(crate) fn spans(
    context: &Context<'_>,
    shape: &Shape,
) -> Result<Option<Vec<Option<Span>>>, InferError> {
    let (Some(begin), Some(size)) = (context.elements(1)?, context.elements(2)?) else {
        return Ok(None);
    };
    if begin.len() != shape.rank() || size.len() != shape.rank() {
        return impossible(format!(
            "begin and size of {} and {} values to slice {shape}",
            begin.len(),
            size.len()
        ));
    }
    let one = |((begin, size), dim): ((&SymbolicInt, &SymbolicInt), &Dim)| {
        let rest = *size == SymbolicInt::Known(-1);
        if rest && *begin == SymbolicInt::Known(0) {
            return Some(None);
        }
        let first = begin.formula()?;
        let count = if rest {
            context.sizes.formula(dim).sub(&first)?
        } else {
            size.formula()?
        };
        Some(Some(Span { first, count }))
    };
    Ok(begin.iter().zip(&size).zip(shape.dims()).map(one).collect())
}

fn slice(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let dtype = context.dtype(0);
    let input = context.input(0)?;
    let Some(shape) = input.shape.as_ref() else {
        return Ok(vec![fact(dtype, None)]);
    };
    let begin = context.elements(1)?;
    let Some(size) = context.elements(2)? else {
        return Ok(vec![fact(dtype, Some(context.symbols(0, shape.rank())))]);
    };
    if size.len() != shape.rank() {
        return impossible(format!("{} sizes to slice {shape}", size.len()));
    }
    let mut dims = Vec::with_capacity(size.len());
    for (axis, (dim, size)) in shape.dims().iter().zip(&size).enumerate() {
        let start = begin.as_ref().and_then(|begin| begin.get(axis)?.formula());
        let count = if *size == SymbolicInt::Known(-1) {
            let rest = |start: &Formula| context.sizes.formula(dim).sub(start);
            start.as_ref().and_then(rest)
        } else {
            size.formula()
        };
        if let (Some(start), Some(count), Dim::Fixed(whole)) = (
            start.as_ref().and_then(Formula::known),
            count.as_ref().and_then(Formula::known),
            dim,
        ) {
            let end = start
                .checked_add(count)
                .and_then(|end| usize::try_from(end).ok());
            if start < 0 || count < 0 || end.is_none_or(|end| end > *whole) {
                return impossible(format!("begin {start}, size {count} is outside {shape}"));
            }
        }
        dims.push(context.dim(count, 0, axis));
    }
    let mut result = fact(dtype, Some(Shape(dims)));
    if let (Some(elements), Some([start]), Some(Dim::Fixed(count)), 1) = (
        input.elements.as_deref(),
        begin.as_deref(),
        result
            .shape
            .as_ref()
            .and_then(|shape| shape.dims().first().cloned()),
        shape.rank(),
    ) {
        result.elements = start
            .formula()
            .and_then(|start| usize::try_from(start.known()?).ok())
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

    #[test]
    fn ranges_of_an_unknown_axis_follow_formulas() {
        let n = Formula::symbol("n");
        let at = |index: Option<i64>| {
            index.map_or(Bound::Border, |index| Bound::At(Formula::from(index)))
        };
        for (begin, end, stride, first, count) in [
            (None, None, 1, "0", "n"),
            (Some(1), None, 1, "1", "max(0, n - 1)"),
            (Some(1), Some(-1), 1, "1", "max(0, n - 2)"),
            (None, Some(5), 1, "0", "min(5, n)"),
            (Some(-3), None, 1, "n - min(3, n)", "min(3, n)"),
            (None, None, 2, "0", "ceil(n/2)"),
            (Some(1), None, 2, "1", "floor(n/2)"),
            (None, None, -1, "n - 1", "n"),
            (Some(-1), None, -2, "n - 1", "ceil(n/2)"),
        ] {
            let span = span(&n, &at(begin), &at(end), stride).unwrap();
            let found = (span.first.to_string(), span.count.to_string());
            assert_eq!(
                found,
                (first.into(), count.into()),
                "{begin:?} {end:?} {stride}"
            );
        }
        let index = Bound::At(n.sub(&Formula::from(2)).unwrap());
        assert_eq!(span(&n, &index, &Bound::Border, 1), None);
    }

    #[test]
    fn spans_agree_with_clamped_numbers() {
        let bounds = [None, Some(-7), Some(-2), Some(0), Some(1), Some(4), Some(9)];
        let size = Formula::symbol("n");
        for (begin, end) in bounds
            .iter()
            .flat_map(|b| bounds.iter().map(move |e| (*b, *e)))
        {
            for stride in [1, 2, 3, -1, -2] {
                let at = |index: Option<i64>| {
                    index.map_or(Bound::Border, |index| Bound::At(Formula::from(index)))
                };
                let span = span(&size, &at(begin), &at(end), stride).unwrap();
                for n in 0..8 {
                    let (first, count) = clamp(n, begin, end, stride);
                    let size = i64::try_from(n).ok();
                    let value = |formula: &Formula| formula.value(&|_| size);
                    let case = format!("{begin:?} {end:?} {stride} of {n}");
                    assert_eq!(value(&span.count), i64::try_from(count).ok(), "{case}");
                    if count > 0 {
                        assert_eq!(value(&span.first), Some(first), "{case}");
                    }
                }
            }
        }
    }
}
