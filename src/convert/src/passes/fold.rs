use std::sync::Arc;

use tfjet_core::{AttrValue, DType, Tensor, TensorView};

use crate::graph::{Node, SymbolicInt, WireFact};

/// Folded values above this size stay operations.
const LIMIT_BYTES: usize = 256 << 20;

/// The outputs of a node whose inputs are all known, computed with the residual kernels. `None`
/// where there is no kernel, the kernel refuses, or the result is too large to store.
pub(super) fn fold(
    node: &Node,
    inputs: &[&WireFact],
    facts: &[WireFact],
) -> Option<Vec<Arc<Tensor>>> {
    if node.op == "Const" {
        return match node.attrs.get("value") {
            Some(AttrValue::Tensor(tensor)) => Some(vec![Arc::new(tensor.clone())]),
            _ => None,
        };
    }
    if inputs.is_empty() || !tfjet_ops::is_supported(&node.op) {
        return None;
    }
    let too_large = facts.iter().any(|fact| {
        let elements = fact.shape.as_ref().and_then(tfjet_core::Shape::elements);
        let size = fact.dtype.map_or(8, DType::size_bytes);
        elements.is_some_and(|elements| elements.saturating_mul(size) > LIMIT_BYTES)
    });
    if too_large {
        return None;
    }
    let views: Vec<TensorView<'_>> = inputs
        .iter()
        .map(|fact| fact.value.as_ref().map(|value| value.view()))
        .collect::<Option<_>>()?;
    let kernel = tfjet_ops::kernel(&node.op, &node.attrs).ok()?;
    let mut outputs = vec![Tensor::default(); kernel.output_count()];
    kernel.run(&views, &mut outputs).ok()?;
    Some(outputs.into_iter().map(Arc::new).collect())
}

/// The tensor of a fact whose elements are all numbers: what `Shape` and arithmetic on shapes
/// come to once dims are fixed.
pub(super) fn known_vector(fact: &WireFact) -> Option<Tensor> {
    let shape = fact.shape.as_ref()?.as_fixed()?;
    let elements = fact.elements.as_ref()?;
    let numbers: Vec<i64> = elements
        .iter()
        .map(|element| match element {
            SymbolicInt::Known(value) => Some(*value),
            _ => None,
        })
        .collect::<Option<_>>()?;
    match fact.dtype? {
        DType::I64 => Tensor::from_slice(&shape, &numbers).ok(),
        DType::I32 => {
            let narrow: Vec<i32> = numbers
                .iter()
                .map(|&value| i32::try_from(value).ok())
                .collect::<Option<_>>()?;
            Tensor::from_slice(&shape, &narrow).ok()
        }
        _ => None,
    }
}
