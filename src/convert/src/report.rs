//! The report of a partition: where every source node went, and why.

mod precision;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;
use tfjet_core::Target;

use crate::estimate::Estimate;
use crate::partition::{
    Disposition, Part, Partition, PartitionOptions, dispositions, partition, parts,
};
use crate::stages::Lowered;

pub use precision::{
    EvaluationReport, KeptReport, PrecisionReport, RangesReport, RankedReport, SearchReport,
};

/// A segment in the report. Names are the source graph's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SegmentReport {
    /// Name of the segment.
    pub name: String,
    /// Nodes that it computes.
    pub nodes: Vec<String>,
    /// Nodes whose value was folded or merged into it.
    pub folded: Vec<String>,
    /// Wires that enter.
    pub inputs: Vec<String>,
    /// Wires that leave.
    pub outputs: Vec<String>,
    /// Floating-point operations of one run.
    pub flops: u64,
    /// Layers of its network.
    pub layers: usize,
    /// Transposes in its network.
    pub transposes: usize,
}

/// What the segments are for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetReport {
    /// Name of the target.
    pub name: String,
    /// What runs the segments, with its release.
    pub library: String,
}

/// A node that stays outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResidualReport {
    /// Name of the node.
    pub node: String,
    /// Its op.
    pub op: String,
    /// Why it stays outside.
    pub reason: String,
}

/// A node that a pass replaced by an op outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplacedReport {
    /// Name of the node.
    pub node: String,
    /// The op that stands for it, and for others.
    pub by: String,
}

/// What the target, and no other, has to do with it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BoardReport {
    /// Nodes that stay outside because of what the target's library lacks; the CPU engine would
    /// take them.
    pub refused: Vec<String>,
    /// Time and memory.
    pub estimate: Estimate,
}

/// A loop or a condition of the schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallReport {
    /// Name of the node.
    pub node: String,
    /// `loop` or `condition`.
    pub kind: &'static str,
    /// How often the loop's body runs, where that is known.
    pub trips: Option<u64>,
    /// Segments in its functions, those of inner loops and conditions among them.
    pub segments: usize,
    /// Residual ops in its functions, likewise.
    pub residual: usize,
}

/// Where every node of the source graph went. Each stands exactly once in a segment's `nodes` or
/// `folded`, in `residual`, in `replaced`, or in `pruned`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// What the segments are for.
    pub target: TargetReport,
    /// Nodes of the source graph, and of the functions that its loops and conditions call.
    pub nodes: usize,
    /// Segments in the order in which they run.
    pub segments: Vec<SegmentReport>,
    /// Nodes that stay outside.
    pub residual: Vec<ResidualReport>,
    /// Nodes that ops of `added` stand for.
    pub replaced: Vec<ReplacedReport>,
    /// Nodes outside that stand for no single node of the source: a pass made them.
    pub added: Vec<ResidualReport>,
    /// Loops and conditions, those in functions behind the ones that call them.
    pub calls: Vec<CallReport>,
    /// Nodes that no output needs.
    pub pruned: Vec<String>,
    /// Floating-point operations of the whole graph.
    pub flops: u64,
    /// Transposes, all segments together.
    pub transposes: usize,
    /// What was dropped or changed that a user should know.
    pub notes: Vec<String>,
    /// In which numbers the layers compute; absent where that is left to who builds an engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<PrecisionReport>,
    /// What `plan` adds for a GPU's target; a bundle's report has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<BoardReport>,
    #[serde(skip)]
    computing: usize,
    #[serde(skip)]
    inside: usize,
    #[serde(skip)]
    flops_inside: u64,
    #[serde(skip)]
    ops: BTreeMap<String, String>,
}

