use std::collections::{BTreeMap, BTreeSet};

use tfjet_core::{
    DType, Layer, LayerPrecision, LayerSpec, NetworkSpec, NetworkTensor, Precision, Quantization,
    QuantizedWeights, TensorId, quantized_weights,
};

use super::known::{Known, Seen};
use super::weights::{constant_range, magnitudes};
use super::{CalibrateError, Table, propagate};
use crate::near::near_text;
use crate::stages::Lowered;

/// What decides in which numbers each layer computes.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Ranges of activations. Those of the graph ([`Lowered::graph_ranges`]) come first.
    pub table: Option<Table>,
    /// Layers that stay in floats: `SEGMENT/LAYER`, or a layer's name alone for those of every
    /// segment; [`Precision::Fp16`] or [`Precision::Fp32`].
    pub keep: BTreeMap<String, Precision>,
    /// Take the table although it is of another model.
    pub unchecked: bool,
    /// Layers that are not in INT8 compute in FP32 instead of FP16, but for those of `keep`.
    pub fp32: bool,
}

/// A layer that multiplies tensors, or one that was to be kept, in floats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLayer {
    /// Its segment.
    pub segment: String,
    /// Its name.
    pub layer: String,
    /// Its kind, in TensorRT's words.
    pub kind: String,
    /// Why.
    pub reason: String,
}

/// What became of the layers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placed {
    /// Layers in INT8.
    pub int8: usize,
    /// Layers that stay in floats, in the order of the networks.
    pub fp16: Vec<KeptLayer>,
    /// What a user should know, a line each.
    pub warnings: Vec<String>,
}

/// Segment and layer, as indices, of every layer that can compute in INT8.
pub fn candidates(lowered: &Lowered) -> Vec<(usize, usize)> {
    let networks = lowered.networks.iter().enumerate();
    networks
        .flat_map(|(segment, network)| {
            let layers = network.layers.iter().enumerate();
            let able = layers.filter(|(_, layer)| quantized_weights(network, layer).is_some());
            able.map(move |(index, _)| (segment, index))
        })
        .collect()
}

/// Sets [`Lowered::quantizations`]: a layer that can compute in INT8 does so where the range of its
/// input is known, unless it is to be kept; all others compute in FP16, or in FP32 where that is
/// asked for, of one of them or of all.
///
/// A range is the graph's own, else the table's entry of that segment and tensor, else the table's of
/// that tensor in other segments (a table may have been made for a target with other segments, and
/// TensorRT's caches have no segments), the widest of them; else it follows from the tensor that the
/// values come from.
///
/// # Errors
/// A table of another model; a layer to be kept that does not exist; no range for any layer. Nothing
/// is changed then.
pub fn quantize(lowered: &mut Lowered, choice: &Choice) -> Result<Placed, CalibrateError> {
    let mut placed = Placed::default();
    check_table(lowered, choice, &mut placed)?;
    let keep = Keep::new(lowered, &choice.keep)?;
    let candidates = candidates(lowered).len();
    if candidates == 0 {
        return Err(CalibrateError::NoCandidates);
    }
    let known = Known::new(choice.table.as_ref());
    let mut quantizations = Vec::with_capacity(lowered.networks.len());
    for (segment, network) in lowered.networks.iter().enumerate() {
        let placing = Placing {
            lowered,
            network,
            known: &known,
            keep: &keep,
            floats: match choice.fp32 {
                true => LayerPrecision::Fp32,
                false => LayerPrecision::Fp16,
            },
            in_function: segment >= lowered.partition.segments.len(),
        };
        let quantization = placing.place(segment, &mut placed);
        quantization
            .check(network)
            .map_err(|source| CalibrateError::Quantization {
                segment: network.name.clone(),
                source,
            })?;
        quantizations.push(Some(quantization));
    }
    let asked = placed.fp16.iter().filter(|layer| keep.has(layer)).count();
    if placed.int8 == 0 && asked < candidates {
        let first = placed.fp16.iter().find(|layer| !keep.has(layer));
        let reason = first.map(|it| format!("`{}`: {}", it.layer, it.reason));
        return Err(CalibrateError::NothingMatches {
            candidates,
            reason: reason.unwrap_or_default(),
        });
    }
    lowered.quantizations = quantizations;
    Ok(placed)
}

