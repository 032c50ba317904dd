use tfjet_core::{AttrValue, Tensor};

use crate::stages::Lowered;
use crate::tensorflow::{SourceGraph, SourceNode};

/// Tells the source model from every other, in hexadecimal: the same for every target, batch and
/// exclusion, another for other weights or another graph. A model that is read with other
/// `--output`, signature or checkpoint is another.
pub fn fingerprint(lowered: &Lowered) -> String {
    lowered.fingerprint.clone()
}

/// [`fingerprint`] of a source. The order of nodes has no meaning, nor have attributes that hold no
/// tensor.
pub(crate) fn source_fingerprint(source: &SourceGraph) -> String {
    let mut hasher = blake3::Hasher::new();
    nodes(&mut hasher, &source.nodes);
    for function in &source.functions {
        text(&mut hasher, &function.name);
        nodes(&mut hasher, &function.nodes);
    }
    let hash = hasher.finalize().to_hex();
    hash.chars().take(32).collect()
}

fn nodes(hasher: &mut blake3::Hasher, nodes: &[SourceNode]) {
    let mut sorted: Vec<&SourceNode> = nodes.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    count(hasher, sorted.len());
    for node in sorted {
        text(hasher, &node.name);
        text(hasher, &node.op);
        count(hasher, node.inputs.len());
        for input in &node.inputs {
            text(hasher, input);
        }
        for (name, value) in &node.attrs.0 {
            match value {
                AttrValue::Tensor(value) => {
                    text(hasher, name);
                    tensor(hasher, value);
                }
                AttrValue::Tensors(values) => {
                    text(hasher, name);
                    values.iter().for_each(|value| tensor(hasher, value));
                }
                _ => {}
            }
        }
    }
}

fn tensor(hasher: &mut blake3::Hasher, tensor: &Tensor) {
    text(hasher, tensor.dtype().name());
    count(hasher, tensor.shape().len());
    for &size in tensor.shape() {
        count(hasher, size);
    }
    hasher.update(tensor.bytes());
}

fn text(hasher: &mut blake3::Hasher, text: &str) {
    count(hasher, text.len());
    hasher.update(text.as_bytes());
}

fn count(hasher: &mut blake3::Hasher, count: usize) {
    hasher.update(&(count as u64).to_le_bytes());
}
