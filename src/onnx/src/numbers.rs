//! In which numbers a network is written.

use std::collections::HashMap;

use tfjet_core::{LayerPrecision, NetworkSpec, NetworkTensor, TensorId};

use crate::{OnnxError, OnnxOptions};

/// What the options say of a network, and the forms of tensors that have more than one.
pub(crate) struct Numbers<'a> {
    /// By layer; empty where all compute in 32-bit floats.
    layers: &'a [LayerPrecision],
    /// By tensor: the range by which it is rounded to 8 bits.
    ranges: Vec<Option<f32>>,
    round_fp16: bool,
    /// Names of network inputs that are rounded to 8 bits, after that.
    inputs: HashMap<TensorId, String>,
    /// For names of tensors: that of their form in numbers of 16 bits, which may be themselves.
    fp16: HashMap<String, String>,
}

impl<'a> Numbers<'a> {
    pub(crate) fn new(spec: &NetworkSpec, options: &'a OnnxOptions) -> Result<Self, OnnxError> {
        let mut numbers = Self {
            layers: &[],
            ranges: Vec::new(),
            round_fp16: options.round_fp16,
            inputs: HashMap::new(),
            fp16: HashMap::new(),
        };
        if let Some(quantization) = &options.quantization {
            let fits = quantization.check(spec);
            fits.map_err(|source| OnnxError::Quantization {
                network: spec.name.clone(),
                source,
            })?;
            numbers.layers = &quantization.layers;
            numbers.ranges = quantization.rounded(spec);
        }
        Ok(numbers)
    }

    /// In which numbers layer `index` computes. Those of 16 bits are of no matter where they are
    /// not rounded.
    pub(crate) fn precision(&self, index: usize) -> &'a LayerPrecision {
        match self.layers.get(index) {
            Some(LayerPrecision::Fp16) if !self.round_fp16 => &LayerPrecision::Fp32,
            Some(precision) => precision,
            None => &LayerPrecision::Fp32,
        }
    }

    /// Is there a layer whose numbers are rounded to 16 bits?
    pub(crate) fn rounds_fp16(&self) -> bool {
        let mut layers = 0..self.layers.len();
        layers.any(|index| *self.precision(index) == LayerPrecision::Fp16)
    }

    /// The range by which the tensor is rounded to 8 bits where it is made.
    pub(crate) fn range(&self, id: TensorId) -> Option<f32> {
        *self.ranges.get(usize::try_from(id.0).ok()?)?
    }

    /// The name under which the tensor is read.
    pub(crate) fn name<'n>(&'n self, id: TensorId, tensor: &'n NetworkTensor) -> &'n str {
        self.inputs.get(&id).unwrap_or(&tensor.name)
    }

    /// Is the tensor a network input that has a name after rounding?
    pub(crate) fn has_name(&self, id: TensorId) -> bool {
        self.inputs.contains_key(&id)
    }

    /// The network input, rounded to 8 bits, is read under this name.
    pub(crate) fn set_name(&mut self, id: TensorId, name: String) {
        self.inputs.insert(id, name);
    }

    /// The name of a tensor's form in numbers of 16 bits; its own where there is no other.
    pub(crate) fn fp16<'n>(&'n self, name: &'n str) -> &'n str {
        self.fp16.get(name).map_or(name, String::as_str)
    }

    /// Has the tensor a form in numbers of 16 bits?
    pub(crate) fn has_fp16(&self, name: &str) -> bool {
        self.fp16.contains_key(name)
    }

    /// Tensor `name` is read under `fp16` by layers that compute in 16 bits.
    pub(crate) fn set_fp16(&mut self, name: String, fp16: String) {
        self.fp16.insert(name, fp16);
    }

    /// The tensor itself holds numbers of 16 bits.
    pub(crate) fn made_fp16(&mut self, name: &str) {
        self.set_fp16(name.to_owned(), name.to_owned());
    }

    /// Tensor `copy` holds numbers of `name`.
    pub(crate) fn copies(&mut self, name: &str, copy: &str) {
        if self.fp16.get(name).is_some_and(|fp16| fp16 == name) {
            self.made_fp16(copy);
        }
    }
}
