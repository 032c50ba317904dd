//! Rounding to the steps of a quantized tensor: `FakeQuantWithMinMax...` and
//! `QuantizeAndDequantize...` with constant ranges. Where the graph's ranges are taken, rounding in
//! one range to 8 bits is no layer: the tensor gets the range, and what computes in INT8 rounds it.

use std::sync::Arc;

use tfjet_core::{DType, ElementWiseOperation, Layer, Tensor, TensorId, UnaryOperation};

use super::batch_norm::floats;
use super::op::Op;
use super::{Refusal, refuse};
use crate::graph::WireId;

/// What a channel is rounded to: `low`, `low + step`, ... up to `high`.
struct Steps {
    low: f32,
    high: f32,
    step: f32,
    /// What the first step is counted from.
    origin: f32,
    /// The largest magnitude of the range that they were made of.
    range: f32,
}

/// A number of each channel's steps.
type Part = fn(&Steps) -> f32;

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(0, &[DType::F32])?;
    let (channels, half_up) = match op.node.op.as_str() {
        "FakeQuantWithMinMaxArgs" => {
            let low = op.attrs.float_or("min", -6.0)?;
            let high = op.attrs.float_or("max", 6.0)?;
            (vec![nudged(op, low, high)?], true)
        }
        "FakeQuantWithMinMaxVars" | "FakeQuantWithMinMaxVarsPerChannel" => {
            let low = floats(&*op.require_constant(1, "min")?)?;
            let high = floats(&*op.require_constant(2, "max")?)?;
            let pairs = low.into_iter().zip(high);
            let all: Result<_, _> = pairs.map(|(low, high)| nudged(op, low, high)).collect();
            (all?, true)
        }
        _ => {
            let up = op.attrs.str_or("round_mode", "HALF_TO_EVEN")? == "HALF_UP";
            (vec![symmetric(op)?], up)
        }
    };
    if op.builder.typed.take_ranges && is_taken(op, &channels)? {
        return Ok(());
    }
    let (dtype, shape) = op.output_type(0)?;
    let layout = op.layout(0)?;
    let rank = shape.rank();
    let count = channels.len();
    if count != 1 && shape.dims().last().and_then(tfjet_core::Dim::fixed) != Some(count) {
        return refuse(format!(
            "{count} ranges are not one for each channel of {shape}"
        ));
    }
    let mut native = vec![1; rank];
    if let (Some(last), true) = (native.last_mut(), count > 1) {
        *last = count;
    }
    let channels = Channels {
        steps: channels,
        shape: layout.arrange(&native),
    };
    let mut tensor = op.tensor(0, layout)?;
    let before: [(_, Part); 4] = [
        (ElementWiseOperation::Min, |s| s.high),
        (ElementWiseOperation::Max, |s| s.low),
        (ElementWiseOperation::Sub, |s| s.origin),
        (ElementWiseOperation::Prod, |s| 1.0 / s.step),
    ];
    let with = |op: &mut Op<'_, '_>, tensor, operation, value: Part| {
        let number = channels.number(op, value)?;
        let layer = Layer::ElementWise { operation };
        Ok::<_, Refusal>(op.emit(layer, &[tensor, number], dtype, &shape, layout))
    };
    for (operation, value) in before {
        tensor = with(op, tensor, operation, value)?;
    }
    let mut operation = UnaryOperation::Round;
    if half_up {
        tensor = with(op, tensor, ElementWiseOperation::Sum, |_| 0.5)?;
        operation = UnaryOperation::Floor;
    }
    let round = Layer::Unary { operation };
    tensor = op.emit(round, &[tensor], dtype, &shape, layout);
    tensor = with(op, tensor, ElementWiseOperation::Prod, |s| s.step)?;
    tensor = with(op, tensor, ElementWiseOperation::Sum, |s| s.origin)?;
    op.output(0, tensor, layout);
    Ok(())
}

