//! From what the wires mean to the op that stands for them.

use std::collections::BTreeMap;

use tfjet_core::{AttrValue, Attrs, DType, Tensor};

use super::boxes::Window;
use super::rows::{Field, RowSet, Rows, SetId};
use super::view::{Scalar, Size, as_int};
use crate::graph::{Graph, Node, NodeId, WireId};

/// The op that stands for a post-processing.
pub(super) const OP: &str = "TfjetMultiClassNonMaxSuppression";

/// When boxes are clipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clip {
    None,
    Before,
    After,
}

/// A field that the op gathers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extra {
    of: WireId,
    cast: Option<NodeId>,
    per_class: bool,
}

/// A post-processing, ready to be replaced.
#[derive(Debug)]
pub(super) struct Fused {
    boxes: WireId,
    scores: WireId,
    window: Option<Window>,
    clip: Clip,
    frame: bool,
    iou: f32,
    threshold: f32,
    per_class: i64,
    total: i64,
    extras: Vec<Extra>,
    /// Empty where they are the numbers of the classes.
    labels: Vec<f32>,
    pad: bool,
    /// The first of the suppressions, for the name.
    first: NodeId,
    /// Which output of the op stands for a wire.
    redirected: BTreeMap<WireId, usize>,
}

/// What a column of the result is.
#[derive(Debug, Clone, PartialEq)]
enum Output {
    Boxes { window: Option<Window>, frame: bool },
    Scores,
    Classes(Vec<f32>),
    Extra(Extra),
}

impl Fused {
    /// The post-processing whose result are the rows of `set`.
    pub(super) fn new(rows: &Rows<'_>, set: SetId) -> Result<Self, String> {
        let (joined, total, counted, inside) = chain(rows, set)?;
        let RowSet::Joined(parts) = &rows.sets[joined] else {
            return Err("the kept boxes are not joined".into());
        };
        let mut suppressions = Vec::with_capacity(parts.len());
        for &part in parts {
            match rows.sets[part] {
                RowSet::Kept { by, of, padded } if padded == counted => {
                    suppressions.push((&rows.suppressions[by], of));
                }
                _ => return Err("the kept boxes are padded, but not counted".into()),
            }
        }
        let Some(&(first, before)) = suppressions.first() else {
            return Err("no boxes are suppressed".into());
        };
        let same = suppressions.iter().all(|(it, of)| {
            (it.iou, it.threshold, it.per_class) == (first.iou, first.threshold, first.per_class)
                && of.is_some() == before.is_some()
        });
        if !same {
            return Err("the classes have different thresholds".into());
        }
        let threshold = before.map_or(first.threshold, |of| above(rows, of));
        let threshold = match threshold {
            Some(threshold) if !counted || threshold >= 0.0 => threshold,
            Some(threshold) => return Err(format!("the score threshold is {threshold}")),
            None => return Err("scores have no threshold".into()),
        };
        let mut fused = Self {
            boxes: source(rows, suppressions.iter().map(|(it, _)| raw(&it.boxes)), 3)
                .ok_or("the classes' boxes are not those of one tensor in order")?
                .0,
            scores: scores(rows, suppressions.iter().map(|(it, _)| it.scores))
                .ok_or("the classes' scores are not the columns of one tensor in order")?,
            window: None,
            clip: Clip::None,
            frame: false,
            iou: first.iou,
            threshold,
            per_class: first.per_class,
            total,
            extras: Vec::new(),
            labels: Vec::new(),
            pad: false,
            first: first.node,
            redirected: BTreeMap::new(),
        };
        if inside && before.is_some() {
            return Err("boxes are clipped twice".into());
        }
        for (wire, field) in rows.wires_of(set) {
            let output = fused.output(rows, field, &suppressions)?;
            if let Output::Boxes { window, frame } = &output {
                (fused.window, fused.frame) = (*window, *frame);
                fused.clip = match window {
                    None => Clip::None,
                    Some(_) if inside => Clip::After,
                    Some(_) => Clip::Before,
                };
            }
            if let Output::Classes(labels) = &output {
                if fused.redirected.values().any(|&slot| slot == 2) && fused.labels != *labels {
                    return Err("the kept boxes have several labels".into());
                }
                fused.labels.clone_from(labels);
            }
            let slot = fused.slot(&output);
            fused.redirected.insert(wire, slot);
        }
        if !fused.redirected.values().any(|&slot| slot == 0) {
            return Err("the boxes are not among what is kept".into());
        }
        if inside != (fused.clip == Clip::After) {
            return Err("boxes without an area go, but are not clipped".into());
        }
        fused.count(rows, set);
        Ok(fused)
    }

