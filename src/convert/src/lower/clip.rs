//! `ClipByValue`.

use tfjet_core::{ActivationType, ElementWiseOperation, Layer};

use super::Refusal;
use super::batch_norm::floats;
use super::op::{NUMBERS, Op};

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let dtype = op.dtype(0, NUMBERS)?;
    let shape = op.shape(0)?;
    for index in [1, 2] {
        op.broadcasts(index, dtype, &shape)?;
    }
    if let (true, Some(low), Some(high)) = (dtype.is_float(), op.constant(1)?, op.constant(2)?)
        && let ([low], [high]) = (&floats(&low)?[..], &floats(&high)?[..])
        && low <= high
    {
        return op.map(Layer::Activation {
            kind: ActivationType::Clip,
            alpha: *low,
            beta: *high,
        });
    }
    let layout = op.layout(0)?;
    let mut tensor = op.tensor(0, layout)?;
    for (operation, bound) in [
        (ElementWiseOperation::Min, 2),
        (ElementWiseOperation::Max, 1),
    ] {
        let bound = op.operand(bound, shape.rank(), layout)?;
        let layer = Layer::ElementWise { operation };
        tensor = op.emit(layer, &[tensor, bound], dtype, &shape, layout);
    }
    op.output(0, tensor, layout);
    Ok(())
}
