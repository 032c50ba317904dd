//! What a network is told, by objects that stand in for the library's.

use std::collections::BTreeMap;

use super::{LayerRef, Network};
use crate::fake::network::{builder, told};
use crate::{DataType, TensorRtError};

/// An NMS layer whose inputs have the names of what they are.
fn nms<'n>(network: &'n Network<'_>) -> Result<LayerRef<'n>, TensorRtError> {
    let input = |name| network.add_input(name, DataType::Float, &[1]);
    network.add_nms(
        input("boxes")?,
        input("scores")?,
        input("limit")?,
        input("iou")?,
        input("score")?,
    )
}

#[test]
fn nms_is_told_its_thresholds_and_the_form_of_boxes() {
    for (major, minor) in [(8, 5), (8, 6), (10, 0), (10, 3), (10, 16)] {
        let builder = builder(major, minor, &[]);
        let network = Network::new(&builder).unwrap();
        nms(&network).unwrap().set_name("nms").unwrap();
        let told = told();
        let inputs = ["boxes", "scores", "limit", "iou", "score"].map(str::to_owned);
        let inputs: BTreeMap<i32, String> = (0..).zip(inputs).collect();
        assert_eq!(told["nms"].inputs, inputs, "{major}.{minor}");
        assert_eq!(told["nms"].box_format, Some(0), "{major}.{minor}");
    }
}

#[test]
fn nms_came_with_8_5() {
    for minor in [2, 4] {
        let builder = builder(8, minor, &[]);
        let network = Network::new(&builder).unwrap();
        let error = nms(&network).unwrap_err();
        let TensorRtError::MissingMethod { method, since, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(method, "VNetworkDefinition::addNMS");
        let since = since.map(|since| (since.major, since.minor));
        assert_eq!(since, Some((8, 5)));
    }
}
