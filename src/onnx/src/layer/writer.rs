use tfjet_core::{
    DType, Dim, Layer, LayerPrecision, LayerSpec, NetworkTensor, TensorId, WeightsEntry, WeightsId,
};

use crate::OnnxError;
use crate::graph::{Graph, elem_type};
use crate::proto::{AttributeProto, EXTERNAL, NodeProto, StringStringEntryProto, TensorProto};
use crate::types::{Kernel, scalar_bytes};

/// A tensor of the ONNX graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) name: String,
    pub(super) dtype: DType,
}

impl Value {
    /// An optional input that is left out.
    pub(super) fn absent() -> Self {
        Self {
            name: String::new(),
            dtype: DType::F32,
        }
    }
}

/// Writes the nodes of one layer. Each call makes a value under a fresh name; [`Writer::finish`]
/// gives the last one the name of the layer's output.
pub(super) struct Writer<'w, 'a> {
    pub(super) graph: &'w mut Graph<'a>,
    pub(super) spec: &'a LayerSpec,
    /// In which numbers the layer computes.
    pub(super) precision: &'a LayerPrecision,
    first_node: usize,
}

impl<'w, 'a> Writer<'w, 'a> {
    /// For the layer of this index.
    pub(super) fn new(graph: &'w mut Graph<'a>, spec: &'a LayerSpec, index: usize) -> Self {
        Self {
            first_node: graph.nodes.len(),
            precision: graph.numbers.precision(index),
            graph,
            spec,
        }
    }

    /// What is written from here on belongs to this layer alone.
    pub(super) fn begin(&mut self) {
        self.first_node = self.graph.nodes.len();
    }

    pub(super) fn fail(&self, reason: impl Into<String>) -> OnnxError {
        OnnxError::Layer {
            layer: self.spec.name.clone(),
            reason: reason.into(),
        }
    }

