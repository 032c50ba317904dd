use super::*;

#[test]
fn broken_graphs_are_refused_in_one_line() {
    let files = Files::new();
    let whole = small_graph().encode_to_vec();
    let bomb = "x".repeat(3000);
    for (contents, expected) in [
        (vec![], "the file is empty".to_owned()),
        (
            whole[..20].to_vec(),
            "truncated: node 0 (from 0) `x` at offset 2 has 29 bytes, the file holds 18 of them".into(),
        ),
        (
            graph(vec![node("a", "Add", &[]), node("b\n", "Add", &[]), node("b\n", "Add", &[])]).encode_to_vec(),
            "two nodes are named `b\\n`".into(),
        ),
        (graph(vec![node("", "Add", &[])]).encode_to_vec(), "node 0 (from 0) has no name".into()),
        (graph(vec![node("a", "", &[])]).encode_to_vec(), "node `a` has no op".into()),
        (
            graph(vec![constant("c", 18)]).encode_to_vec(),
            "node `c` (Const): attribute `value` is a tensor with unsupported element type DT_COMPLEX128".into(),
        ),
        (
            GraphDef { node: vec![], ..small_graph() }.encode_to_vec(),
            "empty graph: the file holds no nodes".into(),
        ),
        (
            [&whole[..], &[0]].concat(),
            format!("damaged: the graph at offset {}: invalid tag value: 0", whole.len()),
        ),
        (
            vec![0x0a, 0x06, 0x0a, 0x01, b'n', 0x2a, 0x01, 0x0b],
            "damaged: node 0 (from 0) `n` at offset 0: NodeDef.attr: invalid wire type: StartGroup (expected LengthDelimited)".into(),
        ),
        (
            vec![0x0a, 0x06, 0x0a, 0x02, 0xff, 0xfe, 0x12, 0x00],
            "damaged: node 0 (from 0) at offset 0: NodeDef.name: invalid string value: data is not UTF-8 encoded".into(),
        ),
        (
            [0xff, 0xd8, 0xff, 0xe0].repeat(100),
            "not a TensorFlow graph: starts with bytes ff d8 ff e0 ff d8 ff e0; expected a SavedModel, a GraphDef (.pb, .pbtxt) or a TensorFlow.js model.json".into(),
        ),
        (
            b"hello world".to_vec(),
            "not a TensorFlow graph: starts with \"hello world\"; expected a SavedModel, a GraphDef (.pb, .pbtxt) or a TensorFlow.js model.json".into(),
        ),
        (
            b"item {\n  id: 1\n}".to_vec(),
            "line 1, column 1: field 'item' not found for message 'tensorflow.GraphDef'".into(),
        ),
        (
            format!("node {{ {bomb}: 1 }}").into_bytes(),
            format!("line 1, column 8: field '{}", "x".repeat(50)),
        ),
    ] {
        let message = message(&files.write("graph.pb", &contents));
        assert!(message.starts_with(&expected), "{message}\n{expected}");
        assert!(message.len() < 1000);
    }
}

