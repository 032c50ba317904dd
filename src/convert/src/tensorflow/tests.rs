mod functions;
mod refusals;
mod robustness;

use std::fs;
use std::path::{Path, PathBuf};

use prost::Message;
use tempfile::TempDir;
use tfjet_core::{AttrValue, DType, Dim, Shape, Tensor};

use super::proto::generated::{FunctionDef, OpDef};
use super::proto::{
    self, FunctionDefLibrary, GraphDef, NodeDef, TensorProto, VersionDef, attr_value,
};
use super::*;

fn node(name: &str, op: &str, inputs: &[&str]) -> NodeDef {
    NodeDef {
        name: name.into(),
        op: op.into(),
        input: inputs.iter().map(|&input| input.into()).collect(),
        ..Default::default()
    }
}

fn with_attr(mut node: NodeDef, name: &str, value: attr_value::Value) -> NodeDef {
    node.attr
        .insert(name.into(), proto::AttrValue { value: Some(value) });
    node
}

fn constant(name: &str, data_type: i32) -> NodeDef {
    let tensor = TensorProto {
        dtype: data_type,
        float_val: vec![2.5],
        ..Default::default()
    };
    let node = with_attr(
        node(name, "Const", &[]),
        "dtype",
        attr_value::Value::Type(data_type),
    );
    with_attr(node, "value", attr_value::Value::Tensor(Box::new(tensor)))
}

fn graph(nodes: Vec<NodeDef>) -> GraphDef {
    GraphDef {
        node: nodes,
        ..Default::default()
    }
}

fn small_graph() -> GraphDef {
    GraphDef {
        library: Some(FunctionDefLibrary {
            function: vec![FunctionDef {
                signature: Some(OpDef {
                    name: "body".into(),
                    ..Default::default()
                }),
                ..Default::default()
            }],
            ..Default::default()
        }),
        versions: Some(VersionDef {
            producer: 1087,
            ..Default::default()
        }),
        ..graph(vec![
            with_attr(
                node("x", "Placeholder", &[]),
                "dtype",
                attr_value::Value::Type(1),
            ),
            constant("c", 1),
            node("y", "Mul", &["x", "c:0", "^c"]),
        ])
    }
}

const MODEL_JSON: &str = r#"{
  "format": "graph-model",
  "modelTopology": {
    "node": [
      {"name": "x", "op": "Placeholder", "attr": {"dtype": {"type": 1}, "shape": {"shape": {"dim": [{"size": "-1"}, {"size": 2}]}}}},
      {"name": "c", "op": "Const", "attr": {"dtype": {"type": "DT_INT64"}, "value": {"tensor": {}}}},
      {"name": "y", "op": "_FusedMatMul", "input": ["x", "c", "^c"],
       "attr": {"fused_ops": {"list": {"s": ["UmVsdQ=="]}}, "epsilon": {"f": 0.5}, "empty": {"list": {}}}}
    ],
    "library": {"function": [{"signature": {"name": "f"}, "nodeDef": [{"name": "inner", "op": "Const"}]}]},
    "versions": {"producer": "808"}
  },
  "signature": {
    "outputs": {"second": {"name": "y:1", "dtype": "DT_FLOAT"}, "first": {"name": "y", "dtype": "DT_STRING", "tensorShape": {}}},
    "inputs": {"x": {"name": "x:0", "dtype": "DT_FLOAT", "tensorShape": {"dim": [{"size": "-1"}, {"size": "2"}]}, "resourceId": 7}}
  },
  "weightsManifest": [{"paths": ["a.bin", "b.bin"], "weights": [
    {"name": "c", "shape": [2], "dtype": "int32"}, {"name": "inner", "shape": [], "dtype": "bool"}]}]
}"#;

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, contents).unwrap();
        path
    }

    fn model(&self, json: &str) -> PathBuf {
        self.write("a.bin", [1, 0, 0, 0, 254]);
        self.write("b.bin", [255, 255, 255, 1]);
        self.write("model.json", json)
    }
}

/// The message without the file's path, which it must start with.
fn message(path: &Path) -> String {
    let error = import(path).unwrap_err().to_string();
    assert!(!error.contains('\n'), "{error}");
    error
        .strip_prefix(&format!("{}: ", path.display()))
        .unwrap_or_else(|| panic!("{error}"))
        .to_owned()
}

