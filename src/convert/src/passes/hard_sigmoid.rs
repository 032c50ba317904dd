use std::collections::BTreeMap;
use std::sync::Arc;

use tfjet_core::{
    ActivationType, ElementWiseOperation, Layer, NetworkSpec, ReduceOperation, Tensor, TensorId,
    WeightsId,
};

use super::scale::drop_unused_tensors;
use crate::lower::{Refusal, WeightsStore};

/// Finds hard sigmoids written out as `relu6(x + 3) / 6`, alone or as part of hard swish
/// (`x * relu6(x + 3) / 6`, [MobileNetV3](https://arxiv.org/abs/1905.02244)), and makes each one
/// activation, which engines compute without leaving their blocked layouts.
///
/// A model whose weights were rounded has a factor that is not quite a sixth. What remains of it
/// goes into the kernels of the convolutions behind the product; elsewhere the form stays.
///
/// `ranges` are those of tensors by name; they follow the values.
pub fn fuse_hard_sigmoids(
    spec: &mut NetworkSpec,
    weights: &mut WeightsStore,
    ranges: &mut BTreeMap<String, f32>,
) -> Result<(), Refusal> {
    while fuse_one(spec, weights, ranges)? {}
    drop_unused_tensors(spec);
    Ok(())
}

/// What makes each tensor, and how often it is read.
struct Wires {
    maker: BTreeMap<TensorId, usize>,
    readers: BTreeMap<TensorId, usize>,
}

impl Wires {
    fn new(spec: &NetworkSpec) -> Self {
        let mut wires = Self {
            maker: BTreeMap::new(),
            readers: BTreeMap::new(),
        };
        for (index, layer) in spec.layers.iter().enumerate() {
            wires
                .maker
                .extend(layer.outputs.iter().map(|id| (*id, index)));
        }
        for id in spec
            .layers
            .iter()
            .flat_map(|layer| &layer.inputs)
            .chain(&spec.outputs)
        {
            *wires.readers.entry(*id).or_default() += 1;
        }
        wires
    }

    /// The layer that makes `id`, where nothing else reads it.
    fn sole<'a>(
        &self,
        spec: &'a NetworkSpec,
        id: TensorId,
    ) -> Option<(usize, &'a Layer, TensorId)> {
        if self.readers.get(&id) != Some(&1) {
            return None;
        }
        let index = *self.maker.get(&id)?;
        let layer = spec.layers.get(index)?;
        Some((index, &layer.layer, *layer.inputs.first()?))
    }
}