#[test]
fn files_of_other_programs_are_refused_by_name() {
    let files = Files::new();
    for (contents, expected) in [
        (&b"\x1c\0\0\0TFL3"[..], "a TensorFlow Lite model"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\x80\x04\x95", "a Python pickle"),
        (b"\x08\x08\x12\x07pytorch", "an ONNX model"),
        (b"\x1f\x8b\x08", "a gzip archive"),
        (b"<!DOCTYPE html>", "an HTML or XML document"),
        (
            b"version https://git-lfs.github.com/spec/v1",
            "a Git LFS pointer",
        ),
        (
            b"PK\x03\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0metadata.json",
            "a Keras archive (.keras) is not a TensorFlow graph; load it with",
        ),
        (b"\x08\x01\x12\x80\x01", "damaged: the file at offset 0: "),
        (
            b"saved_model_schema_version: 1",
            "no graph with the tags `serve`; there are none",
        ),
        (
            br#"{"format": "layers-model", "modelTopology": {}}"#,
            "a TensorFlow.js layers model",
        ),
        (
            br#"{"modelTopology": {"model_config": {}}}"#,
            "a TensorFlow.js layers model",
        ),
        (b"{}", "JSON without `modelTopology`"),
        (
            br#"{"modelTopology": {"node": []}}"#,
            "JSON without `weightsManifest`",
        ),
        (
            br#"{"modelTopology": {"node": []}, "weightsManifest": []}"#,
            "empty graph",
        ),
    ] {
        let message = message(&files.write("graph.pb", contents));
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn directories_devices_and_missing_files_are_refused() {
    let files = Files::new();
    assert_eq!(
        message(files.0.path()),
        "a directory without saved_model.pb or model.json: name a SavedModel's directory or the graph's file"
    );
    assert!(message(&files.0.path().join("absent.pb")).starts_with("cannot be read: "));
    assert_eq!(message(Path::new("/dev/null")), "not a regular file");
}

#[test]
fn huge_files_are_refused_without_reading_them() {
    let files = Files::new();
    for (start, bytes, expected) in [
        (
            &b"\0"[..],
            2_000_000_000u64,
            "not a TensorFlow graph: starts with bytes 00 00 00 00",
        ),
        (
            b"\x0a\x06\x0a",
            1 << 31,
            "2147483648 bytes, more than protobuf's limit of 2147483647",
        ),
    ] {
        let path = files.write("huge.pb", start);
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(bytes)
            .unwrap();
        assert!(message(&path).starts_with(expected), "{}", message(&path));
    }
}

#[test]
fn broken_models_are_refused_in_one_line() {
    for (from, to, expected) in [
        (
            "\"format\": ",
            "\"format\" ",
            "expected `:` at line 2 column 12",
        ),
        (
            "{\"name\": \"x\", ",
            "{\"nam\": \"x\", ",
            "unrecognized field name 'nam' at line 5 column 12",
        ),
        (
            "\"f\": 0.5",
            "\"f\": \"a\"",
            "invalid float literal at line 8 column 80",
        ),
        (
            "\"type\": 1",
            "\"type\": \"DT_NEW\"",
            "unrecognized enum value 'DT_NEW' at line 5 column 76",
        ),
        (
            "b.bin",
            "../b.bin",
            "weight shard `../b.bin` is not a plain path below the model's directory",
        ),
        (
            "b.bin",
            "/b.bin",
            "weight shard `/b.bin` is not a plain path below the model's directory",
        ),
        (
            "b.bin",
            "absent.bin",
            "weight shard `absent.bin` cannot be read: No such file or directory",
        ),
        (
            "[2], \"dtype\": \"int32\"",
            "[3], \"dtype\": \"int32\"",
            "weight shards `a.bin` to `b.bin`: 9 bytes found, the manifest's weights need 13",
        ),
        (
            "[2], \"dtype\": \"int32\"",
            "[1], \"dtype\": \"int32\"",
            "weight shards `a.bin` to `b.bin`: 9 bytes found, the manifest's weights need 5",
        ),
        (
            "[2], \"dtype\": \"int32\"",
            "[-2], \"dtype\": \"int32\"",
            "invalid value: integer `-2`, expected usize at line 18 column 30",
        ),
        (
            "\"dtype\": \"int32\"",
            "\"dtype\": \"int4\"",
            "weight `c`: unsupported dtype `int4`",
        ),
        (
            "{\"name\": \"c\", \"shape\"",
            "{\"name\": \"d\", \"shape\"",
            "node `c` (Const) has no weight in the manifest",
        ),
        (
            "{\"name\": \"inner\", \"shape\"",
            "{\"name\": \"d\", \"shape\"",
            "weight `d` belongs to no Const node",
        ),
        (
            "{\"name\": \"inner\", \"shape\"",
            "{\"name\": \"c\", \"shape\"",
            "two weights are named `c`",
        ),
        (
            "DT_INT64",
            "DT_FLOAT",
            "weight `c`: holds int32, but its Const node has type float32",
        ),
        (
            "\"name\": \"y\", \"op\"",
            "\"name\": \"x\", \"op\"",
            "two nodes are named `x`",
        ),
        (
            "\"name\": \"y:1\"",
            "\"nam\": \"y:1\"",
            "signature: `second` names no tensor",
        ),
        (
            "\"size\": \"2\"",
            "\"size\": \"-2\"",
            "signature: `x` has a dimension of size -2",
        ),
        (
            "{\"list\": {}}",
            "{}",
            "node `y` (_FusedMatMul): attribute `empty` has no value of a known kind",
        ),
    ] {
        assert!(MODEL_JSON.contains(from), "{from}");
        let files = Files::new();
        let message = message(&files.model(&MODEL_JSON.replacen(from, to, 1)));
        assert!(message.starts_with(expected), "{message}\n{expected}");
    }
}
