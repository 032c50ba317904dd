//! Suppressions of boxes get a result of fixed size, and what is selected is cut off behind them.

use tfjet_core::{AttrValue, Attrs, DType, Tensor};

use super::simplify::{Rewrite, RewriteOptions};
use crate::graph::{Graph, Node, NodeId, TypedGraph, WireId};
use crate::lower::{Suppression, is_suppression};

/// A result is not padded to more boxes than this.
const MAX_PADDED: usize = 5000;

/// Makes `NonMaxSuppression` and its later versions, where a layer can do what they ask for, the
/// form of them that pads: the engine gives indices of a fixed size and the number of selected
/// boxes, and a `Slice` outside cuts the rest.
pub(super) fn pad_suppressions(
    typed: &TypedGraph,
    options: &RewriteOptions<'_>,
) -> Option<Rewrite> {
    if !options.lower_nms {
        return None;
    }
    let live = typed.order.iter().copied();
    let found: Vec<(NodeId, Suppression)> = live
        .filter(|id| !(options.keep)(typed.graph.node(*id)))
        .filter_map(|id| Some((id, open(typed, id)?)))
        .collect();
    if found.is_empty() {
        return None;
    }
    let mut graph = typed.graph.clone();
    for (id, asked) in &found {
        Padded::new(&mut graph, *id).replace(asked);
    }
    let count = found.len();
    let s = if count == 1 { "" } else { "s" };
    Some(Rewrite {
        graph,
        notes: vec![format!(
            "{count} suppression{s} of boxes padded for the engine, the result cut behind it"
        )],
    })
}

/// What a suppression asks for whose result is not padded, where a layer can do it.
fn open(typed: &TypedGraph, id: NodeId) -> Option<Suppression> {
    let node = typed.graph.node(id);
    let pads = AttrValue::Bool(true);
    if !is_suppression(&node.op) || node.attrs.get("pad_to_max_output_size") == Some(&pads) {
        return None;
    }
    let mut asked = Suppression::of(typed, id).ok()?;
    if let Some(count) = asked.boxes.fixed() {
        asked.max_output_boxes = asked.max_output_boxes.min(count);
    }
    (1..=MAX_PADDED)
        .contains(&asked.max_output_boxes)
        .then_some(asked)
}

/// The nodes that stand for one suppression.
struct Padded<'g> {
    graph: &'g mut Graph,
    id: NodeId,
    node: Node,
}

impl<'g> Padded<'g> {
    fn new(graph: &'g mut Graph, id: NodeId) -> Self {
        let node = graph.node(id).clone();
        Self { graph, id, node }
    }

    fn replace(mut self, asked: &Suppression) {
        let limit = i32::try_from(asked.max_output_boxes).unwrap_or(i32::MAX);
        let limit = self.constant("max_output_size", Tensor::scalar(limit));
        let iou = self.constant("iou_threshold", Tensor::scalar(asked.iou_threshold));
        let score = self.constant("score_threshold", Tensor::scalar(asked.score_threshold));
        let gives_scores = self.node.op == "NonMaxSuppressionV5";
        let mut inputs: Vec<WireId> = self.node.inputs.iter().copied().take(2).collect();
        inputs.extend([limit, iou, score]);
        let mut op = "NonMaxSuppressionV4";
        if gives_scores {
            op = "NonMaxSuppressionV5";
            inputs.push(self.constant("soft_nms_sigma", Tensor::scalar(0.0f32)));
        }
        let attrs = types(DType::F32)
            .with("T_threshold", AttrValue::Type(Some(DType::F32)))
            .with("pad_to_max_output_size", AttrValue::Bool(true));
        let padded = Node {
            source: self.node.source,
            ..Node::new(self.name("padded"), op, attrs, inputs)
        };
        let padded = self.graph.add(padded);
        let last = if gives_scores { 2 } else { 1 };
        let count = WireId::new(padded, last);
        let axis = self.constant("axis", Tensor::scalar(0i32));
        let size = self.add("size", "ExpandDims", types(DType::I32), vec![count, axis]);
        let begin = self.constant(
            "begin",
            Tensor::from_slice(&[1], &[0i32]).unwrap_or_default(),
        );
        let results = [("indices", DType::I32), ("scores", DType::F32)];
        for (slot, (role, dtype)) in (0..last).zip(results) {
            let whole = WireId::new(padded, slot);
            let attrs = types(dtype).with("Index", AttrValue::Type(Some(DType::I32)));
            let cut = self.add(role, "Slice", attrs, vec![whole, begin, size]);
            self.graph.redirect(WireId::new(self.id, slot), cut, None);
        }
        if self.node.op == "NonMaxSuppressionV4" || gives_scores {
            self.graph.redirect(WireId::new(self.id, last), count, None);
        }
    }

    fn constant(&mut self, role: &str, value: Tensor) -> WireId {
        let attrs = Attrs::default()
            .with("dtype", AttrValue::Type(Some(value.dtype())))
            .with("value", AttrValue::Tensor(value));
        self.add(role, "Const", attrs, Vec::new())
    }

    fn add(&mut self, role: &str, op: &str, attrs: Attrs, inputs: Vec<WireId>) -> WireId {
        let node = Node::new(self.name(role), op, attrs, inputs);
        WireId::new(self.graph.add(node), 0)
    }

    /// A name that no node has.
    fn name(&self, role: &str) -> String {
        let base = format!("{}/{role}", self.node.name);
        let taken = |name: &str| self.graph.nodes.iter().any(|node| node.name == name);
        let numbered = (1..).map(|number| format!("{base}_{number}"));
        let mut names = std::iter::once(base.clone()).chain(numbered);
        names.find(|name| !taken(name)).unwrap_or(base)
    }
}

fn types(dtype: DType) -> Attrs {
    Attrs::default().with("T", AttrValue::Type(Some(dtype)))
}