fn fuse_one(
    spec: &mut NetworkSpec,
    weights: &mut WeightsStore,
    ranges: &mut BTreeMap<String, f32>,
) -> Result<bool, Refusal> {
    let wires = Wires::new(spec);
    for index in 0..spec.layers.len() {
        if let Some(fused) = after_clip(spec, weights, &wires, index)
            .or_else(|| in_product(spec, weights, &wires, index))
        {
            fused.move_ranges(spec, ranges);
            fused.apply(spec, weights)?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// `alpha x + beta`, held to 0..1, in place of `removed`; `index` is the layer that changes.
struct Fused {
    index: usize,
    removed: Vec<usize>,
    /// Where the activation stands and what it is given.
    clip: usize,
    x: TensorId,
    alpha: f32,
    beta: f32,
    /// Whether `index` is a product that then reads `x` and the activation.
    product: bool,
    /// Factor for the kernels of these convolutions; what the tensors up to them hold is divided by
    /// it.
    rest: f32,
    convolutions: Vec<usize>,
    divided: Vec<TensorId>,
}

impl Fused {
    /// Of a product the gate holds `1 / top = alpha` of what it held.
    fn move_ranges(&self, spec: &NetworkSpec, ranges: &mut BTreeMap<String, f32>) {
        let gates = spec.layers.get(self.clip).map(|layer| &layer.outputs);
        let gates = gates.into_iter().flatten().filter(|_| self.product);
        let gates = gates.map(|id| (*id, self.alpha));
        let divided = self.divided.iter().map(|id| (*id, 1.0 / self.rest));
        for (id, factor) in gates.chain(divided) {
            if let Some(range) = spec.tensor(id).and_then(|it| ranges.get_mut(&it.name)) {
                *range *= factor;
            }
        }
    }

    fn apply(self, spec: &mut NetworkSpec, weights: &mut WeightsStore) -> Result<(), Refusal> {
        for &index in &self.convolutions {
            if let Layer::Convolution { kernel, .. } = &mut spec.layers[index].layer {
                let tensor = weights.get(*kernel).map_err(|e| Refusal(e.to_string()))?;
                let values: Vec<f32> = tensor
                    .as_slice::<f32>()?
                    .iter()
                    .map(|value| value * self.rest)
                    .collect();
                let scaled = Tensor::from_slice(tensor.shape(), &values)?;
                *kernel = weights.add(Arc::new(scaled));
            }
        }
        let activation = Layer::Activation {
            kind: ActivationType::HardSigmoid,
            alpha: self.alpha,
            beta: self.beta,
        };
        let clip = &mut spec.layers[self.clip];
        clip.layer = activation;
        clip.inputs = vec![self.x];
        let gate = clip.outputs.clone();
        if self.product {
            let mut inputs = vec![self.x];
            inputs.extend(gate);
            spec.layers[self.index].inputs = inputs;
        } else {
            let outputs = spec.layers[self.index].outputs.clone();
            spec.layers[self.clip].outputs = outputs;
        }
        let mut position = 0;
        spec.layers.retain(|_| {
            position += 1;
            !self.removed.contains(&(position - 1))
        });
        Ok(())
    }
}

/// The clip and the shift before it: `clip(x + shift, 0, top)`.
struct Ramp {
    clip: usize,
    shift_layer: Option<usize>,
    x: TensorId,
    shift: f32,
    top: f32,
}

fn ramp(spec: &NetworkSpec, weights: &WeightsStore, wires: &Wires, id: TensorId) -> Option<Ramp> {
    let (clip, layer, input) = wires.sole(spec, id)?;
    let Layer::Activation {
        kind: ActivationType::Clip,
        alpha: 0.0,
        beta: top,
    } = layer
    else {
        return None;
    };
    if let Some((index, Layer::Scale { scale: None, shift }, x)) = wires.sole(spec, input)
        && let Some(shift) = shift.and_then(|id| uniform(weights, id))
    {
        return Some(Ramp {
            clip,
            shift_layer: Some(index),
            x,
            shift,
            top: *top,
        });
    }
    Some(Ramp {
        clip,
        shift_layer: None,
        x: input,
        shift: 0.0,
        top: *top,
    })
}

/// `clip(x + shift, 0, top) * (1 / top)`.
fn after_clip(
    spec: &NetworkSpec,
    weights: &WeightsStore,
    wires: &Wires,
    index: usize,
) -> Option<Fused> {
    let layer = spec.layers.get(index)?;
    let Layer::Scale {
        scale: Some(scale),
        shift: None,
    } = layer.layer
    else {
        return None;
    };
    let alpha = uniform(weights, scale)?;
    let ramp = ramp(spec, weights, wires, *layer.inputs.first()?)?;
    is_one(alpha * ramp.top).then(|| Fused {
        index,
        removed: ramp.shift_layer.into_iter().chain([index]).collect(),
        clip: ramp.clip,
        x: ramp.x,
        alpha,
        beta: alpha * ramp.shift,
        product: false,
        rest: 1.0,
        convolutions: Vec::new(),
        divided: Vec::new(),
    })
}

/// `(x * (1 / top)) * clip(x + shift, 0, top)`.
fn in_product(
    spec: &NetworkSpec,
    weights: &WeightsStore,
    wires: &Wires,
    index: usize,
) -> Option<Fused> {
    let layer = spec.layers.get(index)?;
    let Layer::ElementWise {
        operation: ElementWiseOperation::Prod,
    } = layer.layer
    else {
        return None;
    };
    let &[first, second] = layer.inputs.as_slice() else {
        return None;
    };
    for (scaled, gate) in [(first, second), (second, first)] {
        let Some((
            scale_layer,
            Layer::Scale {
                scale: Some(scale),
                shift: None,
            },
            x,
        )) = wires.sole(spec, scaled)
        else {
            continue;
        };
        let Some(ramp) = ramp(spec, weights, wires, gate) else {
            continue;
        };
        let Some(alpha) = uniform(weights, *scale) else {
            continue;
        };
        if ramp.x != x || ramp.top <= 0.0 {
            continue;
        }
        let rest = alpha * ramp.top;
        let (mut convolutions, mut divided) = (Vec::new(), Vec::new());
        if !is_one(rest) {
            convolutions_behind(spec, index, &mut convolutions, &mut divided)?;
        }
        return Some(Fused {
            index,
            removed: ramp.shift_layer.into_iter().chain([scale_layer]).collect(),
            clip: ramp.clip,
            x,
            alpha: 1.0 / ramp.top,
            beta: ramp.shift / ramp.top,
            product: true,
            rest,
            convolutions,
            divided,
        });
    }
    None
}

/// The convolutions that can take a factor of a layer's output into their kernels, so that nothing
/// else sees it: all readers are convolutions, or averages and products with convolutions behind
/// (a squeeze-and-excite gate reads the mean and multiplies the rest). The tensors up to them are
/// `between`.
fn convolutions_behind(
    spec: &NetworkSpec,
    index: usize,
    found: &mut Vec<usize>,
    between: &mut Vec<TensorId>,
) -> Option<()> {
    let output = *spec.layers.get(index)?.outputs.first()?;
    if spec.outputs.contains(&output) {
        return None;
    }
    between.push(output);
    for (reader, layer) in spec.layers.iter().enumerate() {
        let uses = layer.inputs.iter().filter(|id| **id == output).count();
        if uses == 0 {
            continue;
        }
        match layer.layer {
            Layer::Convolution { .. } if uses == 1 => found.push(reader),
            Layer::Reduce {
                operation: ReduceOperation::Avg,
                ..
            }
            | Layer::ElementWise {
                operation: ElementWiseOperation::Prod,
            } if uses == 1 => convolutions_behind(spec, reader, found, between)?,
            _ => return None,
        }
    }
    Some(())
}

fn is_one(value: f32) -> bool {
    (value - 1.0).abs() <= 2.0 * f32::EPSILON
}

/// The one value of weights that are all equal.
fn uniform(weights: &WeightsStore, id: WeightsId) -> Option<f32> {
    let tensor = weights.get(id).ok()?;
    let values = tensor.as_slice::<f32>().ok()?;
    let first = *values.first()?;
    values.iter().all(|value| *value == first).then_some(first)
}