    fn output(
        &self,
        rows: &Rows<'_>,
        field: &Field,
        suppressions: &[(&super::rows::Suppression, Option<SetId>)],
    ) -> Result<Output, String> {
        let (column, window, frame) = match field {
            Field::Column(column) => (*column, None, false),
            Field::Clipped { boxes, window } | Field::Framed { boxes, window } => {
                let Field::Column(column) = **boxes else {
                    return Err("boxes are clipped in part".into());
                };
                (column, Some(*window), matches!(field, Field::Framed { .. }))
            }
            _ => return Err("a field is not joined".into()),
        };
        let parts = &rows.columns[column];
        let all = |is: &dyn Fn(usize, &Field) -> bool| {
            parts
                .iter()
                .enumerate()
                .all(|(class, part)| is(class, part))
        };
        if all(&|class, part| *part == suppressions[class].0.boxes) {
            return match (&parts[0], window) {
                (Field::Raw(_), window) => Ok(Output::Boxes { window, frame }),
                (Field::Clipped { window, .. }, None) => Ok(Output::Boxes {
                    window: Some(*window),
                    frame: false,
                }),
                (Field::Framed { window, .. }, None) => Ok(Output::Boxes {
                    window: Some(*window),
                    frame: true,
                }),
                _ => Err("boxes are clipped twice".into()),
            };
        }
        if window.is_some() {
            return Err("other boxes than those that suppress one another are clipped".into());
        }
        if all(&|class, part| {
            let of = suppressions[class].0.scores;
            matches!(part, Field::Raw(scores) | Field::Masked(scores) if *scores == of)
        }) {
            return Ok(Output::Scores);
        }
        let labels: Option<Vec<f32>> = parts.iter().map(label).collect();
        if let Some(labels) = labels {
            return Ok(Output::Classes(labels));
        }
        let cast = match parts.first() {
            Some(Field::Cast { by, .. }) => Some(*by),
            _ => None,
        };
        if !all(&|_, part| match part {
            Field::Raw(_) => cast.is_none(),
            Field::Cast { by, .. } => cast.is_some_and(|first| same_cast(rows, first, *by)),
            _ => false,
        }) {
            return Err("a field of the kept boxes is computed in a way of its own".into());
        }
        let rank = parts
            .first()
            .and_then(raw)
            .and_then(|wire| rows.view.rank(wire));
        let (of, per_class) = source(rows, parts.iter().map(raw), rank.map_or(0, |rank| rank + 1))
            .ok_or("a field of the kept boxes differs from class to class")?;
        Ok(Output::Extra(Extra {
            of,
            cast,
            per_class,
        }))
    }

    fn slot(&mut self, output: &Output) -> usize {
        match *output {
            Output::Boxes { .. } => 0,
            Output::Scores => 1,
            Output::Classes(_) => 2,
            Output::Extra(extra) => {
                let known = self.extras.iter().position(|other| *other == extra);
                4 + known.unwrap_or_else(|| {
                    self.extras.push(extra);
                    self.extras.len() - 1
                })
            }
        }
    }

