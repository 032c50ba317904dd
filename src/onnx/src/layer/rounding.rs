//! Tensors and weights in numbers of 8 and 16 bits.
//!
//! Numbers of 8 bits stand for `q = round(clip(x, -r, r) * 127 / r)`, stored as `q + 128`: of the
//! unsigned numbers ONNX Runtime makes integers in more places than of signed ones. Bounds are
//! those of the stored numbers, since `QuantizeLinear` knows one number too many, and since a
//! `Clip` between a layer and its `QuantizeLinear` would keep the layer from computing in integers.

use tfjet_core::{ActivationType, DType, Layer, LayerPrecision, Quantization, TensorId};

use super::writer::{Value, Writer};
use crate::{OnnxError, padding};

/// What stands for 0 among the stored numbers of a tensor.
const ZERO: f32 = 128.0;

/// ONNX Runtime adds a bias to sums of products as an integer of 32 bits, in units of the products:
/// it has to stay below this many. Weights so small that it does not are rounded to larger steps,
/// which matters as little as the last bit of the sums.
const MOST_UNITS: f32 = 1_073_741_824.0;

/// The output channels of weights.
pub(super) struct Channels8<'v> {
    /// Their axis.
    pub(super) axis: usize,
    /// How many the layer has.
    pub(super) own: usize,
    /// How many the weights have, zeros appended.
    pub(super) made: usize,
    /// What is added to the products, one for each that the weights have.
    pub(super) bias: Option<&'v Value>,
}

/// Between what an activation only clips.
pub(super) fn limits(kind: ActivationType, alpha: f32, beta: f32) -> Option<[f32; 2]> {
    match kind {
        ActivationType::Relu => Some([0.0, f32::INFINITY]),
        ActivationType::Clip if alpha <= beta => Some([alpha, beta]),
        _ => None,
    }
}

impl Writer<'_, '_> {
    /// Does the layer read numbers of 16 bits?
    pub(super) fn reads_fp16(&self) -> bool {
        *self.precision == LayerPrecision::Fp16
    }

    /// The range by which output `index` is rounded to 8 bits.
    pub(super) fn output_range(&self, index: usize) -> Option<f32> {
        self.graph.numbers.range(*self.spec.outputs.get(index)?)
    }

    /// Is output `index` rounded to 8 bits so that clipping the numbers is as good as clipping what
    /// they are made of?
    pub(super) fn clips_numbers(&self, index: usize) -> bool {
        self.output_range(index).is_some() && !self.reads_fp16()
    }

    /// Before the layer: network inputs that it reads are rounded to 8 bits where they are to be.
    pub(super) fn round_network_inputs(&mut self) -> Result<(), OnnxError> {
        for &id in &self.spec.inputs {
            let numbers = &self.graph.numbers;
            let Some(range) = numbers.range(id).filter(|_| !numbers.has_name(id)) else {
                continue;
            };
            if self.graph.spec.inputs.contains(&id) {
                let tensor = self.graph.tensor(id)?;
                let input = Value {
                    name: tensor.name.clone(),
                    dtype: tensor.dtype,
                };
                let limits = [f32::NEG_INFINITY, f32::INFINITY];
                let rounded = self.in_int8(&input, range, limits)?;
                self.graph.numbers.set_name(id, rounded.name);
            }
        }
        Ok(())
    }

    /// Before the layer: forms in numbers of 16 bits of what it reads.
    pub(super) fn round_inputs_to_fp16(&mut self) -> Result<(), OnnxError> {
        if !self.reads_fp16() {
            return Ok(());
        }
        for index in 0..self.spec.inputs.len() {
            let input = self.input(index)?;
            if input.dtype == DType::F32 && !self.graph.numbers.has_fp16(&input.name) {
                let rounded = self.in_fp16(input.clone())?;
                self.graph.numbers.made_fp16(&rounded.name);
                self.graph.numbers.set_fp16(input.name, rounded.name);
            }
        }
        Ok(())
    }

