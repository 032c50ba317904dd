use std::collections::{HashMap, HashSet};

use prost::Message;
use tfjet_core::{DType, Dim, NetworkSpec, NetworkTensor, TensorId, WeightsId, WeightsTable};

use crate::layer;
use crate::numbers::Numbers;
use crate::padding;
use crate::proto::{
    DimensionProto, DimensionValue, GraphProto, ModelMetadata, ModelProto, NodeProto,
    OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto,
};
use crate::types;
use crate::{OnnxError, OnnxOptions};

/// The newest opset whose convolution, pooling and resize all have blocked-layout kernels and
/// fusions in every supported ONNX Runtime.
const OPSET: i64 = 17;
const IR_VERSION: i64 = 8;

/// Key of the model's metadata.
const ROUNDS_FP16: &str = "tfjet.round_fp16";

/// The model that `spec` describes, as `ModelProto` bytes.
///
/// # Errors
///
/// [`OnnxError`] where an id points nowhere, names are not unique, tensors are not made in order,
/// a layer's parameters do not fit its tensors, or the quantization does not fit the network.
pub fn to_onnx(
    spec: &NetworkSpec,
    weights: &WeightsTable,
    options: &OnnxOptions,
) -> Result<Vec<u8>, OnnxError> {
    let mut graph = Graph::new(spec, weights, options)?;
    let mut made = graph.inputs_made()?;
    for (index, layer) in spec.layers.iter().enumerate() {
        layer::check(&graph, layer, &mut made)?;
        layer::write(&mut graph, layer, index)?;
    }
    graph.check_outputs(&made)?;
    let value_infos = |ids: &[TensorId]| {
        ids.iter()
            .map(|&id| value_info(graph.tensor(id)?))
            .collect::<Result<Vec<_>, _>>()
    };
    let rounds_fp16 = StringStringEntryProto {
        key: ROUNDS_FP16.into(),
        value: "1".into(),
    };
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "tfjet".into(),
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: OPSET,
        }],
        metadata_props: match graph.numbers.rounds_fp16() {
            true => vec![rounds_fp16],
            false => Vec::new(),
        },
        graph: Some(GraphProto {
            name: spec.name.clone(),
            input: value_infos(&spec.inputs)?,
            output: value_infos(&spec.outputs)?,
            node: graph.nodes,
            initializer: graph.initializers,
        }),
    };
    Ok(model.encode_to_vec())
}

/// Was the model written with layers whose numbers are rounded to 16 bits? False for what is no
/// model.
pub fn rounds_fp16(onnx: &[u8]) -> bool {
    let metadata = ModelMetadata::decode(onnx).unwrap_or_default();
    let mut entries = metadata.metadata_props.iter();
    entries.any(|entry| entry.key == ROUNDS_FP16)
}

/// The model while it grows.
pub(crate) struct Graph<'a> {
    pub(crate) spec: &'a NetworkSpec,
    pub(crate) weights: &'a WeightsTable,
    pub(crate) location: &'a str,
    pub(crate) nodes: Vec<NodeProto>,
    pub(crate) initializers: Vec<TensorProto>,
    /// Initializers that several layers share.
    pub(crate) external: HashMap<(WeightsId, Vec<i64>), String>,
    pub(crate) inline: HashMap<(i32, Vec<i64>, Vec<u8>), String>,
    /// Channels that a tensor is to have instead of its own.
    pub(crate) planned: HashMap<TensorId, usize>,
    /// Tensors that exist with more channels, under another name.
    pub(crate) padded: HashMap<TensorId, Padded>,
    /// In which numbers it computes.
    pub(crate) numbers: Numbers<'a>,
    names: HashSet<String>,
}

/// The form of a tensor that has more channels.
#[derive(Debug, Clone)]
pub(crate) struct Padded {
    pub(crate) name: String,
    pub(crate) channels: usize,
    /// Does the tensor exist with its own channels too?
    pub(crate) cut: bool,
}

impl<'a> Graph<'a> {
    fn new(
        spec: &'a NetworkSpec,
        weights: &'a WeightsTable,
        options: &'a OnnxOptions,
    ) -> Result<Self, OnnxError> {
        let mut names = HashSet::with_capacity(2 * spec.tensors.len());
        for tensor in &spec.tensors {
            if tensor.name.is_empty() || !names.insert(tensor.name.clone()) {
                return Err(OnnxError::TensorName {
                    network: spec.name.clone(),
                    name: tensor.name.clone(),
                });
            }
        }
        Ok(Self {
            spec,
            weights,
            location: &options.weights_location,
            nodes: Vec::new(),
            initializers: Vec::new(),
            external: HashMap::new(),
            inline: HashMap::new(),
            planned: padding::plan(spec, weights),
            padded: HashMap::new(),
            numbers: Numbers::new(spec, options)?,
            names,
        })
    }

    pub(crate) fn tensor(&self, id: TensorId) -> Result<&'a NetworkTensor, OnnxError> {
        self.spec
            .tensor(id)
            .ok_or_else(|| OnnxError::UnknownTensor {
                network: self.spec.name.clone(),
                id,
            })
    }

    /// A tensor name that starts with `base` and that nothing else has.
    pub(crate) fn fresh_name(&mut self, base: &str) -> String {
        let mut name = base.to_owned();
        let mut count = 1usize;
        while !self.names.insert(name.clone()) {
            count += 1;
            name = format!("{base}/{count}");
        }
        name
    }

    fn inputs_made(&self) -> Result<HashSet<TensorId>, OnnxError> {
        let mut made = HashSet::with_capacity(self.spec.tensors.len());
        for &id in &self.spec.inputs {
            let tensor = self.tensor(id)?;
            if !made.insert(id) {
                return Err(OnnxError::TensorName {
                    network: self.spec.name.clone(),
                    name: tensor.name.clone(),
                });
            }
        }
        Ok(made)
    }

    fn check_outputs(&self, made: &HashSet<TensorId>) -> Result<(), OnnxError> {
        let mut seen = HashSet::new();
        for &id in &self.spec.outputs {
            let tensor = self.tensor(id)?;
            let reason = if !made.contains(&id) {
                "made by no layer"
            } else if self.spec.inputs.contains(&id) {
                "a network input as well"
            } else if !seen.insert(id) {
                "listed twice"
            } else {
                continue;
            };
            return Err(OnnxError::Output {
                network: self.spec.name.clone(),
                name: tensor.name.clone(),
                reason,
            });
        }
        Ok(())
    }
}

pub(crate) fn elem_type(name: &str, dtype: DType) -> Result<i32, OnnxError> {
    types::code(dtype).ok_or_else(|| OnnxError::DType {
        tensor: name.to_owned(),
        dtype,
    })
}

fn value_info(tensor: &NetworkTensor) -> Result<ValueInfoProto, OnnxError> {
    let dim = tensor.shape.dims().iter().map(|dim| DimensionProto {
        value: Some(match dim {
            Dim::Fixed(size) => DimensionValue::DimValue(i64::try_from(*size).unwrap_or(i64::MAX)),
            Dim::Symbolic(name) => DimensionValue::DimParam(name.clone()),
        }),
    });
    Ok(ValueInfoProto {
        name: tensor.name.clone(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: elem_type(&tensor.name, tensor.dtype)?,
                shape: Some(TensorShapeProto { dim: dim.collect() }),
            }),
        }),
    })
}
