use super::{Untouched, says};
use crate::common::{Graph, shared, tfjet};

/// A field of a protobuf message that holds bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length > 127 {
        field.push(length as u8 | 128);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend(bytes);
    field
}

/// An AttrValue of DT_FLOAT.
const FLOAT: [u8; 2] = [6 << 3, 1];

/// An AttrValue of the shape [3].
const THREE: [u8; 6] = [7 << 3 | 2, 4, 2 << 3 | 2, 2, 1 << 3, 3];

/// A NodeDef as a field of a GraphDef.
fn node(name: &str, op: &str, inputs: &[&str], attributes: &[(&str, &[u8])]) -> Vec<u8> {
    let mut node = [field(1, name.as_bytes()), field(2, op.as_bytes())].concat();
    for input in inputs {
        node.extend(field(3, input.as_bytes()));
    }
    for (key, value) in attributes {
        node.extend(field(
            5,
            &[field(1, key.as_bytes()), field(2, value)].concat(),
        ));
    }
    field(1, &node)
}

/// A GraphDef's `versions { producer: 27 }`.
const VERSIONS: [u8; 4] = [0x22, 2, 8, 27];

/// Three ops on three floats, the parts that each are a whole message.
fn binary_graph() -> [Vec<u8>; 5] {
    let on_float: &[(&str, &[u8])] = &[("T", &FLOAT)];
    [
        node(
            "x",
            "Placeholder",
            &[],
            &[("dtype", &FLOAT), ("shape", &THREE)],
        ),
        node("a", "Relu", &["x"], on_float),
        node("b", "Tanh", &["a"], on_float),
        node("y", "Neg", &["b"], on_float),
        VERSIONS.to_vec(),
    ]
}

#[test]
fn truncated_graph() {
    let folder = Untouched::new();
    let parts = binary_graph();
    let whole = parts.concat();
    let good = folder.file("good.pb", &whole);
    tfjet().arg("plan").arg(&good).run().good();
    // Where a part ends, the rest is a whole graph.
    let ends: Vec<usize> = (0..=parts.len())
        .map(|count| parts[..count].concat().len())
        .collect();
    for length in (1..whole.len())
        .step_by(4)
        .filter(|length| !ends.contains(length))
    {
        let model = folder.file("cut.pb", &whole[..length]);
        says(&folder.refuses_model(&model, "", 3), &["cut.pb"]);
    }
}

#[test]
fn truncated_trained_graph() {
    let Some(model) = shared("models/fer_minixception.pb") else {
        return;
    };
    let whole = std::fs::read(model).unwrap();
    let folder = Untouched::new();
    for length in [100, 5_000, whole.len() / 2, whole.len() - 200] {
        let model = folder.file("cut.pb", &whole[..length]);
        says(&folder.refuses_model(&model, "", 3), &["cut.pb"]);
    }
}

#[test]
fn damaged_graph() {
    let folder = Untouched::new();
    let whole = binary_graph().concat();
    for at in (0..whole.len()).step_by(3) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        let model = folder.file("damaged.pb", bytes);
        // Some bytes make another good graph.
        let ran = tfjet()
            .arg("plan")
            .arg(&model)
            .words("--allow-residual-only --json")
            .run();
        match ran.code {
            Some(0) => assert_eq!(ran.stderr, "", "{ran:#?}"),
            _ => drop(ran.refused(3).to_owned()),
        }
    }
}

#[test]
fn text_graph_with_a_mistake() {
    let folder = Untouched::new();
    for text in [
        "node { name: \"x\" op: \"Placeholder\" ",
        "node { name: \"x\" op: }",
        "node { nam: \"x\" }",
        "node { name: \"x\" op: \"Placeholder\" } }",
    ] {
        let model = folder.file("mistake.pbtxt", text);
        says(&folder.refuses_model(&model, "", 3), &["mistake.pbtxt"]);
    }
}