    /// What output `index` is when the layer gives `value`, and whether that is of 16 bits.
    pub(super) fn rounded_output(
        &mut self,
        index: usize,
        value: Value,
        limits: [f32; 2],
    ) -> Result<(Value, bool), OnnxError> {
        let is_constant = matches!(self.spec.layer, Layer::Constant { .. });
        let is_fp16 = self.reads_fp16() && value.dtype == DType::F32 && !is_constant;
        let value = match is_fp16 {
            true => self.in_fp16(value)?,
            false => value,
        };
        match self.output_range(index) {
            Some(range) => Ok((self.in_int8(&value, range, limits)?, false)),
            None => Ok((value, is_fp16)),
        }
    }

    /// `value`, a float, in numbers of 16 bits where the layer computes in such.
    pub(super) fn in_fp16(&mut self, value: Value) -> Result<Value, OnnxError> {
        if !self.reads_fp16() || value.dtype != DType::F32 {
            return Ok(value);
        }
        let half = self.cast(&value, DType::F16)?;
        self.cast(&half, DType::F32)
    }

    /// `value`, clipped to `limits`, in numbers of 8 bits.
    fn in_int8(&mut self, value: &Value, range: f32, limits: [f32; 2]) -> Result<Value, OnnxError> {
        let step = step(range);
        let number = |limit: f32| {
            let most = Quantization::LARGEST;
            (limit / step).round_ties_even().clamp(-most, most) + ZERO
        };
        let scale = self.scalar(DType::F32, step)?;
        let zero = self.scalar(DType::U8, ZERO)?;
        let numbers = [value, &scale, &zero];
        let numbers = self.node("QuantizeLinear", &numbers, Vec::new(), DType::U8);
        let low = self.scalar(DType::U8, number(limits[0]))?;
        let high = self.scalar(DType::U8, number(limits[1]))?;
        let numbers = self.op("Clip", &[&numbers, &low, &high]);
        let numbers = [&numbers, &scale, &zero];
        Ok(self.node("DequantizeLinear", &numbers, Vec::new(), DType::F32))
    }

    /// The layer's weights in its own numbers.
    pub(super) fn rounded_weights(
        &mut self,
        weights: Value,
        channels: &Channels8<'_>,
    ) -> Result<Value, OnnxError> {
        let magnitudes = match self.precision {
            LayerPrecision::Int8 {
                channels: magnitudes,
            } => magnitudes,
            LayerPrecision::Fp16 if matches!(self.spec.layer, Layer::MatrixMultiply { .. }) => {
                return Ok(weights);
            }
            LayerPrecision::Fp16 => return self.in_fp16(weights),
            LayerPrecision::Fp32 => return Ok(weights),
        };
        if magnitudes.len() != channels.own {
            return Err(self.fail(format!(
                "INT8 with magnitudes of {} output channels, the weights have {}",
                magnitudes.len(),
                channels.own
            )));
        }
        if !(channels.own..channels.own.saturating_add(padding::ALIGNMENT)).contains(&channels.made)
        {
            return Err(self.fail(format!(
                "the weights have {} output channels, the output {}",
                channels.own, channels.made
            )));
        }
        let scales = self.scales(magnitudes, channels)?;
        let zeros = vec![0; channels.made];
        let dims = vec![self.int(channels.made)?];
        let zeros = self.inline(DType::I8, dims, zeros)?;
        let axis = self.int(channels.axis)?;
        let numbers = [&weights, &scales, &zeros];
        let numbers = self.node(
            "QuantizeLinear",
            &numbers,
            super::elementwise::axis(axis),
            DType::I8,
        );
        let low = self.scalar(DType::I8, -Quantization::LARGEST)?;
        let high = self.scalar(DType::I8, Quantization::LARGEST)?;
        let numbers = self.op("Clip", &[&numbers, &low, &high]);
        if self.has_integer_weights() {
            let numbers = [&numbers, &scales, &zeros];
            let axis = super::elementwise::axis(axis);
            return Ok(self.node("DequantizeLinear", &numbers, axis, DType::F32));
        }
        let mut dims = vec![1; self.input_dims(0)?.len()];
        if let Some(dim) = dims.get_mut(channels.axis) {
            *dim = self.int(channels.made)?;
        }
        let dims = self.int64s(&dims)?;
        let scales = self.op("Reshape", &[&scales, &dims]);
        let numbers = self.cast(&numbers, DType::F32)?;
        Ok(self.op("Mul", &[&numbers, &scales]))
    }

