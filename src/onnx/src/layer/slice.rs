use tfjet_core::{Dim, SampleMode};

use super::elementwise::axis as axis_attribute;
use super::writer::{Value, Writer};
use crate::OnnxError;
use crate::proto::AttributeProto;
use crate::types::Kernel;

/// More mirrored elements along one axis than any padding needs.
const MAX_INDICES: usize = 1 << 24;

/// What one axis asks for.
#[derive(Clone, Copy)]
struct Span {
    axis: usize,
    start: i64,
    size: usize,
    stride: i64,
    /// Lowest and highest index that is read; `None` where nothing is.
    range: Option<(i64, i64)>,
    dim: Option<i64>,
}

/// What is done along each axis, in this order: pad, slice, gather.
#[derive(Default)]
struct Steps {
    before: Vec<i64>,
    after: Vec<i64>,
    slices: Vec<Span>,
    gathers: Vec<(usize, Vec<i64>)>,
}

pub(super) fn slice(
    w: &mut Writer<'_, '_>,
    start: &[i64],
    size: &[Option<usize>],
    stride: &[i64],
    mode: SampleMode,
) -> Result<(), OnnxError> {
    let dims = w.input_dims(0)?;
    w.expect_len("start", start, dims.len())?;
    w.expect_len("size", size, dims.len())?;
    w.expect_len("stride", stride, dims.len())?;
    let mut steps = Steps {
        before: vec![0; dims.len()],
        after: vec![0; dims.len()],
        ..Steps::default()
    };
    let parameters = dims.iter().zip(start).zip(size).zip(stride);
    for (axis, (((dim, &start), &size), &stride)) in parameters.enumerate() {
        match size {
            Some(size) => {
                let span = span(w, axis, dim, start, size, stride)?;
                plan(w, &mut steps, span, mode)?;
            }
            None if start == 0 && stride == 1 => {}
            None => {
                return Err(w.fail(format!(
                    "axis {axis} is whole, yet starts at {start} by {stride}"
                )));
            }
        }
    }
    let mut value = w.input(0)?;
    if steps.before.iter().chain(&steps.after).any(|&pad| pad != 0) {
        value = padded(w, &steps, mode)?;
    }
    if !steps.slices.is_empty() {
        value = sliced(w, &value, &steps.slices)?;
    }
    for (axis, indices) in &steps.gathers {
        let indices = w.int64s(indices)?;
        let attributes = axis_attribute(w.int(*axis)?);
        value = w.node("Gather", &[&value, &indices], attributes, value.dtype);
    }
    w.finish(0, value)
}

fn span(
    w: &Writer<'_, '_>,
    axis: usize,
    dim: &Dim,
    start: i64,
    size: usize,
    stride: i64,
) -> Result<Span, OnnxError> {
    if stride == 0 {
        return Err(w.fail(format!("stride of axis {axis} is 0")));
    }
    let small = |value: i64| value.unsigned_abs() < 1 << 48;
    let dim = dim.fixed().map(|dim| w.int(dim)).transpose()?;
    let stride = if size > 1 { stride } else { 1 };
    let last = stride
        .checked_mul(w.int(size)?.saturating_sub(1).max(0))
        .and_then(|reach| start.checked_add(reach))
        .filter(|&last| small(start) && small(last) && dim.is_none_or(small))
        .ok_or_else(|| w.fail(format!("axis {axis} reaches past any tensor")))?;
    Ok(Span {
        axis,
        start,
        size,
        stride,
        range: (size > 0).then(|| (start.min(last), start.max(last))),
        dim,
    })
}

