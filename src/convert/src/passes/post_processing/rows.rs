//! What the wires of a post-processing mean: which boxes a wire has rows for, and what of them.
//!
//! One walk in topological order gives each wire a [`Tag`] from those of its inputs.

mod size;

use std::collections::BTreeMap;

use tfjet_core::DType;

use super::boxes::Window;
use super::view::{Size, View, as_int};
use crate::graph::{Node, NodeId, WireId};

pub(super) type SetId = usize;

/// Boxes in an order, as rows of wires.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum RowSet {
    /// Those of all whose score is above a threshold.
    Above { scores: WireId, threshold: f32 },
    /// Those of a set with an area inside the window.
    Inside { of: SetId, boxes: Field },
    /// Those that a suppression keeps, of all or of a set; `padded` with the first one.
    Kept {
        by: usize,
        of: Option<SetId>,
        padded: bool,
    },
    /// Sets one after the other.
    Joined(Vec<SetId>),
    /// A set by falling score.
    Sorted { of: SetId },
    /// The first of a set, at most `limit`.
    First { of: SetId, limit: i64 },
    /// Those of a set that count.
    Counted { of: SetId },
}

/// What a row of a wire says of its box.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Field {
    /// The row of a wire that has one for each box.
    Raw(WireId),
    /// As that, of another type.
    Cast { of: WireId, by: NodeId },
    /// The score where the row counts, else -1.
    Masked(WireId),
    /// The number of its class.
    Label(f32),
    /// What another field says, of joined sets: an index of [`Rows::columns`].
    Column(usize),
    /// Boxes clipped to a window.
    Clipped { boxes: Box<Field>, window: Window },
    /// Clipped boxes in the coordinates of the window.
    Framed { boxes: Box<Field>, window: Window },
}

/// What a wire is in a post-processing.
#[derive(Debug, Clone, PartialEq)]
enum Tag {
    Rows(SetId, Field),
    /// Indices that take rows of the set before to those of this one.
    Order(SetId),
    /// Which rows count.
    Valid(SetId),
    Zeros(SetId),
    IsAbove(WireId, f32),
    Areas(SetId, Field),
    HasArea(SetId, Field),
    /// Which scores are not negative, or their number.
    NotNegative(SetId),
    /// How many rows count, at most as many as the set has.
    Number(SetId),
}

/// A node that suppresses boxes.
#[derive(Debug, Clone)]
pub(super) struct Suppression {
    pub(super) node: NodeId,
    pub(super) boxes: Field,
    pub(super) scores: WireId,
    pub(super) limit: Size,
    pub(super) per_class: i64,
    pub(super) iou: f32,
    pub(super) threshold: Option<f32>,
    count: Size,
}

