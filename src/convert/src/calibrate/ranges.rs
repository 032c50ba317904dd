use tfjet_core::{ActivationType, InterpolationMode, Layer, LayerSpec, NetworkSpec, PoolingType};
use tfjet_core::{SampleMode, TensorId};

/// Fills in the ranges of tensors that hold nothing but values of a tensor of known range: behind
/// layers that move, drop or repeat values, and before those that only move them. Known ranges stay.
pub(crate) fn propagate(network: &NetworkSpec, ranges: &mut [Option<f32>]) {
    for layer in &network.layers {
        forward(network, layer, ranges);
    }
    for layer in network.layers.iter().rev() {
        backward(network, layer, ranges);
    }
    for layer in &network.layers {
        forward(network, layer, ranges);
    }
}

fn index(id: TensorId) -> usize {
    usize::try_from(id.0).unwrap_or(usize::MAX)
}

fn is_float(network: &NetworkSpec, id: TensorId) -> bool {
    network.tensor(id).is_some_and(|it| it.dtype.is_float())
}

fn range(ranges: &[Option<f32>], id: TensorId) -> Option<f32> {
    *ranges.get(index(id))?
}

fn fill(network: &NetworkSpec, ranges: &mut [Option<f32>], id: TensorId, range: f32) {
    if is_float(network, id)
        && let Some(slot @ None) = ranges.get_mut(index(id))
    {
        *slot = Some(range);
    }
}

fn forward(network: &NetworkSpec, layer: &LayerSpec, ranges: &mut [Option<f32>]) {
    let of = |slot: usize| range(ranges, *layer.inputs.get(slot)?);
    let widest = |inputs: &[TensorId]| {
        let mut inputs = inputs.iter().map(|id| range(ranges, *id));
        inputs.try_fold(0f32, |widest, range| Some(widest.max(range?)))
    };
    let found = match &layer.layer {
        Layer::Shuffle { .. }
        | Layer::Reshape
        | Layer::SliceTo { .. }
        | Layer::Gather { .. }
        | Layer::TopK { .. }
        | Layer::Expand
        | Layer::Tile
        | Layer::Pooling {
            kind: PoolingType::Max,
            ..
        }
        | Layer::Activation {
            kind: ActivationType::Relu | ActivationType::Clip,
            ..
        }
        | Layer::Resize {
            mode: InterpolationMode::Nearest,
            ..
        }
        | Layer::ResizeTo {
            mode: InterpolationMode::Nearest,
            ..
        }
        | Layer::ResizeBy {
            mode: InterpolationMode::Nearest,
            ..
        } => of(0),
        Layer::Slice { mode, .. } | Layer::Pad { mode } => of(0).map(|range| match mode {
            SampleMode::Fill(value) => range.max(value.abs()),
            _ => range,
        }),
        Layer::Concatenation { .. } => widest(&layer.inputs),
        Layer::Select => widest(layer.inputs.get(1..).unwrap_or_default()),
        _ => None,
    };
    if let (Some(found), Some(&output)) = (found, layer.outputs.first())
        && found.is_finite()
    {
        fill(network, ranges, output, found);
    }
}

fn backward(network: &NetworkSpec, layer: &LayerSpec, ranges: &mut [Option<f32>]) {
    let moves_all = match &layer.layer {
        Layer::Shuffle { .. } | Layer::Reshape | Layer::Expand | Layer::Tile => true,
        Layer::Pad {
            mode: SampleMode::Fill(0.0),
        } => true,
        Layer::Slice {
            start,
            size,
            stride,
            mode: SampleMode::Fill(0.0),
        } => {
            let input = layer.inputs.first().and_then(|id| network.tensor(*id));
            let covers = |axis: usize| {
                let Some(size) = size.get(axis).copied().flatten() else {
                    return true;
                };
                let whole = input.and_then(|it| it.shape.dims().get(axis)?.fixed());
                let end = i64::try_from(size)
                    .ok()
                    .and_then(|size| size.checked_add(start[axis]));
                let whole = whole.and_then(|whole| i64::try_from(whole).ok());
                matches!((end, whole), (Some(end), Some(whole)) if end >= whole)
            };
            stride.iter().all(|step| *step == 1)
                && start.iter().all(|first| *first <= 0)
                && (0..start.len()).all(covers)
        }
        _ => false,
    };
    if let (true, Some(&input), Some(&output)) =
        (moves_all, layer.inputs.first(), layer.outputs.first())
        && let Some(range) = range(ranges, output)
    {
        fill(network, ranges, input, range);
    }
}