    /// Redirects what says how many rows there are, and takes in the padding behind the rows where
    /// nothing else reads them.
    fn count(&mut self, rows: &Rows<'_>, set: SetId) {
        let typed = rows.view.0;
        let mut counts: BTreeMap<WireId, usize> = BTreeMap::new();
        if let RowSet::Counted { of } = rows.sets[set] {
            counts.extend(rows.numbers_of(of).map(|wire| (wire, 3)));
        }
        let mut padded = BTreeMap::new();
        for &id in &typed.order {
            let wire = WireId::new(id, 0);
            if let Some((of, 0)) = rows.view.counted(wire)
                && rows.set_of(of) == Some(set)
            {
                counts.insert(wire, 3);
            }
            if let Some(of) = self.padding(rows, set, wire) {
                padded.insert(wire, self.redirected[&of]);
            }
        }
        let mut with_padding = counts.clone();
        with_padding.extend(padded);
        let read = super::read_wires(typed, &with_padding);
        if with_padding.len() > counts.len()
            && !self.redirected.keys().any(|wire| read.contains(wire))
        {
            self.pad = true;
            self.redirected = with_padding;
        } else {
            self.redirected.extend(counts);
        }
    }

    /// The wire of `set` that `wire` is, padded with zeros to as many rows as there can be.
    fn padding(&self, rows: &Rows<'_>, set: SetId, wire: WireId) -> Option<WireId> {
        let view = rows.view;
        let [of, paddings] = view.inputs(wire, &["Pad"])?;
        if rows.set_of(of)? != set || !self.redirected.contains_key(&of) {
            return None;
        }
        let node = view.op(paddings, &["Pack"])?;
        let &[before, after] = node.inputs.as_slice() else {
            return None;
        };
        let along = node.attrs.get("axis").and_then(as_int);
        let (&first, others) = view.op(after, &["Pack"])?.inputs.split_first()?;
        let Size::Less(total, count) = view.size(first) else {
            return None;
        };
        let mut rest = (1..).zip(others);
        let padded = matches!(along, Some(1 | -1))
            && rows.is_zeros(before)
            && rest
                .all(|(axis, &other)| view.int(other) == Some(0) || rows.is_full(other, axis, set))
            && *total == Size::Known(self.total)
            && rows.has_size(set, &count);
        padded.then_some(of)
    }

    /// Which output of the op stands for a wire.
    pub(super) fn redirected(&self) -> &BTreeMap<WireId, usize> {
        &self.redirected
    }

