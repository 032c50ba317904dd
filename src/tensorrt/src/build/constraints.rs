//! What a weakly typed network is told of the precision of its layers.

use std::collections::BTreeSet;

use tfjet_core::{Layer, LayerSpec};

use super::numbers::{Computes, Numbers};
use super::writer::Written;
use crate::network::{LayerRef, TensorRef};
use crate::{DataType, TensorRtError};

/// A layer of the library that makes floats.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made<'n> {
    /// The layer of the specification that it is part of.
    pub(super) of: usize,
    pub(super) layer: LayerRef<'n>,
    /// Its output, of floats.
    pub(super) output: TensorRef<'n>,
    pub(super) part: Part,
}

/// What a layer of the library is to the layer of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// It computes.
    Computes,
    /// It moves the input to what computes.
    Before,
    /// It moves what was computed to the output.
    After,
}

/// What a layer is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Word {
    precision: Option<DataType>,
    output: Option<DataType>,
}

/// Tells layers what they are to compute in, where the library would take something else, or in
/// networks that are pinned all of them. Says whether any was told.
pub(super) fn set(numbers: &Numbers<'_>, written: &Written<'_>) -> Result<bool, TensorRtError> {
    if !numbers.has_constraints() {
        return Ok(false);
    }
    let fused = match numbers.pinned && numbers.is_implicit() {
        true => numbers.fused(),
        false => BTreeSet::new(),
    };
    let (mut int8, mut floats) = (0usize, 0usize);
    for made in &written.made {
        let Some(layer) = numbers.spec().layers.get(made.of) else {
            continue;
        };
        let word = match fused.contains(&made.of) {
            true => Word {
                precision: None,
                output: Some(DataType::Float).filter(|_| !is_rounded(numbers, layer)),
            },
            false => moved(made.part, word(numbers, made.of, layer, &fused)),
        };
        if word == Word::default() || made.output.is_shape_tensor()? {
            continue;
        }
        if let Some(precision) = word.precision {
            made.layer.set_precision(precision)?;
            match precision {
                DataType::Int8 => int8 += 1,
                _ => floats += 1,
            }
        }
        if let Some(output) = word.output {
            made.layer.set_output_type(0, output)?;
        }
    }
    if int8 + floats > 0 {
        tracing::info!(
            "{}: {int8} layers are told to compute in INT8 and {floats} in floats; {}",
            numbers.spec().name,
            match numbers.pinned {
                true => "TensorRT obeys or fails",
                false => "TensorRT may do otherwise",
            }
        );
    }
    Ok(int8 + floats > 0)
}

/// What a part of a layer is told when the layer is told `word`: what moves numbers of 8 bits takes
/// and gives them, what moves floats does not make others of them.
fn moved(part: Part, word: Word) -> Word {
    let precision = match (part, word.precision, word.output) {
        (Part::After, Some(DataType::Int8), Some(output)) => output,
        (Part::Before | Part::After, Some(precision), _) => precision,
        _ => return word,
    };
    Word {
        precision: Some(precision),
        output: Some(precision),
    }
}

/// Is the layer's first result rounded to 8 bits, for some INT8 layer to read?
fn is_rounded(numbers: &Numbers<'_>, layer: &LayerSpec) -> bool {
    let first = layer.outputs.first();
    first.is_some_and(|&made| numbers.rounded(made).is_some())
}

fn word(numbers: &Numbers<'_>, index: usize, layer: &LayerSpec, fused: &BTreeSet<usize>) -> Word {
    let in_floats = |dtype: DataType| Word {
        precision: Some(dtype),
        output: None,
    };
    match numbers.computes(index) {
        Computes::Any => Word::default(),
        Computes::Fp32 => Word {
            output: Some(DataType::Float).filter(|_| !is_rounded(numbers, layer)),
            ..in_floats(DataType::Float)
        },
        // Layers that quantize say what computes in INT8, and all else may be FP16 already.
        Computes::Fp16 | Computes::Int8(_) if numbers.is_explicit() => Word::default(),
        Computes::Fp16 if numbers.pinned => in_floats(DataType::Half),
        Computes::Fp16 if numbers.is_implicit() && numbers.is_candidate(index) => Word {
            output: Some(DataType::Half).filter(|_| !is_rounded(numbers, layer)),
            ..in_floats(DataType::Half)
        },
        Computes::Fp16 => Word::default(),
        Computes::Int8(_) if !numbers.pinned => Word::default(),
        // Deconvolutions have INT8 kernels for some sizes only, and a pinned one without would end
        // the build.
        Computes::Int8(_) if matches!(layer.layer, Layer::Deconvolution { .. }) => Word::default(),
        Computes::Int8(_) => Word {
            precision: Some(DataType::Int8),
            output: int8_output(numbers, layer, fused),
        },
    }
}

/// The type of what a pinned INT8 layer makes: 8-bit numbers where they are what is read of it, and
/// otherwise floats, unless a layer that is computed with it decides.
fn int8_output(
    numbers: &Numbers<'_>,
    layer: &LayerSpec,
    fused: &BTreeSet<usize>,
) -> Option<DataType> {
    let spec = numbers.spec();
    let made = layer.outputs.first()?;
    let reads = |reader: &usize| {
        let layer = spec.layers.get(*reader);
        layer.is_some_and(|layer| layer.inputs.contains(made))
    };
    if spec.outputs.contains(made) {
        Some(DataType::Float)
    } else if is_rounded(numbers, layer) {
        Some(DataType::Int8)
    } else if fused.iter().any(reads) {
        None
    } else {
        Some(DataType::Float)
    }
}