impl Report {
    /// The report of a lowered model.
    pub fn new(lowered: &Lowered, options: &PartitionOptions) -> Self {
        let source = &lowered.typed.graph.source;
        let parts = parts(&lowered.typed, &lowered.partition);
        let wires = |part: &Part<'_>, wires: &[crate::graph::WireId]| -> Vec<String> {
            let names = wires.iter().map(|wire| part.typed.graph.wire_name(*wire));
            names.collect()
        };
        let placed = parts.iter().flat_map(|part| {
            let segments = part.partition.segments.iter();
            segments.map(move |segment| (part, segment))
        });
        let mut segments: Vec<SegmentReport> = placed
            .zip(&lowered.networks)
            .map(|((part, segment), network)| SegmentReport {
                name: segment.name.clone(),
                nodes: Vec::new(),
                folded: Vec::new(),
                inputs: wires(part, &segment.inputs),
                outputs: wires(part, &segment.outputs),
                flops: segment.flops,
                layers: network.layers.len(),
                transposes: network.transposes(),
            })
            .collect();
        let mut residual = Vec::new();
        let mut replaced = Vec::new();
        let mut pruned = Vec::new();
        let went = dispositions(&lowered.typed, &lowered.partition, options);
        for (node, went) in source.iter().zip(went) {
            match went {
                Disposition::Node(index) => {
                    if let Some(segment) = segments.get_mut(index) {
                        segment.nodes.push(node.name.clone());
                    }
                }
                Disposition::Folded(index) => {
                    if let Some(segment) = segments.get_mut(index) {
                        segment.folded.push(node.name.clone());
                    }
                }
                Disposition::Residual(reason) => residual.push(ResidualReport {
                    node: node.name.clone(),
                    op: node.op.clone(),
                    reason: reason.0,
                }),
                Disposition::Replaced(by) => replaced.push(ReplacedReport {
                    node: node.name.clone(),
                    by,
                }),
                Disposition::Pruned => pruned.push(node.name.clone()),
            }
        }
        Self {
            target: TargetReport {
                name: options.target.name.clone(),
                library: options.target.library(),
            },
            nodes: source.len(),
            segments,
            residual,
            replaced,
            added: parts.iter().flat_map(added).collect(),
            calls: parts.iter().flat_map(calls).collect(),
            pruned,
            flops: lowered.partition.flops,
            transposes: lowered.transposes(),
            notes: lowered.typed.notes.clone(),
            precision: None,
            board: None,
            computing: parts.iter().map(|part| part.typed.order.len()).sum(),
            inside: parts
                .iter()
                .flat_map(|part| &part.partition.segments)
                .map(|segment| segment.nodes.len())
                .sum(),
            flops_inside: lowered.partition.inside(),
            ops: source
                .iter()
                .map(|node| (node.name.clone(), node.op.clone()))
                .collect(),
        }
    }

    /// Adds the estimate, and which nodes the target's library alone keeps outside.
    pub fn add_board(&mut self, lowered: &Lowered, options: &PartitionOptions, estimate: Estimate) {
        let anywhere = PartitionOptions {
            target: Target::default(),
            ..options.clone()
        };
        let outside = |partition: &crate::partition::Partition| -> BTreeSet<String> {
            let parts = parts(&lowered.typed, partition).into_iter();
            let nodes = parts.flat_map(|part| {
                let residual = part.partition.residual.iter();
                residual.map(move |residual| part.typed.graph.node(residual.node).name.clone())
            });
            nodes.collect()
        };
        let here = outside(&lowered.partition);
        let there = outside(&partition(&lowered.typed, &anywhere));
        self.board = Some(BoardReport {
            refused: here.difference(&there).cloned().collect(),
            estimate,
        });
    }

    /// One line of JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Comma-separated values: a header, then a line per source node that is not inside a segment
    /// as a computing node, and one per node that is.
    pub fn to_csv(&self) -> String {
        let mut text = String::from("node,op,disposition,segment,reason\n");
        let quote = |field: &str| {
            if field.contains([',', '"', '\n']) {
                format!("\"{}\"", field.replace('"', "\"\""))
            } else {
                field.to_owned()
            }
        };
        let op = |node: &str| self.ops.get(node).map_or("", String::as_str);
        let mut line = |node: &str, op: &str, went: &str, segment: &str, reason: &str| {
            let fields = [node, op, went, segment, reason].map(quote);
            text.push_str(&fields.join(","));
            text.push('\n');
        };
        for segment in &self.segments {
            for node in &segment.nodes {
                line(node, op(node), "node", &segment.name, "");
            }
            for node in &segment.folded {
                line(node, op(node), "folded", &segment.name, "");
            }
        }
        for residual in &self.residual {
            line(
                &residual.node,
                &residual.op,
                "residual",
                "",
                &residual.reason,
            );
        }
        for ReplacedReport { node, by } in &self.replaced {
            line(node, op(node), "replaced", "", by);
        }
        for node in &self.pruned {
            line(node, op(node), "pruned", "", "");
        }
        text
    }

    /// The report for a terminal.
    pub fn to_text(&self, model: &str, format: &str) -> String {
        let mut text = String::new();
        let (inside, flops) = (self.inside, self.flops_inside);
        let _ = writeln!(text, "model      {model} ({format}), {} nodes", self.nodes);
        let TargetReport { name, library } = &self.target;
        let _ = writeln!(text, "target     {name} ({library})");
        let _ = writeln!(
            text,
            "segments   {}: {inside} of {} computing nodes ({}), {} of {} ({})",
            self.segments.len(),
            self.computing,
            percent(inside as f64, self.computing as f64),
            giga(flops),
            giga(self.flops),
            percent(flops as f64, self.flops as f64),
        );
        for segment in &self.segments {
            let _ = writeln!(
                text,
                "  {:<12} {} nodes + {} folded -> {} layers, {} transposes, {}; in: {}; out: {}",
                segment.name,
                segment.nodes.len(),
                segment.folded.len(),
                segment.layers,
                segment.transposes,
                giga(segment.flops),
                shorten(&segment.inputs),
                shorten(&segment.outputs),
            );
        }
        for call in &self.calls {
            let _ = writeln!(text, "{:<10} {}", call.kind, call.text());
        }
        let _ = writeln!(text, "transposes {}", self.transposes);
        let _ = writeln!(text, "outside    {} nodes", self.residual.len());
        for ((op, reason), count) in self.top_refusals().into_iter().take(20) {
            let _ = writeln!(text, "  {count:>5}x {op:<24} {reason}");
        }
        let mut replaced: BTreeMap<&str, usize> = BTreeMap::new();
        for node in &self.replaced {
            *replaced.entry(&node.by).or_default() += 1;
        }
        for (by, count) in replaced {
            let _ = writeln!(text, "replaced   {count} nodes by {by}");
        }
        for added in &self.added {
            let _ = writeln!(text, "added      {} ({})", added.node, added.op);
        }
        if let Some(board) = &self.board {
            self.refused_text(board, &mut text);
        }
        let _ = writeln!(text, "pruned     {} nodes", self.pruned.len());
        if let Some(precision) = &self.precision {
            precision.to_text(&mut text);
        }
        for note in &self.notes {
            let _ = writeln!(text, "note       {note}");
        }
        text
    }

    fn refused_text(&self, board: &BoardReport, text: &mut String) {
        let library = &self.target.library;
        let _ = match board.refused.as_slice() {
            [] => writeln!(text, "refused    nothing because of {library}"),
            refused => writeln!(
                text,
                "refused    {} of them because of {library}: {}",
                refused.len(),
                shorten(refused)
            ),
        };
    }

    /// Refusals by op and reason, the most frequent first. Names in a reason are left out so that
    /// equal reasons count together.
    pub fn top_refusals(&self) -> Vec<((String, String), usize)> {
        let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
        for residual in &self.residual {
            let key = (residual.op.clone(), without_names(&residual.reason));
            *counts.entry(key).or_default() += 1;
        }
        let mut sorted: Vec<_> = counts.into_iter().collect();
        sorted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        sorted
    }
}

