//! In which numbers the layers of one network compute, and how the library is told.

use std::collections::BTreeSet;

use tfjet_core::{
    Layer, LayerPrecision, LayerSpec, NetworkSpec, Quantization, TensorId, quantized_weights,
};

use super::{BuildOptions, Precision, QuantizationForm, matrix_multiply};
use crate::{Flavor, TensorRtError, Version};

/// What the options ask, for a network of a version.
#[derive(Debug)]
pub(super) struct Numbers<'a> {
    spec: &'a NetworkSpec,
    precision: Precision,
    quantization: Option<&'a Quantization>,
    /// How INT8 is said; `None` where there is none.
    int8: Option<Int8>,
    /// The library's layers are held to their numbers.
    pub(super) pinned: bool,
    /// The library takes types as they are, and no word on precisions.
    strongly_typed: bool,
    /// By [`TensorId`], as [`Quantization::rounded`]; empty without INT8.
    rounded: Vec<Option<f32>>,
}

/// How INT8 is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Int8 {
    Implicit,
    Explicit,
}

/// In which numbers a layer is to compute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Computes<'a> {
    /// Nobody says.
    Any,
    Fp32,
    Fp16,
    /// With the largest magnitude of each output channel's weights.
    Int8(&'a [f32]),
}

impl<'a> Numbers<'a> {
    pub(super) fn new(
        version: Version,
        spec: &'a NetworkSpec,
        options: &'a BuildOptions,
    ) -> Result<Self, TensorRtError> {
        let precision = options.precision;
        let quantization = match (precision, &options.quantization) {
            (Precision::Fp32, _) => None,
            (Precision::Fp16, quantization) => quantization.as_ref(),
            (Precision::Int8, Some(quantization)) => Some(quantization),
            (Precision::Int8, None) => {
                let network = spec.name.clone();
                return Err(TensorRtError::NoRanges { network });
            }
        };
        if let Some(quantization) = quantization {
            quantization
                .check(spec)
                .map_err(|source| TensorRtError::Quantization {
                    network: spec.name.clone(),
                    source,
                })?;
        }
        let strongly_typed = version.flavor == Flavor::TensorRtRtx;
        let quantized = quantization.filter(|it| {
            precision == Precision::Int8 && it.precision() == tfjet_core::Precision::Int8
        });
        let int8 = match (quantized, options.quantization_form) {
            (None, _) => None,
            (Some(_), QuantizationForm::Explicit) => Some(Int8::Explicit),
            (Some(_), QuantizationForm::Implicit) if strongly_typed => {
                return Err(TensorRtError::Unsupported {
                    what: "implicit quantization".into(),
                    version,
                });
            }
            (Some(_), QuantizationForm::Implicit) => Some(Int8::Implicit),
            (Some(_), QuantizationForm::Auto) if strongly_typed => Some(Int8::Explicit),
            (Some(_), QuantizationForm::Auto) => {
                match options.dla_core.is_some() || version.major < 10 {
                    true => Some(Int8::Implicit),
                    false => Some(Int8::Explicit),
                }
            }
        };
        Ok(Self {
            spec,
            precision,
            quantization,
            int8,
            pinned: options.pin_precisions && precision != Precision::Fp32 && !strongly_typed,
            strongly_typed,
            rounded: quantized.map_or(Vec::new(), |it| it.rounded(spec)),
        })
    }

