//! `Slice` and `StridedSlice`.

use tfjet_core::{DType, Layer, SampleMode, Shape, TensorId};

use super::op::{ANY, Op};
use super::{Layout, Refusal, refuse};
use crate::graph::Formula;
use crate::graph::infer::{Bound, SliceAxis, Span, dense_slice, span, spans};

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(0, ANY)?;
    let shape = op.shape(0)?;
    let (pieces, keeps_rank) = if op.node.op == "Slice" {
        (plain(op, &shape)?, true)
    } else {
        strided(op, &shape)?
    };
    let layout = if keeps_rank {
        op.layout(0)?
    } else {
        Layout::Native
    };
    let (dtype, output_shape) = op.output_type(0)?;
    let input = op.tensor(0, layout)?;
    let sliced = cut(op, input, (dtype, &shape), &pieces, layout)?;
    let result = if keeps_rank {
        sliced
    } else {
        let name = op.node.name.clone();
        op.builder.reshape(&name, sliced, &output_shape)?
    };
    op.output(0, result, layout);
    Ok(())
}

/// What is taken of one axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) span: Span,
    pub(super) stride: i64,
}

fn strided(op: &mut Op<'_, '_>, shape: &Shape) -> Result<(Vec<Option<Piece>>, bool), Refusal> {
    for (index, role) in [(1, "begin"), (2, "end")] {
        op.sizes(index, role)?;
    }
    op.require_constant(3, "strides")?;
    op.attrs.ignore(&[
        "begin_mask",
        "end_mask",
        "ellipsis_mask",
        "new_axis_mask",
        "shrink_axis_mask",
    ]);
    let Some(axes) = dense_slice(&op.context()?, shape.rank())? else {
        return refuse("begin, end and strides must be constants or follow from shapes");
    };
    let keeps_rank = axes
        .iter()
        .all(|axis| matches!(axis, SliceAxis::Range { .. }));
    let mut pieces = Vec::with_capacity(shape.rank());
    let existing = axes.iter().filter(|axis| **axis != SliceAxis::New);
    for (axis, (bounds, size)) in existing.zip(op.formulas(shape)).enumerate() {
        let one = |first: Formula| Span {
            first,
            count: Formula::from(1),
        };
        let (found, stride) = match bounds {
            SliceAxis::Range { begin, end, stride } => {
                if *begin == Bound::Border && *end == Bound::Border && *stride == 1 {
                    pieces.push(None);
                    continue;
                }
                (span(&size, begin, end, *stride), *stride)
            }
            SliceAxis::Shrink(Bound::At(index)) if index.low().is_some_and(|low| low >= 0) => {
                (Some(one(index.clone())), 1)
            }
            SliceAxis::Shrink(Bound::At(index)) if index.high().is_some_and(|high| high < 0) => {
                (index.add(&size).map(one), 1)
            }
            SliceAxis::Shrink(_) | SliceAxis::New => (None, 1),
        };
        let Some(span) = found else {
            return refuse(format!(
                "the bounds on axis {axis} of {shape} are not known"
            ));
        };
        pieces.push(Some(Piece { span, stride }));
    }
    Ok((pieces, keeps_rank))
}

fn plain(op: &mut Op<'_, '_>, shape: &Shape) -> Result<Vec<Option<Piece>>, Refusal> {
    op.sizes(1, "begin")?;
    op.sizes(2, "size")?;
    let piece = |span: Option<Span>| span.map(|span| Piece { span, stride: 1 });
    match spans(&op.context()?, shape)? {
        Some(spans) => Ok(spans.into_iter().map(piece).collect()),
        None => refuse("begin and size must be constants or follow from shapes"),
    }
}

/// Takes `pieces` of a tensor, `None` standing for a whole axis. `shape` is TensorFlow's.
pub(super) fn cut(
    op: &mut Op<'_, '_>,
    input: TensorId,
    (dtype, shape): (DType, &Shape),
    pieces: &[Option<Piece>],
    layout: Layout,
) -> Result<TensorId, Refusal> {
    let sizes = op.formulas(shape);
    let mut result = shape.clone();
    let mut whole = true;
    for (axis, piece) in pieces.iter().enumerate() {
        let Some(Piece { span, stride }) = piece else {
            continue;
        };
        if span.count.known().is_some_and(|count| count <= 0) {
            return refuse("the slice is empty");
        }
        whole &= span.first.known() == Some(0) && span.count == sizes[axis] && *stride == 1;
        result.0[axis] = match op.builder.typed.sizes.dim(&span.count) {
            Some(dim) => dim,
            None => return refuse(format!("axis {axis} of {shape} is cut to {}", span.count)),
        };
    }
    if whole {
        return Ok(input);
    }
    let strides: Vec<i64> = pieces
        .iter()
        .map(|piece| piece.as_ref().map_or(1, |piece| piece.stride))
        .collect();
    if let Some((start, size)) = known(pieces) {
        let layer = Layer::Slice {
            start: layout.arrange(&start),
            size: layout.arrange(&size),
            stride: layout.arrange(&strides),
            mode: SampleMode::Strict,
        };
        return Ok(op.emit(layer, &[input], dtype, &result, layout));
    }
    let (mut first, mut count) = (Vec::new(), Vec::new());
    for (piece, size) in pieces.iter().zip(&sizes) {
        let span = piece.as_ref().map(|piece| &piece.span);
        first.push(span.map_or_else(Formula::default, |span| span.first.clone()));
        count.push(span.map_or_else(|| size.clone(), |span| span.count.clone()));
    }
    let name = op.node.name.clone();
    let first = op.builder.sizes(&name, &layout.arrange(&first))?;
    let count = op.builder.sizes(&name, &layout.arrange(&count))?;
    let layer = Layer::SliceTo {
        stride: layout.arrange(&strides),
    };
    Ok(op.emit(layer, &[input, first, count], dtype, &result, layout))
}

/// First index and size of each axis where they are numbers; a whole axis has no size.
fn known(pieces: &[Option<Piece>]) -> Option<(Vec<i64>, Vec<Option<usize>>)> {
    let one = |piece: &Option<Piece>| match piece {
        None => Some((0, None)),
        Some(Piece { span, .. }) => {
            let count = usize::try_from(span.count.known()?).ok()?;
            Some((span.first.known()?, Some(count)))
        }
    };
    pieces.iter().map(one).collect()
}
