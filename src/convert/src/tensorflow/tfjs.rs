use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Visitor};
use tfjet_core::AttrValue;

use super::attr::{dtype, shape};
use super::error::{ImportError, ImportProblem};
use super::node::GraphCollector;
use super::proto::attr_value::Value;
use super::proto::{FunctionDefLibrary, Json, LenientJson, NodeDef, TensorInfo, VersionDef};
use super::shards::{Weights, WeightsGroup};
use super::weights::Weight;
use super::{
    Format, ImportOptions, Importer, Signature, SignatureTensor, SourceGraph, read_file, sniff,
};

/// Reads a TensorFlow.js graph model: `model.json`, and the weight shards beside it.
#[derive(Debug, Clone, Copy, Default)]
pub struct TensorFlowJsImporter;

impl Importer for TensorFlowJsImporter {
    fn format(&self) -> Format {
        Format::TensorFlowJs
    }

    fn matches(&self, _path: &Path, head: &[u8]) -> bool {
        sniff::text_start(head).is_some_and(|start| start.starts_with('{'))
    }

    fn import(&self, path: &Path, options: &ImportOptions) -> Result<SourceGraph, ImportError> {
        let directory = path.parent().unwrap_or(Path::new(""));
        read_file(path)
            .and_then(|bytes| parse(&bytes, directory, options))
            .map_err(|problem| problem.at(path))
    }
}

/// Reads the text of `model.json`; the weights lie in `directory`.
pub(super) fn parse(
    bytes: &[u8],
    directory: &Path,
    options: &ImportOptions,
) -> Result<SourceGraph, ImportProblem> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    check_kind(bytes)?;
    let model: Model = serde_json::from_slice(bytes)?;
    let topology = model.model_topology;
    let mut weights = Weights::read(model.weights_manifest, directory)?;

    let mut graph = GraphCollector::new(Format::TensorFlowJs);
    for Json(node) in topology.node {
        if node.op == "Const" {
            push_constant(&mut graph, node, &mut weights)?;
        } else {
            graph.push(node)?;
        }
    }
    let library = topology
        .library
        .map(|Json(library)| library)
        .unwrap_or_default();
    let in_functions = library
        .function
        .iter()
        .flat_map(|function| &function.node_def);
    let in_initializer = model
        .model_initializer
        .iter()
        .flat_map(|topology| &topology.node);
    for node in in_initializer.map(|Json(node)| node) {
        weights.remove(&node.name);
    }
    for node in in_functions {
        if let Some(weight) = weights.remove(&node.name) {
            graph.add_function_constant(node.name.clone(), value(node, weight)?);
        }
    }
    if let Some(name) = weights.first_left() {
        return Err(ImportProblem::WeightWithoutConst(name));
    }
    graph.add_library(library);
    if let Some(Json(versions)) = topology.versions {
        graph.set_producer(versions.producer);
    }
    let signature = model.signature.or(model
        .user_defined_metadata
        .and_then(|metadata| metadata.signature));
    if let Some(signature) = signature {
        let signature = Signature {
            inputs: signature_tensors(signature.inputs)?,
            outputs: signature_tensors(signature.outputs)?,
        };
        if signature != Signature::default() {
            graph.set_signature(signature);
        }
    }
    graph.finish(&options.outputs)
}

fn push_constant(
    graph: &mut GraphCollector,
    node: NodeDef,
    weights: &mut Weights,
) -> Result<(), ImportProblem> {
    let Some(weight) = weights.remove(&node.name) else {
        return Err(ImportProblem::ConstWithoutWeight(node.name));
    };
    let value = value(&node, weight)?;
    graph.push_constant(node, value)
}

/// The weight in the type of its node.
fn value(node: &NodeDef, weight: Weight) -> Result<AttrValue, ImportProblem> {
    let data_type = match node.attr.get("dtype").and_then(|attr| attr.value.as_ref()) {
        Some(Value::Type(number)) => Some(*number),
        _ => None,
    };
    weight
        .into_value(data_type)
        .map_err(|problem| ImportProblem::Weight {
            weight: node.name.clone(),
            problem,
        })
}

fn signature_tensors(
    entries: Entries<LenientJson<TensorInfo>>,
) -> Result<Vec<SignatureTensor>, ImportProblem> {
    let entry = |(key, LenientJson(info)): (String, LenientJson<TensorInfo>)| {
        if info.name.is_empty() {
            return Err(ImportProblem::SignatureTensor(key));
        }
        let shape = info.tensor_shape.map_or(Ok(None), shape);
        Ok(SignatureTensor {
            tensor: if info.name.contains(':') {
                info.name
            } else {
                info.name + ":0"
            },
            dtype: dtype(info.dtype),
            shape: shape.map_err(|problem| ImportProblem::SignatureShape {
                key: key.clone(),
                problem,
            })?,
            key,
        })
    };
    entries.0.into_iter().map(entry).collect()
}

/// Refuses JSON that is no graph model, before its parts are read as those of one.
fn check_kind(bytes: &[u8]) -> Result<(), ImportProblem> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kind {
        format: Option<String>,
        model_topology: Option<KindOfTopology>,
        weights_manifest: Option<IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct KindOfTopology {
        model_config: Option<IgnoredAny>,
        class_name: Option<IgnoredAny>,
        node: Option<IgnoredAny>,
    }

    let kind: Kind = serde_json::from_slice(bytes)?;
    if kind.format.as_deref() == Some("layers-model") {
        return Err(ImportProblem::LayersModel);
    }
    match kind.model_topology {
        None => Err(ImportProblem::NoTensorFlowJs("modelTopology")),
        Some(KindOfTopology { node: Some(_), .. }) if kind.weights_manifest.is_none() => {
            Err(ImportProblem::NoTensorFlowJs("weightsManifest"))
        }
        Some(KindOfTopology { node: Some(_), .. }) => Ok(()),
        Some(topology) if topology.model_config.or(topology.class_name).is_some() => {
            Err(ImportProblem::LayersModel)
        }
        Some(_) => Err(ImportProblem::EmptyGraph),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Model {
    model_topology: Topology,
    weights_manifest: Vec<WeightsGroup>,
    signature: Option<SignatureEntries>,
    user_defined_metadata: Option<UserDefinedMetadata>,
    model_initializer: Option<Topology>,
}

#[derive(Deserialize)]
struct Topology {
    #[serde(default)]
    node: Vec<Json<NodeDef>>,
    library: Option<Json<FunctionDefLibrary>>,
    versions: Option<Json<VersionDef>>,
}

#[derive(Deserialize)]
struct UserDefinedMetadata {
    signature: Option<SignatureEntries>,
}

#[derive(Deserialize)]
struct SignatureEntries {
    #[serde(default)]
    inputs: Entries<LenientJson<TensorInfo>>,
    #[serde(default)]
    outputs: Entries<LenientJson<TensorInfo>>,
}

/// An object's entries in the file's order.
struct Entries<V>(Vec<(String, V)>);

impl<V> Default for Entries<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, V: DeserializeOwned> Deserialize<'de> for Entries<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<V>(PhantomData<V>);

        impl<'de, V: DeserializeOwned> Visitor<'de> for EntriesVisitor<V> {
            type Value = Entries<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}
