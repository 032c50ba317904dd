//! Which variable of a checkpoint a node holds.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tfjet_core::{AttrValue, Dim, Shape};

use super::checkpoint::{self, Checkpoint, Slice};
use super::error::ImportProblem;
use super::freeze::Values;
use super::functions::Functions;
use super::inline::data_inputs;
use super::proto::NodeDef;
use super::reach::index;
use super::{SourceNode, reference};

/// Key in the checkpoint, and the part of what lies there, by the node that holds the variable.
pub(super) type Keys = HashMap<String, (String, String)>;

/// Reads from the nodes with which the graph restores itself which variable comes from which key.
/// What is not of the usual form is passed over; a variable is found by its name then.
pub(super) fn keys(nodes: &[&NodeDef], restore: &str, functions: &mut Functions) -> Keys {
    let nodes = closure(nodes, restore);
    let scope = functions.convert(nodes.into_iter()).and_then(|nodes| {
        let mut scope = functions.scope(nodes, &[])?;
        scope.connect(&Default::default(), false)?;
        Ok(scope)
    });
    match scope {
        Ok(scope) => keys_of(&scope.nodes),
        Err(_) => Keys::new(),
    }
}

/// The nodes that `root` depends on.
fn closure<'a>(nodes: &[&'a NodeDef], root: &str) -> Vec<&'a NodeDef> {
    let by_name: HashMap<&str, &NodeDef> = nodes
        .iter()
        .map(|node| (node.name.as_str(), *node))
        .collect();
    let mut found: HashMap<&str, &NodeDef> = HashMap::new();
    let mut open = vec![reference(root).0];
    while let Some(name) = open.pop() {
        if let Some(&node) = by_name.get(name)
            && found.insert(&node.name, node).is_none()
        {
            open.extend(node.input.iter().map(|input| reference(input).0));
        }
    }
    let nodes = nodes.iter().copied();
    nodes
        .filter(|node| found.contains_key(node.name.as_str()))
        .collect()
}

fn keys_of(nodes: &[SourceNode]) -> Keys {
    let by_name = index(nodes);
    let find = |input: &str| nodes.get(*by_name.get(reference(input).0)?);
    // Follows what only hands a tensor on.
    let origin = |input: &str| {
        let mut input = input.to_owned();
        for _ in 0..nodes.len() {
            let node = find(&input)?;
            match node.op.as_str() {
                "Identity" | "RefIdentity" | "Reshape" => input.clone_from(node.inputs.first()?),
                _ => return Some((node, reference(&input).1)),
            }
        }
        None
    };
    let text = |node: &SourceNode, place: usize, at: usize| {
        let (constant, _) = origin(data_inputs(node).get(place)?)?;
        match constant.attrs.get("value")? {
            AttrValue::StringTensor(_, values) => String::from_utf8(values.get(at)?.clone()).ok(),
            _ => None,
        }
    };
    let assigned = nodes.iter().filter_map(|node| {
        if !matches!(node.op.as_str(), "Assign" | "AssignVariableOp") {
            return None;
        }
        let [target, value] = data_inputs(node) else {
            return None;
        };
        let (variable, _) = origin(target)?;
        let (restore, port) = origin(value)?;
        let key = match restore.op.as_str() {
            "RestoreV2" => (text(restore, 1, port)?, text(restore, 2, port)?),
            "RestoreSlice" => (text(restore, 1, 0)?, text(restore, 2, 0)?),
            "Restore" => (text(restore, 1, 0)?, String::new()),
            _ => return None,
        };
        Some((variable.name.clone(), key))
    });
    assigned.collect()
}

/// The variables of a graph in a checkpoint, which is opened when the first is needed.
pub(super) struct Variables {
    /// Where the checkpoint is, where there is one.
    pub(super) prefix: Option<PathBuf>,
    /// What the saver says of variables.
    pub(super) keys: Keys,
    checkpoint: Option<Checkpoint>,
}

impl Variables {
    pub(super) fn new(prefix: Option<PathBuf>, keys: Keys) -> Self {
        Self {
            prefix,
            keys,
            checkpoint: None,
        }
    }

