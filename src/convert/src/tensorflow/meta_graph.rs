//! A graph with signatures and variables, as a SavedModel and a `.meta` file hold it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::{DecodeError, Message};
use tfjet_core::{AttrValue, Attrs, DType, Shape};

use super::attr::{dtype, shape};
use super::checkpoint::Checkpoint;
use super::error::{ImportError, ImportProblem};
use super::freeze::Freeze;
use super::frozen::cause;
use super::function::Library;
use super::functions::{Functions, calls_text};
use super::proto::{MetaGraphDef, NodeDef, SaverDef, SignatureDef, TensorInfo};
use super::refuse::is_assignment;
use super::restore::{self, Variables};
use super::tensor::RepeatBudget;
use super::{
    Format, ImportOptions, Importer, Signature, SignatureTensor, SourceGraph, SourceNode,
    read_file, reference, sniff, text,
};
use crate::near::near_text;

/// The signature that is taken where the user names none.
const DEFAULT_SIGNATURE: &str = "serving_default";

/// Reads the `.meta` file of a checkpoint in text form; a binary one is told from a `GraphDef` when
/// it is decoded.
#[derive(Debug, Clone, Copy, Default)]
pub struct MetaGraphImporter;

impl Importer for MetaGraphImporter {
    fn format(&self) -> Format {
        Format::Checkpoint
    }

    fn matches(&self, _path: &Path, head: &[u8]) -> bool {
        sniff::starts_with_meta_graph_text(head)
    }

    fn import(&self, path: &Path, options: &ImportOptions) -> Result<SourceGraph, ImportError> {
        let read = || {
            let message = text::message(&read_file(path)?, "tensorflow.text.MetaGraphDef")?;
            let meta = MetaGraphDef::decode(Bytes::from(message.encode_to_vec()));
            import(meta.map_err(|error| damaged(&error))?, path, options)
        };
        read().map_err(|problem| problem.at(path))
    }
}

/// What a text that was just read cannot be.
pub(super) fn damaged(error: &DecodeError) -> ImportProblem {
    ImportProblem::Protobuf {
        what: "the file".into(),
        offset: 0,
        cause: cause(error),
    }
}

/// Freezes the graph of a `.meta` file with the checkpoint beside it, or the one that the user
/// names.
pub(super) fn import(
    meta: MetaGraphDef,
    path: &Path,
    options: &ImportOptions,
) -> Result<SourceGraph, ImportProblem> {
    let given = options.checkpoint.as_deref();
    let beside = || path.with_extension("");
    let prefix = given.map_or_else(beside, Variables::prefix);
    let is_there = given.is_some() || Checkpoint::index_path(&prefix).exists() || prefix.exists();
    freeze(meta, Format::Checkpoint, options, is_there.then_some(prefix))
}

