//! Ops that few models have.

use tfjet_convert::tensorflow::SourceNode;
use tfjet_core::{AttrValue, DType, Shape};

use super::{Draft, Wire, text, with};

/// One in so many of the ops drawn here is one.
const RARELY: usize = 2;

pub(super) fn rarer(draft: &mut Draft<'_>) -> Option<SourceNode> {
    if draft.below(RARELY) != 0 {
        return None;
    }
    match draft.below(7) {
        0 => matrices(draft),
        1 => image(draft),
        2 | 3 => quantized(draft),
        4 => blocks(draft),
        5 => fused(draft),
        _ => other(draft),
    }
}

pub(super) fn volume(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let Some(input) = draft.wire(|wire| wire.rank() == 5 && wire.dtype == Some(DType::F32)) else {
        let image = draft.image()?;
        let axis = draft.ints(&[], &[1]);
        return Some(draft.op("ExpandDims", &[&image.name, &axis]));
    };
    let channels = input.size(4)?;
    let op = draft.one_of(&["Conv3D", "MaxPool3D", "AvgPool3D", "Conv3DBackpropInputV2"]);
    let node = match op {
        "Conv3D" => {
            let filter = draft.floats(&[1, 2, 2, channels, 3]);
            draft.op(op, &[&input.name, &filter])
        }
        "Conv3DBackpropInputV2" => {
            let sizes: Option<Vec<i32>> = (0..5)
                .map(|axis| i32::try_from(input.size(axis)?).ok())
                .collect();
            let sizes = draft.vector(&sizes?);
            let filter = draft.floats(&[1, 2, 2, channels, channels]);
            draft.op(op, &[&sizes, &filter, &input.name])
        }
        _ => {
            let window = AttrValue::Ints(vec![1, 1, 2, 2, 1]);
            with(draft.op(op, &[&input.name]), "ksize", window)
        }
    };
    let node = with(node, "strides", AttrValue::Ints(vec![1; 5]));
    Some(with(node, "padding", text("SAME")))
}

fn matrices(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let float = |wire: &Wire| wire.dtype == Some(DType::F32);
    let input = draft.wire(|wire| float(wire) && wire.rank() >= 2)?;
    let last = input.last();
    match draft.below(3) {
        0 => {
            let matrix = draft.floats(&[last, 3]);
            Some(draft.op("BatchMatMulV3", &[&input.name, &matrix]))
        }
        1 => {
            let (lower, upper) = (draft.long(1), draft.long(-1));
            Some(draft.op("MatrixBandPart", &[&input.name, &lower, &upper]))
        }
        _ => {
            let matrix = draft.floats(&[last, 2]);
            let node = draft.op("Einsum", &[&input.name, &matrix]);
            Some(with(node, "equation", text("...ij,jk->...ki")))
        }
    }
}

fn image(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.image()?.name;
    let op = draft.one_of(&["ResizeBicubic", "ResizeArea", "LRN"]);
    if op == "LRN" {
        return Some(with(
            draft.op(op, &[&input]),
            "depth_radius",
            AttrValue::Int(2),
        ));
    }
    let size = draft.vector(&[3, 7]);
    let node = draft.op(op, &[&input, &size]);
    Some(with(node, "align_corners", AttrValue::Bool(false)))
}

fn quantized(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|wire| wire.rank() > 0 && wire.dtype == Some(DType::F32))?;
    let op = draft.one_of(&[
        "FakeQuantWithMinMaxArgs",
        "FakeQuantWithMinMaxVars",
        "FakeQuantWithMinMaxVarsPerChannel",
        "QuantizeAndDequantizeV2",
        "QuantizeAndDequantizeV3",
        "QuantizeAndDequantizeV4",
    ]);
    let channels = [input.last()];
    let shape = match op {
        "FakeQuantWithMinMaxVarsPerChannel" => &channels[..],
        _ => &[],
    };
    let (low, high) = (draft.filled(shape, -1.5), draft.filled(shape, 2.5));
    let node = match op {
        "FakeQuantWithMinMaxArgs" => draft.op(op, &[&input.name]),
        "QuantizeAndDequantizeV3" => {
            let bits = draft.ints(&[], &[8]);
            draft.op(op, &[&input.name, &low, &high, &bits])
        }
        _ => draft.op(op, &[&input.name, &low, &high]),
    };
    Some(match op.starts_with("Quantize") {
        true => with(node, "range_given", AttrValue::Bool(true)),
        false => node,
    })
}

fn blocks(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.image()?.name;
    let op = draft.one_of(&["SpaceToBatch", "BatchToSpace"]);
    let edges = draft.ints(&[2, 2], &[0; 4]);
    let block = match op {
        "SpaceToBatch" => 2,
        _ => 1,
    };
    let node = draft.op(op, &[&input, &edges]);
    Some(with(node, "block_size", AttrValue::Int(block)))
}