#[test]
fn missing_model() {
    let folder = Untouched::new();
    let model = folder.path().join("nowhere.pb");
    says(
        &folder.refuses_model(&model, "", 3),
        &["nowhere.pb", "No such file"],
    );
}

#[test]
fn empty_file() {
    let folder = Untouched::new();
    for name in ["empty.pb", "empty.pbtxt", "model.json"] {
        let model = folder.file(name, "");
        says(&folder.refuses_model(&model, "", 3), &[name, "empty"]);
    }
}

#[test]
fn empty_graph() {
    let folder = Untouched::new();
    for (name, bytes) in [
        ("versions.pb", VERSIONS.as_slice()),
        ("versions.pbtxt", b"versions { producer: 27 }\n"),
        ("library.pbtxt", b"library { }\nversions { producer: 27 }\n"),
    ] {
        let model = folder.file(name, bytes);
        says(&folder.refuses_model(&model, "", 3), &[name, "no node"]);
    }
}

#[test]
fn cycle_without_next_iteration() {
    let folder = Untouched::new();
    let model = Graph::new()
        .placeholder("x", "DT_FLOAT", &[3])
        .float_op("first", "AddV2", &["x", "third"])
        .float_op("second", "Relu", &["first"])
        .float_op("third", "Tanh", &["second"])
        .float_op("y", "Neg", &["third"])
        .write(folder.path(), "cycle.pbtxt");
    let line = folder.refuses_model(&model, "", 3);
    says(&line, &["cycle.pbtxt", "cycle", "NextIteration", "first"]);
}

#[test]
fn two_gigabytes_of_zeros() {
    let folder = Untouched::new();
    for name in ["zeros.pb", "zeros.pbtxt", "model.json"] {
        let model = folder.path().join(name);
        std::fs::File::create(&model)
            .unwrap()
            .set_len(2 << 30)
            .unwrap();
        says(
            &folder.refuses_model(&model, "", 3),
            &[name, "not a TensorFlow graph"],
        );
    }
}

#[test]
fn graph_followed_by_gigabytes_of_zeros() {
    let folder = Untouched::new();
    let model = folder.file("long.pb", binary_graph().concat());
    std::fs::File::options()
        .write(true)
        .open(&model)
        .unwrap()
        .set_len(2 << 30)
        .unwrap();
    says(&folder.refuses_model(&model, "", 3), &["long.pb"]);
}

#[test]
fn unknown_output_suggests_near_names() {
    let folder = Untouched::new();
    let model = Graph::new()
        .placeholder("image", "DT_FLOAT", &[3])
        .float_op("head/logits", "Relu", &["image"])
        .float_op("head/softmaxes", "Tanh", &["head/logits"])
        .float_op("head/scores", "Neg", &["head/softmaxes"])
        .write(folder.path(), "g.pbtxt");
    for (flags, words) in [
        ("--output head/logit", ["`head/logit`", "head/logits"]),
        ("--output logits", ["`logits`", "head/logits"]),
        ("--output head/score:0", ["head/score", "head/scores"]),
        ("--output Head/Scores", ["Head/Scores", "head/scores"]),
        ("--input imag=3", ["`imag`", "image"]),
    ] {
        says(&folder.refuses_model(&model, flags, 3), &words);
    }
}

#[test]
fn input_shape_that_does_not_fit() {
    let folder = Untouched::new();
    let model = Graph::rows_of_three().write(folder.path(), "g.pbtxt");
    for flags in ["--input x=1x4", "--input x=1x3x3", "--input x=3"] {
        says(&folder.refuses_model(&model, flags, 3), &["g.pbtxt", "x"]);
    }
    for flags in ["--input x=1xthree", "--input =1x3", "--output :0"] {
        folder.refuses_model_usage(&model, flags);
    }
}

