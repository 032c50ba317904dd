//! The signature of a graph that is taken, and the names that it gives.

use std::collections::{BTreeMap, HashMap, HashSet};

use tfjet_core::{AttrValue, Attrs, DType, Shape};

use super::attr::{dtype, shape};
use super::error::ImportProblem;
use super::proto::{SignatureDef, TensorInfo};
use super::{ImportOptions, Signature, SignatureTensor, SourceNode, reference};
use crate::near::near_text;

/// The signature that is taken where the user names none.
const DEFAULT_SIGNATURE: &str = "serving_default";

/// The signature that the user names, or the default.
pub(super) fn choose(
    signatures: &BTreeMap<String, SignatureDef>,
    options: &ImportOptions,
    is_needed: bool,
    notes: &mut Vec<String>,
) -> Result<Option<SignatureDef>, ImportProblem> {
    let usable: Vec<&String> = signatures
        .iter()
        .filter(|(name, it)| !name.starts_with("__saved_model_") && !it.outputs.is_empty())
        .map(|(name, _)| name)
        .collect();
    let wanted = options.signature.as_deref();
    let name = match wanted {
        Some(wanted) => signatures
            .get_key_value(wanted)
            .map(|(name, _)| name.as_str()),
        None => match usable.as_slice() {
            names if names.iter().any(|name| *name == DEFAULT_SIGNATURE) => Some(DEFAULT_SIGNATURE),
            [only] => Some(only.as_str()),
            _ => None,
        },
    };
    let Some(name) = name else {
        if wanted.is_none() && !is_needed {
            return Ok(None);
        }
        let wanted = wanted.unwrap_or(DEFAULT_SIGNATURE);
        return Err(match usable.as_slice() {
            [] => ImportProblem::NoSignatures,
            names => ImportProblem::NoSignature {
                name: wanted.into(),
                there: list(names.iter().map(|name| name.as_str())),
                near: near_text(wanted, names.iter().map(|name| name.as_str())),
            },
        });
    };
    if wanted.is_none() && name != DEFAULT_SIGNATURE {
        notes.push(format!("signature `{name}`, the only one"));
    }
    Ok(signatures.get(name).cloned())
}

/// Names in quotes, as many as fit a line.
pub(super) fn list<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const MAX_NAMES: usize = 12;
    let more = names.len().saturating_sub(MAX_NAMES);
    let names: Vec<String> = names
        .take(MAX_NAMES)
        .map(|name| format!("`{name}`"))
        .collect();
    match more {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// Inputs and outputs of the chosen signature.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) inputs: Vec<Entry>,
    pub(super) outputs: Vec<Entry>,
}

/// A tensor under its key.
#[derive(Debug)]
pub(super) struct Entry {
    key: String,
    pub(super) node: String,
    pub(super) port: usize,
    dtype: Option<DType>,
    shape: Option<Shape>,
}

impl Entries {
    pub(super) fn new(signature: SignatureDef) -> Result<Self, ImportProblem> {
        Ok(Self {
            inputs: entries(signature.inputs)?,
            outputs: entries(signature.outputs)?,
        })
    }

