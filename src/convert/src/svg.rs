//! A picture of the graph: one box per computing node, segments coloured, the flow from top to
//! bottom. A loop or a condition is one box.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::graph::NodeId;
use crate::partition::{CallParts, Partition};
use crate::stages::Lowered;

const BOX: (usize, usize) = (172, 26);
const STEP: (usize, usize) = (186, 52);
const MARGIN: usize = 20;
const HEADER: usize = 56;
const LEGEND_STEP: usize = 110;
const OUTSIDE: &str = "#d9d9d9";
const CALL: &str = "#e9c46a";
const COLORS: &[&str] = &[
    "#8ecae6", "#b7e4c7", "#ffd6a5", "#cdb4db", "#ffadad", "#f9f871", "#a0c4ff", "#caffbf",
    "#ffc8dd", "#bde0fe",
];

/// The picture as SVG text.
pub fn svg(lowered: &Lowered) -> String {
    let typed = &lowered.typed;
    let segment_of = segments(&lowered.partition);
    let mut row: BTreeMap<NodeId, usize> = BTreeMap::new();
    let mut rows: Vec<Vec<NodeId>> = Vec::new();
    for &id in &typed.order {
        let inputs = &typed.graph.node(id).inputs;
        let depth = inputs
            .iter()
            .filter_map(|wire| row.get(&wire.node))
            .max()
            .map_or(0, |d| d + 1);
        row.insert(id, depth);
        if rows.len() <= depth {
            rows.push(Vec::new());
        }
        rows[depth].push(id);
    }
    let widest = rows.iter().map(Vec::len).max().unwrap_or(1);
    let entries = lowered.partition.segments.len().min(COLORS.len()) + 2;
    let width = 2 * MARGIN + (widest * STEP.0).max(entries * LEGEND_STEP);
    let height = HEADER + 2 * MARGIN + rows.len() * STEP.1;
    let mut place: BTreeMap<NodeId, (usize, usize)> = BTreeMap::new();
    for (depth, ids) in rows.iter().enumerate() {
        let start = (width - ids.len() * STEP.0) / 2;
        for (column, id) in ids.iter().enumerate() {
            place.insert(
                *id,
                (start + column * STEP.0, HEADER + MARGIN + depth * STEP.1),
            );
        }
    }
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    legend(&mut text, &lowered.partition);
    for (&id, &(x, y)) in &place {
        for wire in &typed.graph.node(id).inputs {
            if let Some(&(from_x, from_y)) = place.get(&wire.node) {
                let _ = writeln!(
                    text,
                    "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{y}\" stroke=\"#999\"/>",
                    from_x + BOX.0 / 2,
                    from_y + BOX.1,
                    x + BOX.0 / 2,
                );
            }
        }
    }
    let reasons: BTreeMap<NodeId, &str> = lowered
        .partition
        .residual
        .iter()
        .map(|residual| (residual.node, residual.reason.0.as_str()))
        .collect();
    for (&id, &(x, y)) in &place {
        let node = typed.graph.node(id);
        let segment = segment_of.get(&id).copied();
        let call = lowered.partition.calls.get(&id);
        let color = match (segment, call) {
            (Some(index), _) => COLORS[index % COLORS.len()],
            (None, Some(_)) => CALL,
            (None, None) => OUTSIDE,
        };
        let title = match (reasons.get(&id), call) {
            (Some(reason), _) => format!("{} ({}): {reason}", node.name, node.op),
            (None, Some(call)) => format!("{} ({}): {}", node.name, node.op, inside(call)),
            (None, None) => format!("{} ({})", node.name, node.op),
        };
        let label: String = node.op.chars().take(26).collect();
        let _ = writeln!(
            text,
            "<g><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"4\" \
             fill=\"{color}\" stroke=\"#555\"/><text x=\"{}\" y=\"{}\" \
             text-anchor=\"middle\">{}</text></g>",
            escape(&title),
            BOX.0,
            BOX.1,
            x + BOX.0 / 2,
            y + 17,
            escape(&label),
        );
    }
    text.push_str("</svg>\n");
    text
}

/// What a loop or a condition holds.
fn inside(call: &CallParts) -> String {
    let segments: usize = call.functions.iter().map(Partition::segment_count).sum();
    let residual: usize = call.functions.iter().map(Partition::residual_count).sum();
    format!("{segments} segments and {residual} ops outside them")
}

fn segments(partition: &Partition) -> BTreeMap<NodeId, usize> {
    let mut map = BTreeMap::new();
    for (index, segment) in partition.segments.iter().enumerate() {
        map.extend(segment.nodes.iter().map(|id| (*id, index)));
    }
    map
}

fn legend(text: &mut String, partition: &Partition) {
    let named = partition
        .segments
        .iter()
        .enumerate()
        .take(COLORS.len())
        .map(|(index, segment)| (COLORS[index], segment.name.as_str()));
    let calls = (!partition.calls.is_empty()).then_some((CALL, "loop, condition"));
    let entries = named.chain([(OUTSIDE, "outside")]).chain(calls);
    for (index, (color, name)) in entries.enumerate() {
        let x = MARGIN + index * LEGEND_STEP;
        let _ = writeln!(
            text,
            "<rect x=\"{x}\" y=\"{MARGIN}\" width=\"14\" height=\"14\" fill=\"{color}\" \
             stroke=\"#555\"/><text x=\"{}\" y=\"{}\">{}</text>",
            x + 20,
            MARGIN + 11,
            escape(name),
        );
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
