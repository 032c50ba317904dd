use std::path::Path;

use bytes::{Buf, Bytes};
use prost::encoding::{WireType, decode_key, decode_varint};
use prost::{DecodeError, Message};

use super::error::{ImportError, ImportProblem};
use super::node::GraphCollector;
use super::proto::{FunctionDefLibrary, GraphDef, MetaGraphDef, NodeDef, VersionDef};
use super::refuse::is_variable;
use super::restore::Variables;
use super::{Format, ImportOptions, Importer, SourceGraph, meta_graph, read_file, sniff};

/// Reads a binary `GraphDef`.
#[derive(Debug, Clone, Copy, Default)]
pub struct FrozenGraphImporter;

impl Importer for FrozenGraphImporter {
    fn format(&self) -> Format {
        Format::FrozenGraph
    }

    fn matches(&self, _path: &Path, head: &[u8]) -> bool {
        sniff::starts_with_graph_field(head)
    }

    fn import(&self, path: &Path, options: &ImportOptions) -> Result<SourceGraph, ImportError> {
        read_file(path)
            .and_then(|bytes| decode(Bytes::from(bytes), path, options))
            .map_err(|problem| problem.at(path))
    }
}

pub(super) fn decode(
    bytes: Bytes,
    path: &Path,
    options: &ImportOptions,
) -> Result<SourceGraph, ImportProblem> {
    let problem = match decode_fields(bytes.clone(), options) {
        Ok(Some(graph)) => return Ok(graph),
        Ok(None) => {
            let graph = GraphDef::decode(bytes).map_err(|error| ImportProblem::Protobuf {
                what: "the graph".into(),
                offset: 0,
                cause: cause(&error),
            })?;
            return import_graph(graph, Format::FrozenGraph, options);
        }
        Err(problem) => problem,
    };
    match MetaGraphDef::decode(bytes) {
        Ok(meta) if is_meta_graph(&meta) => meta_graph::import(meta, path, options),
        _ => Err(problem),
    }
}

fn is_meta_graph(meta: &MetaGraphDef) -> bool {
    let nodes = meta.graph_def.iter().flat_map(|graph| &graph.node);
    let mut nodes = nodes.peekable();
    nodes.peek().is_some() && nodes.all(|node| !node.op.is_empty())
}

/// The graph with its calls inlined, and frozen where it has variables.
pub(super) fn import_graph(
    graph: GraphDef,
    format: Format,
    options: &ImportOptions,
) -> Result<SourceGraph, ImportProblem> {
    if graph.node.iter().any(|node| is_variable(&node.op)) {
        let meta = MetaGraphDef {
            graph_def: Some(graph),
            ..MetaGraphDef::default()
        };
        let prefix = options.checkpoint.as_deref().map(Variables::prefix);
        let format = if prefix.is_some() {
            Format::Checkpoint
        } else {
            format
        };
        return meta_graph::freeze(meta, format, options, prefix);
    }
    let mut collector = GraphCollector::new(format);
    for node in graph.node {
        collector.push(node)?;
    }
    collector.add_library(graph.library.unwrap_or_default());
    collector.set_producer(graph.versions.unwrap_or_default().producer);
    collector.finish(&options.outputs)
}

/// Decodes field by field, so that the messages of one node only are held beside the nodes.
/// `None` for a graph with variables.
fn decode_fields(
    mut rest: Bytes,
    options: &ImportOptions,
) -> Result<Option<SourceGraph>, ImportProblem> {
    let total = rest.len();
    let mut graph = GraphCollector::new(Format::FrozenGraph);
    let mut has_variables = false;
    while rest.has_remaining() {
        let start = total - rest.remaining();
        let damaged = |what: String, cause: String| ImportProblem::Protobuf {
            what,
            offset: start,
            cause,
        };
        let in_graph = |error: DecodeError| damaged("the graph".into(), cause(&error));
        let (field, wire_type) = decode_key(&mut rest).map_err(in_graph)?;
        let what = match field {
            1 => node_title(graph.len(), &rest),
            2 => "the function library".into(),
            4 => "the versions".into(),
            _ => format!("field {field} of the graph"),
        };
        match wire_type {
            WireType::LengthDelimited => {
                let contents = take_field(&mut rest, total, &what)?;
                let in_field = |error: DecodeError| damaged(what, cause(&error));
                match field {
                    1 => {
                        let node = NodeDef::decode(contents).map_err(in_field)?;
                        has_variables |= is_variable(&node.op);
                        graph.push(node)?;
                    }
                    2 => graph.add_library(FunctionDefLibrary::decode(contents).map_err(in_field)?),
                    4 => {
                        graph
                            .set_producer(VersionDef::decode(contents).map_err(in_field)?.producer);
                    }
                    _ => {}
                }
            }
            WireType::Varint if field > 4 || field == 3 => {
                decode_varint(&mut rest).map_err(in_graph)?;
            }
            WireType::ThirtyTwoBit if field > 5 && rest.remaining() >= 4 => rest.advance(4),
            WireType::SixtyFourBit if field > 5 && rest.remaining() >= 8 => rest.advance(8),
            other => return Err(damaged(what, format!("unexpected wire type {other:?}"))),
        }
    }
    if has_variables {
        return Ok(None);
    }
    graph.finish(&options.outputs).map(Some)
}

/// The node by its position, and by its name where that is readable. `field` starts with the
/// node's length.
fn node_title(index: usize, mut field: &[u8]) -> String {
    let mut name = || {
        decode_varint(&mut field).ok()?;
        let (1, WireType::LengthDelimited) = decode_key(&mut field).ok()? else {
            return None;
        };
        let length = usize::try_from(decode_varint(&mut field).ok()?).ok()?;
        std::str::from_utf8(field.get(..length)?).ok()
    };
    match name() {
        Some(name) => format!("node {index} (from 0) `{name}`"),
        None => format!("node {index} (from 0)"),
    }
}

fn take_field(rest: &mut Bytes, total: usize, what: &str) -> Result<Bytes, ImportProblem> {
    let start = total - rest.remaining();
    let expected = decode_varint(rest).map_err(|error| ImportProblem::Protobuf {
        what: what.into(),
        offset: start,
        cause: cause(&error),
    })?;
    match usize::try_from(expected) {
        Ok(length) if length <= rest.remaining() => Ok(rest.split_to(length)),
        _ => Err(ImportProblem::Truncated {
            what: what.into(),
            offset: total - rest.remaining(),
            expected,
            found: rest.remaining(),
        }),
    }
}

/// What the decoder says, without its preamble and with the innermost fields only.
pub(super) fn cause(error: &DecodeError) -> String {
    const MAX_PARTS: usize = 6;
    let message = error.to_string();
    let parts: Vec<&str> = message.split(": ").skip(1).collect();
    let innermost = parts.len().saturating_sub(MAX_PARTS);
    parts.get(innermost..).unwrap_or_default().join(": ")
}
