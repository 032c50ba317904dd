use std::collections::BTreeMap;
use std::sync::Arc;

use tfjet_core::{
    ActivationType, Layer, NetworkSpec, PaddingMode, PoolingType, SampleMode, Tensor, TensorId,
    WeightsId,
};

use crate::lower::{Refusal, WeightsStore};

/// Merges scale layers (batch norm, biases, arithmetic with constants per channel) into the
/// convolution or scale before them, and zero padding into the convolution behind it, or into the
/// maximum behind it where nothing that is padded is negative.
pub fn fold_scales(spec: &mut NetworkSpec, weights: &mut WeightsStore) -> Result<(), Refusal> {
    let mut readers: BTreeMap<TensorId, usize> = BTreeMap::new();
    for &id in spec
        .layers
        .iter()
        .flat_map(|layer| &layer.inputs)
        .chain(&spec.outputs)
    {
        *readers.entry(id).or_default() += 1;
    }
    let mut makers: BTreeMap<TensorId, usize> = BTreeMap::new();
    let mut removed = vec![false; spec.layers.len()];
    for index in 0..spec.layers.len() {
        let (before, rest) = spec.layers.split_at_mut(index);
        let Some(current) = rest.first_mut() else {
            continue;
        };
        let previous = match current.inputs.as_slice() {
            [input, ..] if readers.get(input) == Some(&1) => makers.get(input).copied(),
            _ => None,
        };
        let mut merged = false;
        let pads_positive = previous
            .and_then(|maker| before.get(maker)?.inputs.first())
            .and_then(|input| before.get(*makers.get(input)?))
            .is_some_and(|maker| is_never_negative(&maker.layer));
        if let Some(maker) = previous
            && let Some(previous) = before.get_mut(maker)
        {
            if let Layer::Scale { scale, shift } = &current.layer {
                if let Some(layer) = scaled(&previous.layer, *scale, *shift, weights)? {
                    previous.layer = layer;
                    previous.outputs.clone_from(&current.outputs);
                    makers.insert(current.outputs[0], maker);
                    removed[index] = true;
                    merged = true;
                }
            } else if let Some(layer) =
                padded(&previous.layer, &current.layer, pads_positive, |axis| {
                    let id = previous.inputs.first()?;
                    let tensor = spec.tensors.get(usize::try_from(id.0).ok()?)?;
                    tensor.shape.dims().get(axis)?.fixed()
                })
            {
                current.layer = layer;
                current.inputs[0] = previous.inputs[0];
                removed[maker] = true;
            }
        }
        if !merged {
            for &output in &current.outputs {
                makers.insert(output, index);
            }
        }
    }
    let mut keep = removed.iter().map(|removed| !removed);
    spec.layers.retain(|_| keep.next().unwrap_or(true));
    drop_unused_tensors(spec);
    Ok(())
}

/// `layer` followed by a scale, as one layer.
fn scaled(
    layer: &Layer,
    scale: Option<WeightsId>,
    shift: Option<WeightsId>,
    weights: &mut WeightsStore,
) -> Result<Option<Layer>, Refusal> {
    let mut layer = layer.clone();
    match &mut layer {
        Layer::Convolution { kernel, bias, .. } => {
            if !rescale(kernel, bias, scale, shift, 0, weights)? {
                return Ok(None);
            }
        }
        Layer::Deconvolution {
            kernel,
            bias,
            groups: 1,
            ..
        } => {
            if !rescale(kernel, bias, scale, shift, 1, weights)? {
                return Ok(None);
            }
        }
        Layer::Scale {
            scale: first,
            shift: offset,
        } => {
            let factor = read(scale, weights)?;
            let inner = read(*first, weights)?;
            let combined = match (&inner, &factor) {
                (None, None) => None,
                (Some(values), None) | (None, Some(values)) => Some(values.clone()),
                (Some(a), Some(b)) => Some(a.iter().zip(b).map(|(a, b)| a * b).collect()),
            };
            let moved = affine(read(*offset, weights)?, factor, read(shift, weights)?);
            *first = store(combined, weights)?;
            *offset = store(moved, weights)?;
        }
        _ => return Ok(None),
    }
    Ok(Some(layer))
}

/// Multiplies axis `axis` of a kernel by `scale` and moves its bias along.
fn rescale(
    kernel: &mut WeightsId,
    bias: &mut Option<WeightsId>,
    scale: Option<WeightsId>,
    shift: Option<WeightsId>,
    axis: usize,
    weights: &mut WeightsStore,
) -> Result<bool, Refusal> {
    let tensor = weights
        .get(*kernel)
        .map_err(|e| Refusal(e.to_string()))?
        .clone();
    if tensor.dtype() != tfjet_core::DType::F32 {
        return Ok(false);
    }
    let factor = read(scale, weights)?;
    let maps = tensor.shape()[axis];
    if factor.as_ref().is_some_and(|factor| factor.len() != maps) {
        return Ok(false);
    }
    let moved = affine(read(*bias, weights)?, factor.clone(), read(shift, weights)?);
    if let Some(factor) = factor {
        let inner: usize = tensor.shape()[axis + 1..].iter().product();
        let mut values = tensor.as_slice::<f32>()?.to_vec();
        for (index, value) in values.iter_mut().enumerate() {
            *value = (f64::from(*value) * factor[(index / inner) % maps]) as f32;
        }
        *kernel = weights.add(Arc::new(Tensor::from_slice(tensor.shape(), &values)?));
    }
    *bias = store(moved, weights)?;
    Ok(true)
}

