//! Implicit quantization: the ranges of a network's tensors.

use tfjet_core::{Layer, TensorId};

use super::numbers::Numbers;
use super::types::is_float;
use super::weights::largest_magnitude;
use super::writer::Written;
use crate::{TensorRtError, WeightsSource};

/// Gives every tensor the range that is known of it, and says how many have none: the library
/// computes in floats what reads or makes those.
pub(super) fn set(
    numbers: &Numbers<'_>,
    written: &Written<'_>,
    weights: &dyn WeightsSource,
) -> Result<(), TensorRtError> {
    let spec = numbers.spec();
    let mut made: Vec<_> = written.made.iter().map(|made| made.output).collect();
    let (mut with, mut without) = (0, Vec::new());
    for (id, tensor) in (0..).map(TensorId).zip(&spec.tensors) {
        let Some(value) = written.get(id).filter(|value| is_float(value.dtype)) else {
            continue;
        };
        made.retain(|other| *other != value.tensor);
        let range = numbers.range(id).or_else(|| {
            let mut layers = spec.layers.iter();
            match layers.find(|layer| layer.outputs.contains(&id))?.layer {
                Layer::Constant { weights: id } => largest_magnitude(&weights.weights(id)?),
                _ => None,
            }
        });
        match range {
            _ if value.tensor.is_shape_tensor()? => {}
            Some(range) => {
                value.tensor.set_range(range)?;
                with += 1;
            }
            None => without.push(tensor.name.as_str()),
        }
    }
    for &(tensor, id) in &written.same {
        made.retain(|other| *other != tensor);
        if let Some(range) = numbers.range(id) {
            tensor.set_range(range)?;
        }
    }
    let inner = made.len();
    match without.first() {
        None => tracing::info!("{}: {with} tensors have a range", spec.name),
        Some(first) => tracing::warn!(
            "{}: {with} tensors have a range, {} have none (`{first}`): TensorRT computes in floats \
             what reads or makes them",
            spec.name,
            without.len(),
        ),
    }
    if inner > 0 {
        tracing::info!(
            "{}: {inner} tensors inside of layers that TensorRT lacks have no range",
            spec.name
        );
    }
    let products = numbers.left_in_floats().map(|it| it.name.as_str());
    let products: Vec<&str> = products.collect();
    if let Some(first) = products.first() {
        tracing::info!(
            "{}: {} MatrixMultiply layers (`{first}`) compute in floats: there is no INT8 of their \
             kind by ranges",
            spec.name,
            products.len(),
        );
    }
    Ok(())
}
