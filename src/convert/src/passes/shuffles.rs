use std::collections::{BTreeMap, BTreeSet};

use tfjet_core::{Layer, LayerSpec, NetworkSpec, ReshapeDim, TensorId};

/// Takes out shuffles that undo each other: reshapes of reshapes, transposes of transposes, and
/// those that change nothing. They come from loops that were written out and from reshapes between
/// layers of different layouts. Returns the tensors that are gone, each with the one that has the
/// same elements in the same shape.
///
/// Tensors keep their ids; those that are gone stay in the list.
pub fn fold_shuffles(spec: &mut NetworkSpec) -> BTreeMap<TensorId, TensorId> {
    let mut same: BTreeMap<TensorId, TensorId> = BTreeMap::new();
    let mut makers: BTreeMap<TensorId, (Move, TensorId)> = BTreeMap::new();
    let outputs: BTreeSet<TensorId> = spec.outputs.iter().copied().collect();
    let NetworkSpec {
        layers, tensors, ..
    } = &mut *spec;
    let shape = |id: TensorId| tensors.get(usize::try_from(id.0).ok()?).map(|it| &it.shape);
    for layer in layers.iter_mut() {
        for input in &mut layer.inputs {
            if let Some(other) = same.get(input) {
                *input = *other;
            }
        }
        let ([input], [output]) = (layer.inputs.as_slice(), layer.outputs.as_slice()) else {
            continue;
        };
        let (mut input, output) = (*input, *output);
        let fixed = |id| shape(id).and_then(tfjet_core::Shape::as_fixed);
        let Some(mut made) = Move::of(&layer.layer, fixed(output)) else {
            continue;
        };
        if let Some((before, source)) = makers.get(&input)
            && let Some(both) = before.then(&made)
        {
            (made, input) = (both, *source);
        }
        let moves_nothing = match &made {
            Move::Transpose(order) => order.iter().enumerate().all(|(to, &from)| to == from),
            Move::Reshape(sizes) => fixed(input).as_ref() == Some(sizes),
        };
        if moves_nothing && !outputs.contains(&output) {
            same.insert(output, input);
            continue;
        }
        if !moves_nothing {
            layer.layer = made.layer();
            layer.inputs = vec![input];
        }
        makers.insert(output, (made, input));
    }
    drop_unread_shuffles(layers, outputs);
    same
}

/// What a shuffle does, where it is one thing.
#[derive(Debug, Clone)]
enum Move {
    Transpose(Vec<usize>),
    /// To these sizes, all known.
    Reshape(Vec<usize>),
}

impl Move {
    fn of(layer: &Layer, output: Option<Vec<usize>>) -> Option<Self> {
        let Layer::Shuffle {
            first_transpose,
            reshape,
            second_transpose,
        } = layer
        else {
            return None;
        };
        match (
            first_transpose.as_slice(),
            reshape,
            second_transpose.as_slice(),
        ) {
            ([], Some(_), []) => output.map(Self::Reshape),
            ([], None, order) | (order, None, []) if !order.is_empty() => {
                Some(Self::Transpose(order.to_vec()))
            }
            _ => None,
        }
    }

    /// Both, one after the other, as one.
    fn then(&self, next: &Self) -> Option<Self> {
        match (self, next) {
            (Self::Reshape(_), Self::Reshape(sizes)) => Some(Self::Reshape(sizes.clone())),
            (Self::Transpose(first), Self::Transpose(second)) => {
                let order = second.iter().map(|&axis| first.get(axis).copied());
                Some(Self::Transpose(order.collect::<Option<_>>()?))
            }
            _ => None,
        }
    }

    fn layer(&self) -> Layer {
        let (first_transpose, reshape) = match self {
            Self::Transpose(order) => (order.clone(), None),
            Self::Reshape(sizes) => {
                let sizes = sizes.iter().map(|&size| ReshapeDim::Fixed(size));
                (Vec::new(), Some(sizes.collect()))
            }
        };
        Layer::Shuffle {
            first_transpose,
            reshape,
            second_transpose: Vec::new(),
        }
    }
}

fn drop_unread_shuffles(layers: &mut Vec<LayerSpec>, mut read: BTreeSet<TensorId>) {
    let mut keep = vec![true; layers.len()];
    for (layer, keep) in layers.iter().zip(&mut keep).rev() {
        let is_read = layer.outputs.iter().any(|output| read.contains(output));
        *keep = is_read || !matches!(layer.layer, Layer::Shuffle { .. });
        if *keep {
            read.extend(&layer.inputs);
        }
    }
    let mut keep = keep.into_iter();
    layers.retain(|_| keep.next().unwrap_or(true));
}

#[cfg(test)]
mod tests;