impl CallReport {
    fn text(&self) -> String {
        let trips = match self.trips {
            Some(trips) => format!("{trips} passes, "),
            None => String::new(),
        };
        format!(
            "{}: {trips}{} segments, {} nodes outside",
            self.node, self.segments, self.residual
        )
    }
}

/// The nodes outside that a pass made.
fn added(part: &Part<'_>) -> Vec<ResidualReport> {
    let residual = part.partition.residual.iter();
    let nodes = residual.map(|it| (part.typed.graph.node(it.node), &it.reason));
    let made = nodes.filter(|(node, _)| node.source.is_none());
    made.map(|(node, reason)| ResidualReport {
        node: node.name.clone(),
        op: node.op.clone(),
        reason: reason.0.clone(),
    })
    .collect()
}

/// The loops and conditions of a part, not those of its functions.
fn calls(part: &Part<'_>) -> Vec<CallReport> {
    let calls = part.partition.calls.iter();
    calls
        .map(|(id, call)| CallReport {
            node: part.typed.graph.node(*id).name.clone(),
            kind: if call.is_loop { "loop" } else { "condition" },
            trips: call.trips,
            segments: call.functions.iter().map(Partition::segment_count).sum(),
            residual: call.functions.iter().map(Partition::residual_count).sum(),
        })
        .collect()
}

/// Text between backticks becomes `...`.
fn without_names(reason: &str) -> String {
    let mut parts = reason.split('`');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for (index, part) in parts.enumerate() {
        text.push_str(if index % 2 == 0 { "..." } else { part });
    }
    text
}

fn percent(part: f64, whole: f64) -> String {
    if whole == 0.0 {
        "-".into()
    } else {
        format!("{:.1} %", 100.0 * part / whole)
    }
}

fn giga(flops: u64) -> String {
    format!("{:.3} GFLOP", flops as f64 / 1e9)
}

fn shorten(names: &[String]) -> String {
    match names {
        [a, b, c, rest @ ..] if !rest.is_empty() => {
            format!("{a}, {b}, {c} and {} more", rest.len())
        }
        names => names.join(", "),
    }
}