fn fused(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.image()?;
    let channels = input.size(3)?;
    if draft.below(2) == 0 {
        let filter = draft.floats(&[3, 3, channels, 2]);
        let bias = draft.floats(&[2 * channels]);
        let op = "_FusedDepthwiseConv2dNative";
        let node = draft.op(op, &[&input.name, &filter, &bias]);
        let node = with(node, "fused_ops", super::texts(&["BiasAdd", "Relu"]));
        let node = with(node, "strides", AttrValue::Ints(vec![1; 4]));
        return Some(with(node, "padding", text("SAME")));
    }
    let filter = draft.floats(&[3, 3, channels, 2]);
    let bias = draft.floats(&[2]);
    let side = draft.floats(&[0]);
    let (one, zero) = (draft.filled(&[], 1.0), draft.filled(&[], 0.0));
    let inputs = [&input.name[..], &filter, &bias, &side, &one, &zero];
    let node = draft.op("FusedConv2DBiasActivation", &inputs);
    let node = with(node, "strides", AttrValue::Ints(vec![1; 4]));
    let node = with(node, "activation_mode", text("Relu"));
    Some(with(node, "padding", text("SAME")))
}

pub(super) fn suppression(draft: &mut Draft<'_>) -> Option<SourceNode> {
    if draft.below(4) == 3 {
        return combined_suppression(draft);
    }
    let rows = |wire: &Wire| wire.shape.as_ref().map(|shape| shape.dims()[0].clone());
    let float = |wire: &Wire, rank: usize| wire.dtype == Some(DType::F32) && wire.rank() == rank;
    let boxes = draft.wire(|wire| float(wire, 2) && wire.size(1) == Some(4))?;
    let scores = draft.wire(|wire| float(wire, 1) && rows(wire) == rows(&boxes));
    let scores = match (scores, boxes.size(0)) {
        (Some(scores), _) => scores.name,
        (None, Some(count)) => draft.floats(&[count]),
        (None, None) => {
            let axis = draft.vector(&[1]);
            return Some(draft.op("Max", &[&boxes.name, &axis]));
        }
    };
    let limit = draft.ints(&[], &[3]);
    let (iou, score) = (draft.filled(&[], 0.5), draft.filled(&[], 0.0));
    let mut inputs = vec![boxes.name, scores, limit, iou, score];
    let op = draft.one_of(&["NonMaxSuppressionV4", "NonMaxSuppressionV5"]);
    if op == "NonMaxSuppressionV5" {
        inputs.push(draft.filled(&[], 0.0));
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let pads = AttrValue::Bool(draft.below(4) != 0);
    let node = draft.op(op, &inputs);
    Some(with(node, "pad_to_max_output_size", pads))
}

fn combined_suppression(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let float = |wire: &Wire| wire.dtype == Some(DType::F32);
    let sizes = |wire: &Wire| wire.shape.as_ref().and_then(Shape::as_fixed);
    let boxes =
        draft.wire(|wire| float(wire) && matches!(sizes(wire).as_deref(), Some([_, _, _, 4])));
    let Some(boxes) = boxes else {
        let wire = draft.wire(|wire| float(wire) && sizes(wire).is_some())?;
        let shape = draft.vector(&[1, -1, 1, 4]);
        let whole = sizes(&wire)?.iter().product::<usize>();
        return (whole > 0 && whole % 4 == 0).then(|| draft.op("Reshape", &[&wire.name, &shape]));
    };
    let sizes = sizes(&boxes)?;
    let classes = match sizes[2] {
        1 => 1 + draft.below(3),
        sets => sets,
    };
    let scores = draft.floats(&[sizes[0], sizes[1], classes]);
    let (of_class, total) = (draft.ints(&[], &[2]), draft.ints(&[], &[5]));
    let (iou, score) = (draft.filled(&[], 0.5), draft.filled(&[], 0.0));
    let inputs = [&boxes.name[..], &scores, &of_class, &total, &iou, &score];
    let pads = AttrValue::Bool(draft.below(2) != 0);
    let node = draft.op("CombinedNonMaxSuppression", &inputs);
    Some(with(node, "pad_per_class", pads))
}

fn other(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|wire| wire.rank() > 0 && wire.dtype == Some(DType::F32))?;
    if draft.below(2) == 0 {
        let (low, high) = (draft.filled(&[], -0.5), draft.filled(&[], 0.75));
        return Some(draft.op("ClipByValue", &[&input.name, &low, &high]));
    }
    let indices = draft.vector(&[1, 0]);
    Some(draft.op("ResourceGather", &[&input.name, &indices]))
}