    /// Adds the op for the nodes that it replaces, and lets what read them read it.
    pub(super) fn apply(&self, rows: &Rows<'_>, replaced: &[NodeId], graph: &mut Graph) {
        let typed = rows.view.0;
        let scope = &typed.graph.node(self.first).name;
        let scope = scope.rsplit_once('/').map_or("", |(scope, _)| scope);
        let scope = scope
            .rsplit_once('/')
            .filter(|(_, last)| last.starts_with("non_max_suppression"))
            .map_or(scope, |(scope, _)| scope);
        let name = |graph: &Graph, suffix: &str| {
            let base = match scope {
                "" => format!("{OP}{suffix}"),
                scope => format!("{scope}/{OP}{suffix}"),
            };
            let taken = |name: &str| graph.nodes.iter().any(|node| node.name == name);
            let numbered = (1..).map(|i| format!("{base}_{i}"));
            let mut names = std::iter::once(base.clone()).chain(numbered);
            names.find(|name| !taken(name)).unwrap_or(base)
        };
        let mut inputs = vec![self.boxes, self.scores];
        if let Some(window) = &self.window {
            inputs.push(self.window(window, graph, &|graph| name(graph, "/window")));
        }
        for extra in &self.extras {
            inputs.push(match extra.cast {
                None => extra.of,
                Some(cast) => {
                    let attrs = typed.graph.node(cast).attrs.clone();
                    let name = name(graph, "/cast");
                    WireId::new(graph.add(Node::new(name, "Cast", attrs, vec![extra.of])), 0)
                }
            });
        }
        let clip = match self.clip {
            Clip::None => "none",
            Clip::Before => "before",
            Clip::After => "after",
        };
        let kinds = self.extras.iter().map(|extra| i64::from(extra.per_class));
        let mut attrs = Attrs::default()
            .with("iou_threshold", AttrValue::Float(self.iou))
            .with("score_threshold", AttrValue::Float(self.threshold))
            .with("max_size_per_class", AttrValue::Int(self.per_class))
            .with("max_total_size", AttrValue::Int(self.total))
            .with("clip", AttrValue::Str(clip.into()))
            .with("change_coordinate_frame", AttrValue::Bool(self.frame))
            .with("pad", AttrValue::Bool(self.pad))
            .with("fields", AttrValue::Ints(kinds.collect()));
        let numbered = (0..)
            .zip(&self.labels)
            .all(|(class, label): (u16, _)| *label == f32::from(class));
        if !numbered {
            attrs.insert("labels", AttrValue::Floats(self.labels.clone()));
        }
        let name = name(graph, "");
        let sources = replaced.iter().map(|id| typed.graph.node(*id).source);
        let id = graph.add(Node {
            replaces: sources.flatten().collect(),
            ..Node::new(name, OP, attrs, inputs)
        });
        for (&wire, &slot) in &self.redirected {
            let slot = u32::try_from(slot).unwrap_or(u32::MAX);
            graph.redirect(wire, WireId::new(id, slot), Some(id));
        }
    }

    fn window(
        &self,
        window: &Window,
        graph: &mut Graph,
        name: &dyn Fn(&Graph) -> String,
    ) -> WireId {
        if let [Scalar::Element(of, 0), ..] = window
            && (0..)
                .zip(window)
                .all(|(i, corner)| *corner == Scalar::Element(*of, i))
        {
            return *of;
        }
        let constant = |value: Tensor, graph: &mut Graph| {
            let attrs = Attrs::default()
                .with("dtype", AttrValue::Type(Some(value.dtype())))
                .with("value", AttrValue::Tensor(value));
            let node = Node::new(name(graph), "Const", attrs, Vec::new());
            WireId::new(graph.add(node), 0)
        };
        let known = window.map(|corner| match corner {
            Scalar::Known(bits) => Some(f32::from_bits(bits)),
            _ => None,
        });
        if let [Some(y_min), Some(x_min), Some(y_max), Some(x_max)] = known
            && let Ok(value) = Tensor::from_slice(&[4], &[y_min, x_min, y_max, x_max])
        {
            return constant(value, graph);
        }
        let corners = window.map(|corner| match corner {
            Scalar::Known(bits) => constant(Tensor::scalar(f32::from_bits(bits)), graph),
            Scalar::Wire(wire) => wire,
            Scalar::Element(of, index) => {
                let number = |value: i64| {
                    let value = i32::try_from(value).unwrap_or(i32::MAX);
                    Tensor::from_slice(&[1], &[value]).unwrap_or_default()
                };
                let begin = constant(number(index), graph);
                let size = constant(number(1), graph);
                let attrs = Attrs::default()
                    .with("T", AttrValue::Type(Some(DType::F32)))
                    .with("Index", AttrValue::Type(Some(DType::I32)));
                let slice = Node::new(name(graph), "Slice", attrs, vec![of, begin, size]);
                let slice = WireId::new(graph.add(slice), 0);
                let attrs = Attrs::default().with("T", AttrValue::Type(Some(DType::F32)));
                WireId::new(
                    graph.add(Node::new(name(graph), "Squeeze", attrs, vec![slice])),
                    0,
                )
            }
        });
        let attrs = Attrs::default()
            .with("N", AttrValue::Int(4))
            .with("T", AttrValue::Type(Some(DType::F32)))
            .with("axis", AttrValue::Int(0));
        let pack = Node::new(name(graph), "Pack", attrs, corners.to_vec());
        WireId::new(graph.add(pack), 0)
    }
}