    pub(super) fn tensor(
        &self,
        ids: &[TensorId],
        index: usize,
    ) -> Result<&'a NetworkTensor, OnnxError> {
        let id = ids
            .get(index)
            .ok_or_else(|| self.fail(format!("wire {index} is missing")))?;
        self.graph.tensor(*id)
    }

    pub(super) fn input(&self, index: usize) -> Result<Value, OnnxError> {
        let tensor = self.tensor(&self.spec.inputs, index)?;
        let padded = self
            .spec
            .inputs
            .get(index)
            .and_then(|id| self.graph.padded.get(id));
        let name = match (padded, self.spec.inputs.get(index)) {
            (Some(padded), _) if self.takes_padded() => &padded.name,
            (_, Some(&id)) => self.graph.numbers.name(id, tensor),
            _ => &tensor.name,
        };
        let name = match self.reads_fp16() {
            true => self.graph.numbers.fp16(name),
            false => name,
        };
        Ok(Value {
            name: name.to_owned(),
            dtype: tensor.dtype,
        })
    }

    /// The dimensions of an input.
    pub(super) fn input_dims(&self, index: usize) -> Result<&'a [Dim], OnnxError> {
        Ok(self.tensor(&self.spec.inputs, index)?.shape.dims())
    }

    /// Is the input made by a layer that does nothing but transpose?
    pub(super) fn is_transposed(&self, index: usize) -> bool {
        let Some(&input) = self.spec.inputs.get(index) else {
            return false;
        };
        let makers = self.graph.spec.layers.iter();
        let mut makers = makers.filter(|layer| layer.outputs.contains(&input));
        makers
            .next()
            .is_some_and(|maker| matches!(&maker.layer, Layer::Shuffle { reshape: None, .. }))
    }

    /// The element type of an output.
    pub(super) fn output_dtype(&self, index: usize) -> Result<DType, OnnxError> {
        Ok(self.tensor(&self.spec.outputs, index)?.dtype)
    }

    /// Checks that a parameter of one value per axis has `expected` values.
    pub(super) fn expect_len<T>(
        &self,
        parameter: &str,
        values: &[T],
        expected: usize,
    ) -> Result<(), OnnxError> {
        if values.len() == expected {
            return Ok(());
        }
        Err(self.fail(format!(
            "{parameter} has {} values for {expected} axes",
            values.len()
        )))
    }

    /// Checks that `axis` is one of `rank`.
    pub(super) fn expect_axis(&self, axis: usize, rank: usize) -> Result<i64, OnnxError> {
        if axis < rank {
            return self.int(axis);
        }
        Err(self.fail(format!(
            "axis {axis} does not exist in a tensor of rank {rank}"
        )))
    }

    pub(super) fn int(&self, value: usize) -> Result<i64, OnnxError> {
        i64::try_from(value).map_err(|_| self.fail(format!("{value} does not fit 64 bits")))
    }

    pub(super) fn ints(&self, values: &[usize]) -> Result<Vec<i64>, OnnxError> {
        values.iter().map(|&value| self.int(value)).collect()
    }

    /// A node with one output.
    pub(super) fn node(
        &mut self,
        op: &str,
        inputs: &[&Value],
        attributes: Vec<AttributeProto>,
        dtype: DType,
    ) -> Value {
        let mut outputs = self.nodes(op, inputs, attributes, &[dtype]);
        outputs.pop().unwrap_or_else(Value::absent)
    }

    /// A node with any number of outputs.
    pub(super) fn nodes(
        &mut self,
        op: &str,
        inputs: &[&Value],
        attributes: Vec<AttributeProto>,
        dtypes: &[DType],
    ) -> Vec<Value> {
        let base = format!("{}/{op}", self.spec.name);
        let outputs: Vec<Value> = dtypes
            .iter()
            .map(|&dtype| Value {
                name: self.graph.fresh_name(&base),
                dtype,
            })
            .collect();
        self.graph.nodes.push(NodeProto {
            input: inputs.iter().map(|value| value.name.clone()).collect(),
            output: outputs.iter().map(|value| value.name.clone()).collect(),
            name: outputs.first().map(|v| v.name.clone()).unwrap_or_default(),
            op_type: op.into(),
            attribute: attributes,
        });
        outputs
    }

    /// A node without attributes whose output has the type of its first input.
    pub(super) fn op(&mut self, op: &str, inputs: &[&Value]) -> Value {
        let dtype = inputs.first().map_or(DType::F32, |value| value.dtype);
        self.node(op, inputs, Vec::new(), dtype)
    }

    /// `value` as `to`; nothing where it is that already.
    pub(super) fn cast(&mut self, value: &Value, to: DType) -> Result<Value, OnnxError> {
        if value.dtype == to {
            return Ok(value.clone());
        }
        let code = elem_type(&value.name, to)?;
        let attributes = vec![AttributeProto::int("to", i64::from(code))];
        Ok(self.node("Cast", &[value], attributes, to))
    }

    /// Input `index` in a type that `kernel` takes.
    pub(super) fn input_for(&mut self, index: usize, kernel: Kernel) -> Result<Value, OnnxError> {
        let input = self.input(index)?;
        let dtype = kernel.compute_type(input.dtype);
        self.cast(&input, dtype)
    }

    /// A rank-1 int64 constant.
    pub(super) fn int64s(&mut self, values: &[i64]) -> Result<Value, OnnxError> {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let len = self.int(values.len())?;
        self.inline(DType::I64, vec![len], bytes)
    }

    /// A rank-1 float constant.
    pub(super) fn floats(&mut self, values: &[f32]) -> Result<Value, OnnxError> {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let len = self.int(values.len())?;
        self.inline(DType::F32, vec![len], bytes)
    }

    /// A scalar constant of `dtype`.
    pub(super) fn scalar(&mut self, dtype: DType, value: f32) -> Result<Value, OnnxError> {
        self.inline(dtype, Vec::new(), scalar_bytes(dtype, value))
    }

    pub(super) fn inline(
        &mut self,
        dtype: DType,
        dims: Vec<i64>,
        raw: Vec<u8>,
    ) -> Result<Value, OnnxError> {
        let data_type = elem_type("constant", dtype)?;
        let key = (data_type, dims, raw);
        if let Some(name) = self.graph.inline.get(&key) {
            return Ok(Value {
                name: name.clone(),
                dtype,
            });
        }
        let name = self.graph.fresh_name("constant");
        self.graph.initializers.push(TensorProto {
            dims: key.1.clone(),
            data_type,
            name: name.clone(),
            raw_data: Some(key.2.clone()),
            ..TensorProto::default()
        });
        self.graph.inline.insert(key, name.clone());
        Ok(Value { name, dtype })
    }

    /// The entry of `id`, checked to be consistent in itself.
    pub(super) fn entry(&self, id: WeightsId) -> Result<&'a WeightsEntry, OnnxError> {
        let entry = self
            .graph
            .weights
            .get(id)
            .ok_or_else(|| OnnxError::UnknownWeights {
                layer: self.spec.name.clone(),
                id,
            })?;
        let bytes = entry
            .shape
            .iter()
            .try_fold(entry.dtype.size_bytes(), |n, &dim| n.checked_mul(dim))
            .and_then(|bytes| u64::try_from(bytes).ok());
        let end = entry.offset.checked_add(entry.len_bytes);
        if bytes == Some(entry.len_bytes) && end.is_some_and(|end| i64::try_from(end).is_ok()) {
            return Ok(entry);
        }
        Err(OnnxError::WeightsEntry {
            layer: self.spec.name.clone(),
            id,
            dtype: entry.dtype,
            shape: entry.shape.clone(),
            offset: entry.offset,
            len_bytes: entry.len_bytes,
        })
    }

    /// The weights `id` under `dims` (as many elements as the entry has), as `dtype`.
    pub(super) fn weights(
        &mut self,
        id: WeightsId,
        dims: &[usize],
        dtype: DType,
    ) -> Result<Value, OnnxError> {
        let stored = self.entry(id)?.dtype;
        let dims = self.ints(dims)?;
        let key = (id, dims);
        let name = if let Some(name) = self.graph.external.get(&key) {
            name.clone()
        } else {
            let name = self.graph.fresh_name(&format!("weights/{}", id.0));
            self.external(id, key.1.clone(), name.clone())?;
            self.graph.external.insert(key, name.clone());
            name
        };
        let value = Value {
            name,
            dtype: stored,
        };
        self.cast(&value, dtype)
    }

    /// A constant layer: an initializer under the name of its output.
    pub(super) fn constant(&mut self, id: WeightsId) -> Result<(), OnnxError> {
        let entry = self.entry(id)?;
        let tensor = self.tensor(&self.spec.outputs, 0)?;
        if tensor.shape.as_fixed().as_deref() != Some(&entry.shape[..]) {
            return Err(self.fail(format!(
                "output {} is no {:?}, the shape of weights {}",
                tensor.shape, entry.shape, id.0
            )));
        }
        let is_rounded = self.output_range(0).is_some();
        if self.is_output() || is_rounded || tensor.dtype != entry.dtype {
            let value = self.weights(id, &entry.shape, tensor.dtype)?;
            return self.finish(0, value);
        }
        if !self.is_read_as_it_is() {
            let value = self.folded(id, &entry.shape, tensor.dtype)?;
            return self.finish(0, value);
        }
        let dims = self.ints(&entry.shape)?;
        self.external(id, dims, tensor.name.clone())
    }

    /// The weights `id` under `dims`, as a copy that ONNX Runtime makes when it loads the model. It
    /// moves transposes across layers and turns their constants to fit, but goes on to read an
    /// initializer that was handed to the session, as those with external data are, where and as
    /// that lies. A reshape of an initializer is computed at loading.
    pub(super) fn folded(
        &mut self,
        id: WeightsId,
        dims: &[usize],
        dtype: DType,
    ) -> Result<Value, OnnxError> {
        let elements: usize = self.entry(id)?.shape.iter().product();
        let flat = match dims {
            [_] => vec![elements, 1],
            _ => vec![elements],
        };
        let value = self.weights(id, &flat, dtype)?;
        let shape = self.ints(dims)?;
        let shape = self.int64s(&shape)?;
        Ok(self.op("Reshape", &[&value, &shape]))
    }

    /// Do only layers read the constant that take it in one layout, and may be large?
    fn is_read_as_it_is(&self) -> bool {
        let made = &self.spec.outputs;
        let layers = self.graph.spec.layers.iter();
        let mut readers = layers.filter(|layer| layer.inputs.iter().any(|id| made.contains(id)));
        readers.all(|layer| {
            matches!(
                layer.layer,
                Layer::MatrixMultiply { .. } | Layer::Gather { .. }
            )
        })
    }

    /// Does the layer make an output of the network?
    fn is_output(&self) -> bool {
        let mut made = self.spec.outputs.iter();
        made.any(|id| self.graph.spec.outputs.contains(id))
    }

    /// Numbers of the network's own: an initializer with its data under the name of its output.
    pub(super) fn numbers(&mut self, values: &[i64]) -> Result<(), OnnxError> {
        let tensor = self.tensor(&self.spec.outputs, 0)?;
        if tensor.dtype != DType::I64 || tensor.shape.as_fixed() != Some(vec![values.len()]) {
            return Err(self.fail(format!(
                "output {} of {} is no vector of {} int64",
                tensor.shape,
                tensor.dtype,
                values.len()
            )));
        }
        if self.is_output() {
            let value = self.int64s(values)?;
            return self.finish(0, value);
        }
        self.graph.initializers.push(TensorProto {
            dims: vec![self.int(values.len())?],
            data_type: elem_type(&tensor.name, DType::I64)?,
            name: tensor.name.clone(),
            raw_data: Some(values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            ..TensorProto::default()
        });
        Ok(())
    }

    fn external(&mut self, id: WeightsId, dims: Vec<i64>, name: String) -> Result<(), OnnxError> {
        let entry = self.entry(id)?;
        let mut tensor = TensorProto {
            dims,
            data_type: elem_type(&name, entry.dtype)?,
            name,
            ..TensorProto::default()
        };
        if entry.len_bytes == 0 {
            tensor.raw_data = Some(Vec::new());
        } else {
            let pair = |key: &str, value: String| StringStringEntryProto {
                key: key.into(),
                value,
            };
            tensor.data_location = EXTERNAL;
            tensor.external_data = vec![
                pair("location", self.graph.location.to_owned()),
                pair("offset", entry.offset.to_string()),
                pair("length", entry.len_bytes.to_string()),
            ];
        }
        self.graph.initializers.push(tensor);
        Ok(())
    }

    /// Makes `value` the layer's output `index`, cast to the output's type and rounded as the
    /// output is.
    pub(super) fn finish(&mut self, index: usize, value: Value) -> Result<(), OnnxError> {
        self.finish_within(index, value, [f32::NEG_INFINITY, f32::INFINITY])
    }

    /// As [`Writer::finish`]; an output that is rounded to 8 bits is clipped to `limits` as well.
    pub(super) fn finish_within(
        &mut self,
        index: usize,
        value: Value,
        limits: [f32; 2],
    ) -> Result<(), OnnxError> {
        let dtype = self.output_dtype(index)?;
        let value = self.cast(&value, dtype)?;
        let (value, is_fp16) = self.rounded_output(index, value, limits)?;
        let output = self.output_name(index)?;
        if is_fp16 {
            self.graph.numbers.made_fp16(&output);
        }
        let made_here = |node: &NodeProto| node.output.contains(&value.name);
        let value = if self.graph.nodes[self.first_node..].iter().any(made_here) {
            value
        } else {
            self.op("Identity", &[&value])
        };
        for node in &mut self.graph.nodes[self.first_node..] {
            for name in node.output.iter_mut().filter(|name| **name == value.name) {
                name.clone_from(&output);
                if index == 0 {
                    node.name.clone_from(&self.spec.name);
                }
            }
            for name in node.input.iter_mut().filter(|name| **name == value.name) {
                name.clone_from(&output);
            }
        }
        Ok(())
    }
}
