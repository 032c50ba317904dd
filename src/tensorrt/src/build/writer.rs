use tfjet_core::{
    DType, Dim, ElementWiseOperation, LayerSpec, NetworkSpec, NetworkTensor, Tensor, TensorId,
    TensorView, WeightsId,
};

use super::constraints::{Made, Part};
use super::numbers::{Computes, Numbers};
use super::types::{Types, is_float};
use super::weights::{convert, owned};
use crate::network::{LayerRef, Network, TensorRef, Weights};
use crate::{DataType, TensorRtError, WeightsSource};

/// A tensor in the making.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'n> {
    pub(super) tensor: TensorRef<'n>,
    pub(super) dtype: DataType,
    /// What made it, where that is part of the layer at hand.
    layer: Option<LayerRef<'n>>,
}

impl<'n> Value<'n> {
    pub(super) fn new(tensor: TensorRef<'n>, dtype: DataType) -> Self {
        Self {
            tensor,
            dtype,
            layer: None,
        }
    }
}

/// What of a network there is so far.
#[derive(Debug)]
pub(super) struct Written<'n> {
    /// By [`TensorId`].
    pub(super) tensors: Vec<Option<Value<'n>>>,
    /// The library's layers that make floats.
    pub(super) made: Vec<Made<'n>>,
    /// Tensors inside of layers with the values of a tensor of the specification.
    pub(super) same: Vec<(TensorRef<'n>, TensorId)>,
}

impl<'n> Written<'n> {
    pub(super) fn get(&self, id: TensorId) -> Option<Value<'n>> {
        let index = usize::try_from(id.0).ok()?;
        self.tensors.get(index).copied().flatten()
    }

    /// Notes a tensor; `false` where there is no such one, or it is there already.
    pub(super) fn set(&mut self, id: TensorId, value: Value<'n>) -> bool {
        let index = usize::try_from(id.0).ok();
        match index.and_then(|index| self.tensors.get_mut(index)) {
            Some(slot @ None) => {
                *slot = Some(value);
                true
            }
            _ => false,
        }
    }
}

/// Adds the layers of one [`LayerSpec`]. The last one gets its name, those before it a name
/// that starts with it.
pub(super) struct Writer<'n, 'w, 'a> {
    pub(super) network: &'n Network<'w>,
    pub(super) spec: &'a NetworkSpec,
    pub(super) layer: &'a LayerSpec,
    pub(super) types: Types,
    pub(super) numbers: &'a Numbers<'a>,
    /// The layer's place in the specification.
    index: usize,
    weights: &'w dyn WeightsSource,
    progress: &'a mut Written<'n>,
    /// Inputs of another float type than the layer computes in.
    casts: Vec<(TensorId, Value<'n>)>,
    helpers: usize,
    mark: u64,
}

impl<'n, 'w, 'a> Writer<'n, 'w, 'a> {
    pub(super) fn new(
        network: &'n Network<'w>,
        weights: &'w dyn WeightsSource,
        numbers: &'a Numbers<'a>,
        (index, layer): (usize, &'a LayerSpec),
        progress: &'a mut Written<'n>,
    ) -> Self {
        Self {
            network,
            spec: numbers.spec(),
            layer,
            types: Types::new(network.version(), numbers.is_half(index)),
            numbers,
            index,
            weights,
            progress,
            casts: Vec::new(),
            helpers: 0,
            mark: network.log_mark(),
        }
    }

    /// Casts the inputs to the float type that the layer computes in, where that is another.
    pub(super) fn cast_inputs(&mut self) -> Result<(), TensorRtError> {
        let float = self.types.float();
        for &id in &self.layer.inputs {
            let dtype = self.spec.tensor(id).map(|tensor| tensor.dtype);
            if let (Some(DType::F32 | DType::U8), Some(value)) = (dtype, self.progress.get(id))
                && is_float(value.dtype)
                && value.dtype != float
                && !self.casts.iter().any(|(other, _)| *other == id)
            {
                let cast = self.cast(value, float)?;
                self.casts.push((id, cast));
            }
        }
        Ok(())
    }

    /// The largest magnitudes of the output channels of the layer's weights, where it is told to
    /// compute in INT8 by layers that quantize.
    pub(super) fn int8_channels(&self) -> Option<&'a [f32]> {
        match self.computes() {
            Computes::Int8(channels) if self.numbers.is_explicit() => Some(channels),
            _ => None,
        }
    }

