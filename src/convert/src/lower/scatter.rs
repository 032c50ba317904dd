//! `ScatterNd` at constant indices: each row of the result is one of the updates or zeros.

use std::sync::Arc;

use tfjet_core::{Dim, GatherMode, Layer, Shape, Tensor};

use super::op::{NUMBERS, Op};
use super::{Layout, Refusal, refuse};

/// Most rows of a result.
const MAX_ROWS: usize = 1 << 22;

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let dtype = op.dtype(1, NUMBERS)?;
    op.attrs.ignore(&["Tindices", "bad_indices_policy"]);
    let indices = op.integers(0, "indices")?;
    let places = op.require_constant(0, "indices")?.shape().to_vec();
    let (_, shape) = op.output_type(0)?;
    let Some((&depth, outer)) = places.split_last() else {
        return refuse("the indices are a scalar");
    };
    let sizes = shape
        .as_fixed()
        .filter(|sizes| depth > 0 && depth <= sizes.len());
    let Some(sizes) = sizes else {
        return refuse(format!("indices of {depth} axes do not scatter to {shape}"));
    };
    let (leading, row) = sizes.split_at(depth);
    let rows = leading
        .iter()
        .try_fold(1usize, |rows, &size| rows.checked_mul(size));
    let Some(rows) = rows.filter(|&rows| rows <= MAX_ROWS) else {
        return refuse(format!("{shape} has too many rows"));
    };
    let updates: usize = outer.iter().product();
    // What is no update is the row of zeros behind them.
    let nothing = i32::try_from(updates).unwrap_or(i32::MAX);
    let mut sources = vec![nothing; rows];
    for (update, index) in (0..).zip(indices.chunks_exact(depth)) {
        let place = index
            .iter()
            .zip(leading)
            .try_fold(0usize, |place, (&at, &size)| {
                let at = usize::try_from(at).ok().filter(|&at| at < size)?;
                Some(place * size + at)
            });
        let source = place.and_then(|place| sources.get_mut(place));
        match source {
            Some(source) if *source == nothing => *source = update,
            Some(_) => return refuse("two updates have the same index: their sum has no layer"),
            None => return refuse(format!("the index {index:?} lies outside {shape}")),
        }
    }
    let fixed = |sizes: &[usize]| -> Vec<Dim> { sizes.iter().copied().map(Dim::Fixed).collect() };
    let table = |rows: usize| Shape([&[Dim::Fixed(rows)], &fixed(row)[..]].concat());
    let name = op.node.name.clone();
    let given = op.tensor(1, Layout::Native)?;
    let given = op
        .builder
        .reshape(&format!("{name}/updates"), given, &table(updates))?;
    let empty = [&[1], row].concat();
    let zeros = op.constant_layer("zeros", dtype, &empty, || {
        Ok(Arc::new(Tensor::zeros(dtype, &empty)?))
    })?;
    let all = op.emit(
        Layer::Concatenation { axis: 0 },
        &[given, zeros],
        dtype,
        &table(updates + 1),
        Layout::Native,
    );
    let picks = op.constant_layer("sources", tfjet_core::DType::I32, &[rows], || {
        Ok(Arc::new(Tensor::from_slice(&[rows], &sources)?))
    })?;
    let mode = GatherMode::Default {
        axis: 0,
        batch_dims: 0,
    };
    let inputs = [all, picks];
    let picked = op.emit(
        Layer::Gather { mode },
        &inputs,
        dtype,
        &table(rows),
        Layout::Native,
    );
    let output = op.builder.reshape(&name, picked, &shape)?;
    op.output(0, output, Layout::Native);
    Ok(())
}
