use tfjet_core::Dim;

use super::writer::Writer;
use crate::network::{Outside, Part, Sizes};
use crate::{DataType, TensorRtError};

/// What `INMSLayer` selects has as many rows of batch, class and box as boxes are selected. Zeros join
/// it, and as many rows are cut off as the specification has, so that no size outside follows from
/// values. Groups are a batch.
pub(super) fn nms(
    w: &mut Writer<'_, '_, '_>,
    max_output_boxes: usize,
    iou_threshold: f32,
    score_threshold: f32,
) -> Result<(), TensorRtError> {
    let (groups, count) = match (w.input_dims(0)?, w.input_dims(1)?) {
        ([Dim::Fixed(count), Dim::Fixed(4)], [Dim::Fixed(scored)]) if count == scored => {
            (None, *count)
        }
        (
            [Dim::Fixed(groups), Dim::Fixed(count), Dim::Fixed(4)],
            [Dim::Fixed(others), Dim::Fixed(scored)],
        ) if groups == others && count == scored => (Some(*groups), *count),
        _ => {
            return Err(w.fail(
                "takes boxes of [n, 4] and scores of [n], or [g, n, 4] and [g, n], all known",
            ));
        }
    };
    let batch = groups.unwrap_or(1);
    let (limit, rows) = (max_output_boxes.min(count), max_output_boxes * batch);
    let (boxes, scores) = (w.input(0)?, w.input(1)?);
    let batch = w.int(batch)?;
    let boxes = w.reshape(boxes, &[batch, -1, 4])?;
    let scores = w.reshape(scores, &[batch, -1, 1])?;
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
    let zeros = w.zeros(&[rows, 3], DataType::Int32)?;
    let joined = w
        .network
        .add_concatenation(&[selected.tensor, zeros.tensor], 0)?;
    let joined = w.value("padded", joined, DataType::Int32)?;
    let rows = w.int(rows)?;
    let (start, width) = match groups {
        Some(_) => (0, 2),
        None => (2, 1),
    };
    let part = Part {
        start: Sizes::Known(vec![0, start]),
        size: Sizes::Known(vec![rows, width]),
        stride: Sizes::Known(vec![1, width]),
    };
    let boxes = w.network.add_slice(joined.tensor, &part, Outside::Never)?;
    let mut boxes = w.value("boxes", boxes, DataType::Int32)?;
    if groups.is_none() {
        boxes = w.reshape(boxes, &[rows])?;
    }
    w.finish(0, boxes)?;
    w.finish(1, selected_count)
}

#[cfg(test)]
mod tests {
    use tfjet_core::{
        DType, Layer, LayerSpec, NetworkSpec, NetworkTensor, Shape, TensorId, TensorView, WeightsId,
    };

    use super::super::numbers::Numbers;
    use super::super::types::Types;
    use super::super::writer::Written;
    use super::super::{BuildOptions, Edge, WeightsSource};
    use super::*;
    use crate::network::Network;
    use crate::{Builder, Flavor, Library};

    struct Nothing;

    impl WeightsSource for Nothing {
        fn weights(&self, _: WeightsId) -> Option<TensorView<'_>> {
            None
        }
    }

    fn spec(shapes: [&[usize]; 4]) -> NetworkSpec {
        let types = [DType::F32, DType::F32, DType::I32, DType::I32];
        let tensors = shapes.iter().zip(types).enumerate();
        let tensors = tensors.map(|(index, (shape, dtype))| NetworkTensor {
            name: format!("t{index}"),
            dtype,
            shape: Shape::fixed(shape),
        });
        let layer = LayerSpec {
            name: "nms".into(),
            layer: Layer::Nms {
                max_output_boxes: 5,
                iou_threshold: 0.5,
                score_threshold: 0.1,
            },
            inputs: vec![TensorId(0), TensorId(1)],
            outputs: vec![TensorId(2), TensorId(3)],
        };
        NetworkSpec {
            name: "suppression".into(),
            tensors: tensors.collect(),
            inputs: layer.inputs.clone(),
            outputs: layer.outputs.clone(),
            layers: vec![layer],
        }
    }

    /// TensorRT-RTX takes the layer into a network, and says of which shapes its outputs are.
    #[test]
    fn what_is_selected_has_the_shape_of_the_specification() {
        let Some(path) = std::env::var_os("TFJET_TENSORRT_RTX") else {
            eprintln!("SKIPPED: TFJET_TENSORRT_RTX does not name libtensorrt_rtx.so.1");
            return;
        };
        let library = Library::load(Flavor::TensorRtRtx, Some(path.as_ref()), &[]).unwrap();
        let builder = Builder::new(&library).unwrap();
        let made = |shapes: [&[usize]; 4]| {
            let (spec, options) = (spec(shapes), BuildOptions::default());
            let numbers = Numbers::new(builder.version(), &spec, &options)?;
            let network = Network::new(&builder)?;
            let mut written = Written {
                tensors: vec![None; spec.tensors.len()],
                made: Vec::new(),
                same: Vec::new(),
            };
            let edge = Edge {
                network: &network,
                numbers: &numbers,
                types: Types::new(network.version(), numbers.has_halves()),
            };
            for (index, &id) in spec.inputs.iter().enumerate() {
                edge.input(index, id, &mut written)?;
            }
            let at_hand = (0, &spec.layers[0]);
            let mut writer = Writer::new(&network, &Nothing, &numbers, at_hand, &mut written);
            writer.cast_inputs()?;
            nms(&mut writer, 5, 0.5, 0.1)
        };
        for good in [
            [&[9, 4][..], &[9], &[5], &[]],
            [&[3, 9, 4], &[3, 9], &[15, 2], &[]],
            [&[1, 2, 4], &[1, 2], &[5, 2], &[]],
        ] {
            made(good).unwrap();
        }
        for (bad, expected) in [
            (
                [&[3, 9, 4][..], &[3, 9], &[15, 3], &[]],
                "TensorRT makes [15, 2] of it",
            ),
            (
                [&[3, 9, 4], &[2, 9], &[15, 2], &[]],
                "takes boxes of [n, 4]",
            ),
            ([&[9, 4], &[8], &[5], &[]], "takes boxes of [n, 4]"),
        ] {
            let error = made(bad).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
