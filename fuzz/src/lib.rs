//! What the fuzz targets share: a directory to write models to, and graphs made of a fuzzer's
//! bytes.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use arbitrary::{Arbitrary, Result, Unstructured};
use tempfile::TempDir;
use tfjet_convert::graph::build;
use tfjet_convert::tensorflow::{ImportOptions, import_with};

#[allow(missing_docs, clippy::all)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/tensorflow.rs"));
}
#[path = "../../src/convert/src/tensorflow/checkpoint/slice_key.rs"]
mod slice_key;
pub mod variables;
#[path = "../../src/convert/src/tensorflow/checkpoint/write.rs"]
mod write;

use proto::attr_value::{ListValue, Value};
use proto::{AttrValue, FunctionDef, GraphDef, NameAttrList, NodeDef, OpDef, TensorProto};
use proto::{TensorShapeProto, TensorSliceProto, op_def, tensor_shape_proto};

/// A directory in memory where the machine has one.
pub fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<TempDir> = OnceLock::new();
    let make = || {
        let memory = Path::new("/dev/shm");
        let made = match memory.is_dir() {
            true => tempfile::tempdir_in(memory),
            false => tempfile::tempdir(),
        };
        made.expect("a directory for models")
    };
    DIRECTORY.get_or_init(make).path()
}

/// Writes a file of the model.
pub fn write_file(name: &str, contents: &[u8]) -> PathBuf {
    let path = directory().join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).expect("a directory");
    }
    fs::write(&path, contents).expect("a file");
    path
}

/// A table of these entries, with blocks of `per_block` of them.
pub fn table(entries: &[(Vec<u8>, Vec<u8>)], per_block: usize, is_packed: bool) -> Vec<u8> {
    write::table(entries, per_block, is_packed)
}

/// The key under which a checkpoint lists a slice of a variable.
pub fn slice_key(name: &str, slice: &TensorSliceProto) -> Vec<u8> {
    let extents = slice.extent.iter();
    slice_key::key(name, extents.map(|extent| (extent.start, extent.length)))
}

/// The checksum that is stored with a tensor.
pub fn checksum(bytes: &[u8]) -> u32 {
    write::checksum(bytes)
}

/// Imports a model and resolves it. An error must be one line.
pub fn import(path: &Path, options: &ImportOptions) {
    match import_with(path, options) {
        Ok(source) => {
            if let Err(error) = build(source, &[], &[]) {
                assert!(!error.to_string().is_empty());
            }
        }
        Err(error) => {
            let message = error.to_string();
            assert!(!message.contains('\n') && message.len() < 4096, "{message}");
        }
    }
}

const NAMES: [&str; 8] = ["a", "b", "c", "x", "while", "call", "var", "r"];
const FUNCTIONS: [&str; 4] = ["f", "g", "h", "body"];
const OPS: [&str; 26] = [
    "Const",
    "Placeholder",
    "Identity",
    "Add",
    "TopKV2",
    "Split",
    "FusedBatchNormV3",
    "PartitionedCall",
    "StatefulPartitionedCall",
    "f",
    "g",
    "While",
    "StatelessIf",
    "Case",
    "VarHandleOp",
    "VariableV2",
    "ReadVariableOp",
    "ResourceGather",
    "AssignVariableOp",
    "Assign",
    "Switch",
    "Merge",
    "Enter",
    "RefSwitch",
    "RestoreV2",
    "NoOp",
];

fn pick<'a>(from: &mut Unstructured<'_>, all: &[&'a str]) -> Result<&'a str> {
    from.choose(all).copied()
}

fn name(from: &mut Unstructured<'_>) -> Result<String> {
    match from.ratio(1, 12)? {
        true => String::arbitrary(from),
        false => pick(from, &NAMES).map(str::to_owned),
    }
}

fn reference(from: &mut Unstructured<'_>) -> Result<String> {
    let name = name(from)?;
    Ok(match from.int_in_range(0..=6)? {
        0 => format!("^{name}"),
        1 => format!("{name}:{}", u8::arbitrary(from)? % 4),
        2 => format!("{name}:output:{}", u8::arbitrary(from)? % 4),
        3 => format!("{name}:values:0"),
        _ => name,
    })
}

fn many<'a, T>(
    from: &mut Unstructured<'a>,
    most: usize,
    make: impl Fn(&mut Unstructured<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    let count = from.int_in_range(0..=most)?;
    (0..count).map(|_| make(from)).collect()
}

/// A shape, rarely a large or an impossible one.
pub fn shape(from: &mut Unstructured<'_>) -> Result<TensorShapeProto> {
    let dim = |from: &mut Unstructured<'_>| {
        let size = match from.ratio(1, 8)? {
            true => i64::arbitrary(from)?,
            false => from.int_in_range(-1..=5)?,
        };
        let name = String::new();
        Ok(tensor_shape_proto::Dim { size, name })
    };
    Ok(TensorShapeProto {
        dim: many(from, 4, dim)?,
        unknown_rank: from.ratio(1, 16)?,
    })
}

