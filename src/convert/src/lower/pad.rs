//! `Pad`, `PadV2` and `MirrorPad`, as slices that read outside the tensor.

use tfjet_core::{DType, Dim, Layer, SampleMode, Shape, Tensor, TensorId};

use super::batch_norm::floats;
use super::op::{NUMBERS, Op};
use super::{Layout, Refusal, refuse};
use crate::graph::infer::padding_pairs;
use crate::graph::{Formula, SymbolicInt};

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(0, NUMBERS)?;
    op.attrs.ignore(&["Tpaddings"]);
    let wire = op.wire(1)?;
    let Some(elements) = op.builder.typed.elements(wire) else {
        return refuse(format!(
            "the input \"paddings\" for {} must be a constant or follow from shapes",
            op.node.op
        ));
    };
    let mode = match op.node.op.as_str() {
        "MirrorPad" => match op.attrs.str_or("mode", "REFLECT")? {
            "REFLECT" => SampleMode::Reflect,
            "SYMMETRIC" => SampleMode::Symmetric,
            other => return refuse(format!("mode {other} is not known")),
        },
        "PadV2" => {
            let value = op.require_constant(2, "constant_values")?;
            SampleMode::Fill(number(&value)?)
        }
        _ => SampleMode::Fill(0.0),
    };
    let Some(pairs) = padding_pairs(elements) else {
        return refuse("paddings are no pairs of 0 or more");
    };
    let pads = |side: usize| -> Option<Vec<Formula>> {
        pairs.iter().map(|pair| pair[side].formula()).collect()
    };
    let (Some(before), Some(after)) = (pads(0), pads(1)) else {
        return refuse("not every padding follows from shapes");
    };
    let none = [&SymbolicInt::Known(0); 2];
    // Padding of height and width only stands before a convolution, which wants NCHW.
    let layout = match pairs.as_slice() {
        [first, _, _, last] if *first == none && *last == none => Layout::ChannelsFirst,
        _ => op.layout(0)?,
    };
    let (dtype, shape) = op.output_type(0)?;
    let input_shape = op.shape(0)?;
    let input = op.tensor(0, layout)?;
    let output = padded(
        op,
        input,
        (dtype, &input_shape, &shape),
        [&before, &after],
        mode,
        layout,
    )?;
    op.output(0, output, layout);
    Ok(())
}

/// `input` of TensorFlow shape `from` with elements before and after each axis, of shape `to`.
pub(super) fn padded(
    op: &mut Op<'_, '_>,
    input: TensorId,
    (dtype, from, to): (DType, &Shape, &Shape),
    [before, after]: [&[Formula]; 2],
    mode: SampleMode,
    layout: Layout,
) -> Result<TensorId, Refusal> {
    let none = |pad: &Formula| pad.known() == Some(0);
    if before.iter().chain(after).all(none) {
        return Ok(input);
    }
    let Some((start, size)) = known(from, before, after) else {
        if mode == SampleMode::Symmetric {
            return refuse("mirroring that repeats the border needs known sizes");
        }
        let name = op.node.name.clone();
        let pads = [layout.arrange(before), layout.arrange(after)].concat();
        let pads = op.builder.sizes(&name, &pads)?;
        return Ok(op.emit(Layer::Pad { mode }, &[input, pads], dtype, to, layout));
    };
    let layer = Layer::Slice {
        start: layout.arrange(&start),
        size: layout.arrange(&size),
        stride: vec![1; start.len()],
        mode,
    };
    Ok(op.emit(layer, &[input], dtype, to, layout))
}

/// The number of a constant, where a float holds it.
fn number(value: &Tensor) -> Result<f32, Refusal> {
    let whole = match value.dtype() {
        DType::I32 => value.as_slice::<i32>()?.first().map(|&v| i64::from(v)),
        DType::I64 => value.as_slice::<i64>()?.first().copied(),
        _ => return Ok(floats(value)?.first().copied().unwrap_or(0.0)),
    };
    let whole = whole.unwrap_or(0);
    let number = whole as f32;
    if number as i64 != whole || number.abs() > 1e9 {
        return refuse(format!("a border of {whole} has no layer"));
    }
    Ok(number)
}

/// First index and size of each axis where they are numbers.
fn known(
    shape: &Shape,
    before: &[Formula],
    after: &[Formula],
) -> Option<(Vec<i64>, Vec<Option<usize>>)> {
    let one = |((dim, before), after): ((&Dim, &Formula), &Formula)| {
        let (before, after) = (before.known()?, after.known()?);
        let size = match dim.fixed() {
            Some(size) => {
                let padding = usize::try_from(before.checked_add(after)?).ok()?;
                Some(size.checked_add(padding)?)
            }
            None if before == 0 && after == 0 => None,
            None => return None,
        };
        Some((-before, size))
    };
    shape
        .dims()
        .iter()
        .zip(before)
        .zip(after)
        .map(one)
        .collect()
}