/// Is the table of this model, and are there ranges at all?
fn check_table(
    lowered: &Lowered,
    choice: &Choice,
    placed: &mut Placed,
) -> Result<(), CalibrateError> {
    let Some(table) = &choice.table else {
        return match lowered.graph_ranges.iter().all(BTreeMap::is_empty) {
            true => Err(CalibrateError::NoRanges),
            false => Ok(()),
        };
    };
    if table.model.is_empty() {
        placed.warnings.push(
            "the calibration table does not say of which model it is: its tensors are found by \
             their names"
                .into(),
        );
    } else if table.model != lowered.fingerprint {
        if !choice.unchecked {
            return Err(CalibrateError::OtherModel {
                name: table.name.clone(),
                found: table.model.clone(),
                model: lowered.fingerprint.clone(),
            });
        }
        placed.warnings.push(format!(
            "the calibration table was made for another model, `{}` ({})",
            table.name, table.model
        ));
    }
    Ok(())
}

/// The layers to be kept in floats.
struct Keep<'a>(BTreeMap<(&'a str, &'a str), Precision>);

impl<'a> Keep<'a> {
    fn new(
        lowered: &'a Lowered,
        wanted: &BTreeMap<String, Precision>,
    ) -> Result<Self, CalibrateError> {
        let networks = lowered.networks.iter();
        let layers: Vec<(&str, &str)> = networks
            .flat_map(|network| {
                let layers = network.layers.iter();
                layers.map(|layer| (network.name.as_str(), layer.name.as_str()))
            })
            .collect();
        let mut keep = BTreeMap::new();
        for (name, &precision) in wanted {
            if precision == Precision::Int8 {
                return Err(CalibrateError::KeptInInt8(name.clone()));
            }
            let exact = layers.iter().filter(|(segment, layer)| {
                let rest = name.strip_prefix(segment);
                rest.and_then(|rest| rest.strip_prefix('/')) == Some(*layer)
            });
            let mut found: Vec<_> = exact.copied().collect();
            if found.is_empty() {
                let named = layers.iter().filter(|(_, layer)| layer == name);
                found.extend(named.copied());
            }
            if found.is_empty() {
                return Err(CalibrateError::UnknownLayer {
                    layer: name.clone(),
                    near: near_text(name, layers.iter().map(|(_, layer)| *layer)),
                });
            }
            keep.extend(found.into_iter().map(|layer| (layer, precision)));
        }
        Ok(Self(keep))
    }

    fn of(&self, network: &NetworkSpec, layer: &LayerSpec) -> Option<Precision> {
        self.0
            .get(&(network.name.as_str(), layer.name.as_str()))
            .copied()
    }

    fn has(&self, layer: &KeptLayer) -> bool {
        self.0
            .contains_key(&(layer.segment.as_str(), layer.layer.as_str()))
    }
}

/// One network while its layers get their numbers.
struct Placing<'a> {
    lowered: &'a Lowered,
    network: &'a NetworkSpec,
    known: &'a Known<'a>,
    keep: &'a Keep<'a>,
    /// What layers that are not in INT8 compute in.
    floats: LayerPrecision,
    in_function: bool,
}

/// The smallest range whose step is a normal number, with room for the product of two steps.
const LEAST_RANGE: f32 = 1e-18;