/// Lets the tensor pass and keeps its range, where INT8 can have it.
fn is_taken(op: &mut Op<'_, '_>, channels: &[Steps]) -> Result<bool, Refusal> {
    let bits = match op.node.op.as_str() {
        "QuantizeAndDequantizeV3" => op.integer(3, "num_bits")?,
        _ => i64::from(bits(op)?),
    };
    let because = match channels {
        _ if bits != 8 => format!("{bits} bits"),
        [steps] if steps.range.is_finite() && steps.step.is_normal() => {
            let (input, output) = (op.wire(0)?, WireId::new(op.id, 0));
            let is_shared = op.readers(input) > 1;
            let tensors = op.builder.alias(input, output)?;
            let ranges = &mut op.builder.ranges;
            ranges.take(&tensors, (input, output), steps.range, is_shared);
            return Ok(true);
        }
        [_] => "a range that is no number".into(),
        _ => "a range for each channel".into(),
    };
    let computed = &mut op.builder.ranges.computed;
    computed.push((op.node.name.clone(), because));
    Ok(false)
}

/// The steps of each channel, or of all.
struct Channels {
    steps: Vec<Steps>,
    /// Of a constant that broadcasts against the input.
    shape: Vec<usize>,
}

impl Channels {
    fn number(&self, op: &mut Op<'_, '_>, value: Part) -> Result<TensorId, Refusal> {
        let values: Vec<f32> = self.steps.iter().map(value).collect();
        op.constant_layer("range", DType::F32, &self.shape, || {
            Ok(Arc::new(Tensor::from_slice(&self.shape, &values)?))
        })
    }
}

fn bits(op: &Op<'_, '_>) -> Result<i32, Refusal> {
    match op.attrs.int_or("num_bits", 8)? {
        bits @ 2..=16 => Ok(i32::try_from(bits).unwrap_or(8)),
        bits => refuse(format!("num_bits {bits} is outside 2..=16")),
    }
}

/// The range moved so that 0 is a step.
fn nudged(op: &Op<'_, '_>, low: f32, high: f32) -> Result<Steps, Refusal> {
    if low > 0.0 || high < 0.0 || low >= high {
        return refuse(format!("the range {low}..{high} does not hold 0"));
    }
    let narrow = op.attrs.bool_or("narrow_range", false)?;
    let first = f32::from(u8::from(narrow));
    let last = (2f32).powi(bits(op)?) - 1.0;
    let step = (high - low) / (last - first);
    let zero = (first - low / step).clamp(first, last);
    let zero = (zero + 0.5).floor().clamp(first, last);
    let origin = (first - zero) * step;
    Ok(Steps {
        low: origin,
        high: (last - zero) * step,
        step,
        origin,
        range: low.abs().max(high.abs()),
    })
}

/// The steps of `QuantizeAndDequantizeV2` to `V4`, which count from 0.
fn symmetric(op: &Op<'_, '_>) -> Result<Steps, Refusal> {
    if !op.attrs.bool_or("range_given", false)? {
        return refuse("range_given must be true");
    }
    if op.attrs.int_or("axis", -1)? != -1 {
        return refuse("a range for each channel has no layer");
    }
    let number = |index: usize, role: &str| -> Result<f32, Refusal> {
        match floats(&*op.require_constant(index, role)?)?[..] {
            [number] => Ok(number),
            _ => refuse(format!("the input \"{role}\" is no scalar")),
        }
    };
    let (low, high) = (number(1, "input_min")?, number(2, "input_max")?);
    let bits = match op.node.op.as_str() {
        "QuantizeAndDequantizeV3" => match op.integer(3, "num_bits")? {
            bits @ 2..=16 => i32::try_from(bits).unwrap_or(8),
            bits => return refuse(format!("num_bits {bits} is outside 2..=16")),
        },
        _ => bits(op)?,
    };
    let narrow = op.attrs.bool_or("narrow_range", false)?;
    let (first, last) = if op.attrs.bool_or("signed_input", true)? {
        let half = (2f32).powi(bits - 1);
        (f32::from(u8::from(narrow)) - half, half - 1.0)
    } else {
        (0.0, (2f32).powi(bits) - 1.0)
    };
    let side = |step: f32, edge: f32| match step * edge > 0.0 {
        true => step / edge,
        false => f32::MAX,
    };
    let step = if side(first, low) < side(last, high) {
        low / first
    } else {
        high / last
    };
    if !(step.is_normal() && step > 0.0) {
        return refuse(format!("the range {low}..{high} has no steps"));
    }
    Ok(Steps {
        low: first * step,
        high: last * step,
        step,
        origin: 0.0,
        range: low.abs().max(high.abs()),
    })
}