    /// In which numbers the layer is to compute.
    pub(super) fn computes(&self) -> Computes<'a> {
        self.numbers.computes(self.index)
    }

    pub(super) fn fail(&self, reason: impl Into<String>) -> TensorRtError {
        TensorRtError::Layer {
            layer: self.layer.name.clone(),
            kind: self.layer.layer.kind(),
            reason: reason.into(),
        }
    }

    fn wire(&self, ids: &[TensorId], index: usize) -> Result<TensorId, TensorRtError> {
        ids.get(index)
            .copied()
            .ok_or_else(|| self.fail(format!("wire {index} is missing")))
    }

    fn tensor(&self, id: TensorId) -> Result<&'a NetworkTensor, TensorRtError> {
        self.spec
            .tensor(id)
            .ok_or_else(|| self.fail(format!("tensor {} does not exist", id.0)))
    }

    fn input_tensor(&self, index: usize) -> Result<&'a NetworkTensor, TensorRtError> {
        self.tensor(self.wire(&self.layer.inputs, index)?)
    }

    /// Input `index`.
    pub(super) fn input(&self, index: usize) -> Result<Value<'n>, TensorRtError> {
        let id = self.wire(&self.layer.inputs, index)?;
        let name = &self.tensor(id)?.name;
        let cast = self.casts.iter().find(|(other, _)| *other == id);
        cast.map(|(_, value)| *value)
            .or_else(|| self.progress.get(id))
            .map(|value| Value::new(value.tensor, value.dtype))
            .ok_or_else(|| self.fail(format!("tensor {name} is used before it is made")))
    }

    /// What the specification says of an input's type.
    pub(super) fn input_dtype(&self, index: usize) -> Result<DType, TensorRtError> {
        Ok(self.input_tensor(index)?.dtype)
    }

    /// The dimensions of an input.
    pub(super) fn input_dims(&self, index: usize) -> Result<&'a [Dim], TensorRtError> {
        Ok(self.input_tensor(index)?.shape.dims())
    }

    /// Output `index` in the specification.
    pub(super) fn output(&self, index: usize) -> Result<&'a NetworkTensor, TensorRtError> {
        self.tensor(self.wire(&self.layer.outputs, index)?)
    }

    /// The type inside the network.
    pub(super) fn inside(&self, dtype: DType) -> Result<DataType, TensorRtError> {
        self.types
            .inside(dtype)
            .ok_or_else(|| self.fail(format!("TensorRT has no tensors of {dtype}")))
    }

    pub(super) fn expect_len<T>(
        &self,
        parameter: &str,
        values: &[T],
        expected: usize,
    ) -> Result<(), TensorRtError> {
        if values.len() == expected {
            return Ok(());
        }
        Err(self.fail(format!(
            "{parameter} has {} values for {expected} axes",
            values.len()
        )))
    }

    pub(super) fn expect_axis(&self, axis: usize, rank: usize) -> Result<(), TensorRtError> {
        if axis < rank {
            return Ok(());
        }
        Err(self.fail(format!(
            "axis {axis} does not exist in a tensor of rank {rank}"
        )))
    }

    pub(super) fn int(&self, value: usize) -> Result<i64, TensorRtError> {
        i64::try_from(value).map_err(|_| self.fail(format!("{value} does not fit 64 bits")))
    }

    /// The first output of a layer just added.
    pub(super) fn value(
        &mut self,
        kind: &str,
        layer: LayerRef<'n>,
        dtype: DataType,
    ) -> Result<Value<'n>, TensorRtError> {
        self.output_of(kind, layer, 0, dtype)
    }

    /// Output `index` of a layer just added.
    pub(super) fn output_of(
        &mut self,
        kind: &str,
        layer: LayerRef<'n>,
        index: usize,
        dtype: DataType,
    ) -> Result<Value<'n>, TensorRtError> {
        self.made(Part::Computes, kind, layer, index, dtype)
    }

    /// The first output of a layer just added, which is to what computes as `part` says.
    pub(super) fn part(
        &mut self,
        part: Part,
        kind: &str,
        layer: LayerRef<'n>,
        dtype: DataType,
    ) -> Result<Value<'n>, TensorRtError> {
        self.made(part, kind, layer, 0, dtype)
    }

    /// Notes that `value` holds the values of `id`.
    pub(super) fn same(&mut self, value: Value<'n>, id: TensorId) {
        self.progress.same.push((value.tensor, id));
    }

    fn made(
        &mut self,
        part: Part,
        kind: &str,
        layer: LayerRef<'n>,
        index: usize,
        dtype: DataType,
    ) -> Result<Value<'n>, TensorRtError> {
        self.helpers += 1;
        layer.set_name(&format!("{}/{kind}_{}", self.layer.name, self.helpers))?;
        let tensor = layer.output(index)?;
        // Constants and casts are of the types that they are told, not of a precision.
        if is_float(dtype) && !["constant", "cast", "lin_space"].contains(&kind) {
            self.progress.made.push(Made {
                of: self.index,
                layer,
                output: tensor,
                part,
            });
        }
        Ok(Value {
            tensor,
            dtype,
            layer: Some(layer),
        })
    }

    pub(super) fn binary(
        &mut self,
        operation: ElementWiseOperation,
        a: Value<'n>,
        b: Value<'n>,
    ) -> Result<Value<'n>, TensorRtError> {
        let layer = self
            .network
            .add_elementwise(a.tensor, b.tensor, operation)?;
        let dtype = match operation {
            ElementWiseOperation::Equal
            | ElementWiseOperation::Greater
            | ElementWiseOperation::Less => DataType::Bool,
            _ => a.dtype,
        };
        self.value("elementwise", layer, dtype)
    }

    fn constant(
        &mut self,
        tensor: Tensor,
        dims: &[usize],
        dtype: DataType,
    ) -> Result<Value<'n>, TensorRtError> {
        let weights = owned(tensor, dtype).map_err(|reason| self.fail(reason))?;
        let layer = self.network.add_constant(dims, weights)?;
        self.value("constant", layer, dtype)
    }

    fn rank(&self, like: Value<'n>) -> Result<usize, TensorRtError> {
        match like.tensor.dims()? {
            Some(dims) => Ok(dims.len()),
            None => Err(self.invalid()),
        }
    }

    fn invalid(&self) -> TensorRtError {
        let log = self.network.errors_since(self.mark);
        self.fail(format!("TensorRT finds it invalid: {log}"))
    }

    /// A float that broadcasts against `like`, of its type.
    pub(super) fn float(
        &mut self,
        value: f32,
        like: Value<'n>,
    ) -> Result<Value<'n>, TensorRtError> {
        let dims = vec![1; self.rank(like)?];
        self.constant(Tensor::scalar(value), &dims, like.dtype)
    }

    /// A float without axes, of the type of `like`.
    pub(super) fn float_scalar(
        &mut self,
        value: f32,
        like: Value<'n>,
    ) -> Result<Value<'n>, TensorRtError> {
        self.constant(Tensor::scalar(value), &[], like.dtype)
    }

    /// An integer that broadcasts against `like`, of its type; the nearest that the type holds.
    pub(super) fn integer_like(
        &mut self,
        value: i64,
        like: Value<'n>,
    ) -> Result<Value<'n>, TensorRtError> {
        let dims = vec![1; self.rank(like)?];
        let value = fitting(value, like.dtype);
        self.constant(Tensor::scalar(value), &dims, like.dtype)
    }

    /// An integer without axes.
    pub(super) fn integer_scalar(
        &mut self,
        value: i64,
        dtype: DataType,
    ) -> Result<Value<'n>, TensorRtError> {
        self.constant(Tensor::scalar(fitting(value, dtype)), &[], dtype)
    }

    /// As many zeros as the sizes say.
    pub(super) fn zeros(
        &mut self,
        dims: &[usize],
        dtype: DataType,
    ) -> Result<Value<'n>, TensorRtError> {
        let zeros = vec![0i32; dims.iter().product()];
        let tensor = Tensor::from_slice(dims, &zeros);
        let tensor = tensor.map_err(|error| self.fail(error.to_string()))?;
        self.constant(tensor, dims, dtype)
    }

    /// A shape tensor of one element, or with rank 0 a scalar.
    pub(super) fn integer(&mut self, value: i64, rank: usize) -> Result<Value<'n>, TensorRtError> {
        let dims = vec![1; rank];
        self.constant(Tensor::scalar(value), &dims, self.types.index())
    }

    /// A shape tensor of these elements.
    pub(super) fn integers(&mut self, values: &[i64]) -> Result<Value<'n>, TensorRtError> {
        let tensor = Tensor::from_slice(&[values.len()], values);
        let tensor = tensor.map_err(|error| self.fail(error.to_string()))?;
        self.constant(tensor, &[values.len()], self.types.index())
    }

    /// The values of `id` as they are stored.
    pub(super) fn weights_view(&self, id: WeightsId) -> Result<TensorView<'w>, TensorRtError> {
        self.weights
            .weights(id)
            .ok_or_else(|| self.fail(format!("weights {} do not exist", id.0)))
    }

    /// The values of `id` as elements of `dtype`.
    pub(super) fn weights(
        &self,
        id: WeightsId,
        dtype: DataType,
    ) -> Result<Weights<'w>, TensorRtError> {
        convert(self.weights_view(id)?, dtype).map_err(|reason| self.fail(reason))
    }

    /// The values of `id`, of one axis.
    pub(super) fn vector(
        &self,
        id: WeightsId,
        dtype: DataType,
    ) -> Result<Weights<'w>, TensorRtError> {
        let view = self.weights_view(id)?;
        if view.shape().len() != 1 {
            let shape = view.shape();
            return Err(self.fail(format!("weights of shape {shape:?}, not one per channel")));
        }
        self.weights(id, dtype)
    }

    /// Makes `value` the layer's output `index`.
    pub(super) fn finish(&mut self, index: usize, value: Value<'n>) -> Result<(), TensorRtError> {
        let id = self.wire(&self.layer.outputs, index)?;
        let expected = self.tensor(id)?;
        let dtype = self.inside(expected.dtype)?;
        if value.dtype != dtype {
            return Err(self.fail(format!(
                "makes {}, {} is {dtype}",
                value.dtype, expected.name
            )));
        }
        let dims = value.tensor.dims()?.ok_or_else(|| self.invalid())?;
        let fits = |(dim, &size): (&Dim, &i64)| match dim.fixed() {
            Some(fixed) => size == -1 || usize::try_from(size) == Ok(fixed),
            None => true,
        };
        let shape = expected.shape.dims();
        if dims.len() != shape.len() || !shape.iter().zip(&dims).all(fits) {
            return Err(self.fail(format!(
                "TensorRT makes {dims:?} of it, {} is {}",
                expected.name, expected.shape
            )));
        }
        if let (0, Some(layer)) = (index, value.layer) {
            layer.set_name(&self.layer.name)?;
        }
        let value = self.as_read(id, value, &expected.name)?;
        match self.progress.set(id, value) {
            true => Ok(()),
            false => Err(self.fail(format!("tensor {} is made twice", expected.name))),
        }
    }
}

/// The nearest value that the type holds.
fn fitting(value: i64, dtype: DataType) -> i64 {
    if dtype == DataType::Int32 {
        value.clamp(i32::MIN.into(), i32::MAX.into())
    } else {
        value
    }
}
