use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message;

use super::error::{ImportError, ImportProblem};
use super::meta_graph::{self, damaged};
use super::proto::{MetaGraphDef, SavedModel};
use super::restore::Variables;
use super::signature::list;
use super::{Format, ImportOptions, Importer, SourceGraph, read_file, sniff, text};

/// Tag of the graph that is taken where the user names none.
const DEFAULT_TAG: &str = "serve";

/// Reads a SavedModel: `saved_model.pb` or `saved_model.pbtxt`, and the variables beside it.
#[derive(Debug, Clone, Copy, Default)]
pub struct SavedModelImporter;

impl Importer for SavedModelImporter {
    fn format(&self) -> Format {
        Format::SavedModel
    }

    fn matches(&self, _path: &Path, head: &[u8]) -> bool {
        sniff::starts_with_saved_model(head)
    }

    fn import(&self, path: &Path, options: &ImportOptions) -> Result<SourceGraph, ImportError> {
        read_file(path)
            .and_then(decode)
            .and_then(|model| {
                let meta = choose(model.meta_graphs, &options.tags)?;
                let directory = path.parent().unwrap_or(Path::new(""));
                let beside = directory.join("variables").join("variables");
                let given = options.checkpoint.as_deref();
                let prefix = given.map_or(beside, Variables::prefix);
                meta_graph::freeze(meta, Format::SavedModel, options, Some(prefix))
            })
            .map_err(|problem| problem.at(path))
    }
}

/// The file of a directory that holds the graph.
pub(super) fn file_in(directory: &Path) -> Result<PathBuf, ImportProblem> {
    for name in ["saved_model.pb", "saved_model.pbtxt", "model.json"] {
        let file = directory.join(name);
        if file.is_file() {
            return Ok(file);
        }
    }
    let has = |name: &str| directory.join(name).exists();
    if has("saved_model.cpb") {
        return Err(ImportProblem::SplitSavedModel);
    }
    if has("variables.index") || directory.join("variables").is_file() {
        return Err(ImportProblem::VariablesOnly);
    }
    if has("config.json") && has("model.weights.h5") {
        return Err(ImportProblem::Keras("an unpacked Keras archive"));
    }
    let names = fs::read_dir(directory)?.flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let mut graphs: Vec<String> = names.filter(|name| name.ends_with(".meta")).collect();
    graphs.sort();
    match graphs.is_empty() {
        true => Err(ImportProblem::Directory),
        false => {
            let names = graphs.iter().map(String::as_str);
            Err(ImportProblem::Checkpoints(list(names)))
        }
    }
}

fn decode(bytes: Vec<u8>) -> Result<SavedModel, ImportProblem> {
    let bytes = match bytes.first() {
        Some(0x08) => Bytes::from(bytes),
        _ => text::message(&bytes, "tensorflow.text.SavedModel")?
            .encode_to_vec()
            .into(),
    };
    SavedModel::decode(bytes).map_err(|error| damaged(&error))
}

/// The graph with exactly these tags; without any, the one with the default tag alone, else the
/// only one with it.
fn choose(graphs: Vec<MetaGraphDef>, tags: &[String]) -> Result<MetaGraphDef, ImportProblem> {
    let of = |graph: &MetaGraphDef| {
        let mut tags = graph.meta_info_def.clone().unwrap_or_default().tags;
        tags.sort();
        tags.dedup();
        tags
    };
    let text = |tags: &[String]| match tags {
        [] => "(none)".to_owned(),
        tags => tags.join("+"),
    };
    let sets: Vec<Vec<String>> = graphs.iter().map(of).collect();
    let mut wanted = tags.to_vec();
    if wanted.is_empty() {
        wanted.push(DEFAULT_TAG.into());
    }
    wanted.sort();
    wanted.dedup();
    let mut chosen = sets.iter().position(|set| *set == wanted);
    if chosen.is_none() && tags.is_empty() {
        let mut serving = sets
            .iter()
            .enumerate()
            .filter(|(_, set)| set.iter().any(|tag| tag == DEFAULT_TAG));
        chosen = match (serving.next(), serving.next()) {
            (Some((index, _)), None) => Some(index),
            _ => None,
        };
    }
    let there: Vec<String> = sets.iter().map(|set| text(set)).collect();
    let graph = chosen.and_then(|index| graphs.into_iter().nth(index));
    graph.ok_or_else(|| ImportProblem::Tags {
        wanted: format!("`{}`", text(&wanted)),
        there: match there.is_empty() {
            true => "none".into(),
            false => list(there.iter().map(String::as_str)),
        },
    })
}