impl Placing<'_> {
    fn place(&self, segment: usize, placed: &mut Placed) -> Quantization {
        let network = self.network;
        let mut quantization = Quantization {
            ranges: self.ranges(segment),
            layers: vec![self.floats.clone(); network.layers.len()],
        };
        let mut rounded: BTreeSet<TensorId> = BTreeSet::new();
        for (index, layer) in network.layers.iter().enumerate() {
            let decided = match (
                self.keep.of(network, layer),
                quantized_weights(network, layer),
            ) {
                (Some(Precision::Fp32), _) => Err((LayerPrecision::Fp32, "kept in FP32".into())),
                (Some(_), _) => Err((LayerPrecision::Fp16, "kept in FP16".into())),
                (None, Some(weights)) => {
                    let range = quantization.range(weights.input);
                    self.int8(layer, weights, range)
                        .map_err(|reason| (self.floats.clone(), reason))
                }
                (None, None) => match unable(network, layer) {
                    Some(reason) => Err((self.floats.clone(), reason)),
                    None => continue,
                },
            };
            let precision = match decided {
                Ok(channels) => {
                    placed.int8 += 1;
                    rounded.extend(layer.inputs.first().copied());
                    LayerPrecision::Int8 { channels }
                }
                Err((precision, reason)) => {
                    placed.fp16.push(KeptLayer {
                        segment: network.name.clone(),
                        layer: layer.name.clone(),
                        kind: layer.layer.kind().into(),
                        reason,
                    });
                    precision
                }
            };
            if let Some(slot) = quantization.layers.get_mut(index) {
                *slot = precision;
            }
        }
        self.warn(segment, &quantization, &rounded, &mut placed.warnings);
        quantization
    }

    /// Says what is odd about the values that the table's ranges were made of.
    fn warn(
        &self,
        segment: usize,
        quantization: &Quantization,
        rounded: &BTreeSet<TensorId>,
        warnings: &mut Vec<String>,
    ) {
        let network = self.network;
        let halves = network.layers.iter().zip(&quantization.layers);
        let halves = halves.filter(|(_, precision)| **precision == LayerPrecision::Fp16);
        let halves: BTreeSet<TensorId> = halves.flat_map(|it| it.0.outputs.clone()).collect();
        for (id, tensor) in (0..).map(TensorId).zip(&network.tensors) {
            let Some(seen) = self.known.seen(network, tensor) else {
                continue;
            };
            let numbers = match (rounded.contains(&id), halves.contains(&id)) {
                (true, _) => Some(Precision::Int8),
                (false, true) => Some(Precision::Fp16),
                (false, false) => None,
            };
            if !self.is_own(segment, id) {
                warnings.extend(seen.warnings(&network.name, &tensor.name, numbers));
            }
        }
    }

    /// Is the tensor's range the graph's own?
    fn is_own(&self, segment: usize, id: TensorId) -> bool {
        let graph = self.lowered.graph_ranges.get(segment);
        graph.is_some_and(|ranges| ranges.contains_key(&id))
    }

    /// What is known of each tensor. One that was 0 in all samples has no range, whatever it is made
    /// of.
    fn ranges(&self, segment: usize) -> Vec<Option<f32>> {
        let network = self.network;
        let graph = self.lowered.graph_ranges.get(segment);
        let tensors = || (0..).map(TensorId).zip(&network.tensors);
        let of = |(id, tensor): (TensorId, &NetworkTensor)| match tensor.dtype {
            DType::F32 | DType::F16 => graph
                .and_then(|ranges| ranges.get(&id).copied())
                .or_else(|| self.known.seen(network, tensor)?.range())
                .or_else(|| constant_range(network, id, &self.lowered.weights))
                .filter(|range| range.is_finite() && *range > 0.0),
            _ => None,
        };
        let mut ranges: Vec<Option<f32>> = tensors().map(of).collect();
        propagate(network, &mut ranges);
        for ((id, tensor), range) in tensors().zip(&mut ranges) {
            let seen = self.known.seen(network, tensor);
            if seen.is_some_and(|seen| seen.range().is_none()) && !self.is_own(segment, id) {
                *range = None;
            }
        }
        ranges
    }

    /// The magnitudes of the weights' channels, or why the layer stays in floats.
    fn int8(
        &self,
        layer: &LayerSpec,
        weights: QuantizedWeights,
        range: Option<f32>,
    ) -> Result<Vec<f32>, String> {
        let tensor = self.network.tensor(weights.input);
        let tensor = tensor.ok_or("its input is no tensor of the network")?;
        let name = &tensor.name;
        match range {
            Some(range) if range < LEAST_RANGE => Err(format!(
                "its input `{name}` has values of {range:e} at most, too small for 8 bits"
            )),
            Some(_) => magnitudes(&self.lowered.weights, weights)
                .ok_or_else(|| format!("the weights of `{}` are not all finite", layer.name)),
            None => Err(match self.known.seen(self.network, tensor) {
                Some(seen) => seen.no_range(name),
                None if self.in_function => format!(
                    "no range of its input `{name}` is known: statistics are not taken in what \
                     loops and conditions call"
                ),
                None => format!("no range of its input `{name}` is known"),
            }),
        }
    }
}

/// Why a layer that multiplies tensors cannot compute in INT8.
fn unable(network: &NetworkSpec, layer: &LayerSpec) -> Option<String> {
    let input = layer.inputs.first().and_then(|id| network.tensor(*id))?;
    let reason = match &layer.layer {
        Layer::Convolution { .. } => format!("its input is {}", input.dtype),
        Layer::Deconvolution { groups: 1, .. } => format!("its input is {}", input.dtype),
        Layer::Deconvolution { groups, .. } => {
            format!("a deconvolution of {groups} groups has no form in INT8")
        }
        Layer::MatrixMultiply { .. } if input.dtype != DType::F32 => {
            format!("its input is {}", input.dtype)
        }
        Layer::MatrixMultiply { .. } => {
            "a product computes in INT8 where its second operand is one constant matrix".into()
        }
        _ => return None,
    };
    Some(reason)
}

impl Seen<'_> {
    /// Why there is no range although the table has the tensor.
    fn no_range(&self, name: &str) -> String {
        let not_finite: u64 = self.0.iter().map(|entry| entry.not_finite).sum();
        match self.0.iter().any(|entry| entry.count > 0) || not_finite == 0 {
            true => format!("its input `{name}` is 0 in all samples"),
            false => format!("its input `{name}` has no finite value in any sample"),
        }
    }
}