/// Freezes what the chosen signature, or the outputs that the user names, need.
pub(super) fn freeze(
    meta: MetaGraphDef,
    format: Format,
    options: &ImportOptions,
    prefix: Option<PathBuf>,
) -> Result<SourceGraph, ImportProblem> {
    let graph = meta.graph_def.unwrap_or_default();
    if graph.node.is_empty() {
        return Err(ImportProblem::EmptyGraph);
    }
    let mut names: HashSet<&str> = HashSet::with_capacity(graph.node.len());
    for node in &graph.node {
        if !names.insert(&node.name) {
            return Err(ImportProblem::DuplicateNode(node.name.clone()));
        }
    }
    let mut notes = Vec::new();
    let needs_signature = format == Format::SavedModel && options.outputs.is_empty();
    let signature = choose(&meta.signature_def, options, needs_signature, &mut notes)?;
    let mut functions = Functions::new(
        Library::new(graph.library.unwrap_or_default(), HashMap::new())?,
        RepeatBudget::default(),
    );
    let all: Vec<&NodeDef> = graph.node.iter().collect();
    let saver = meta.saver_def.unwrap_or_default();
    let restore = match saver.restore_op_name.as_str() {
        "" => "save/restore_all",
        name => name,
    };
    let keys = restore::keys(&all, restore, &mut functions);
    let mut variables = Variables::new(prefix, keys);

    let entries = signature.map(Entries::new).transpose()?.unwrap_or_default();
    let roots = roots(&all, &entries, options, &saver);
    if roots.is_empty() {
        return Err(ImportProblem::NoOutputs);
    }
    let needed = needed(&all, &roots, &entries);
    let mut nodes = functions.convert(needed.into_iter())?;
    let signature = entries.apply(&mut nodes, &names);
    let mut scope = functions.scope(nodes, &[])?;
    let asked = options.inputs.iter().chain(&options.outputs);
    let asked = asked.chain(if signature.outputs.is_empty() { &roots[..] } else { &[] });
    let keep: HashSet<&str> = asked.map(|tensor| reference(tensor).0).collect();
    scope.connect(&keep, false)?;
    if scope.calls() > 0 {
        notes.push(calls_text(scope.calls()));
    }
    let fed = cut(&mut scope.nodes, &options.inputs);

    let there: HashSet<&str> = scope.nodes.iter().map(|node| node.name.as_str()).collect();
    let mut results: Vec<String> = options.outputs.clone();
    // A name that is not there is reported with those that are like it.
    if results.iter().any(|tensor| !there.contains(reference(tensor).0)) || results.is_empty() {
        let outputs = signature.outputs.iter();
        results.extend(outputs.map(|output| output.tensor.clone()));
    }
    if results.is_empty() {
        results = roots;
    }
    let freeze = Freeze {
        function: "",
        arguments: HashMap::new(),
        results: &results,
        control: &[],
        fed,
    };
    let inputs: HashSet<&str> = signature
        .inputs
        .iter()
        .map(|input| reference(&input.tensor).0)
        .collect();
    let placeholders: Vec<SourceNode> = scope
        .nodes
        .iter()
        .filter(|node| inputs.contains(node.name.as_str()))
        .cloned()
        .collect();
    let mut frozen = freeze.run(scope, &mut functions, &mut variables)?;
    let left: HashSet<String> = frozen.nodes.iter().map(|node| node.name.clone()).collect();
    for node in placeholders {
        if left.contains(&node.name) {
            continue;
        }
        match node.attrs.get("dtype") {
            Some(AttrValue::Type(None)) => {
                let name = &node.name;
                notes.push(format!("input `{name}` dropped: no output depends on it"));
            }
            _ => frozen.nodes.push(node),
        }
    }
    let (functions, mut counts) = functions.take();
    counts.add(frozen.counts);
    notes.extend(counts.notes());
    Ok(SourceGraph {
        nodes: frozen.nodes,
        signature: (signature != Signature::default()).then_some(signature),
        functions,
        producer: graph.versions.unwrap_or_default().producer,
        format,
        notes,
    })
}