    /// The prefix that the user means by a checkpoint's prefix, one of its files, or its
    /// directory.
    pub(super) fn prefix(given: &Path) -> PathBuf {
        if given.is_dir() {
            return in_directory(given).unwrap_or_else(|| given.to_path_buf());
        }
        let name = given.file_name().map(|name| name.to_string_lossy());
        let Some(name) = name else {
            return given.to_path_buf();
        };
        let stem = name.strip_suffix(".index").or_else(|| {
            let (stem, shard) = name.rsplit_once(".data-")?;
            shard.contains("-of-").then_some(stem)
        });
        match stem {
            Some(stem) => given.with_file_name(stem),
            None => given.to_path_buf(),
        }
    }
}

/// Is it a file that a checkpoint consists of?
pub(super) fn is_checkpoint_part(path: &Path) -> bool {
    Variables::prefix(path) != path || checkpoint::is_table(path)
}

/// The checkpoint that a directory names as its latest, or its only one.
fn in_directory(directory: &Path) -> Option<PathBuf> {
    const MAX_STATE_BYTES: u64 = 1 << 20;
    let state = directory.join("checkpoint");
    if std::fs::metadata(&state).is_ok_and(|it| it.is_file() && it.len() <= MAX_STATE_BYTES)
        && let Ok(text) = std::fs::read_to_string(&state)
        && let Some(name) = text.lines().find_map(|line| {
            let value = line.trim().strip_prefix("model_checkpoint_path:")?;
            value.trim().strip_prefix('"')?.strip_suffix('"')
        })
    {
        return Some(directory.join(name));
    }
    let names: Vec<String> = std::fs::read_dir(directory)
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    let only = |suffix: &str| {
        let mut prefixes = names
            .iter()
            .filter_map(|name| Some(directory.join(name.strip_suffix(suffix)?)))
            .filter(|prefix| Checkpoint::is_there(prefix));
        prefixes.next().filter(|_| prefixes.next().is_none())
    };
    only(".index").or_else(|| only(".meta"))
}

impl Values for Variables {
    fn value(&mut self, node: &SourceNode) -> Result<AttrValue, ImportProblem> {
        let Some(prefix) = &self.prefix else {
            return Err(ImportProblem::NoCheckpoint {
                node: node.name.clone(),
                op: node.op.clone(),
            });
        };
        let checkpoint = match &mut self.checkpoint {
            Some(checkpoint) => checkpoint,
            unopened => unopened.insert(Checkpoint::open(prefix)?),
        };
        let shared = match node.attrs.get("shared_name") {
            Some(AttrValue::Str(name)) => String::from_utf8_lossy(name).into_owned(),
            _ => String::new(),
        };
        let name = if shared.is_empty() {
            &node.name
        } else {
            &shared
        };
        let mut part = None;
        let key = match self.keys.get(&node.name) {
            Some((key, slice)) => {
                part = Slice::parse(slice).map_err(|text| ImportProblem::Partition {
                    node: node.name.clone(),
                    text,
                })?;
                key.clone()
            }
            None => match checkpoint.key_of_full_name(name).map(str::to_owned) {
                Some(key) => key,
                None if checkpoint.contains(&node.name) => node.name.clone(),
                None => name.clone(),
            },
        };
        let value = checkpoint.value(&key, part.as_ref())?;
        check(node, &key, &value)?;
        Ok(value)
    }
}

/// The value must have the type and shape that the graph declares.
fn check(node: &SourceNode, key: &str, value: &AttrValue) -> Result<(), ImportProblem> {
    let (dtype, shape) = match value {
        AttrValue::Tensor(tensor) => (Some(tensor.dtype()), tensor.shape()),
        AttrValue::StringTensor(shape, _) => (None, shape.as_slice()),
        _ => return Ok(()),
    };
    let has_type = match node.attrs.get("dtype") {
        Some(AttrValue::Type(declared)) => *declared == dtype,
        _ => true,
    };
    let has_shape = match node.attrs.get("shape") {
        Some(AttrValue::Shape(Some(Shape(dims)))) => {
            // TensorFlow writes an unset shape of old variables as a scalar's.
            (dims.is_empty() && node.op != "VarHandleOp")
                || (dims.len() == shape.len()
                    && (dims.iter().zip(shape)).all(|(dim, size)| match dim {
                        Dim::Fixed(fixed) => fixed == size,
                        Dim::Symbolic(_) => true,
                    }))
        }
        _ => true,
    };
    if has_type && has_shape {
        return Ok(());
    }
    let dtype = dtype.map_or("string", |dtype| dtype.name());
    Err(ImportProblem::VariableType {
        node: node.name.clone(),
        key: key.into(),
        found: format!("{dtype} {shape:?}"),
    })
}