fn plan(
    w: &Writer<'_, '_>,
    steps: &mut Steps,
    span: Span,
    mode: SampleMode,
) -> Result<(), OnnxError> {
    let axis = span.axis;
    let Some((low, high)) = span.range else {
        steps.slices.push(Span {
            start: 0,
            stride: 1,
            ..span
        });
        return Ok(());
    };
    let inside = low >= 0 && span.dim.is_none_or(|dim| high < dim);
    let unknown = || {
        w.fail(format!(
            "axis {axis} is mirrored, yet its size is not fixed"
        ))
    };
    match mode {
        SampleMode::Strict if !inside => Err(w.fail(format!(
            "axis {axis} reads {low}..={high}, which lies outside"
        ))),
        SampleMode::Strict => {
            push_slice(steps, span, 0, span.dim);
            Ok(())
        }
        SampleMode::Fill(_) => {
            pad(steps, span, low, high);
            Ok(())
        }
        SampleMode::Reflect | SampleMode::Symmetric => {
            let dim = span.dim.ok_or_else(unknown)?;
            if inside {
                push_slice(steps, span, 0, span.dim);
            } else if mode == SampleMode::Reflect && -low < dim && high - (dim - 1) < dim {
                pad(steps, span, low, high);
            } else {
                steps.gathers.push((axis, mirrored(w, span, dim, mode)?));
            }
            Ok(())
        }
    }
}

/// Pads as far as the span reads, then slices. Where the size of the axis is not known, the end is
/// padded by all that could be missing.
fn pad(steps: &mut Steps, span: Span, low: i64, high: i64) {
    let before = (-low).max(0);
    let after = (high + 1 - span.dim.unwrap_or(0)).max(0);
    if let (Some(front), Some(back)) = (
        steps.before.get_mut(span.axis),
        steps.after.get_mut(span.axis),
    ) {
        (*front, *back) = (before, after);
    }
    push_slice(
        steps,
        span,
        before,
        span.dim.map(|dim| before + dim + after),
    );
}

fn push_slice(steps: &mut Steps, span: Span, before: i64, dim: Option<i64>) {
    let start = span.start + before;
    let whole = start == 0
        && span.stride == 1
        && dim.is_some_and(|dim| usize::try_from(dim) == Ok(span.size));
    if !whole {
        steps.slices.push(Span { start, ..span });
    }
}

fn mirrored(
    w: &Writer<'_, '_>,
    span: Span,
    dim: i64,
    mode: SampleMode,
) -> Result<Vec<i64>, OnnxError> {
    if dim == 0 || span.size > MAX_INDICES {
        return Err(w.fail(format!(
            "axis {} of size {dim} cannot be mirrored to {}",
            span.axis, span.size
        )));
    }
    let border = i64::from(mode == SampleMode::Symmetric);
    let period = (2 * (dim - 1 + border)).max(1);
    let position = |i: i64| {
        let at = (span.start + i * span.stride).rem_euclid(period);
        if at < dim { at } else { period - border - at }
    };
    Ok((0..w.int(span.size)?).map(position).collect())
}

fn padded(w: &mut Writer<'_, '_>, steps: &Steps, mode: SampleMode) -> Result<Value, OnnxError> {
    let input = w.input_for(0, Kernel::PAD)?;
    let pads = [&steps.before[..], &steps.after[..]].concat();
    let pads = w.int64s(&pads)?;
    if let SampleMode::Fill(fill) = mode {
        let fill = w.scalar(input.dtype, fill)?;
        return Ok(w.op("Pad", &[&input, &pads, &fill]));
    }
    let reflect = vec![AttributeProto::string("mode", "reflect")];
    Ok(w.node("Pad", &[&input, &pads], reflect, input.dtype))
}

fn sliced(w: &mut Writer<'_, '_>, value: &Value, spans: &[Span]) -> Result<Value, OnnxError> {
    let end = |span: &Span| {
        let end = span.start + span.stride * span.size as i64;
        // ONNX counts a negative end from the back, and clamps one far below to "before the first".
        if end < 0 { i64::MIN } else { end }
    };
    let column = |of: &dyn Fn(&Span) -> i64| spans.iter().map(of).collect::<Vec<_>>();
    let columns = [
        column(&|span| span.start),
        column(&end),
        column(&|span| span.axis as i64),
        column(&|span| span.stride),
    ];
    let mut inputs = vec![value.clone()];
    for values in columns {
        inputs.push(w.int64s(&values)?);
    }
    let inputs: Vec<_> = inputs.iter().collect();
    Ok(w.op("Slice", &inputs))
}