/// `offset * factor + shift`, where absent values are zero, one and zero.
fn affine(
    offset: Option<Vec<f64>>,
    factor: Option<Vec<f64>>,
    shift: Option<Vec<f64>>,
) -> Option<Vec<f64>> {
    let product = match (offset, factor) {
        (Some(offset), Some(factor)) => {
            Some(offset.iter().zip(&factor).map(|(a, b)| a * b).collect())
        }
        (offset, _) => offset,
    };
    match (product, shift) {
        (Some(a), Some(b)) => {
            let sum: Vec<f64> = a.iter().zip(&b).map(|(a, b): (&f64, &f64)| a + b).collect();
            Some(sum)
        }
        (None, shift) => shift,
        (product, None) => product,
    }
}

fn read(id: Option<WeightsId>, weights: &WeightsStore) -> Result<Option<Vec<f64>>, Refusal> {
    let Some(id) = id else {
        return Ok(None);
    };
    let tensor = weights.get(id).map_err(|e| Refusal(e.to_string()))?;
    let values = tensor.as_slice::<f32>()?;
    Ok(Some(values.iter().map(|&value| f64::from(value)).collect()))
}

fn store(
    values: Option<Vec<f64>>,
    weights: &mut WeightsStore,
) -> Result<Option<WeightsId>, Refusal> {
    let Some(values) = values else {
        return Ok(None);
    };
    let narrow: Vec<f32> = values.iter().map(|&value| value as f32).collect();
    let tensor = Tensor::from_slice(&[narrow.len()], &narrow)?;
    Ok(Some(weights.add(Arc::new(tensor))))
}

/// Are all results of the layer 0 or more, whatever its inputs?
fn is_never_negative(layer: &Layer) -> bool {
    match layer {
        Layer::Activation { kind, alpha, .. } => match kind {
            ActivationType::Relu | ActivationType::Sigmoid | ActivationType::HardSigmoid => true,
            ActivationType::Clip => *alpha >= 0.0,
            _ => false,
        },
        _ => false,
    }
}

/// A convolution behind zero padding of its spatial axes, as one layer; or a maximum over windows,
/// whose own padding is never the largest, where what is padded has nothing below 0 and each window
/// holds some of it. `unpadded` gives the sizes of the padding's input.
fn padded(
    pad: &Layer,
    behind: &Layer,
    pads_positive: bool,
    unpadded: impl Fn(usize) -> Option<usize>,
) -> Option<Layer> {
    let Layer::Slice {
        start,
        size,
        stride,
        mode: SampleMode::Fill(0.0),
    } = pad
    else {
        return None;
    };
    let mut layer = behind.clone();
    let (pre_padding, post_padding, window) = match &mut layer {
        Layer::Convolution {
            pre_padding,
            post_padding,
            padding_mode: PaddingMode::Explicit,
            ..
        } => (pre_padding, post_padding, None),
        Layer::Pooling {
            kind: PoolingType::Max,
            window,
            pre_padding,
            post_padding,
            padding_mode: PaddingMode::Explicit,
            ..
        } if pads_positive => (pre_padding, post_padding, Some(window.clone())),
        _ => return None,
    };
    if stride.iter().any(|&step| step != 1) || start.len() != pre_padding.len() + 2 {
        return None;
    }
    for (axis, (&start, &size)) in start.iter().zip(size).enumerate() {
        let before = usize::try_from(start.checked_neg()?).ok()?;
        let after = match size {
            Some(size) => size.checked_sub(before)?.checked_sub(unpadded(axis)?)?,
            None => 0,
        };
        match axis.checked_sub(2) {
            Some(spatial) => {
                pre_padding[spatial] += before;
                post_padding[spatial] += after;
                let most = pre_padding[spatial].max(post_padding[spatial]);
                if window
                    .as_ref()
                    .is_some_and(|window| most >= window[spatial])
                {
                    return None;
                }
            }
            None if before == 0 && after == 0 => {}
            None => return None,
        }
    }
    Some(layer)
}

pub(super) fn drop_unused_tensors(spec: &mut NetworkSpec) {
    let mut places: BTreeMap<TensorId, TensorId> = BTreeMap::new();
    let mut tensors = Vec::new();
    let used = spec
        .inputs
        .iter()
        .chain(
            spec.layers
                .iter()
                .flat_map(|layer| layer.inputs.iter().chain(&layer.outputs)),
        )
        .chain(&spec.outputs);
    for &id in used {
        if let Some(tensor) = spec.tensor(id) {
            places.entry(id).or_insert_with(|| {
                tensors.push(tensor.clone());
                TensorId(u32::try_from(tensors.len() - 1).unwrap_or(u32::MAX))
            });
        }
    }
    let place = |id: &mut TensorId| {
        if let Some(new) = places.get(id) {
            *id = *new;
        }
    };
    spec.inputs.iter_mut().for_each(place);
    spec.outputs.iter_mut().for_each(place);
    for layer in &mut spec.layers {
        layer.inputs.iter_mut().for_each(place);
        layer.outputs.iter_mut().for_each(place);
    }
    spec.tensors = tensors;
}
