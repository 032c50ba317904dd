//! Ops on images.

use tfjet_convert::tensorflow::SourceNode;
use tfjet_core::{AttrValue, DType};

use super::{Draft, text, texts, with};

pub(super) fn convolution(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.image()?;
    let kernel = 1 + draft.below(3);
    let stride = 1 + i64::try_from(draft.below(2)).ok()?;
    let padding = draft.one_of(&["SAME", "VALID"]);
    let dilation = if draft.below(4) == 0 { 2 } else { 1 };
    let depthwise = draft.below(3) == 0;
    let nchw = draft.below(8) == 0;
    let channels = if nchw { input.size(1)? } else { input.size(3)? };
    let maps = 1 + draft.below(4);
    let filter = draft.floats(&[kernel, kernel, channels, maps]);
    let fused = draft.below(3) == 0;
    let op = match (depthwise, fused) {
        (false, false) => "Conv2D",
        (true, false) => "DepthwiseConv2dNative",
        (false, true) => "_FusedConv2D",
        (true, true) => "FusedDepthwiseConv2dNative",
    };
    let along = |size: i64| {
        AttrValue::Ints(if nchw {
            vec![1, 1, size, size]
        } else {
            vec![1, size, size, 1]
        })
    };
    let node = if fused {
        let outputs = if depthwise { channels * maps } else { maps };
        let bias = draft.floats(&[outputs]);
        let last = draft.one_of(&["Relu", "Relu6", "Elu", "LeakyRelu", "Prelu"]);
        let node = if last == "Prelu" {
            let slopes = draft.floats(&[outputs]);
            draft.op(op, &[&input.name, &filter, &bias, &slopes])
        } else {
            draft.op(op, &[&input.name, &filter, &bias])
        };
        with(node, "fused_ops", texts(&["BiasAdd", last]))
    } else {
        draft.op(op, &[&input.name, &filter])
    };
    let node = with(node, "strides", along(stride));
    let node = with(
        with(node, "padding", text(padding)),
        "dilations",
        along(dilation),
    );
    Some(if nchw {
        with(node, "data_format", text("NCHW"))
    } else {
        node
    })
}

pub(super) fn pool(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.image()?.name;
    let op = draft.one_of(&["MaxPool", "AvgPool"]);
    let mut window = || {
        let size = 1 + i64::try_from(draft.below(3)).unwrap_or(0);
        AttrValue::Ints(vec![1, size, size, 1])
    };
    let (size, strides) = (window(), window());
    let padding = draft.one_of(&["SAME", "VALID"]);
    let node = with(
        with(draft.op(op, &[&input]), "ksize", size),
        "strides",
        strides,
    );
    Some(with(node, "padding", text(padding)))
}

pub(super) fn bias(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|wire| wire.dtype == Some(DType::F32) && wire.rank() >= 2)?;
    let bias = draft.floats(&[input.last()]);
    Some(draft.op("BiasAdd", &[&input.name, &bias]))
}

pub(super) fn batch_norm(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.image()?;
    let channels = [input.size(3)?];
    let parts: Vec<String> = (0..4).map(|_| draft.floats(&channels)).collect();
    let op = draft.one_of(&["FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"]);
    let node = draft.op(
        op,
        &[&input.name, &parts[0], &parts[1], &parts[2], &parts[3]],
    );
    let node = with(node, "epsilon", AttrValue::Float(2.5));
    Some(with(node, "is_training", AttrValue::Bool(false)))
}

pub(super) fn pad(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.wire(|wire| wire.rank() > 0 && wire.dtype == Some(DType::F32))?;
    let mut amounts = vec![0; 2 * input.rank()];
    for amount in amounts.iter_mut().skip(2) {
        *amount = i32::try_from(draft.below(3)).ok()?;
    }
    let paddings = draft.ints(&[input.rank(), 2], &amounts);
    match draft.one_of(&["Pad", "PadV2", "MirrorPad"]) {
        "PadV2" => {
            let value = draft.floats(&[]);
            Some(draft.op("PadV2", &[&input.name, &paddings, &value]))
        }
        "MirrorPad" => {
            let mode = draft.one_of(&["REFLECT", "SYMMETRIC"]);
            Some(with(
                draft.op("MirrorPad", &[&input.name, &paddings]),
                "mode",
                text(mode),
            ))
        }
        op => Some(draft.op(op, &[&input.name, &paddings])),
    }
}

pub(super) fn resize(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.image()?.name;
    let sizes = [draft.one_of(&[3, 6, 12]), draft.one_of(&[3, 5, 12])];
    let size = draft.vector(&sizes);
    let op = draft.one_of(&["ResizeBilinear", "ResizeNearestNeighbor"]);
    let node = draft.op(op, &[&input, &size]);
    let node = with(node, "align_corners", AttrValue::Bool(draft.below(3) == 0));
    Some(with(
        node,
        "half_pixel_centers",
        AttrValue::Bool(draft.below(2) == 0),
    ))
}

pub(super) fn rearrange(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.image()?.name;
    let op = draft.one_of(&["DepthToSpace", "SpaceToDepth"]);
    Some(with(
        draft.op(op, &[&input]),
        "block_size",
        AttrValue::Int(2),
    ))
}

pub(super) fn backward(draft: &mut Draft<'_>) -> Option<SourceNode> {
    let input = draft.image()?;
    let channels = input.size(3)?;
    let sizes = [0, 1, 2].map(|axis| input.size(axis).and_then(|size| i32::try_from(size).ok()));
    let kernel = 1 + draft.below(3);
    let maps = 1 + draft.below(4);
    let filter = draft.floats(&[kernel, kernel, maps, channels]);
    let [batch, height, width] = sizes;
    let shape = [
        batch.unwrap_or(2),
        2 * height?,
        2 * width?,
        i32::try_from(maps).ok()?,
    ];
    let shape = draft.vector(&shape);
    let node = draft.op("Conv2DBackpropInput", &[&shape, &filter, &input.name]);
    let node = with(node, "strides", AttrValue::Ints(vec![1, 2, 2, 1]));
    Some(with(node, "padding", text("SAME")))
}
