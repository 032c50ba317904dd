use tfjet_core::DType;

use super::writer::Writer;
use crate::OnnxError;
use crate::proto::AttributeProto;

/// What `NonMaxSuppression` selects has as many rows of batch, class and box as boxes are selected:
/// zeros join the boxes, and as many are cut off as the layer has outputs.
pub(super) fn nms(
    w: &mut Writer<'_, '_>,
    max_output_boxes: usize,
    iou_threshold: f32,
    score_threshold: f32,
) -> Result<(), OnnxError> {
    let (boxes, scores) = (w.input_dims(0)?, w.input_dims(1)?);
    let fits = matches!((boxes, scores), ([count, four], [scored])
        if count == scored && four.fixed().is_none_or(|size| size == 4));
    if !fits {
        return Err(w.fail("takes boxes of [n, 4] and scores of [n]"));
    }
    if max_output_boxes == 0 || !(0.0..=1.0).contains(&iou_threshold) {
        return Err(w.fail(format!(
            "selects {max_output_boxes} boxes by a threshold of {iou_threshold}"
        )));
    }
    let most = w.int(max_output_boxes)?;
    let (boxes, scores) = (w.input(0)?, w.input(1)?);
    let (boxes, scores) = (w.cast(&boxes, DType::F32)?, w.cast(&scores, DType::F32)?);
    let (first, batch_and_class) = (w.int64s(&[0])?, w.int64s(&[0, 1])?);
    let boxes = w.op("Unsqueeze", &[&boxes, &first]);
    let scores = w.op("Unsqueeze", &[&scores, &batch_and_class]);
    let limit = w.int64s(&[most])?;
    let iou_threshold = w.floats(&[iou_threshold])?;
    let score_threshold = w.floats(&[score_threshold])?;
    let selected = w.node(
        "NonMaxSuppression",
        &[&boxes, &scores, &limit, &iou_threshold, &score_threshold],
        Vec::new(),
        DType::I64,
    );
    let column = w.scalar(DType::I64, 2.0)?;
    let along = AttributeProto::int("axis", 1);
    let boxes = w.node("Gather", &[&selected, &column], vec![along], DType::I64);
    let zeros = w.inline(DType::I64, vec![most], vec![0; max_output_boxes * 8])?;
    let along = AttributeProto::int("axis", 0);
    let padded = w.node("Concat", &[&boxes, &zeros], vec![along], DType::I64);
    let padded = w.op("Slice", &[&padded, &first, &limit, &first]);
    w.finish(0, padded)?;
    let shape = w.node("Shape", &[&selected], Vec::new(), DType::I64);
    let rows = w.scalar(DType::I64, 0.0)?;
    let count = w.op("Gather", &[&shape, &rows]);
    w.finish(1, count)
}