impl Untouched {
    /// Words on the command line that cannot be read: clap's message, exit code 2.
    #[track_caller]
    fn refuses_model_usage(&self, model: &std::path::Path, flags: &str) {
        let ran = tfjet().arg("plan").arg(model).words(flags).run();
        assert_eq!(ran.code, Some(2), "{ran:#?}");
        assert_eq!(ran.stdout, "");
    }
}

#[test]
fn node_that_contradicts_itself() {
    let folder = Untouched::new();
    let with = |name: &str, graph: Graph| graph.write(folder.path(), name);
    let chain = |graph: Graph, from: &str| {
        graph
            .float_op("r", "Relu", &[from])
            .float_op("t", "Tanh", &["r"])
            .float_op("y", "Neg", &["t"])
    };
    let x = || Graph::new().placeholder("x", "DT_FLOAT", &[2, 3]);
    let shapes = x()
        .floats("c", &[5], &[0.0; 5])
        .float_op("sum", "AddV2", &["x", "c"]);
    let dangling = x().float_op("sum", "AddV2", &["x", "nobody"]);
    let twice = x()
        .float_op("sum", "Neg", &["x"])
        .float_op("sum", "Relu", &["x"]);
    let one_input = x().float_op("sum", "AddV2", &["x"]);
    let short = x()
        .constant("c", "DT_FLOAT", &[2, 3], "tensor_content: \"abc\"")
        .float_op("sum", "AddV2", &["x", "c"]);
    for (name, graph, words) in [
        ("shapes.pbtxt", shapes, ["sum", "5"]),
        ("dangling.pbtxt", dangling, ["sum", "nobody"]),
        ("twice.pbtxt", twice, ["sum", "tw"]),
        ("inputs.pbtxt", one_input, ["sum", "input"]),
        ("short.pbtxt", short, ["`c`", "bytes"]),
    ] {
        let model = with(name, chain(graph, "sum"));
        says(
            &folder.refuses_model(&model, "", 3),
            &[&[name], words.as_slice()].concat(),
        );
    }
}

#[test]
fn control_flow_without_structure_is_refused_by_name() {
    let folder = Untouched::new();
    let inputs = [("N", "i: 2"), ("T", "type: DT_FLOAT")];
    let model = Graph::new()
        .placeholder("x", "DT_FLOAT", &[2])
        .placeholder("y", "DT_FLOAT", &[2])
        .node("either", "Merge", &["x", "y"], &inputs)
        .float_op("out", "Neg", &["either"])
        .write(folder.path(), "merge.pbtxt");
    let bundle = folder.path().join("out.jet");
    let convert = tfjet().arg("convert").arg(&model).arg("-o").arg(&bundle);
    let ran = convert.words("--allow-residual-only").run();
    says(
        ran.refused(3),
        &["merge.pbtxt", "either", "Merge", "not structured"],
    );
    assert!(!bundle.exists());
}

#[test]
fn op_without_kernel_is_refused_by_name() {
    let folder = Untouched::new();
    let model = Graph::rows_of_three()
        .float_op("mystery", "MadeUpOp", &["y"])
        .write(folder.path(), "g.pbtxt");
    let bundle = folder.path().join("out.jet");
    let ran = tfjet()
        .arg("convert")
        .arg(&model)
        .arg("-o")
        .arg(&bundle)
        .run();
    says(ran.refused(3), &["mystery", "MadeUpOp"]);
    assert!(!bundle.exists());
}

#[test]
fn saved_model_that_is_not_whole_is_refused_by_name() {
    let folder = Untouched::new();
    let directory = folder.path().join("saved");
    let graph = directory.join("saved_model.pb");
    std::fs::create_dir_all(directory.join("variables")).unwrap();
    std::fs::write(&graph, [8, 1]).unwrap();
    says(
        &folder.refuses_model(&directory, "", 3),
        &["saved_model.pb", "SavedModel"],
    );
    if let Some(real) = shared("models/fer_minixception_savedmodel") {
        std::fs::copy(real.join("saved_model.pb"), &graph).unwrap();
        says(
            &folder.refuses_model(&directory, "", 3),
            &["saved_model.pb", "variables.index"],
        );
    }
}

