//! SavedModels and checkpoints that TensorFlow wrote give what TensorFlow computes with them, op by
//! op; what cannot be frozen is refused. `scripts/make_keras_models.py` makes the files.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[allow(dead_code, reason = "not all of it is used here")]
#[path = "../src/tensorflow/checkpoint/write.rs"]
mod write;

#[path = "saved_model/old_format.rs"]
mod old_format;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use prost::encoding::decode_varint;
use serde::Deserialize;
use tfjet_bundle::Bundle;
use tfjet_convert::partition::PartitionOptions;
use tfjet_convert::tensorflow::{Format, ImportOptions, SourceGraph, import_with};
use tfjet_convert::{ConvertOptions, Report, Task, emit, lower_source};
use tfjet_core::{AttrValue, DType, Tensor, TensorView};
use tfjet_runtime::{Session, SessionOptions};

fn fixture(name: &str) -> PathBuf {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/saved_model");
    all.join(name)
}

/// A copy that a test may change.
fn copy(name: &str) -> tempfile::TempDir {
    fn copy_all(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let to = to.join(entry.file_name());
            match entry.file_type().unwrap().is_dir() {
                true => copy_all(&entry.path(), &to),
                false => {
                    fs::copy(entry.path(), to).unwrap();
                }
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    copy_all(&fixture(name), folder.path());
    folder
}

#[derive(Deserialize)]
struct Expected {
    signatures: std::collections::BTreeMap<String, Case>,
}

#[derive(Deserialize)]
struct Case {
    inputs: std::collections::BTreeMap<String, Array>,
    outputs: std::collections::BTreeMap<String, Array>,
}

#[derive(Deserialize)]
struct Array {
    dtype: String,
    shape: Vec<usize>,
    values: Vec<serde_json::Value>,
}

impl Array {
    fn numbers(&self) -> Vec<f64> {
        let number = |value: &serde_json::Value| {
            let truth = value.as_bool().map(|truth| f64::from(u8::from(truth)));
            truth.or(value.as_f64()).unwrap()
        };
        self.values.iter().map(number).collect()
    }

    fn tensor(&self) -> Tensor {
        let numbers = self.numbers();
        match self.dtype.as_str() {
            "float32" => {
                let values: Vec<f32> = numbers.iter().map(|&value| value as f32).collect();
                Tensor::from_slice(&self.shape, &values).unwrap()
            }
            "int32" => {
                let values: Vec<i32> = numbers.iter().map(|&value| value as i32).collect();
                Tensor::from_slice(&self.shape, &values).unwrap()
            }
            "bool" => {
                let values: Vec<bool> = numbers.iter().map(|&value| value != 0.0).collect();
                Tensor::from_bools(&self.shape, &values).unwrap()
            }
            other => panic!("{other}"),
        }
    }
}

fn cases(name: &str) -> Vec<(String, Case)> {
    let text = fs::read_to_string(fixture(name).join("expected.json")).unwrap();
    let expected: Expected = serde_json::from_str(&text).unwrap();
    expected.signatures.into_iter().collect()
}

fn with_signature(signature: &str) -> ImportOptions {
    ImportOptions {
        signature: (!signature.is_empty()).then(|| signature.into()),
        ..ImportOptions::default()
    }
}

fn read(path: &Path, signature: &str) -> SourceGraph {
    import_with(path, &with_signature(signature)).unwrap_or_else(|error| panic!("{error}"))
}

fn error(path: &Path, options: &ImportOptions) -> String {
    let error = import_with(path, options).unwrap_err().to_string();
    assert!(!error.contains('\n'), "{error}");
    error
}

/// A session in which every op runs on its own.
fn session(source: SourceGraph) -> Session {
    let functions = source.functions.iter().flat_map(|function| &function.nodes);
    let ops = source.nodes.iter().chain(functions).map(|node| &node.op);
    let is_flow =
        |op: &str| ["While", "If", "Case"].contains(&op.strip_prefix("Stateless").unwrap_or(op));
    let deny_ops: BTreeSet<String> = source
        .nodes
        .iter()
        .map(|node| node.op.clone())
        .filter(|op| op != "Const" && op != "Placeholder" && !is_flow(op))
        .collect();
    assert!(ops.count() > 0);
    let options = ConvertOptions {
        allow_residual_only: true,
        partition: PartitionOptions {
            min_segment_size: 1_000_000,
            deny_ops,
            ..PartitionOptions::default()
        },
        ..ConvertOptions::default()
    };
    let lowered = lower_source(source, "model", &options).unwrap_or_else(|it| panic!("{it}"));
    let report = Report::new(&lowered, &options.partition);
    let task = Task {
        image: None,
        ..Task::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.jet");
    let writer = emit(lowered, "model", &task, &report).unwrap_or_else(|it| panic!("{it}"));
    writer.write(&path).unwrap();
    let bundle = Arc::new(Bundle::open(&path).unwrap());
    Session::load(bundle, None, &SessionOptions::default()).unwrap()
}

fn floats(view: &TensorView<'_>) -> Vec<f64> {
    match view.dtype() {
        DType::F32 => view
            .as_slice::<f32>()
            .unwrap()
            .iter()
            .map(|&it| it.into())
            .collect(),
        DType::I32 => view
            .as_slice::<i32>()
            .unwrap()
            .iter()
            .map(|&it| it.into())
            .collect(),
        other => panic!("{other}"),
    }
}

#[track_caller]
fn agrees(path: &Path, signature: &str, case: &Case) {
    let source = read(path, signature);
    let keys: Vec<(String, String)> = match &source.signature {
        Some(signature) => signature
            .outputs
            .iter()
            .map(|output| (output.key.clone(), output.tensor.clone()))
            .collect(),
        None => case
            .outputs
            .keys()
            .map(|key| (key.clone(), key.clone()))
            .collect(),
    };
    let mut session = session(source);
    let inputs: Vec<Tensor> = session
        .manifest()
        .inputs
        .iter()
        .map(|input| case.inputs[&input.name].tensor())
        .collect();
    let views: Vec<TensorView<'_>> = inputs.iter().map(Tensor::view).collect();
    let outputs = session.run(&views).unwrap();
    let mut count = 0;
    for (output, view) in outputs.iter() {
        let name = output.name.as_str();
        let is_it = |tensor: &str| tensor == name || tensor == format!("{name}:0");
        let key = keys.iter().find(|(_, tensor)| is_it(tensor));
        let (key, _) = key.unwrap_or_else(|| panic!("output `{name}` is none of {keys:?}"));
        let expected = &case.outputs[key];
        assert_eq!(view.shape(), expected.shape, "{signature}/{key}");
        let largest = expected
            .numbers()
            .iter()
            .fold(1e-6, |a: f64, b| a.max(b.abs()));
        for (found, expected) in floats(&view).iter().zip(expected.numbers()) {
            let difference = (found - expected).abs();
            assert!(
                difference <= 1e-5 * largest,
                "{signature}/{key}: {found}, not {expected}"
            );
        }
        count += 1;
    }
    assert_eq!(count, case.outputs.len(), "{signature}");
}

#[test]
fn models_compute_what_tensorflow_computes() {
    for name in [
        "toy",
        "gather_nd",
        "keras3",
        "keras2",
        "tf1",
        "tf1_references",
        "sound",
    ] {
        for (signature, case) in cases(name) {
            if !["loop", "branch"].contains(&signature.as_str()) {
                agrees(&fixture(name), &signature, &case);
            }
        }
    }
    for name in [
        "tf1_checkpoint",
        "tf1_checkpoint_v1",
        "tf1_checkpoint_v1_shards",
    ] {
        let graph = fixture(name).join("model.ckpt.meta");
        for (signature, case) in cases(name) {
            agrees(&graph, &signature, &case);
        }
    }
}

#[test]
fn loops_and_branches_that_read_variables_compute_what_tensorflow_computes() {
    for (signature, case) in cases("toy") {
        if ["loop", "branch"].contains(&signature.as_str()) {
            agrees(&fixture("toy"), &signature, &case);
        }
    }
}

#[test]
fn inputs_and_outputs_have_the_names_of_the_signature() {
    let source = read(&fixture("toy"), "");
    assert_eq!(source.format, Format::SavedModel);
    let signature = source.signature.unwrap();
    let keys = |all: &[tfjet_convert::tensorflow::SignatureTensor]| {
        all.iter()
            .map(|it| (it.key.clone(), it.tensor.clone()))
            .collect::<Vec<_>>()
    };
    let pair = |key: &str| (key.to_owned(), format!("{key}:0"));
    assert_eq!(keys(&signature.inputs), [pair("x")]);
    assert_eq!(
        keys(&signature.outputs),
        [pair("best"), pair("types"), pair("where")]
    );
    let calls = source
        .nodes
        .iter()
        .filter(|node| node.op.ends_with("PartitionedCall"));
    assert_eq!(calls.count(), 0);
    let inner = source.nodes.iter().filter(|node| node.op == "MatMul");
    let names: Vec<&str> = inner.map(|node| node.name.as_str()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(
        names.iter().all(|name| name.contains("PartitionedCall/")),
        "{names:?}"
    );
    let unique: BTreeSet<&str> = source.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(unique.len(), source.nodes.len());
}

#[test]
fn an_input_need_not_be_a_placeholder() {
    let source = read(&fixture("tf1"), "scaled");
    let signature = source.signature.clone().unwrap();
    assert_eq!(signature.inputs[0].tensor, "half:0");
    let names: Vec<&str> = source.nodes.iter().map(|node| node.name.as_str()).collect();
    assert!(
        !names.contains(&"x") && !names.contains(&"scaled"),
        "{names:?}"
    );
}

#[test]
fn variables_that_functions_read_are_values() {
    for (signature, ops) in [("loop", ["While", "If"]), ("branch", ["If", "If"])] {
        let source = read(&fixture("toy"), signature);
        let functions = source.functions.iter().flat_map(|function| &function.nodes);
        let mut found = BTreeSet::new();
        for node in source.nodes.iter().chain(functions) {
            found.insert(
                node.op
                    .strip_prefix("Stateless")
                    .unwrap_or(&node.op)
                    .to_owned(),
            );
            for name in ["VarHandleOp", "ReadVariableOp"] {
                assert_ne!(node.op, name, "{}", node.name);
            }
            for list in ["T", "Tin"] {
                if let Some(AttrValue::Types(types)) = node.attrs.get(list) {
                    assert!(types.iter().all(Option::is_some), "{}", node.name);
                }
            }
        }
        assert!(ops.iter().all(|op| found.contains(*op)), "{found:?}");
        for function in &source.functions {
            let types = function.inputs.iter().map(|input| input.dtype);
            assert!(
                types.into_iter().all(|dtype| dtype.is_some()),
                "{}",
                function.name
            );
        }
    }
}

#[test]
fn what_cannot_be_frozen_is_refused_by_name() {
    for (signature, expected) in [
        ("counted", "(AssignAddVariableOp) assigns variable `count"),
        ("words", "(LookupTableFindV2) reads a lookup table"),
        ("python", "(EagerPyFunc) calls Python"),
    ] {
        let error = error(&fixture("toy"), &with_signature(signature));
        assert!(error.contains(expected), "{error}");
        assert!(
            error.contains("--output") || error.contains("--input"),
            "{error}"
        );
    }
}

#[test]
fn what_no_output_needs_is_dropped_with_a_note() {
    let source = read(&fixture("toy"), "noted");
    let notes = source.notes.join("\n");
    assert!(notes.contains("AssignAddVariableOp"), "{notes}");
    assert!(notes.contains("2 variables frozen"), "{notes}");
}

#[test]
fn wires_that_the_user_names_count() {
    let options = ImportOptions {
        signature: Some("words".into()),
        inputs: vec!["StatefulPartitionedCall_9/absent:0".into()],
        outputs: vec!["absent:0".into()],
        ..ImportOptions::default()
    };
    assert!(error(&fixture("toy"), &options).contains("lookup table"));
    let whole = read(&fixture("toy"), "");
    let product = whole.nodes.iter().find(|node| node.op == "MatMul").unwrap();
    let options = ImportOptions {
        outputs: vec![format!("{}:0", product.name)],
        ..ImportOptions::default()
    };
    let part = import_with(&fixture("toy"), &options).unwrap();
    assert!(part.nodes.iter().any(|node| node.name == product.name));
    assert!(part.nodes.len() < whole.nodes.len() / 2);
}

#[test]
fn signatures_and_tags_that_are_not_there_are_reported() {
    let toy = fixture("toy");
    let message = error(&toy, &with_signature("lookupp"));
    assert!(
        message.contains("no signature `lookupp`; there are `branch`, `counted`, "),
        "{message}"
    );
    assert!(
        message.contains("near names: lookup, loop; choose with --signature"),
        "{message}"
    );
    let tagged = |tags: &[&str]| ImportOptions {
        tags: tags.iter().map(|&tag| tag.into()).collect(),
        ..with_signature("predict")
    };
    let message = error(&fixture("tf1"), &tagged(&["serve", "gpu"]));
    let expected = "no graph with the tags `gpu+serve`; there are `serve+small`; choose with --tag";
    assert!(message.ends_with(expected), "{message}");
    assert!(import_with(&fixture("tf1"), &tagged(&["small", "serve"])).is_ok());
}

#[test]
fn a_checkpoint_may_lie_elsewhere() {
    let folder = copy("tf1_checkpoint");
    let graph = folder.path().join("model.ckpt.meta");
    let moved = folder.path().join("moved");
    fs::create_dir(&moved).unwrap();
    for file in [
        "model.ckpt.index",
        "model.ckpt.data-00000-of-00001",
        "checkpoint",
    ] {
        fs::rename(folder.path().join(file), moved.join(file)).unwrap();
    }
    let message = error(&graph, &ImportOptions::default());
    assert!(
        message.contains("is a variable, and the file holds no values"),
        "{message}"
    );
    for checkpoint in [
        "model.ckpt",
        "model.ckpt.index",
        "model.ckpt.data-00000-of-00001",
        "",
    ] {
        let options = ImportOptions {
            checkpoint: Some(moved.join(checkpoint)),
            ..ImportOptions::default()
        };
        let source = import_with(&graph, &options).unwrap();
        assert_eq!(source.format, Format::Checkpoint, "{checkpoint}");
    }
    let message = error(&moved.join("model.ckpt.index"), &ImportOptions::default());
    assert!(message.contains("a part of a checkpoint"), "{message}");
    let message = error(folder.path(), &ImportOptions::default());
    assert!(
        message.ends_with("name the graph's file, `model.ckpt.meta`"),
        "{message}"
    );
}

#[test]
fn a_compressed_index_is_read() {
    let folder = copy("keras3");
    let path = folder.path().join("variables/variables.index");
    let entries = entries(&fs::read(&path).unwrap().into());
    assert!(entries.len() > 5);
    fs::write(&path, write::table(&entries, 4, true)).unwrap();
    for (signature, case) in cases("keras3") {
        agrees(folder.path(), &signature, &case);
    }
}

/// The entries of a small index as TensorFlow writes it: uncompressed.
fn entries(table: &Bytes) -> Vec<(Vec<u8>, Vec<u8>)> {
    let number = |from: &mut Bytes| usize::try_from(decode_varint(from).unwrap()).unwrap();
    let block = |handle: &mut Bytes| {
        let (offset, size) = (number(handle), number(handle));
        let block = table.slice(offset..offset + size);
        let restarts = block.slice(size - 4..).get_u32_le();
        let mut rest = block.slice(..size - 4 - 4 * usize::try_from(restarts).unwrap());
        let mut all: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        while rest.has_remaining() {
            let (shared, own, value) = (number(&mut rest), number(&mut rest), number(&mut rest));
            let mut key = all
                .last()
                .map_or(Vec::new(), |(key, _)| key[..shared].to_vec());
            key.extend_from_slice(&rest.split_to(own));
            all.push((key, rest.split_to(value).to_vec()));
        }
        all
    };
    let mut footer = table.slice(table.len() - 48..);
    let _meta = (number(&mut footer), number(&mut footer));
    let blocks = block(&mut footer);
    let handles = blocks.into_iter().map(|(_, handle)| Bytes::from(handle));
    handles.flat_map(|mut handle| block(&mut handle)).collect()
}

#[test]
fn damaged_models_are_refused_in_one_line() {
    let folder = copy("keras3");
    let data = folder
        .path()
        .join("variables/variables.data-00000-of-00001");
    let index = folder.path().join("variables/variables.index");
    let whole = fs::read(&data).unwrap();
    let mut flipped = whole.clone();
    flipped.iter_mut().for_each(|byte| *byte ^= 1);
    let read = || error(folder.path(), &ImportOptions::default());
    fs::write(&data, flipped).unwrap();
    assert!(
        read().contains("wrong checksum; the file is damaged"),
        "{}",
        read()
    );
    fs::write(&data, &whole[..40]).unwrap();
    assert!(read().contains("is it cut off?"), "{}", read());
    fs::remove_file(&data).unwrap();
    assert!(
        read().contains("`variables.data-00000-of-00001` cannot be read"),
        "{}",
        read()
    );
    fs::write(&data, &whole).unwrap();
    let entries = fs::read(&index).unwrap();
    fs::write(&index, &entries[..entries.len() - 9]).unwrap();
    assert!(
        read().contains("`variables.index` is damaged"),
        "{}",
        read()
    );
    fs::remove_dir_all(folder.path().join("variables")).unwrap();
    assert!(
        read().contains("`variables.index` cannot be read"),
        "{}",
        read()
    );

    let other = copy("keras3");
    let message = error(&other.path().join("variables"), &ImportOptions::default());
    assert!(
        message.contains("a directory with variables only"),
        "{message}"
    );
    let graph = fs::read(other.path().join("saved_model.pb")).unwrap();
    for cut in [4, 100, graph.len() / 2, graph.len() - 1] {
        fs::write(other.path().join("saved_model.pb"), &graph[..cut]).unwrap();
        error(other.path(), &ImportOptions::default());
    }
}