#[test]
fn reads_a_frozen_graph() {
    let files = Files::new();
    let graph = import(&files.write("graph.txt", small_graph().encode_to_vec())).unwrap();
    assert_eq!((graph.format, graph.producer), (Format::FrozenGraph, 1087));
    assert_eq!(graph.functions, []);
    assert_eq!(graph.signature, None);
    let names: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["x", "c", "y"]);
    assert_eq!(
        graph.nodes[1].attrs.get("value"),
        Some(&AttrValue::Tensor(Tensor::scalar(2.5f32)))
    );
    assert_eq!(graph.nodes[2].inputs, ["x", "c:0", "^c"]);
}

#[test]
fn reads_a_tensorflow_js_model_and_the_directory_around_it() {
    let files = Files::new();
    let path = files.model(MODEL_JSON);
    let graph = import(&path).unwrap();
    assert_eq!(import(files.0.path()).unwrap(), graph);
    assert_eq!((graph.format, graph.producer), (Format::TensorFlowJs, 808));
    assert_eq!(graph.functions, []);

    let [x, c, y] = &graph.nodes[..] else {
        panic!("{:?}", graph.nodes);
    };
    let open = Shape(vec![Dim::Symbolic("?".into()), Dim::Fixed(2)]);
    assert_eq!(
        x.attrs.get("shape"),
        Some(&AttrValue::Shape(Some(open.clone())))
    );
    let value = Tensor::from_slice(&[2], &[1i64, -2]).unwrap();
    assert_eq!(c.attrs.get("value"), Some(&AttrValue::Tensor(value)));
    assert_eq!(y.op, "_FusedMatMul");
    assert_eq!(
        y.attrs.get("fused_ops"),
        Some(&AttrValue::Strs(vec![b"Relu".to_vec()]))
    );
    assert_eq!(y.attrs.get("epsilon"), Some(&AttrValue::Float(0.5)));
    assert_eq!(y.attrs.get("empty"), Some(&AttrValue::Ints(vec![])));

    let tensor = |key: &str, tensor: &str, dtype, shape| SignatureTensor {
        key: key.into(),
        tensor: tensor.into(),
        dtype,
        shape,
    };
    let signature = graph.signature.unwrap();
    assert_eq!(
        signature.inputs,
        [tensor("x", "x:0", Some(DType::F32), Some(open))]
    );
    assert_eq!(
        signature.outputs,
        [
            tensor("second", "y:1", Some(DType::F32), None),
            tensor("first", "y:0", None, Some(Shape::default())),
        ]
    );
}

#[test]
fn a_signature_may_lie_in_the_metadata() {
    let files = Files::new();
    let model: serde_json::Value = serde_json::from_str(MODEL_JSON).unwrap();
    let mut moved = model.clone();
    moved["signature"] = serde_json::Value::Null;
    moved["userDefinedMetadata"] = serde_json::json!({ "signature": model["signature"] });
    let graph = import(&files.model(&moved.to_string())).unwrap();
    assert_eq!(graph.signature.unwrap().outputs.len(), 2);
}

/// Reads every model of the directory that the variable names.
#[test]
fn real_models_are_read() {
    let Some(directory) = std::env::var_os("TFJET_TEST_MODELS") else {
        eprintln!("SKIPPED: TFJET_TEST_MODELS names no directory with models");
        return;
    };
    let mut count = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let is_model = match extension {
            Some("pb" | "pbtxt") => true,
            Some("json") => fs::read_to_string(&path)
                .unwrap()
                .contains("weightsManifest"),
            _ => false,
        };
        if is_model {
            let graph = import(&path).unwrap();
            let constants = graph.nodes.iter().filter(|node| node.op == "Const");
            assert!(constants.clone().count() > 0, "{}", path.display());
            for node in constants {
                assert!(node.attrs.get("value").is_some(), "{}", node.name);
            }
            eprintln!(
                "{}: {}, {} nodes",
                path.display(),
                graph.format,
                graph.nodes.len()
            );
            count += 1;
        }
    }
    assert!(count > 0, "no models");
}