    pub(super) fn spec(&self) -> &'a NetworkSpec {
        self.spec
    }

    /// Does some layer compute in INT8?
    pub(super) fn has_int8(&self) -> bool {
        self.int8.is_some()
    }

    /// Is INT8 said by layers?
    pub(super) fn is_explicit(&self) -> bool {
        self.int8 == Some(Int8::Explicit)
    }

    /// Is INT8 said by ranges?
    pub(super) fn is_implicit(&self) -> bool {
        self.int8 == Some(Int8::Implicit)
    }

    /// May layers compute in FP16?
    pub(super) fn fp16(&self) -> bool {
        self.precision != Precision::Fp32
    }

    /// Does the library take words on the precision of layers?
    pub(super) fn has_constraints(&self) -> bool {
        !self.strongly_typed
    }

    /// Are floats half in the network, as its types say?
    pub(super) fn has_halves(&self) -> bool {
        self.strongly_typed && self.fp16()
    }

    /// Are the floats of layer `index` half, as the network's types say?
    pub(super) fn is_half(&self, index: usize) -> bool {
        self.has_halves() && self.computes(index) != Computes::Fp32
    }

    /// What layer `index` of the specification computes in. A layer that the form of quantization
    /// does not have in INT8 counts as one of FP16.
    pub(super) fn computes(&self, index: usize) -> Computes<'a> {
        let precision = self.quantization.and_then(|it| it.layers.get(index));
        match precision {
            None if self.pinned => Computes::Fp16,
            None => Computes::Any,
            Some(LayerPrecision::Fp32) => Computes::Fp32,
            Some(LayerPrecision::Fp16) => Computes::Fp16,
            Some(LayerPrecision::Int8 { channels }) => match self.int8 {
                Some(Int8::Explicit) => Computes::Int8(channels),
                Some(Int8::Implicit) if self.has_ranges_form(index) => Computes::Int8(channels),
                _ => Computes::Fp16,
            },
        }
    }

    /// Can layer `index`, an INT8 one, be so by ranges?
    fn has_ranges_form(&self, index: usize) -> bool {
        self.spec.layers.get(index).is_some_and(|layer| {
            !matches!(layer.layer, Layer::MatrixMultiply { .. })
                || matrix_multiply::is_convolution(self.spec, layer)
        })
    }

    /// INT8 layers that implicit quantization leaves in floats.
    pub(super) fn left_in_floats(&self) -> impl Iterator<Item = &'a LayerSpec> {
        let layers = self.quantization.map_or(&[][..], |it| &it.layers);
        let layers = layers.iter().enumerate();
        let wanted = move |(index, precision): &(usize, &LayerPrecision)| {
            self.is_implicit()
                && matches!(precision, LayerPrecision::Int8 { .. })
                && !self.has_ranges_form(*index)
        };
        layers
            .filter(wanted)
            .filter_map(|(index, _)| self.spec.layers.get(index))
    }

    /// Could layer `index` compute in INT8, so that a word is needed where it is not to?
    pub(super) fn is_candidate(&self, index: usize) -> bool {
        let layer = self.spec.layers.get(index);
        layer.is_some_and(|layer| quantized_weights(self.spec, layer).is_some())
    }

    /// The range of a tensor.
    pub(super) fn range(&self, tensor: TensorId) -> Option<f32> {
        self.quantization?.range(tensor)
    }

    /// The range by which a tensor is rounded where it is made.
    pub(super) fn rounded(&self, tensor: TensorId) -> Option<f32> {
        *self.rounded.get(usize::try_from(tensor.0).ok()?)?
    }

    /// The range by which layers of the library round a tensor where it is made.
    pub(super) fn explicit(&self, tensor: TensorId) -> Option<f32> {
        self.rounded(tensor).filter(|_| self.is_explicit())
    }

    /// ReLUs that read nothing but an INT8 layer's result, which nothing else reads: the library
    /// computes them with that layer.
    pub(super) fn fused(&self) -> BTreeSet<usize> {
        let mut fused = BTreeSet::new();
        for (index, layer) in self.spec.layers.iter().enumerate() {
            let (Computes::Int8(_), [made]) = (self.computes(index), &layer.outputs[..]) else {
                continue;
            };
            // What follows the convolution of a product is not next to it.
            if matches!(layer.layer, Layer::MatrixMultiply { .. }) {
                continue;
            }
            let mut readers = (0..)
                .zip(&self.spec.layers)
                .filter(|(_, reader)| reader.inputs.contains(made));
            if let (Some((reader, relu)), None) = (readers.next(), readers.next())
                && is_relu(&relu.layer)
                && !self.spec.outputs.contains(made)
            {
                fused.insert(reader);
            }
        }
        fused
    }
}

fn is_relu(layer: &Layer) -> bool {
    use tfjet_core::ActivationType::{Clip, Relu};
    matches!(
        layer,
        Layer::Activation {
            kind: Relu | Clip,
            ..
        }
    )
}