    /// One for each channel of weights: what its number 1 stands for. Worked out when the model is
    /// loaded, where the bias takes part.
    fn scales(&mut self, magnitudes: &[f32], channels: &Channels8<'_>) -> Result<Value, OnnxError> {
        let largest = magnitudes.iter().copied().fold(0.0, f32::max);
        let of_zeros = match largest > 0.0 {
            true => step(largest),
            false => 1.0,
        };
        let mut scales: Vec<f32> = magnitudes
            .iter()
            .map(|&magnitude| match magnitude > 0.0 {
                true => step(magnitude),
                false => of_zeros,
            })
            .collect();
        scales.resize(channels.made, of_zeros);
        let scales = self.floats(&scales)?;
        let input = self.spec.inputs.first();
        let range = input.and_then(|&id| self.graph.numbers.range(id));
        let (Some(bias), Some(range)) = (channels.bias, range) else {
            return Ok(scales);
        };
        let unit = 1.0 / (step(range) * MOST_UNITS);
        let unit = self.scalar(DType::F32, unit.min(f32::MAX))?;
        let magnitude = self.op("Abs", &[bias]);
        let least = self.op("Mul", &[&magnitude, &unit]);
        Ok(self.op("Max", &[&scales, &least]))
    }

    /// What a layer reads besides its weights. Between rounded tensors ONNX Runtime rounds weights
    /// that are floats to integers of its own accord, wherever it can bring the second next to the
    /// layer; not where something stands before the layer.
    pub(super) fn beside_float_weights(&mut self, input: Value) -> Value {
        let first = self.spec.inputs.first();
        let is_rounded = first.is_some_and(|&id| self.graph.numbers.range(id).is_some());
        let output = self.spec.outputs.first();
        let is_apart = output.is_some_and(|&id| self.is_apart(id));
        match is_rounded && !is_apart && !self.has_integer_weights() {
            true => self.op("Max", &[&input]),
            false => input,
        }
    }

    /// Are the layer's weights left as integers for ONNX Runtime to compute with? It can where a
    /// convolution's result is rounded at once. Elsewhere floats are faster, which it makes of
    /// constant integers when it loads the model, but not by a `DequantizeLinear`.
    fn has_integer_weights(&self) -> bool {
        let output = self.spec.outputs.first();
        matches!(self.precision, LayerPrecision::Int8 { .. })
            && matches!(self.spec.layer, Layer::Convolution { .. })
            && output.is_some_and(|&id| self.is_rounded_at_once(id))
    }

    /// Do only layers read the tensor that it has to be made for as it is?
    fn is_apart(&self, id: TensorId) -> bool {
        let layers = &self.graph.spec.layers;
        let is_constant = |id: &TensorId| {
            let mut makers = layers.iter().filter(|layer| layer.outputs.contains(id));
            makers.any(|maker| matches!(maker.layer, Layer::Constant { .. }))
        };
        let mut readers = layers.iter().filter(|layer| layer.inputs.contains(&id));
        self.graph.numbers.range(id).is_none()
            && readers.all(|reader| match reader.layer {
                Layer::ElementWise { .. } => !reader.inputs.iter().any(is_constant),
                Layer::Activation { kind, alpha, beta } => limits(kind, alpha, beta).is_none(),
                _ => matches!(
                    reader.layer,
                    Layer::Concatenation { .. } | Layer::Reduce { .. }
                ),
            })
    }

    fn is_rounded_at_once(&self, id: TensorId) -> bool {
        if self.graph.numbers.range(id).is_some() {
            return true;
        }
        let layers = self.graph.spec.layers.iter().enumerate();
        let mut readers = layers.filter(|(_, layer)| layer.inputs.contains(&id));
        let (Some((index, reader)), None) = (readers.next(), readers.next()) else {
            return false;
        };
        let Layer::Activation { kind, alpha, beta } = reader.layer else {
            return false;
        };
        let numbers = &self.graph.numbers;
        let mut outputs = reader.outputs.iter();
        !self.graph.spec.outputs.contains(&id)
            && limits(kind, alpha, beta).is_some()
            && *numbers.precision(index) != LayerPrecision::Fp16
            && outputs.any(|&id| numbers.range(id).is_some())
    }
}

/// What the number 1 stands for, where 127 stands for `range`.
fn step(range: f32) -> f32 {
    (range / Quantization::LARGEST).max(f32::MIN_POSITIVE)
}