fn dtype(from: &mut Unstructured<'_>) -> Result<i32> {
    match from.ratio(1, 8)? {
        true => i32::arbitrary(from),
        false => from.int_in_range(1..=23),
    }
}

/// A tensor, rarely a possible one.
pub fn tensor(from: &mut Unstructured<'_>) -> Result<TensorProto> {
    Ok(TensorProto {
        dtype: dtype(from)?,
        tensor_shape: Some(shape(from)?),
        tensor_content: Vec::arbitrary(from)?.into(),
        float_val: many(from, 3, f32::arbitrary)?,
        int_val: many(from, 3, i32::arbitrary)?,
        string_val: many(from, 3, |from| Ok(Vec::arbitrary(from)?.into()))?,
        ..TensorProto::default()
    })
}

fn function_name(from: &mut Unstructured<'_>) -> Result<NameAttrList> {
    Ok(NameAttrList {
        name: pick(from, &FUNCTIONS)?.into(),
        ..NameAttrList::default()
    })
}

fn attribute(from: &mut Unstructured<'_>) -> Result<(String, AttrValue)> {
    let kind = from.int_in_range(0..=11)?;
    let (name, value) = match kind {
        0 => ("f", Value::Func(function_name(from)?)),
        1 => ("body", Value::Func(function_name(from)?)),
        2 => ("cond", Value::Func(function_name(from)?)),
        3 => ("then_branch", Value::Func(function_name(from)?)),
        4 => {
            let func = many(from, 3, function_name)?;
            let list = ListValue {
                func,
                ..ListValue::default()
            };
            ("branches", Value::List(list))
        }
        5 => {
            let list = ListValue {
                r#type: many(from, 4, dtype)?,
                ..ListValue::default()
            };
            let name = pick(from, &["T", "Tin", "Tout"])?;
            (name, Value::List(list))
        }
        6 => ("value", Value::Tensor(tensor(from)?)),
        7 => ("dtype", Value::Type(dtype(from)?)),
        8 => ("shape", Value::Shape(shape(from)?)),
        9 => ("num_split", Value::I(i64::arbitrary(from)?)),
        10 => ("T", Value::Placeholder(name(from)?)),
        _ => {
            let list = ListValue {
                i: many(from, 2, i64::arbitrary)?,
                f: many(from, 1, f32::arbitrary)?,
                shape: many(from, 2, shape)?,
                tensor: many(from, 1, tensor)?,
                ..ListValue::default()
            };
            ("output_shapes", Value::List(list))
        }
    };
    Ok((name.to_owned(), AttrValue { value: Some(value) }))
}

fn node(from: &mut Unstructured<'_>) -> Result<NodeDef> {
    Ok(NodeDef {
        name: name(from)?,
        op: pick(from, &OPS)?.into(),
        input: many(from, 4, reference)?,
        attr: many(from, 4, attribute)?.into_iter().collect(),
        ..NodeDef::default()
    })
}

fn arg(from: &mut Unstructured<'_>) -> Result<op_def::ArgDef> {
    Ok(op_def::ArgDef {
        name: name(from)?,
        r#type: dtype(from)?,
        ..op_def::ArgDef::default()
    })
}

fn function(from: &mut Unstructured<'_>) -> Result<FunctionDef> {
    let output_arg = many(from, 3, arg)?;
    let mut ret = std::collections::BTreeMap::new();
    for arg in &output_arg {
        ret.insert(arg.name.clone(), reference(from)?);
    }
    Ok(FunctionDef {
        signature: Some(OpDef {
            name: pick(from, &FUNCTIONS)?.into(),
            input_arg: many(from, 3, arg)?,
            output_arg,
            ..OpDef::default()
        }),
        node_def: many(from, 6, node)?,
        ret,
        control_ret: many(from, 2, |from| Ok((name(from)?, name(from)?)))?
            .into_iter()
            .collect(),
        ..FunctionDef::default()
    })
}

/// A graph with functions. Its names are few, so that references meet.
pub fn graph(from: &mut Unstructured<'_>) -> Result<GraphDef> {
    let library = proto::FunctionDefLibrary {
        function: many(from, 4, function)?,
        ..Default::default()
    };
    let mut node = many(from, 12, node)?;
    if !from.ratio(1, 8)? {
        node.sort_by(|a, b| a.name.cmp(&b.name));
        node.dedup_by(|a, b| a.name == b.name);
    }
    Ok(GraphDef {
        node,
        library: Some(library),
        ..GraphDef::default()
    })
}