/// What was found.
pub(super) struct Rows<'a> {
    pub(super) view: View<'a>,
    pub(super) sets: Vec<RowSet>,
    pub(super) columns: Vec<Vec<Field>>,
    pub(super) suppressions: Vec<Suppression>,
    /// The first reason for which a suppression is not followed.
    pub(super) refusal: Option<String>,
    sizes: Vec<Vec<Size>>,
    windows: Vec<Window>,
    tags: BTreeMap<WireId, Tag>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(view: View<'a>) -> Self {
        let mut rows = Self {
            view,
            sets: Vec::new(),
            columns: Vec::new(),
            suppressions: Vec::new(),
            refusal: None,
            sizes: Vec::new(),
            windows: Vec::new(),
            tags: BTreeMap::new(),
        };
        for &id in &view.0.order {
            rows.visit(id);
        }
        rows
    }

    /// The wires with rows of `set`, and what they say.
    pub(super) fn wires_of(&self, set: SetId) -> impl Iterator<Item = (WireId, &Field)> {
        self.tags.iter().filter_map(move |(wire, tag)| match tag {
            Tag::Rows(of, field) if *of == set => Some((*wire, field)),
            _ => None,
        })
    }

    /// The set of which a wire has rows.
    pub(super) fn set_of(&self, wire: WireId) -> Option<SetId> {
        match self.tags.get(&wire)? {
            Tag::Rows(set, _) => Some(*set),
            _ => None,
        }
    }

    /// The wires that say how many rows of `set`, the first of another, count.
    pub(super) fn numbers_of(&self, set: SetId) -> impl Iterator<Item = WireId> {
        self.tags.iter().filter_map(move |(wire, tag)| match tag {
            Tag::Number(of) if *of == set => Some(*wire),
            _ => None,
        })
    }

    fn set(&mut self, set: RowSet) -> SetId {
        if let Some(known) = self.sets.iter().position(|other| *other == set) {
            return known;
        }
        self.sets.push(set);
        self.sizes.push(Vec::new());
        self.sets.len() - 1
    }

    fn column(&mut self, parts: Vec<Field>) -> Field {
        if let Some(known) = self.columns.iter().position(|other| *other == parts) {
            return Field::Column(known);
        }
        self.columns.push(parts);
        Field::Column(self.columns.len() - 1)
    }

    /// Is it how many rows a set has?
    pub(super) fn has_size(&self, set: SetId, size: &Size) -> bool {
        self.sizes[set].contains(size)
    }

    fn rows(&self, wire: WireId) -> Option<(SetId, Field)> {
        match self.tags.get(&wire)? {
            Tag::Rows(set, field) => Some((*set, field.clone())),
            _ => None,
        }
    }

    fn visit(&mut self, id: NodeId) {
        let node = self.view.0.graph.node(id);
        let wire = WireId::new(id, 0);
        if node.op.starts_with("NonMaxSuppression") {
            if let Err(reason) = self.suppression(id, node) {
                self.refusal.get_or_insert(reason);
            }
            return;
        }
        if node.op.starts_with("TopK") {
            self.sort(id, node);
            return;
        }
        if let Some(tag) = self.follow(id, node, wire) {
            self.tag(wire, tag);
        }
    }

    fn tag(&mut self, wire: WireId, tag: Tag) {
        if let Tag::Rows(set, _) = tag {
            let size = self.view.rows(wire);
            for size in [size, Size::Rows(wire)] {
                if !self.has_size(set, &size) {
                    self.sizes[set].push(size);
                }
            }
        }
        self.tags.insert(wire, tag);
    }

    fn follow(&mut self, id: NodeId, node: &Node, wire: WireId) -> Option<Tag> {
        match node.op.as_str() {
            "Gather" | "GatherV2" => self.gather(wire),
            "ConcatV2" | "Concat" => self.concat(wire),
            "Select" | "SelectV2" => self.choose(wire),
            "Less" => self.valid(wire),
            "Greater" => self.above(wire),
            "GreaterEqual" => {
                let [scores, zero] = self.view.inputs(wire, &["GreaterEqual"])?;
                let (set, _) = self.rows(scores)?;
                (self.view.float(zero)? == 0.0).then_some(Tag::NotNegative(set))
            }
            "Sum" => match self.tags.get(node.inputs.first()?)? {
                Tag::NotNegative(set) if self.view.rank(wire) == Some(0) => {
                    Some(Tag::NotNegative(*set))
                }
                _ => None,
            },
            "Where" => match self.tags.get(node.inputs.first()?)?.clone() {
                Tag::IsAbove(scores, threshold) => {
                    Some(Tag::Order(self.set(RowSet::Above { scores, threshold })))
                }
                Tag::HasArea(of, boxes) => Some(Tag::Order(self.set(RowSet::Inside { of, boxes }))),
                _ => None,
            },
            "Squeeze" | "Reshape" | "Cast" => {
                if let Some(boxes) = self.view.area(wire) {
                    let (set, field) = self.rows(boxes)?;
                    return Some(Tag::Areas(set, field));
                }
                let cast = node.op == "Cast";
                match self.tags.get(node.inputs.first()?)? {
                    Tag::Order(set) if cast || self.view.rank(wire) == Some(1) => {
                        Some(Tag::Order(*set))
                    }
                    Tag::NotNegative(set) if cast => Some(Tag::NotNegative(*set)),
                    Tag::Areas(set, field) if self.view.dtype(wire) == Some(DType::Bool) => {
                        Some(Tag::HasArea(*set, field.clone()))
                    }
                    Tag::Rows(set, Field::Raw(of)) if cast => {
                        Some(Tag::Rows(*set, Field::Cast { of: *of, by: id }))
                    }
                    _ => None,
                }
            }
            "ZerosLike" => match self.tags.get(node.inputs.first()?)? {
                Tag::Rows(set, _) => Some(Tag::Zeros(*set)),
                _ => None,
            },
            "Add" | "AddV2" => {
                let [zeros, label] = self.view.inputs(wire, &["Add", "AddV2"])?;
                match self.tags.get(&zeros)? {
                    Tag::Zeros(set) => Some(Tag::Rows(*set, Field::Label(self.view.float(label)?))),
                    _ => None,
                }
            }
            "Slice" => self.whole(wire),
            "Range" => {
                let [start, limit, delta] = self.view.inputs(wire, &["Range"])?;
                let Some(Tag::Number(of)) = self.tags.get(&limit) else {
                    return None;
                };
                let of = *of;
                (self.view.int(start)? == 0 && self.view.int(delta)? == 1)
                    .then(|| Tag::Order(self.set(RowSet::Counted { of })))
            }
            _ => None,
        }
    }

    fn suppression(&mut self, id: NodeId, node: &Node) -> Result<(), String> {
        let name = &node.name;
        if !matches!(
            node.op.as_str(),
            "NonMaxSuppressionV2" | "NonMaxSuppressionV3" | "NonMaxSuppressionV5"
        ) {
            return Err(format!("`{name}` is a {}", node.op));
        }
        let given = |input: usize, what: &str| match node.inputs.get(input) {
            Some(&wire) => match self.view.float(wire) {
                Some(value) => Ok(Some(value)),
                None => Err(format!("the {what} of `{name}` is not a constant")),
            },
            None => Ok(None),
        };
        let &[boxes, scores, limit, ..] = node.inputs.as_slice() else {
            return Err(format!("`{name}` has too few inputs"));
        };
        let iou = given(3, "IoU threshold")?.ok_or_else(|| format!("`{name}` has no threshold"))?;
        let threshold = given(4, "score threshold")?;
        if given(5, "sigma")?.is_some_and(|sigma| sigma != 0.0) {
            return Err(format!("`{name}` lowers scores instead of dropping boxes"));
        }
        let padded = node.attrs.get("pad_to_max_output_size");
        if padded == Some(&tfjet_core::AttrValue::Bool(true)) {
            return Err(format!("`{name}` pads its result"));
        }
        let (of, box_field, score_wire) = match (self.rows(boxes), self.rows(scores)) {
            (None, None) => (None, Field::Raw(boxes), scores),
            (Some((set, field)), Some((same, Field::Raw(of)))) if set == same => {
                (Some(set), field, of)
            }
            _ => return Err(format!("boxes and scores of `{name}` differ in their rows")),
        };
        let f32s = [boxes, scores].map(|wire| self.view.dtype(wire));
        if f32s != [Some(DType::F32); 2] {
            return Err(format!("`{name}` is not in float32"));
        }
        let limit = self.view.size(limit);
        let fits = |rows: &Size| {
            [self.view.rows(boxes), self.view.rows(scores)].contains(rows)
                || of.is_some_and(|set| self.has_size(set, rows))
        };
        let per_class = match limit.limit() {
            Some((per_class, rows)) if rows.is_none_or(fits) => per_class,
            _ => return Err(format!("the output size of `{name}` is not a constant")),
        };
        let indices = WireId::new(id, 0);
        self.suppressions.push(Suppression {
            node: id,
            boxes: box_field,
            scores: score_wire,
            limit,
            per_class,
            iou,
            threshold,
            count: self.view.rows(indices),
        });
        let by = self.suppressions.len() - 1;
        let kept = self.set(RowSet::Kept {
            by,
            of,
            padded: false,
        });
        self.sizes[kept].push(self.view.rows(indices));
        self.tags.insert(indices, Tag::Order(kept));
        if node.op == "NonMaxSuppressionV5" {
            let rows = Tag::Rows(kept, Field::Raw(score_wire));
            self.tag(WireId::new(id, 1), rows);
        }
        Ok(())
    }

    /// The set whose rows `indices` of this one takes.
    fn before(&self, set: SetId) -> Option<SetId> {
        match &self.sets[set] {
            RowSet::Above { .. } | RowSet::Joined(_) => None,
            RowSet::Kept { of, .. } => *of,
            RowSet::Inside { of, .. }
            | RowSet::Sorted { of }
            | RowSet::First { of, .. }
            | RowSet::Counted { of } => Some(*of),
        }
    }

    fn gather(&mut self, wire: WireId) -> Option<Tag> {
        let (params, indices) = self.view.gather(wire)?;
        if let Some(Tag::Order(to)) = self.tags.get(&indices) {
            let to = *to;
            let Some(from) = self.before(to) else {
                return Some(Tag::Rows(to, Field::Raw(params)));
            };
            if let Some(label) = self.constant_labels(params, from) {
                return Some(Tag::Rows(to, label));
            }
            let (set, field) = self.rows(params)?;
            let (set, field) = self.joined(set, field);
            return (set == from).then_some(Tag::Rows(to, field));
        }
        let (set, field) = self.rows(params)?;
        let size = self.view.range(indices)?;
        let (limit, of) = size.limit()?;
        of.is_none_or(|rows| self.has_size(set, rows) || *rows == self.view.rows(params))
            .then(|| Tag::Rows(self.set(RowSet::First { of: set, limit }), field))
    }

    /// One set alone stands for its joining with no other.
    fn joined(&mut self, set: SetId, field: Field) -> (SetId, Field) {
        match self.sets[set] {
            RowSet::Kept { .. } => {
                let single = self.set(RowSet::Joined(vec![set]));
                (single, self.column(vec![field]))
            }
            _ => (set, field),
        }
    }

    /// Labels that were folded to a constant of as many rows as the joined sets have.
    fn constant_labels(&mut self, params: WireId, set: SetId) -> Option<Field> {
        let RowSet::Joined(parts) = &self.sets[set] else {
            return None;
        };
        let values = self.view.constant(params)?.as_slice::<f32>().ok()?;
        let mut at = 0usize;
        let mut labels = Vec::with_capacity(parts.len());
        for &part in parts {
            let RowSet::Kept {
                by, padded: true, ..
            } = self.sets[part]
            else {
                return None;
            };
            let rows = usize::try_from(self.suppressions[by].per_class).ok()?;
            let own = values.get(at..at.checked_add(rows)?)?;
            let label = *own.first()?;
            if own.iter().any(|&value| value != label) {
                return None;
            }
            labels.push(Field::Label(label));
            at += rows;
        }
        (at == values.len()).then(|| self.column(labels))
    }

    fn concat(&mut self, wire: WireId) -> Option<Tag> {
        if self.view.rank(wire) == Some(2) && self.view.concat(wire, 1).is_some() {
            return self.boxes(wire);
        }
        let parts = self.view.concat(wire, 0)?;
        if let &[kept, zeros] = parts
            && let Some(tag) = self.padded(kept, zeros)
        {
            return Some(tag);
        }
        let mut sets = Vec::with_capacity(parts.len());
        let mut fields = Vec::with_capacity(parts.len());
        for part in parts {
            let (set, field) = match self.tags.get(part)? {
                Tag::Rows(set, field) => (*set, field.clone()),
                Tag::Zeros(set) => (*set, Field::Label(0.0)),
                _ => return None,
            };
            let fresh = matches!(self.sets[set], RowSet::Kept { .. }) && !sets.contains(&set);
            if !fresh {
                return None;
            }
            sets.push(set);
            fields.push(field);
        }
        let set = self.set(RowSet::Joined(sets));
        let field = self.column(fields);
        Some(Tag::Rows(set, field))
    }

    /// What a suppression keeps, with zeros behind it.
    fn padded(&mut self, kept: WireId, zeros: WireId) -> Option<Tag> {
        let tag = self.tags.get(&kept)?.clone();
        let (Tag::Order(set) | Tag::Rows(set, _)) = &tag else {
            return None;
        };
        let RowSet::Kept {
            by,
            of,
            padded: false,
        } = self.sets[*set]
        else {
            return None;
        };
        let suppression = &self.suppressions[by];
        let rest = Size::Less(
            Box::new(suppression.limit.clone()),
            Box::new(suppression.count.clone()),
        );
        if self.view.filled(zeros, 0.0)? != rest {
            return None;
        }
        let padded = self.set(RowSet::Kept {
            by,
            of,
            padded: true,
        });
        Some(match tag {
            Tag::Rows(_, field) => Tag::Rows(padded, field),
            _ => Tag::Order(padded),
        })
    }

    /// Boxes clipped to a window, or in its coordinates.
    fn boxes(&mut self, wire: WireId) -> Option<Tag> {
        if let Some((of, window)) = self.view.clipped(wire) {
            let (set, field) = self.rows(of)?;
            if !self.windows.contains(&window) {
                self.windows.push(window);
            }
            let boxes = Box::new(field);
            return Some(Tag::Rows(set, Field::Clipped { boxes, window }));
        }
        let (of, window) = self
            .windows
            .iter()
            .find_map(|window| Some((self.view.in_frame(wire, window)?, *window)))?;
        match self.rows(of)? {
            (set, Field::Clipped { boxes, window: own }) if own == window => {
                Some(Tag::Rows(set, Field::Framed { boxes, window }))
            }
            _ => None,
        }
    }

    /// Which rows of a padded set count.
    fn valid(&mut self, wire: WireId) -> Option<Tag> {
        let [range, count] = self.view.inputs(wire, &["Less"])?;
        let (limit, count) = (self.view.range(range)?, self.view.size(count));
        let found = |it: &Suppression| it.count == count && it.limit == limit;
        let by = self.suppressions.iter().position(found)?;
        let of = self.sets.iter().find_map(|set| match set {
            RowSet::Kept { by: other, of, .. } if *other == by => Some(*of),
            _ => None,
        })?;
        let padded = self.set(RowSet::Kept {
            by,
            of,
            padded: true,
        });
        Some(Tag::Valid(padded))
    }

    fn above(&mut self, wire: WireId) -> Option<Tag> {
        let [values, threshold] = self.view.inputs(wire, &["Greater"])?;
        let threshold = self.view.float(threshold)?;
        match self.tags.get(&values) {
            Some(Tag::Areas(set, field)) if threshold == 0.0 => {
                Some(Tag::HasArea(*set, field.clone()))
            }
            Some(_) => None,
            None => (self.view.rank(values) == Some(1)).then_some(Tag::IsAbove(values, threshold)),
        }
    }

    fn choose(&mut self, wire: WireId) -> Option<Tag> {
        let [condition, yes, no] = self.view.select(wire)?;
        match self.tags.get(&condition) {
            Some(Tag::Valid(set)) => {
                let set = *set;
                self.view.filled(no, -1.0)?;
                match self.rows(yes)? {
                    (of, Field::Raw(scores)) if of == set => {
                        Some(Tag::Rows(set, Field::Masked(scores)))
                    }
                    _ => None,
                }
            }
            // All rows of the set have an area.
            Some(Tag::HasArea(_, field)) => {
                let field = field.clone();
                self.view.filled(no, -1.0)?;
                let (set, scores) = self.rows(yes)?;
                let inside =
                    matches!(&self.sets[set], RowSet::Inside { boxes, .. } if *boxes == field);
                inside.then_some(Tag::Rows(set, scores))
            }
            _ => {
                let [limit, total] = self.view.inputs(condition, &["Greater"])?;
                let Some(Tag::NotNegative(inside)) = self.tags.get(&total) else {
                    return None;
                };
                let of = self.set_of_sorted(*inside)?;
                let size = self.view.size(limit);
                let (most, rows) = size.limit()?;
                let same =
                    (yes, no) == (total, limit) && rows.is_some_and(|r| self.has_size(of, r));
                same.then(|| Tag::Number(self.set(RowSet::First { of, limit: most })))
            }
        }
    }
}
