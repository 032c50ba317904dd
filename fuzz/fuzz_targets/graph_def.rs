//! Graphs: as they come, and made of parts; as a frozen graph, a MetaGraph and a SavedModel.
#![no_main]

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use prost::Message;
use tfjet_convert::tensorflow::ImportOptions;
use tfjet_fuzz::proto::{MetaGraphDef, SavedModel, SignatureDef, TensorInfo, meta_graph_def};
use tfjet_fuzz::{directory, graph, import, write_file};

fuzz_target!(|data: &[u8]| {
    let Some((&kind, rest)) = data.split_first() else {
        return;
    };
    let options = ImportOptions::default();
    if kind < 64 {
        let path = write_file("graph.pb", rest);
        import(&path, &options);
        return;
    }
    let mut from = Unstructured::new(rest);
    let Ok(graph) = graph(&mut from) else {
        return;
    };
    if kind < 128 {
        let path = write_file("graph.pb", &graph.encode_to_vec());
        import(&path, &options);
        return;
    }
    let tensor = |name: &str| TensorInfo {
        name: format!("{name}:0"),
        dtype: 1,
        ..TensorInfo::default()
    };
    let signature = SignatureDef {
        inputs: [("x".to_owned(), tensor("x"))].into(),
        outputs: [
            ("a".to_owned(), tensor("a")),
            ("out".to_owned(), tensor("call")),
        ]
        .into(),
    };
    let meta = MetaGraphDef {
        meta_info_def: Some(meta_graph_def::MetaInfoDef {
            tags: vec!["serve".into()],
            ..Default::default()
        }),
        graph_def: Some(graph),
        signature_def: [("serving_default".to_owned(), signature)].into(),
        ..MetaGraphDef::default()
    };
    if kind < 192 {
        let path = write_file("graph.meta", &meta.encode_to_vec());
        import(&path, &options);
        return;
    }
    let model = SavedModel {
        saved_model_schema_version: 1,
        meta_graphs: vec![meta],
    };
    write_file("saved_model.pb", &model.encode_to_vec());
    import(directory(), &options);
});
