//! A SavedModel with one variable of each name, through which checkpoints are read.

use arbitrary::{Arbitrary, Result, Unstructured};
use prost::Message;
use tfjet_convert::tensorflow::ImportOptions;

use crate::proto::attr_value::Value;
use crate::proto::tensor_slice_proto::Extent;
use crate::proto::{
    AttrValue, GraphDef, MetaGraphDef, NodeDef, SavedModel, SignatureDef, TensorInfo,
    TensorSliceProto, meta_graph_def,
};
use crate::{directory, import, write_file};

/// Names of the variables.
pub const NAMES: [&str; 4] = ["v", "w", "w/part", "_CHECKPOINTABLE_OBJECT_GRAPH"];

fn node(name: &str, op: &str, inputs: &[&str]) -> NodeDef {
    let value = Some(Value::Type(1));
    NodeDef {
        name: name.into(),
        op: op.into(),
        input: inputs.iter().map(|&input| input.into()).collect(),
        attr: [("dtype".to_owned(), AttrValue { value })].into(),
        ..NodeDef::default()
    }
}

/// A model whose outputs are its variables.
pub fn write_model() {
    let mut nodes = Vec::new();
    let mut outputs = Vec::new();
    for (index, name) in NAMES.iter().enumerate() {
        let read = format!("read{index}");
        nodes.push(node(name, "VarHandleOp", &[]));
        nodes.push(node(&read, "ReadVariableOp", &[name]));
        outputs.push(read);
    }
    let signature = |read: &String| {
        let info = TensorInfo {
            name: format!("{read}:0"),
            dtype: 1,
            ..TensorInfo::default()
        };
        let signature = SignatureDef {
            inputs: Default::default(),
            outputs: [(read.clone(), info)].into(),
        };
        (read.clone(), signature)
    };
    let model = SavedModel {
        saved_model_schema_version: 1,
        meta_graphs: vec![MetaGraphDef {
            meta_info_def: Some(meta_graph_def::MetaInfoDef {
                tags: vec!["serve".into()],
                ..Default::default()
            }),
            graph_def: Some(GraphDef {
                node: nodes,
                ..GraphDef::default()
            }),
            signature_def: outputs.iter().map(signature).collect(),
            ..MetaGraphDef::default()
        }],
    };
    write_file("saved_model.pb", &model.encode_to_vec());
}

/// A slice, rarely one that fits.
pub fn slice(from: &mut Unstructured<'_>) -> Result<TensorSliceProto> {
    let count = from.int_in_range(0..=3)?;
    let extent = |from: &mut Unstructured<'_>| {
        Ok(Extent {
            start: from.int_in_range(-1..=4)?,
            length: Option::arbitrary(from)?.map(|length: u8| i64::from(length % 6)),
        })
    };
    let extent: Result<_> = (0..count).map(|_| extent(from)).collect();
    Ok(TensorSliceProto { extent: extent? })
}

/// Imports the model once for each variable.
pub fn read() {
    for place in 0..NAMES.len() {
        let options = ImportOptions {
            signature: Some(format!("read{place}")),
            ..ImportOptions::default()
        };
        import(directory(), &options);
    }
}
