//! `NonMaxSuppressionV4` and `V5`, whose results are padded to a fixed size.

use std::sync::Arc;

use tfjet_core::{DType, Dim, ElementWiseOperation, GatherMode, Layer, Shape, Tensor, TensorId};

use super::op::Op;
use super::{Layout, Refusal, refuse};
use crate::graph::{NodeId, TypedGraph};

/// What a suppression of boxes is asked for, where a layer does the same.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Suppression {
    pub(crate) max_output_boxes: usize,
    pub(crate) iou_threshold: f32,
    pub(crate) score_threshold: f32,
    /// How many boxes it has to choose from.
    pub(crate) boxes: Dim,
}

/// Is the op a suppression of boxes, which TensorRT waits for and which is therefore lowered on
/// demand only?
pub(crate) fn is_suppression(op: &str) -> bool {
    matches!(
        op,
        "NonMaxSuppression"
            | "NonMaxSuppressionV2"
            | "NonMaxSuppressionV3"
            | "NonMaxSuppressionV4"
            | "NonMaxSuppressionV5"
            | "CombinedNonMaxSuppression"
    )
}

impl Suppression {
    /// What the node, a `NonMaxSuppression` of any version, asks for.
    ///
    /// # Errors
    /// Why no layer does that.
    pub(crate) fn of(typed: &TypedGraph, id: NodeId) -> Result<Self, Refusal> {
        let node = typed.graph.node(id);
        let input = |index: usize| {
            let wire = node.inputs.get(index).copied();
            wire.map(|wire| typed.fact(wire))
                .ok_or_else(|| Refusal(format!("input {index} is missing")))
        };
        for index in [0, 1] {
            match input(index)?.dtype {
                Some(DType::F32) => {}
                Some(other) => return refuse(format!("input {index} is {other}, not float32")),
                None => return refuse(format!("the element type of input {index} is not known")),
            }
        }
        let dims = |index: usize| Ok::<_, Refusal>(input(index)?.shape.as_ref().map(Shape::dims));
        let boxes = match (dims(0)?, dims(1)?) {
            (Some([count, Dim::Fixed(4)]), Some([scored])) if count == scored => count.clone(),
            _ => return refuse("boxes of [n, 4] and scores of [n] are not known to be its inputs"),
        };
        let scalar = |index: usize, role: &str| match &input(index)?.value {
            Some(value) if value.dtype() == DType::F32 => match value.as_slice::<f32>()? {
                [value] => Ok(*value),
                values => refuse(format!(
                    "the input \"{role}\" has {} elements",
                    values.len()
                )),
            },
            _ => refuse(format!("the input \"{role}\" must be a float32 constant")),
        };
        let limit = match &input(2)?.value {
            Some(value) if value.dtype() == DType::I32 => value.as_slice::<i32>()?.first().copied(),
            _ => return refuse("the input \"max_output_size\" must be a constant"),
        };
        let max_output_boxes = match limit.map(usize::try_from) {
            Some(Ok(limit @ 1..)) => limit,
            _ => return refuse("a max_output_size below 1 selects nothing"),
        };
        let version = node.op.trim_start_matches("NonMaxSuppression");
        let iou_threshold = match (version, node.attrs.get("iou_threshold")) {
            ("", Some(tfjet_core::AttrValue::Float(threshold))) => *threshold,
            ("", _) => 0.5,
            _ => scalar(3, "iou_threshold")?,
        };
        if !(0.0..=1.0).contains(&iou_threshold) {
            return refuse(format!(
                "the iou_threshold is {iou_threshold}, not within 0..=1"
            ));
        }
        let score_threshold = match version {
            "" | "V2" => f32::MIN,
            _ => scalar(4, "score_threshold")?,
        };
        if score_threshold.is_nan() {
            return refuse("the score_threshold is no number");
        }
        if version == "V5" && scalar(5, "soft_nms_sigma")? != 0.0 {
            return refuse("it lowers scores instead of dropping boxes");
        }
        Ok(Self {
            max_output_boxes,
            iou_threshold,
            score_threshold,
            boxes,
        })
    }
}

/// Why a suppression is not lowered whose result is not padded, and was not made one that is.
pub(super) fn unpadded(typed: &TypedGraph, id: NodeId) -> Refusal {
    match Suppression::of(typed, id) {
        Err(refusal) => refusal,
        Ok(_) => Refusal("the size of its result follows from values".into()),
    }
}

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    if !op.attrs.bool_or("pad_to_max_output_size", false)? {
        return Err(unpadded(op.builder.typed, op.id));
    }
    let Suppression {
        max_output_boxes,
        iou_threshold,
        score_threshold,
        ..
    } = Suppression::of(op.builder.typed, op.id)?;
    let (_, selected) = op.output_type(0)?;
    let boxes = op.tensor(0, Layout::Native)?;
    let scores = op.tensor(1, Layout::Native)?;
    let layer = Layer::Nms {
        max_output_boxes,
        iou_threshold,
        score_threshold,
    };
    let name = op.node.name.clone();
    let outputs = [
        (DType::I32, selected.clone()),
        (DType::I32, Shape::default()),
    ];
    let made = op.builder.layer(&name, layer, &[boxes, scores], &outputs);
    let (indices, count) = (made[0], made[1]);
    op.output(0, indices, Layout::Native);
    if op.node.op == "NonMaxSuppressionV4" {
        op.output(1, count, Layout::Native);
        return Ok(());
    }
    if op.is_used(1) {
        let picked = picked(op, scores, indices, count, &selected)?;
        op.output(1, picked, Layout::Native);
    }
    op.output(2, count, Layout::Native);
    Ok(())
}

/// The scores at `indices`, and zeros from place `count` on.
fn picked(
    op: &mut Op<'_, '_>,
    scores: TensorId,
    indices: TensorId,
    count: TensorId,
    shape: &Shape,
) -> Result<TensorId, Refusal> {
    let native = Layout::Native;
    let gather = Layer::Gather {
        mode: GatherMode::Default {
            axis: 0,
            batch_dims: 0,
        },
    };
    let gathered = op.emit(gather, &[scores, indices], DType::F32, shape, native);
    let name = format!("{}/count", op.node.name);
    let count = op.builder.reshape(&name, count, &Shape::fixed(&[1]))?;
    let sizes = shape.as_fixed().unwrap_or_default();
    let places = op.constant_layer("places", DType::I32, &sizes, || {
        let places: Vec<i32> = (0..).take(sizes.iter().product()).collect();
        Ok(Arc::new(Tensor::from_slice(&sizes, &places)?))
    })?;
    let less = Layer::ElementWise {
        operation: ElementWiseOperation::Less,
    };
    let is_selected = op.emit(less, &[places, count], DType::Bool, shape, native);
    let zero = op.number(0.0, DType::F32, 1)?;
    let inputs = [is_selected, gathered, zero];
    Ok(op.emit(Layer::Select, &inputs, DType::F32, shape, native))
}
