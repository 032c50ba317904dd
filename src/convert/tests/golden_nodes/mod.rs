//! The nodes of TensorFlow's goldens, alone in a graph and with some of their inputs fed.

use std::collections::BTreeSet;

use tfjet_convert::tensorflow::SourceNode;
use tfjet_core::{AttrValue, Attrs, Shape, Tensor};

use crate::cases::Case;
use crate::source;

/// Which inputs of the node are fed; the others are constants.
pub(crate) type Fed = Vec<bool>;

/// Ways to feed the node: every input, every input of floats, each input alone.
pub(crate) fn feedings(inputs: &[Tensor]) -> BTreeSet<Fed> {
    let count = inputs.len();
    let floats = inputs.iter().map(|input| input.dtype().is_float());
    let alone = (0..count).map(|one| (0..count).map(|index| index == one).collect());
    let all: [Fed; 2] = [vec![true; count], floats.collect()];
    let mut ways: BTreeSet<Fed> = all.into_iter().chain(alone).collect();
    ways.retain(|fed| fed.contains(&true));
    ways
}

/// The node `op` and what makes its inputs, `input_0`, `input_1`, ...
pub(crate) fn nodes(case: &Case, inputs: &[Tensor], fed: &Fed) -> Vec<SourceNode> {
    let mut nodes = Vec::new();
    for (index, (input, fed)) in inputs.iter().zip(fed).enumerate() {
        let dtype = AttrValue::Type(Some(input.dtype()));
        let attrs = Attrs::default().with("dtype", dtype);
        let (op, attrs) = if *fed {
            let shape = AttrValue::Shape(Some(Shape::fixed(input.shape())));
            ("Placeholder", attrs.with("shape", shape))
        } else {
            let value = AttrValue::Tensor(input.clone());
            ("Const", attrs.with("value", value))
        };
        nodes.push(SourceNode {
            attrs,
            ..source::node(&format!("input_{index}"), op, &[])
        });
    }
    nodes.push(SourceNode {
        name: "op".into(),
        op: case.op.clone(),
        device: String::new(),
        inputs: (0..inputs.len()).map(|i| format!("input_{i}")).collect(),
        attrs: case.attrs(),
    });
    nodes
}
