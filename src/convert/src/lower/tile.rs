//! `Tile`: few copies of a known axis are concatenations of a tensor with itself.

use tfjet_core::{DType, Dim, Layer, Shape, TensorId};

use super::op::{ANY, Op};
use super::{Layout, Refusal, refuse};
use crate::graph::Formula;

/// More copies than this are no concatenation.
const MAX_COPIES: usize = 64;

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let dtype = op.dtype(0, ANY)?;
    op.attrs.ignore(&["Tmultiples"]);
    let multiples = op.sizes(1, "multiples")?;
    let shape = op.shape(0)?;
    if multiples.len() != shape.rank() {
        return refuse("multiples need one value per axis");
    }
    if let Some(times) = multiples
        .iter()
        .find_map(|times| times.known().filter(|&t| t < 1))
    {
        return refuse(format!("{times} copies leave nothing"));
    }
    let input = op.tensor(0, Layout::Native)?;
    let output = match copies(&shape, &multiples) {
        Some(copies) => concatenated(op, input, dtype, shape, &copies),
        None => {
            let (_, shape) = op.output_type(0)?;
            let name = op.node.name.clone();
            let multiples = op.builder.sizes(&name, &multiples)?;
            op.emit(
                Layer::Tile,
                &[input, multiples],
                dtype,
                &shape,
                Layout::Native,
            )
        }
    };
    op.output(0, output, Layout::Native);
    Ok(())
}

/// The copies along each axis, where there are few and only known axes are repeated.
fn copies(shape: &Shape, multiples: &[Formula]) -> Option<Vec<usize>> {
    let one = |(dim, times): (&Dim, &Formula)| {
        let times = usize::try_from(times.known()?).ok()?;
        let few = times <= MAX_COPIES && dim.fixed().is_some();
        (times == 1 || few).then_some(times)
    };
    shape.dims().iter().zip(multiples).map(one).collect()
}

fn concatenated(
    op: &mut Op<'_, '_>,
    mut tensor: TensorId,
    dtype: DType,
    mut shape: Shape,
    copies: &[usize],
) -> TensorId {
    for (axis, &times) in copies.iter().enumerate().filter(|(_, times)| **times > 1) {
        if let Some(dim) = shape.0.get_mut(axis) {
            *dim = Dim::Fixed(dim.fixed().unwrap_or(1).saturating_mul(times));
        }
        tensor = op.emit(
            Layer::Concatenation { axis },
            &vec![tensor; times],
            dtype,
            &shape,
            Layout::Native,
        );
    }
    tensor
}
