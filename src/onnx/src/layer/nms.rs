use tfjet_core::{DType, Dim};

use super::writer::Writer;
use crate::OnnxError;
use crate::proto::AttributeProto;

/// What `NonMaxSuppression` selects has as many rows of batch, class and box as boxes are selected:
/// zeros join what is kept of them, and as many are cut off as the layer has outputs.
pub(super) fn nms(
    w: &mut Writer<'_, '_>,
    max_output_boxes: usize,
    iou_threshold: f32,
    score_threshold: f32,
) -> Result<(), OnnxError> {
    let four = |size: &Dim| size.fixed().is_none_or(|size| size == 4);
    let groups = match (w.input_dims(0)?, w.input_dims(1)?) {
        ([boxes, corners], [scores]) if boxes == scores && four(corners) => None,
        ([groups, boxes, corners], [others, scores])
            if groups == others && boxes == scores && four(corners) =>
        {
            groups.fixed()
        }
        _ => {
            return Err(w.fail(
                "takes boxes of [n, 4] and scores of [n], or [g, n, 4] and [g, n] with g known",
            ));
        }
    };
    if max_output_boxes == 0 || !(0.0..=1.0).contains(&iou_threshold) {
        return Err(w.fail(format!(
            "selects {max_output_boxes} boxes by a threshold of {iou_threshold}"
        )));
    }
    let rows = max_output_boxes * groups.unwrap_or(1);
    let (most, rows) = (w.int(max_output_boxes)?, (w.int(rows)?, rows));
    let (boxes, scores) = (w.input(0)?, w.input(1)?);
    let (boxes, scores) = (w.cast(&boxes, DType::F32)?, w.cast(&scores, DType::F32)?);
    let first = w.int64s(&[0])?;
    let (boxes, scores) = match groups {
        Some(_) => {
            let class = w.int64s(&[1])?;
            (boxes, w.op("Unsqueeze", &[&scores, &class]))
        }
        None => {
            let batch_and_class = w.int64s(&[0, 1])?;
            (
                w.op("Unsqueeze", &[&boxes, &first]),
                w.op("Unsqueeze", &[&scores, &batch_and_class]),
            )
        }
    };
    let limit = w.int64s(&[most])?;
    let iou_threshold = w.floats(&[iou_threshold])?;
    let score_threshold = w.floats(&[score_threshold])?;
    let selected = w.node(
        "NonMaxSuppression",
        &[&boxes, &scores, &limit, &iou_threshold, &score_threshold],
        Vec::new(),
        DType::I64,
    );
    let (columns, width) = match groups {
        Some(_) => (w.int64s(&[0, 2])?, 2),
        None => (w.scalar(DType::I64, 2.0)?, 1),
    };
    let along = AttributeProto::int("axis", 1);
    let kept = w.node("Gather", &[&selected, &columns], vec![along], DType::I64);
    let mut shape = vec![rows.0];
    shape.extend(groups.map(|_| 2));
    let zeros = w.inline(DType::I64, shape, vec![0; rows.1 * width * 8])?;
    let along = AttributeProto::int("axis", 0);
    let padded = w.node("Concat", &[&kept, &zeros], vec![along], DType::I64);
    let end = w.int64s(&[rows.0])?;
    let padded = w.op("Slice", &[&padded, &first, &end, &first]);
    w.finish(0, padded)?;
    let shape = w.node("Shape", &[&selected], Vec::new(), DType::I64);
    let axis = w.scalar(DType::I64, 0.0)?;
    let count = w.op("Gather", &[&shape, &axis]);
    w.finish(1, count)
}
