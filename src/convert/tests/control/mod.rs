//! Bundles of graphs with control flow, made and run in memory.
#![allow(clippy::print_stderr, reason = "a test says what it skips")]

use std::path::Path;
use std::sync::Arc;

use tfjet_bundle::Bundle;
use tfjet_convert::graph::OutputRequest;
use tfjet_convert::partition::PartitionOptions;
use tfjet_convert::tensorflow::SourceGraph;
use tfjet_convert::{ConvertOptions, Lowered, Report, Task, emit, lower_source};
use tfjet_core::{Tensor, TensorView};
use tfjet_cpu::Library;
use tfjet_runtime::{Session, SessionOptions};

/// Names ONNX Runtime's library.
pub(crate) const VARIABLE: &str = "TFJET_ONNXRUNTIME";

/// The library, or `None` with a word about it.
pub(crate) fn library() -> Option<Library> {
    let Some(path) = std::env::var_os(VARIABLE) else {
        eprintln!("{VARIABLE} is not set: loops and conditions run without engines only");
        return None;
    };
    Some(Library::load(Some(Path::new(&path)), &[]).expect("the library loads"))
}

/// Everything inside segments that can be, or nothing.
pub(crate) fn options(inside: bool, outputs: &[&str]) -> ConvertOptions {
    let outputs = outputs.iter().map(|name| name.parse::<OutputRequest>());
    ConvertOptions {
        outputs: outputs.collect::<Result<_, _>>().expect("names of wires"),
        allow_residual_only: true,
        partition: PartitionOptions {
            min_segment_size: if inside { 1 } else { usize::MAX },
            ..PartitionOptions::default()
        },
        ..ConvertOptions::default()
    }
}

pub(crate) fn lowered(source: SourceGraph, options: &ConvertOptions) -> Result<Lowered, String> {
    lower_source(source, "graph", options).map_err(|error| error.to_string())
}

/// A session of the graph.
pub(crate) fn session(
    source: SourceGraph,
    options: &ConvertOptions,
    library: Option<&Library>,
) -> Result<Session, String> {
    let lowered = lowered(source, options)?;
    let report = Report::new(&lowered, &options.partition);
    let task = Task {
        image: None,
        ..Task::default()
    };
    let writer = emit(lowered, "graph", &task, &report).map_err(|error| error.to_string())?;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("graph.jet");
    writer.write(&path).map_err(|error| error.to_string())?;
    let bundle = Bundle::open(&path).map_err(|error| error.to_string())?;
    let options = SessionOptions {
        threads: 1,
        ..SessionOptions::default()
    };
    Session::load(Arc::new(bundle), library, &options).map_err(|error| error.to_string())
}

/// The outputs for these inputs by name; an input that the session does not take is left out.
pub(crate) fn run(session: &mut Session, feed: &[(&str, &Tensor)]) -> Result<Vec<Tensor>, String> {
    let inputs = session.manifest().inputs.clone();
    let views: Vec<TensorView<'_>> = inputs
        .iter()
        .map(|input| {
            let given = feed.iter().find(|(name, _)| *name == input.name);
            given.map(|(_, tensor)| tensor.view())
        })
        .collect::<Option<_>>()
        .ok_or("an input is not given")?;
    let outputs = session.run(&views).map_err(|error| error.to_string())?;
    Ok(outputs.iter().map(|(_, view)| view.to_tensor()).collect())
}