    /// Gives inputs and outputs the names that they have in the signature: an input becomes a
    /// placeholder of that name, an output an identity.
    pub(super) fn apply(self, nodes: &mut Vec<SourceNode>, taken: &HashSet<&str>) -> Signature {
        let mut taken: HashSet<String> = taken.iter().map(|&name| name.to_owned()).collect();
        let mut fed: HashMap<(String, usize), String> = HashMap::new();
        let mut signature = Signature::default();
        let mut placeholders = Vec::new();
        let by_name: HashMap<String, usize> = nodes
            .iter()
            .enumerate()
            .map(|(index, node)| (node.name.clone(), index))
            .collect();
        let mut replaced: HashSet<String> = HashSet::new();
        for entry in self.inputs {
            let wire = (entry.node.clone(), entry.port);
            if fed.contains_key(&wire) {
                continue;
            }
            let old = by_name.get(&entry.node).and_then(|&index| nodes.get(index));
            let is_placeholder = old.is_some_and(|node| {
                matches!(node.op.as_str(), "Placeholder" | "PlaceholderWithDefault")
            });
            let declared = old.and_then(|node| match node.attrs.get("shape") {
                Some(AttrValue::Shape(shape)) if is_placeholder => Some(shape.clone()),
                _ => None,
            });
            if is_placeholder {
                replaced.insert(entry.node.clone());
                taken.remove(&entry.node);
            }
            let name = name_for(&entry.key, &entry.node, &mut taken);
            fed.insert(wire, name.clone());
            let shape = entry.shape.or(declared.flatten());
            placeholders.push(SourceNode {
                name: name.clone(),
                op: "Placeholder".into(),
                device: String::new(),
                inputs: Vec::new(),
                attrs: Attrs::default()
                    .with("dtype", AttrValue::Type(entry.dtype))
                    .with("shape", AttrValue::Shape(shape.clone())),
            });
            signature.inputs.push(SignatureTensor {
                key: entry.key,
                tensor: format!("{name}:0"),
                dtype: entry.dtype,
                shape,
            });
        }
        nodes.retain(|node| !replaced.contains(&node.name));
        let redirect = |input: &str| {
            let (name, port) = reference(input);
            let name = fed.get(&(name.to_owned(), port))?;
            Some(match input.starts_with('^') {
                true => format!("^{name}"),
                false => name.clone(),
            })
        };
        for input in nodes.iter_mut().flat_map(|node| &mut node.inputs) {
            if let Some(name) = redirect(input) {
                *input = name;
            }
        }
        for entry in self.outputs {
            let tensor = match entry.port {
                0 => entry.node.clone(),
                port => format!("{}:{port}", entry.node),
            };
            let tensor = redirect(&tensor).unwrap_or(tensor);
            let is_own = entry.key == tensor;
            let is_free = is_name(&entry.key) && !taken.contains(&entry.key);
            let mut output = SignatureTensor {
                tensor: match tensor.contains(':') {
                    true => tensor.clone(),
                    false => format!("{tensor}:0"),
                },
                key: entry.key,
                dtype: entry.dtype,
                shape: entry.shape,
            };
            if is_free && !is_own {
                taken.insert(output.key.clone());
                output.tensor = format!("{}:0", output.key);
                nodes.push(SourceNode {
                    name: output.key.clone(),
                    op: "Identity".into(),
                    device: String::new(),
                    inputs: vec![tensor],
                    attrs: Attrs::default().with("T", AttrValue::Type(output.dtype)),
                });
            }
            signature.outputs.push(output);
        }
        nodes.splice(0..0, placeholders);
        signature
    }
}

fn entries(tensors: BTreeMap<String, TensorInfo>) -> Result<Vec<Entry>, ImportProblem> {
    let entry = |(key, info): (String, TensorInfo)| {
        if info.name.is_empty() {
            return Err(ImportProblem::SignatureTensor(key));
        }
        let (node, port) = reference(&info.name);
        let shape = info.tensor_shape.map_or(Ok(None), shape);
        Ok(Entry {
            node: node.to_owned(),
            port,
            dtype: dtype(info.dtype),
            shape: shape.map_err(|problem| ImportProblem::SignatureShape {
                key: key.clone(),
                problem,
            })?,
            key,
        })
    };
    tensors.into_iter().map(entry).collect()
}

/// May a node be called so?
fn is_name(key: &str) -> bool {
    let is_start = |char: char| char.is_ascii_alphanumeric() || char == '.' || char == '_';
    key.starts_with(is_start)
        && key
            .chars()
            .all(|char| is_start(char) || matches!(char, '-' | '/' | '\\' | '>'))
}

/// The key where it may be a node's name and none has it, else the node's own name.
fn name_for(key: &str, node: &str, taken: &mut HashSet<String>) -> String {
    let wish = match is_name(key) && !taken.contains(key) {
        true => key,
        false => node,
    };
    let mut name = wish.to_owned();
    let mut count = 0usize;
    while !taken.insert(name.clone()) {
        count += 1;
        name = format!("{wish}_{count}");
    }
    name
}
