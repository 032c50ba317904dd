//! `Pad`, `PadV2` and `MirrorPad`, as slices that read outside the tensor.

use tfjet_core::{Dim, Layer, SampleMode, Shape};

use super::batch_norm::floats;
use super::op::{FLOATS, Op};
use super::{Layout, Refusal, refuse};
use crate::graph::infer::padding_pairs;
use crate::graph::{Formula, SymbolicInt};

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(0, FLOATS)?;
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
            SampleMode::Fill(floats(&value)?.first().copied().unwrap_or(0.0))
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
    let Some((start, size)) = known(&input_shape, &before, &after) else {
        if mode == SampleMode::Symmetric {
            return refuse("mirroring that repeats the border needs known sizes");
        }
        let name = op.node.name.clone();
        let pads = [layout.arrange(&before), layout.arrange(&after)].concat();
        let pads = op.builder.sizes(&name, &pads)?;
        let output = op.emit(Layer::Pad { mode }, &[input, pads], dtype, &shape, layout);
        op.output(0, output, layout);
        return Ok(());
    };
    let layer = Layer::Slice {
        start: layout.arrange(&start),
        size: layout.arrange(&size),
        stride: vec![1; start.len()],
        mode,
    };
    let output = op.emit(layer, &[input], dtype, &shape, layout);
    op.output(0, output, layout);
    Ok(())
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
