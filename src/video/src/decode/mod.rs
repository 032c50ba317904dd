//! A model's outputs become results.

mod classify;
mod detect;
mod numbers;

use heapless::Vec;
use tfjet_core::{DType, Decoder, TensorView};

use crate::{Placement, VideoError};

/// Most detections that a frame keeps.
pub const MAX_DETECTIONS: usize = 256;

/// Most classes that a frame keeps.
pub const MAX_CLASSES: usize = 64;

/// Most outputs that [`Found::Outputs`] describes, and most dimensions of each.
const MAX_OUTPUTS: usize = 32;
const MAX_RANK: usize = 8;

/// One object in a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Class id, as the model gives it.
    pub class: i32,
    /// Score, as the model gives it.
    pub score: f32,
    /// Left, top, right, bottom in pixels of the frame, clipped to it.
    pub box_: [f32; 4],
}

/// One class of a classifier.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Class {
    /// Index in the classifier's output.
    pub class: i32,
    /// Score, as the model gives it.
    pub score: f32,
}

/// Detections of a frame, best first.
pub type Detections = Vec<Detection, MAX_DETECTIONS>;

/// Classes of a frame, best first.
pub type Classes = Vec<Class, MAX_CLASSES>;

/// Type and shape of one output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Element type.
    pub dtype: DType,
    /// Sizes of all dimensions.
    pub shape: Vec<usize, MAX_RANK>,
}

/// What a decoder found.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[expect(
    clippy::large_enum_variant,
    reason = "reused for every frame, never moved"
)]
pub enum Found {
    /// By a detector.
    Detections(Detections),
    /// By a classifier.
    Classes(Classes),
    /// By no decoder: the outputs as they are.
    Outputs(Vec<Output, MAX_OUTPUTS>),
}

/// Results of one frame, to be reused for the next. Its size is fixed: nothing is allocated.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    /// What was found.
    pub found: Found,
    /// Rows left aside because a number in them is not finite.
    pub not_finite: usize,
    /// Rows that had no room, all of them of a lower score than those kept.
    pub left_out: usize,
}

impl Default for Results {
    fn default() -> Self {
        Self {
            found: Found::Outputs(Vec::new()),
            not_finite: 0,
            left_out: 0,
        }
    }
}

impl Results {
    /// Detections; none where the decoder is no detector.
    pub fn detections(&self) -> &[Detection] {
        match &self.found {
            Found::Detections(detections) => detections,
            _ => &[],
        }
    }

    /// Classes; none where the decoder is no classifier.
    pub fn classes(&self) -> &[Class] {
        match &self.found {
            Found::Classes(classes) => classes,
            _ => &[],
        }
    }
}

/// Decodes `outputs` (in the manifest's order) into `results`; `placement` is that of the frame
/// that the outputs belong to.
pub fn decode(
    decoder: &Decoder,
    outputs: &[TensorView<'_>],
    placement: &Placement,
    results: &mut Results,
) -> Result<(), VideoError> {
    results.not_finite = 0;
    results.left_out = 0;
    match decoder {
        Decoder::Raw => raw(outputs, results),
        Decoder::Classify { output, top_k } => classify::classify(
            pick(outputs, *output, "classify")?,
            *output,
            *top_k,
            results,
        ),
        Decoder::DetectSsd {
            boxes,
            scores,
            classes,
            count,
            threshold,
            ..
        } => {
            let ssd = detect::Ssd {
                boxes: (*boxes, pick(outputs, *boxes, detect::SSD)?),
                scores: (*scores, pick(outputs, *scores, detect::SSD)?),
                classes: (*classes, pick(outputs, *classes, detect::SSD)?),
                count: match count {
                    Some(count) => Some((*count, pick(outputs, *count, detect::SSD)?)),
                    None => None,
                },
            };
            ssd.decode(*threshold, placement, results)
        }
        Decoder::DetectRows {
            output,
            columns,
            normalized,
            threshold,
        } => detect::rows(
            (*output, pick(outputs, *output, detect::ROWS)?),
            columns,
            *normalized,
            *threshold,
            placement,
            results,
        ),
    }
}

fn raw(outputs: &[TensorView<'_>], results: &mut Results) -> Result<(), VideoError> {
    let mut found = Vec::new();
    for (index, output) in outputs.iter().enumerate() {
        let shape = Vec::from_slice(output.shape())
            .map_err(|_| bad("raw", index, format!("more than {MAX_RANK} dimensions")))?;
        let dtype = output.dtype();
        found
            .push(Output { dtype, shape })
            .map_err(|_| bad("raw", index, format!("more than {MAX_OUTPUTS} outputs")))?;
    }
    results.found = Found::Outputs(found);
    Ok(())
}

fn pick<'a>(
    outputs: &[TensorView<'a>],
    index: usize,
    decoder: &'static str,
) -> Result<TensorView<'a>, VideoError> {
    outputs.get(index).copied().ok_or_else(|| {
        let reason = format!("the model has only {} outputs", outputs.len());
        bad(decoder, index, reason)
    })
}

fn bad(decoder: &'static str, output: usize, reason: String) -> VideoError {
    VideoError::Decode {
        decoder,
        output,
        reason,
    }
}

/// Puts `item` into `best`, in the place of the lowest score where there is no room. `lowest`
/// caches the place of the lowest score of a full `best`. Returns whether a row was left out.
fn keep_best<T: Copy, const N: usize>(
    best: &mut Vec<T, N>,
    limit: usize,
    lowest: &mut Option<usize>,
    item: T,
    score: impl Fn(&T) -> f32,
) -> bool {
    if best.len() < limit && best.push(item).is_ok() {
        return false;
    }
    let place = lowest
        .or_else(|| (0..best.len()).min_by(|&a, &b| score(&best[a]).total_cmp(&score(&best[b]))));
    *lowest = place;
    if let Some(place) = place
        && score(&item) > score(&best[place])
    {
        best[place] = item;
        *lowest = None;
    }
    true
}
