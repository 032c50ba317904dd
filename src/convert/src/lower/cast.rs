//! `Cast` between the types that layers take.

use tfjet_core::Layer;

use super::op::{ANY, Op};
use super::{Refusal, refuse};

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(0, ANY)?;
    let to = op.attrs.dtype("DstT")?;
    op.attrs.ignore(&["SrcT", "Truncate"]);
    if !ANY.contains(&to) {
        return refuse(format!("a cast to {to} has no layer"));
    }
    op.map(Layer::Cast { to })
}
