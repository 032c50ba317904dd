//! Engines that wait for the device while they are enqueued.

use tfjet_core::{DType, Layer, LayerSpec, NetworkSpec, NetworkTensor, Tensor, TensorId};
use tfjet_runtime::{PlainReason, Session, SessionOptions};
use tfjet_tensorrt::Flavor;

use crate::built::Built;
use crate::common::{f32s, shape};
use crate::{PLACEMENTS, engines_only, open};

/// Selects 3 of 4 boxes at most.
fn built() -> Built {
    let mut built = Built::default();
    let model = &mut built.model;
    let boxes = model.input(DType::F32, "4,4");
    let scores = model.input(DType::F32, "4");
    let selected = model.computed(DType::I32, "3");
    let count = model.computed(DType::I32, "");
    model.engine(0, &[boxes, scores], &[selected, count]);
    let tensors = [
        ("boxes", DType::F32, "4,4"),
        ("scores", DType::F32, "4"),
        ("selected", DType::I32, "3"),
        ("count", DType::I32, ""),
    ];
    let ids = |ids: [u32; 2]| ids.map(TensorId).to_vec();
    model.networks[0] = NetworkSpec {
        name: "suppression".into(),
        tensors: tensors
            .map(|(name, dtype, dims)| NetworkTensor {
                name: name.into(),
                dtype,
                shape: shape(dims),
            })
            .to_vec(),
        inputs: ids([0, 1]),
        outputs: ids([2, 3]),
        layers: vec![LayerSpec {
            name: "nms".into(),
            layer: Layer::Nms {
                max_output_boxes: 3,
                iou_threshold: 0.5,
                score_threshold: 0.25,
            },
            inputs: ids([0, 1]),
            outputs: ids([2, 3]),
        }],
    };
    built.model.output(selected);
    built.model.output(count);
    built
}

fn run(session: &mut Session, scores: &[f32]) -> (Vec<i32>, i32) {
    let corners = [
        [0.0, 0.0, 2.0, 2.0],
        [0.0, 0.0, 2.0, 1.75],
        [6.0, 6.0, 4.0, 4.0],
        [8.0, 0.0, 9.0, 1.0],
    ];
    let (boxes, scores) = (f32s(&[4, 4], corners.as_flattened()), f32s(&[4], scores));
    let outputs = session.run(&[boxes.view(), scores.view()]).unwrap();
    let mut outputs = outputs.iter().map(|(_, view)| view.to_tensor());
    let mut next = || -> Tensor { outputs.next().unwrap() };
    let (selected, count) = (next(), next());
    let selected = selected.as_slice::<i32>().unwrap().to_vec();
    (selected, count.as_slice::<i32>().unwrap()[0])
}

#[test]
fn a_block_that_waits_for_values_is_never_recorded() {
    for placement in PLACEMENTS {
        let Some((gpu, _alone)) = open(&engines_only(Some(placement))) else {
            return;
        };
        let version = gpu.library().version();
        if version.flavor == Flavor::TensorRt && (version.major, version.minor) < (8, 5) {
            eprintln!("skipped: {version} has no NMS layer");
            return;
        }
        let mut session = built().on_gpu(&gpu, &SessionOptions::default());
        for (scores, selected, count) in [
            ([0.5, 0.75, 1.0, 0.3], [2, 1, 3], 3),
            ([0.75, 0.5, 0.25, 0.0], [0, 0, 0], 1),
            ([0.1, 0.2, 0.0, 0.25], [0, 0, 0], 0),
            ([0.1, 0.2, 0.5, 0.75], [3, 2, 0], 2),
        ] {
            assert_eq!(run(&mut session, &scores), (selected.to_vec(), count));
            let stats = session.gpu_stats().unwrap();
            assert_eq!((stats.graphs, stats.failed_captures), (0, 0));
            assert_eq!(stats.plain, Some(PlainReason::WaitsForValues));
        }
        session.replay(3).unwrap();
        assert_eq!(session.gpu_stats().unwrap().graphs, 0);
    }
}
