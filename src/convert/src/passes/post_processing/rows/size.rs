use super::*;

impl Rows<'_> {
    pub(super) fn set_of_sorted(&self, of: SetId) -> Option<SetId> {
        self.sets
            .iter()
            .position(|set| *set == RowSet::Sorted { of })
    }

    pub(super) fn sort(&mut self, id: NodeId, node: &Node) {
        let Some(&scores) = node.inputs.first() else {
            return;
        };
        let Some((set, field)) = self.rows(scores) else {
            return;
        };
        let all = match node.inputs.get(1) {
            Some(&k) => match self.view.size(k) {
                size @ Size::Known(_) => size == self.view.rows(scores),
                size => self.has_size(set, &size),
            },
            None => {
                node.attrs.get("k").and_then(as_int).map(Size::Known)
                    == Some(self.view.rows(scores))
            }
        };
        let (of, field) = self.joined(set, field);
        if all && self.is_score(&field) {
            let sorted = self.set(RowSet::Sorted { of });
            self.tag(WireId::new(id, 0), Tag::Rows(sorted, field));
            self.tags.insert(WireId::new(id, 1), Tag::Order(sorted));
        }
    }

    /// Does a field of joined sets hold the scores by which the sets are sorted?
    pub(super) fn is_score(&self, field: &Field) -> bool {
        let Field::Column(column) = field else {
            return false;
        };
        let scores = |field: &Field| matches!(field, Field::Masked(_) | Field::Raw(_));
        self.columns[*column].iter().all(scores)
    }

    /// A slice that takes all of the first rows of a set.
    pub(super) fn whole(&mut self, wire: WireId) -> Option<Tag> {
        let [of, begin, size] = self.view.inputs(wire, &["Slice"])?;
        let (set, field) = self.rows(of)?;
        let zeros = self.is_zeros(begin);
        let node = self.view.op(size, &["Pack"])?;
        let (&first, others) = node.inputs.split_first()?;
        let rest = others.iter().all(|&other| self.view.int(other) == Some(-1));
        (zeros && rest && self.takes_all(first, set)).then_some(Tag::Rows(set, field))
    }

    /// Is it -1 where the set has no more rows than it may have?
    pub(super) fn takes_all(&self, size: WireId, set: SetId) -> bool {
        if self.view.int(size) == Some(-1) {
            return true;
        }
        let Some([condition, most, whole]) = self.view.select(size) else {
            return false;
        };
        let Some([excess, zero]) = self.view.inputs(condition, &["Greater"]) else {
            return false;
        };
        let (Some(most), Size::Less(rows, limit)) = (self.view.int(most), self.view.size(excess))
        else {
            return false;
        };
        self.view.int(whole) == Some(-1)
            && self.view.int(zero) == Some(0)
            && *limit == Size::Known(most)
            && self.has_size(set, &rows)
            && self.most(set).is_some_and(|rows| rows <= most)
    }

    /// The most rows that a set can have.
    pub(in super::super) fn most(&self, set: SetId) -> Option<i64> {
        match self.sets[set] {
            RowSet::First { limit, .. } => Some(limit),
            RowSet::Counted { of } => self.most(of),
            _ => None,
        }
    }

    /// Is it how much an axis of a wire with rows of `set` lacks to its own size?
    pub(in super::super) fn is_full(&self, wire: WireId, axis: usize, set: SetId) -> bool {
        let Some([size, own]) = self.view.inputs(wire, &["Sub"]) else {
            return false;
        };
        let Some((mut of, at)) = self.view.counted(own) else {
            return false;
        };
        while let (Some([whole, ..]), None) = (
            self.view.inputs::<3>(of, &["Slice"]),
            self.view.dim(of, axis),
        ) {
            of = whole;
        }
        let size = self
            .view
            .int(size)
            .and_then(|size| usize::try_from(size).ok());
        at == axis
            && self.set_of(of) == Some(set)
            && size.is_some()
            && size == self.view.dim(of, axis)
    }

    /// Is it an integer vector of zeros?
    pub(in super::super) fn is_zeros(&self, wire: WireId) -> bool {
        match self.view.ints(wire) {
            Some(values) => values.iter().all(|&value| value == 0),
            None => self
                .view
                .inputs::<2>(wire, &["Fill"])
                .is_some_and(|[_, value]| self.view.int(value) == Some(0)),
        }
    }
}
