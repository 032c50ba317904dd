//! The index of a checkpoint: as it comes, and made of entries with the right checksums; read
//! through a SavedModel with one variable of each name.
#![no_main]

use std::sync::Once;

use arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use prost::Message;
use tfjet_convert::tensorflow::ImportOptions;
use tfjet_fuzz::proto::attr_value::Value;
use tfjet_fuzz::proto::tensor_slice_proto::Extent;
use tfjet_fuzz::proto::{
    AttrValue, BundleEntryProto, BundleHeaderProto, GraphDef, MetaGraphDef, NodeDef, SavedModel,
    SignatureDef, TensorInfo, TensorSliceProto, VersionDef, meta_graph_def,
};
use tfjet_fuzz::{checksum, directory, import, shape, table, write_file};

const NAMES: [&str; 4] = ["v", "w", "w/part", "_CHECKPOINTABLE_OBJECT_GRAPH"];
const DATA: &str = "variables/variables.data-00000-of-00001";

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
fn write_model() {
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

fn slice(from: &mut Unstructured<'_>) -> Result<TensorSliceProto> {
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

fn index(from: &mut Unstructured<'_>, data: &[u8]) -> Result<Vec<u8>> {
    let header = BundleHeaderProto {
        num_shards: if from.ratio(1, 8)? {
            i32::arbitrary(from)?
        } else {
            1
        },
        endianness: i32::from(from.ratio(1, 16)?),
        version: Some(VersionDef::default()),
    };
    let mut entries = vec![(Vec::new(), header.encode_to_vec())];
    for _ in 0..from.int_in_range(0..=6)? {
        let key = match from.ratio(1, 4)? {
            true => Vec::arbitrary(from)?,
            false => from.choose(&NAMES)?.as_bytes().to_vec(),
        };
        let offset = from.int_in_range(0..=data.len())?;
        let size = from.int_in_range(0..=data.len() - offset)?;
        let stored = &data[offset..offset + size];
        let slices: Result<Vec<_>> = (0..from.int_in_range(0..=2)?)
            .map(|_| slice(from))
            .collect();
        let is_wild = from.ratio(1, 8)?;
        let entry = BundleEntryProto {
            dtype: if from.ratio(1, 2)? {
                1
            } else {
                from.int_in_range(0..=30)?
            },
            shape: Some(shape(from)?),
            shard_id: i32::from(from.ratio(1, 16)?),
            offset: if is_wild {
                i64::arbitrary(from)?
            } else {
                i64::try_from(offset).unwrap_or(0)
            },
            size: if is_wild {
                i64::arbitrary(from)?
            } else {
                i64::try_from(size).unwrap_or(0)
            },
            crc32c: checksum(stored),
            slices: slices?,
        };
        entries.push((key, entry.encode_to_vec()));
    }
    if !from.ratio(1, 8)? {
        entries.sort();
        entries.dedup_by(|a, b| a.0 == b.0);
    }
    let per_block = from.int_in_range(1..=4)?;
    let is_packed = from.ratio(1, 2)?;
    Ok(table(&entries, per_block, is_packed))
}

fuzz_target!(|data: &[u8]| {
    static MODEL: Once = Once::new();
    MODEL.call_once(write_model);
    let Some((&kind, rest)) = data.split_first() else {
        return;
    };
    let stored: Vec<u8> = (0..=255).collect();
    write_file(DATA, &stored);
    let index = match kind < 64 {
        true => rest.to_vec(),
        false => {
            let mut from = Unstructured::new(rest);
            let Ok(index) = index(&mut from, &stored) else {
                return;
            };
            index
        }
    };
    write_file("variables/variables.index", &index);
    for place in 0..NAMES.len() {
        let options = ImportOptions {
            signature: Some(format!("read{place}")),
            ..ImportOptions::default()
        };
        import(directory(), &options);
    }
});