/// From the result back to the joined sets: those, the most rows, whether padding is counted out,
/// and whether boxes without an area go after they were joined.
fn chain(rows: &Rows<'_>, set: SetId) -> Result<(SetId, i64, bool, bool), String> {
    let other = || "the kept boxes are sorted or cut in another way".to_owned();
    let (first, counted) = match rows.sets[set] {
        RowSet::Counted { of } => (of, true),
        RowSet::First { .. } => (set, false),
        _ => return Err(other()),
    };
    let RowSet::First { of, limit } = rows.sets[first] else {
        return Err(other());
    };
    if limit < 1 {
        return Err(format!("{limit} boxes are kept in all"));
    }
    let RowSet::Sorted { of } = rows.sets[of] else {
        return Err(other());
    };
    match rows.sets[of] {
        RowSet::Joined(_) => Ok((of, limit, counted, false)),
        RowSet::Inside { of, .. } => match rows.sets[of] {
            RowSet::Sorted { of } if counted => Ok((of, limit, counted, true)),
            _ => Err(other()),
        },
        _ => Err(other()),
    }
}

/// The threshold of scores that a set was taken by.
fn above(rows: &Rows<'_>, set: SetId) -> Option<f32> {
    match rows.sets[set] {
        RowSet::Above { threshold, .. } => Some(threshold),
        RowSet::Inside { of, .. } => above(rows, of),
        _ => None,
    }
}

/// The wire of which a field has the rows.
fn raw(field: &Field) -> Option<WireId> {
    match field {
        Field::Raw(wire) | Field::Cast { of: wire, .. } => Some(*wire),
        Field::Clipped { boxes, .. } | Field::Framed { boxes, .. } => raw(boxes),
        _ => None,
    }
}

/// The number of a class.
fn label(field: &Field) -> Option<f32> {
    match field {
        Field::Label(label) => Some(*label),
        _ => None,
    }
}

fn same_cast(rows: &Rows<'_>, a: NodeId, b: NodeId) -> bool {
    let graph = &rows.view.0.graph;
    graph.node(a).attrs == graph.node(b).attrs
}

/// The tensor of the classes' wires, and whether it has one for each of them: of one wire itself,
/// or `[:, class]` of one of rank `rank`.
fn source(
    rows: &Rows<'_>,
    wires: impl Iterator<Item = Option<WireId>>,
    rank: usize,
) -> Option<(WireId, bool)> {
    let wires: Vec<WireId> = wires.collect::<Option<_>>()?;
    let &first = wires.first()?;
    let of = rows.view.unpacked(first, rank);
    if wires.iter().all(|&wire| wire == first) {
        return Some(match of {
            Some((of, 0)) if rows.view.dim(of, 1) == Some(1) => (of, true),
            _ => (first, false),
        });
    }
    let (of, _) = of?;
    let ordered = wires
        .iter()
        .enumerate()
        .all(|(class, &wire)| rows.view.unpacked(wire, rank) == Some((of, class)));
    (ordered && rows.view.dim(of, 1) == Some(wires.len())).then_some((of, true))
}

/// The tensor whose columns are the classes' scores.
fn scores(rows: &Rows<'_>, wires: impl Iterator<Item = WireId>) -> Option<WireId> {
    let wires: Vec<WireId> = wires.collect();
    let column = |wire: WireId| rows.view.column(wire);
    let &first = wires.first()?;
    if let Some((of, 0)) = column(first)
        && rows.view.dim(of, 1) == Some(wires.len())
    {
        let ordered = wires
            .iter()
            .enumerate()
            .all(|(class, &wire)| column(wire) == Some((of, class)));
        return ordered.then_some(of);
    }
    (wires.len() == 1 && rows.view.rank(first) == Some(1)).then_some(first)
}
