use tfjet_core::Dim;

use super::writer::Writer;
use crate::network::{Outside, Part, Sizes};
use crate::{DataType, TensorRtError};

/// What `INMSLayer` selects has as many rows as boxes are selected. Zeros join it, and as many rows
/// are cut off as the specification has, so that no size outside follows from values.
pub(super) fn nms(
    w: &mut Writer<'_, '_, '_>,
    max_output_boxes: usize,
    iou_threshold: f32,
    score_threshold: f32,
) -> Result<(), TensorRtError> {
    let (boxes, scores) = (w.input_dims(0)?, w.input_dims(1)?);
    let ([Dim::Fixed(count), Dim::Fixed(4)], [Dim::Fixed(scored)]) = (boxes, scores) else {
        return Err(w.fail("takes boxes of [n, 4] and scores of [n], n known"));
    };
    if count != scored {
        return Err(w.fail(format!("has {count} boxes and {scored} scores")));
    }
    let (limit, rows) = (max_output_boxes.min(*count), w.int(max_output_boxes)?);
    let (boxes, scores) = (w.input(0)?, w.input(1)?);
    let boxes = w.reshape(boxes, &[1, -1, 4])?;
    let scores = w.reshape(scores, &[1, -1, 1])?;
    let limit = w.integer_scalar(w.int(limit)?, DataType::Int32)?;
    let iou_threshold = w.float_scalar(iou_threshold, boxes)?;
    let score_threshold = w.float_scalar(score_threshold, boxes)?;
    let layer = w.network.add_nms(
        boxes.tensor,
        scores.tensor,
        limit.tensor,
        iou_threshold.tensor,
        score_threshold.tensor,
    )?;
    let selected = w.output_of("nms", layer, 0, DataType::Int32)?;
    let selected_count = w.output_of("nms", layer, 1, DataType::Int32)?;
    let zeros = w.zeros(&[max_output_boxes, 3], DataType::Int32)?;
    let joined = w
        .network
        .add_concatenation(&[selected.tensor, zeros.tensor], 0)?;
    let joined = w.value("padded", joined, DataType::Int32)?;
    let part = Part {
        start: Sizes::Known(vec![0, 2]),
        size: Sizes::Known(vec![rows, 1]),
        stride: Sizes::Known(vec![1, 1]),
    };
    let boxes = w.network.add_slice(joined.tensor, &part, Outside::Never)?;
    let boxes = w.value("boxes", boxes, DataType::Int32)?;
    let boxes = w.reshape(boxes, &[rows])?;
    w.finish(0, boxes)?;
    w.finish(1, selected_count)
}
