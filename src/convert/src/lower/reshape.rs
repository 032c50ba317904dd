//! `Reshape`, `Squeeze` and `ExpandDims`.

use super::op::{ANY, Op};
use super::{Layout, Refusal};

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(0, ANY)?;
    op.attrs.ignore(&["squeeze_dims", "axis"]);
    let (_, shape) = op.output_type(0)?;
    let input = op.tensor(0, Layout::Native)?;
    let name = op.node.name.clone();
    let output = op.builder.reshape(&name, input, &shape)?;
    op.output(0, output, Layout::Native);
    Ok(())
}
