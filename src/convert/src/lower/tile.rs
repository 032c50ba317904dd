//! `Tile` by constant multiples, as concatenations of a tensor with itself.

use tfjet_core::{Dim, Layer};

use super::op::{ANY, Op};
use super::{Layout, Refusal, refuse};

/// More copies than this are left to the residual kernel.
const MAX_COPIES: usize = 64;

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let dtype = op.dtype(0, ANY)?;
    let multiples = op.integers(1, "multiples")?;
    let mut shape = op.shape(0)?;
    if multiples.len() != shape.rank() {
        return refuse("multiples need one value per axis");
    }
    let mut tensor = op.tensor(0, Layout::Native)?;
    for (axis, &times) in multiples.iter().enumerate() {
        let times = match usize::try_from(times) {
            Ok(times @ 1..=MAX_COPIES) => times,
            _ => {
                return refuse(format!(
                    "{times} copies along axis {axis} are no concatenation"
                ));
            }
        };
        if times == 1 {
            continue;
        }
        let Some(size) = shape.dims()[axis].fixed() else {
            return refuse(format!("axis {axis} is tiled and its size is not known"));
        };
        shape.0[axis] = Dim::Fixed(size * times);
        let copies = vec![tensor; times];
        tensor = op.emit(
            Layer::Concatenation { axis },
            &copies,
            dtype,
            &shape,
            Layout::Native,
        );
    }
    op.output(0, tensor, Layout::Native);
    Ok(())
}