#[test]
fn files_of_other_programs() {
    let folder = Untouched::new();
    for (name, bytes) in [
        ("picture.png", b"\x89PNG\r\n\x1a\n0000".as_slice()),
        ("weights.h5", b"\x89HDF\r\n\x1a\n0000"),
        ("archive.zip", b"PK\x03\x04000000000000"),
        ("page.html", b"<!DOCTYPE html><html></html>"),
        ("prose.txt", b"This is no graph at all.\n"),
        ("other.json", b"{\"hello\": [1, 2, 3]}"),
    ] {
        let model = folder.file(name, bytes);
        says(&folder.refuses_model(&model, "", 3), &[name]);
    }
    let directory = folder.path().join("directory");
    std::fs::create_dir(&directory).unwrap();
    says(&folder.refuses_model(&directory, "", 3), &["directory"]);
}

/// A TensorFlow.js graph model on three floats with one shard, `w.bin`.
const GRAPH_MODEL: &str = r#"{
  "format": "graph-model",
  "modelTopology": {
    "node": [
      {"name": "x", "op": "Placeholder", "attr": {"dtype": {"type": "DT_FLOAT"},
        "shape": {"shape": {"dim": [{"size": "3"}]}}}},
      {"name": "w", "op": "Const", "attr": {"dtype": {"type": "DT_FLOAT"},
        "value": {"tensor": {"dtype": "DT_FLOAT", "tensorShape": {"dim": [{"size": "3"}]}}}}},
      {"name": "a", "op": "AddV2", "input": ["x", "w"], "attr": {"T": {"type": "DT_FLOAT"}}},
      {"name": "b", "op": "Relu", "input": ["a"], "attr": {"T": {"type": "DT_FLOAT"}}},
      {"name": "y", "op": "Neg", "input": ["b"], "attr": {"T": {"type": "DT_FLOAT"}}}
    ],
    "versions": {"producer": 27}
  },
  "weightsManifest": [
    {"paths": ["w.bin"], "weights": [{"name": "w", "shape": [3], "dtype": "float32"}]}
  ]
}"#;

#[test]
fn missing_shard() {
    let folder = Untouched::new();
    let model = folder.file("model.json", GRAPH_MODEL);
    says(
        &folder.refuses_model(&model, "", 3),
        &["w.bin", "No such file"],
    );
}

#[test]
fn wrong_shard() {
    let folder = Untouched::new();
    let model = folder.file("model.json", GRAPH_MODEL);
    folder.file("w.bin", [0; 12]);
    tfjet().arg("plan").arg(&model).run().good();
    for length in [0, 11, 13, 4096] {
        folder.file("w.bin", vec![0; length]);
        says(
            &folder.refuses_model(&model, "", 3),
            &["w.bin", "12", &length.to_string()],
        );
    }
}

#[test]
fn graph_model_with_a_mistake() {
    let folder = Untouched::new();
    folder.file("w.bin", [0; 12]);
    for (from, to) in [
        ("\"w.bin\"", "\"../../w.bin\""),
        ("\"shape\": [3]", "\"shape\": [4]"),
        ("\"dtype\": \"float32\"", "\"dtype\": \"float31\""),
        ("\"name\": \"w\", \"shape\"", "\"name\": \"v\", \"shape\""),
        ("\"graph-model\"", "\"layers-model\""),
        ("\"DT_FLOAT\"", "\"DT_FLOTA\""),
        (
            "\"versions\": {\"producer\": 27}",
            "\"versions\": {\"producer\": 27",
        ),
    ] {
        let text = GRAPH_MODEL.replace(from, to);
        assert_ne!(text, GRAPH_MODEL, "{from}");
        let model = folder.file("model.json", text);
        says(&folder.refuses_model(&model, "", 3), &["model.json"]);
    }
}
