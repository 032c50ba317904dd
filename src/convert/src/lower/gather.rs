//! `Gather`, `GatherV2`, `ResourceGather` and `GatherNd`.

use tfjet_core::{DType, GatherMode, Layer};

use super::op::{ANY, Op};
use super::{Layout, Refusal, refuse};
use crate::graph::infer::normalize_axis;

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(0, ANY)?;
    op.dtype(1, &[DType::I32, DType::I64])?;
    op.attrs.ignore(&["validate_indices", "dtype"]);
    let params = op.shape(0)?;
    let indices = op.shape(1)?;
    let (dtype, shape) = op.output_type(0)?;
    let mode = if op.node.op == "GatherNd" {
        if op.attrs.str_or("bad_indices_policy", "")? == "IGNORE" {
            return refuse("zeros for indices outside the tensor have no layer");
        }
        GatherMode::Nd
    } else {
        let axis = match op.node.op.as_str() {
            "Gather" => 0,
            "ResourceGather" => op.attrs.int_or("batch_dims", 0)?,
            _ => op.integer(2, "axis")?,
        };
        let axis = normalize_axis(axis, params.rank())?;
        let batch_dims = op.attrs.int_or("batch_dims", 0)?;
        let batch_dims = match usize::try_from(batch_dims) {
            Ok(batch_dims) => batch_dims,
            Err(_) => normalize_axis(batch_dims, indices.rank())?,
        };
        GatherMode::Default { axis, batch_dims }
    };
    let data = op.tensor(0, Layout::Native)?;
    let picks = op.tensor(1, Layout::Native)?;
    let output = op.emit(
        Layer::Gather { mode },
        &[data, picks],
        dtype,
        &shape,
        Layout::Native,
    );
    op.output(0, output, Layout::Native);
    Ok(())
}