/// The signature that the user names, or the default.
fn choose(
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
        Some(wanted) => signatures.get_key_value(wanted).map(|(name, _)| name.as_str()),
        None => match usable.as_slice() {
            names if names.iter().any(|name| *name == DEFAULT_SIGNATURE) => {
                Some(DEFAULT_SIGNATURE)
            }
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
    let names: Vec<String> = names.take(MAX_NAMES).map(|name| format!("`{name}`")).collect();
    match more {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// Inputs and outputs of the chosen signature.
#[derive(Debug, Default)]
struct Entries {
    inputs: Vec<Entry>,
    outputs: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    key: String,
    node: String,
    port: usize,
    dtype: Option<DType>,
    shape: Option<Shape>,
}

impl Entries {
    fn new(signature: SignatureDef) -> Result<Self, ImportProblem> {
        Ok(Self {
            inputs: entries(signature.inputs)?,
            outputs: entries(signature.outputs)?,
        })
    }

    /// Gives inputs and outputs the names that they have in the signature: an input becomes a
    /// placeholder of that name, an output an identity.
    fn apply(self, nodes: &mut Vec<SourceNode>, taken: &HashSet<&str>) -> Signature {
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

/// What is needed of the graph before calls are inlined.
fn roots(
    nodes: &[&NodeDef],
    entries: &Entries,
    options: &ImportOptions,
    saver: &SaverDef,
) -> Vec<String> {
    if options.outputs.is_empty() && entries.outputs.is_empty() {
        return sinks(nodes, saver);
    }
    let names: HashSet<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    let mut roots = Vec::new();
    let mut is_inside = false;
    for output in &options.outputs {
        let name = reference(output).0;
        is_inside |= !names.contains(name);
        // A node inside a call has the call's name in front.
        let parts = name.match_indices('/').filter_map(|(end, _)| name.get(..end));
        let call = parts.filter(|part| names.contains(part)).last();
        roots.push(call.unwrap_or(name).to_owned());
    }
    if options.outputs.is_empty() || is_inside {
        roots.extend(entries.outputs.iter().map(|entry| entry.node.clone()));
    }
    roots
}

/// Nodes that feed no other, apart from those that run for what they do and what only they need.
fn sinks(nodes: &[&NodeDef], saver: &SaverDef) -> Vec<String> {
    let by_name: HashMap<&str, usize> = nodes
        .iter()
        .enumerate()
        .map(|(index, node)| (node.name.as_str(), index))
        .collect();
    let find = |input: &String| by_name.get(reference(input).0).copied();
    let mut takers = vec![0usize; nodes.len()];
    for input in nodes.iter().flat_map(|node| &node.input) {
        if let Some(count) = find(input).and_then(|index| takers.get_mut(index)) {
            *count += 1;
        }
    }
    let is_done = |op: &str| {
        is_assignment(op)
            || op.contains("Summary")
            || matches!(op, "NoOp" | "SaveV2" | "Save" | "ShardedFilename" | "MergeV2Checkpoints")
            || matches!(op, "Assert" | "Print" | "PrintV2" | "Const" | "Placeholder")
            || super::refuse::is_variable(op)
    };
    let ends = takers.iter().enumerate().filter(|(_, count)| **count == 0);
    let mut open: Vec<usize> = ends.map(|(index, _)| index).collect();
    let mut sinks = Vec::new();
    let mut removed = vec![false; nodes.len()];
    while let Some(index) = open.pop() {
        let Some(node) = nodes.get(index) else {
            continue;
        };
        let was_fed = removed.get(index).copied().unwrap_or(false);
        let saves = reference(&saver.save_tensor_name).0 == node.name;
        if !is_done(&node.op) && !was_fed && !saves {
            sinks.push(index);
            continue;
        }
        for input in &node.input {
            let Some(from) = find(input) else { continue };
            if let (Some(count), Some(mark)) = (takers.get_mut(from), removed.get_mut(from)) {
                *count = count.saturating_sub(1);
                *mark = true;
                if *count == 0 {
                    open.push(from);
                }
            }
        }
    }
    sinks.sort_unstable();
    let nodes = sinks.into_iter().filter_map(|index| nodes.get(index));
    nodes.map(|node| node.name.clone()).collect()
}

/// The nodes that `roots` depend on; what feeds an input of the signature is not looked at.
fn needed<'a>(nodes: &[&'a NodeDef], roots: &[String], entries: &Entries) -> Vec<&'a NodeDef> {
    let by_name: HashMap<&str, &NodeDef> =
        nodes.iter().map(|node| (node.name.as_str(), *node)).collect();
    let fed: HashSet<(&str, usize)> = entries
        .inputs
        .iter()
        .map(|entry| (entry.node.as_str(), entry.port))
        .collect();
    let mut found: HashSet<&str> = HashSet::new();
    let inputs = entries.inputs.iter().filter(|entry| {
        by_name
            .get(entry.node.as_str())
            .is_some_and(|node| node.input.is_empty())
    });
    let inputs = inputs.map(|entry| entry.node.as_str());
    let mut open: Vec<&str> = roots.iter().map(String::as_str).chain(inputs).collect();
    while let Some(input) = open.pop() {
        if let Some(&node) = by_name.get(reference(input).0)
            && found.insert(&node.name)
        {
            let inputs = node.input.iter().map(String::as_str);
            open.extend(inputs.filter(|input| !fed.contains(&reference(input))));
        }
    }
    let nodes = nodes.iter().copied();
    nodes.filter(|node| found.contains(node.name.as_str())).collect()
}

/// Cuts off what makes the nodes that the caller feeds, and returns their names. A node of which
/// something else is needed as well stays as it is.
fn cut(nodes: &mut [SourceNode], inputs: &[String]) -> HashSet<String> {
    let fed: HashSet<(&str, usize)> = inputs.iter().map(|input| reference(input)).collect();
    let mut whole: HashSet<String> = fed.iter().map(|(name, _)| (*name).to_owned()).collect();
    for input in nodes.iter().flat_map(|node| &node.inputs) {
        if !input.starts_with('^') && !fed.contains(&reference(input)) {
            whole.remove(reference(input).0);
        }
    }
    for node in nodes {
        if whole.contains(&node.name) {
            node.inputs.clear();
        }
    }
    whole
}
