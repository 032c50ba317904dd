//! `MatrixBandPart`: a constant mask over the last two axes.

use std::sync::Arc;

use tfjet_core::{DType, Dim, Layer, Tensor};

use super::op::{NUMBERS, Op};
use super::{Layout, Refusal, refuse};

/// Most elements of a mask.
const MAX_ELEMENTS: usize = 1 << 24;

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let dtype = op.dtype(0, NUMBERS)?;
    op.attrs.ignore(&["Tindex"]);
    let (lower, upper) = (op.integer(1, "num_lower")?, op.integer(2, "num_upper")?);
    let shape = op.shape(0)?;
    let Some((rows, columns)) = (match shape.dims() {
        [.., Dim::Fixed(rows), Dim::Fixed(columns)]
            if rows.saturating_mul(*columns) <= MAX_ELEMENTS =>
        {
            Some((*rows, *columns))
        }
        _ => None,
    }) else {
        return refuse(format!(
            "the last two axes of {shape} must be known and hold {MAX_ELEMENTS} elements at most"
        ));
    };
    let mut dims = vec![1; shape.rank() - 2];
    dims.extend([rows, columns]);
    let inside = |row: usize, column: usize| {
        let below = |a: usize, b: usize, most: i64| {
            most < 0 || i64::try_from(a.saturating_sub(b)).is_ok_and(|distance| distance <= most)
        };
        below(row, column, lower) && below(column, row, upper)
    };
    let mask = op.constant_layer("mask", DType::Bool, &dims, || {
        let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        let values: Vec<bool> = places.map(|(r, c)| inside(r, c)).collect();
        Ok(Arc::new(Tensor::from_bools(&dims, &values)?))
    })?;
    let zero = op.number(0.0, dtype, shape.rank())?;
    let input = op.tensor(0, Layout::Native)?;
    let inputs = [mask, input, zero];
    let output = op.emit(Layer::Select, &inputs, dtype, &shape, Layout::Native);
    op.output(0, output, Layout::Native);
    Ok(())
}
