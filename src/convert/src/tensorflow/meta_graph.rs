//! A graph with signatures and variables, as a SavedModel and a `.meta` file hold it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::{DecodeError, Message};
use tfjet_core::AttrValue;

use super::checkpoint::Checkpoint;
use super::error::{ImportError, ImportProblem};
use super::freeze::Freeze;
use super::frozen::cause;
use super::function::Library;
use super::functions::{Functions, calls_text};
use super::proto::{MetaGraphDef, NodeDef};
use super::restore::{self, Variables};
use super::roots::{needed, roots};
use super::signature::{Entries, choose};
use super::tensor::RepeatBudget;
use super::{
    Format, ImportOptions, Importer, Signature, SourceGraph, SourceNode, read_file, reference,
    sniff, text,
};

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
    let is_there = given.is_some() || Checkpoint::is_there(&prefix);
    freeze(
        meta,
        Format::Checkpoint,
        options,
        is_there.then_some(prefix),
    )
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
    let asked = asked.chain(if signature.outputs.is_empty() {
        &roots[..]
    } else {
        &[]
    });
    let keep: HashSet<&str> = asked.map(|tensor| reference(tensor).0).collect();
    scope.connect(&keep, false)?;
    if scope.calls() > 0 {
        notes.push(calls_text(scope.calls()));
    }
    let fed = cut(&mut scope.nodes, &options.inputs);

    let there: HashSet<&str> = scope.nodes.iter().map(|node| node.name.as_str()).collect();
    let mut results: Vec<String> = options.outputs.clone();
    // A name that is not there is reported with those that are like it.
    if results
        .iter()
        .any(|tensor| !there.contains(reference(tensor).0))
        || results.is_empty()
    {
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
