//! Lists whose elements are known one by one disappear, and lists that are tensors are read as
//! such.

use std::collections::BTreeMap;
use std::rc::Rc;

use tfjet_core::{AttrValue, Attrs, DType, Dim, Shape, Tensor};

use super::list_shape::settle_reserved;
use super::simplify::{Rewrite, RewriteOptions};
use crate::graph::{Graph, Node, NodeId, TypedGraph, WireId};

/// Longer lists are not followed.
const MAX_LEN: usize = 4096;

/// An element of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    /// Nothing was written.
    Blank,
    /// A tensor.
    Wire(WireId),
    /// A row of a tensor.
    Row(WireId, usize),
}

/// Replaces what is done to lists by what it does to the tensors in them:
/// * a list that is written and read at known places becomes `Pack`, a slice, or the element;
/// * a list made of a tensor, or stacked to one, is that tensor, read by `GatherV2`;
/// * a list of elements whose shape shows only in the loop that writes them is made with it.
pub(super) fn tensor_lists(typed: &TypedGraph, options: &RewriteOptions<'_>) -> Option<Rewrite> {
    let mut lists = Lists {
        typed,
        graph: typed.graph.clone(),
        items: BTreeMap::new(),
        replaced: BTreeMap::new(),
    };
    let any = typed.order.iter().any(|id| {
        typed.graph.node(*id).op.contains("TensorList") || typed.functions.contains_key(id)
    });
    if !any {
        return None;
    }
    for &id in &typed.source_order {
        let node = typed.graph.node(id);
        if node.op.contains("TensorList") && !(options.keep)(node) {
            lists.follow(id);
            if typed.live[id.index()] {
                lists.replace(id);
            }
        }
    }
    let settled = settle_reserved(typed, &mut lists.graph, options);
    if lists.replaced.is_empty() && !settled {
        return None;
    }
    let replaced = lists.replaced;
    let last = |mut wire: WireId| {
        let mut steps = replaced.len();
        while let Some(next) = replaced.get(&wire).filter(|_| steps > 0) {
            wire = *next;
            steps -= 1;
        }
        wire
    };
    let mut graph = lists.graph;
    let readers = graph.nodes.iter_mut().flat_map(|node| &mut node.inputs);
    readers.for_each(|wire| *wire = last(*wire));
    let outputs = graph.outputs.iter_mut();
    outputs.for_each(|output| output.wire = last(output.wire));
    Some(Rewrite {
        graph,
        notes: Vec::new(),
    })
}

struct Lists<'a> {
    typed: &'a TypedGraph,
    graph: Graph,
    /// The elements of the lists that are known.
    items: BTreeMap<WireId, Rc<Vec<Item>>>,
    replaced: BTreeMap<WireId, WireId>,
}

impl Lists<'_> {
    fn input(&self, id: NodeId, index: usize) -> Option<WireId> {
        self.typed.graph.node(id).inputs.get(index).copied()
    }

    fn numbers(&self, id: NodeId, index: usize) -> Option<Vec<usize>> {
        let numbers = self.typed.fact(self.input(id, index)?).known_elements()?;
        let numbers = numbers.into_iter().map(usize::try_from);
        numbers.collect::<Result<_, _>>().ok()
    }

    fn number(&self, id: NodeId, index: usize) -> Option<usize> {
        match self.numbers(id, index)?.as_slice() {
            [number] => Some(*number),
            _ => None,
        }
    }

    fn items(&self, id: NodeId, index: usize) -> Option<Rc<Vec<Item>>> {
        self.items.get(&self.input(id, index)?).cloned()
    }

    fn rows(&self, wire: WireId) -> Option<Vec<Item>> {
        let len = self
            .typed
            .fact(wire)
            .shape
            .as_ref()?
            .dims()
            .first()?
            .fixed()?;
        let rows = (len <= MAX_LEN).then_some(0..len)?;
        Some(rows.map(|row| Item::Row(wire, row)).collect())
    }

    /// Notes the elements of the list that a node makes, where they are known.
    fn follow(&mut self, id: NodeId) {
        if let Some(items) = self.made(id).filter(|items| items.len() <= MAX_LEN) {
            self.items.insert(WireId::new(id, 0), Rc::new(items));
        }
    }

    fn made(&self, id: NodeId) -> Option<Vec<Item>> {
        let node = self.typed.graph.node(id);
        let before = || self.items(id, 0).map(|items| Vec::clone(&items));
        match node.op.as_str() {
            "EmptyTensorList" => Some(Vec::new()),
            "TensorListReserve" => {
                let len = self.number(id, 1).filter(|len| *len <= MAX_LEN)?;
                Some(vec![Item::Blank; len])
            }
            "TensorListFromTensor" => self.rows(self.input(id, 0)?),
            "TensorListSetItem" => {
                let (mut items, index) = (before()?, self.number(id, 1)?);
                *items.get_mut(index)? = Item::Wire(self.input(id, 2)?);
                Some(items)
            }
            "TensorListPushBack" => {
                let mut items = before()?;
                items.push(Item::Wire(self.input(id, 1)?));
                Some(items)
            }
            "TensorListPopBack" => {
                let mut items = before()?;
                items.pop()?;
                Some(items)
            }
            "TensorListResize" => {
                let (mut items, len) = (before()?, self.number(id, 1)?);
                items.resize(len.min(MAX_LEN + 1), Item::Blank);
                Some(items)
            }
            "TensorListScatterIntoExistingList" => {
                let (mut items, rows) = (before()?, self.rows(self.input(id, 1)?)?);
                let places = self.numbers(id, 2)?;
                if places.len() != rows.len() {
                    return None;
                }
                for (place, row) in places.into_iter().zip(rows) {
                    *items.get_mut(place)? = row;
                }
                Some(items)
            }
            _ => None,
        }
    }

    /// Puts something simpler in the place of a node, where there is something.
    fn replace(&mut self, id: NodeId) {
        let node = self.typed.graph.node(id);
        let made = match node.op.as_str() {
            "TensorListFromTensor" => self.input(id, 0),
            "TensorListGetItem" => self.got(id),
            "TensorListStack" => self.stacked(id),
            "TensorListGather" => self.gathered(id),
            "TensorListScatterIntoExistingList" => self.scattered(id),
            "TensorListPopBack" => {
                let last = self.items(id, 0).and_then(|items| items.last().copied());
                if let Some(item) = last.and_then(|item| self.item(id, item)) {
                    self.replaced.insert(WireId::new(id, 1), item);
                }
                None
            }
            _ => None,
        };
        if let Some(made) = made {
            self.replaced.insert(WireId::new(id, 0), made);
        }
    }

    /// Is the list certainly a tensor with all its elements, no list of blanks of unknown shape?
    fn is_tensor(&self, list: WireId) -> bool {
        match self.typed.fact(list).shape.as_ref().map(Shape::dims) {
            Some([_, Dim::Fixed(0) | Dim::Symbolic(_)]) | None | Some([]) => false,
            Some(_) => true,
        }
    }

    fn add(
        &mut self,
        id: NodeId,
        role: &str,
        op: &str,
        attrs: Attrs,
        inputs: Vec<WireId>,
    ) -> WireId {
        let node = self.typed.graph.node(id);
        let node = Node {
            source: node.source,
            ..Node::new(format!("{}/{role}", node.name), op, attrs, inputs)
        };
        WireId::new(self.graph.add(node), 0)
    }

    fn integers(&mut self, id: NodeId, role: &str, shape: &[usize], values: &[i32]) -> WireId {
        let value = Tensor::from_slice(shape, values).unwrap_or_default();
        let attrs = Attrs::default()
            .with("dtype", AttrValue::Type(Some(DType::I32)))
            .with("value", AttrValue::Tensor(value));
        self.add(id, role, "Const", attrs, Vec::new())
    }

    /// The tensor that an element is.
    fn item(&mut self, id: NodeId, item: Item) -> Option<WireId> {
        match item {
            Item::Blank => None,
            Item::Wire(wire) => Some(wire),
            Item::Row(wire, row) => {
                let number = i32::try_from(row).ok()?;
                let role = |name: &str| format!("{name}{row}");
                let begin = self.integers(id, &role("begin"), &[1], &[number]);
                let end = self.integers(id, &role("end"), &[1], &[number.checked_add(1)?]);
                let step = self.integers(id, &role("step"), &[1], &[1]);
                let mut attrs = Attrs::default()
                    .with("T", AttrValue::Type(self.typed.fact(wire).dtype))
                    .with("Index", AttrValue::Type(Some(DType::I32)))
                    .with("shrink_axis_mask", AttrValue::Int(1));
                for mask in ["begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask"] {
                    attrs.insert(mask, AttrValue::Int(0));
                }
                let inputs = vec![wire, begin, end, step];
                Some(self.add(id, &role("row"), "StridedSlice", attrs, inputs))
            }
        }
    }

    fn got(&mut self, id: NodeId) -> Option<WireId> {
        let index = self.number(id, 1);
        let items = self.items(id, 0);
        if let (Some(index), Some(items)) = (index, items)
            && let Some(item) = items.get(index)
            && let Some(wire) = self.item(id, *item)
        {
            return Some(wire);
        }
        let list = self.input(id, 0)?;
        let index = self.input(id, 1)?;
        self.is_tensor(list).then(|| {
            let axis = self.integers(id, "axis", &[], &[0]);
            let attrs = Attrs::default()
                .with("Tparams", AttrValue::Type(self.typed.fact(list).dtype))
                .with("Tindices", AttrValue::Type(self.typed.fact(index).dtype))
                .with("Taxis", AttrValue::Type(Some(DType::I32)))
                .with("batch_dims", AttrValue::Int(0));
            self.add(id, "gather", "GatherV2", attrs, vec![list, index, axis])
        })
    }

    /// One tensor of these elements.
    fn packed(&mut self, id: NodeId, items: &[Item]) -> Option<WireId> {
        if let [Item::Row(whole, 0), ..] = items
            && self.rows(*whole).as_deref() == Some(items)
        {
            return Some(*whole);
        }
        let parts = items.iter().map(|item| self.item(id, *item));
        let parts: Vec<WireId> = parts.collect::<Option<_>>()?;
        let count = i64::try_from(parts.len()).ok()?;
        let dtype = AttrValue::Type(self.typed.fact(*parts.first()?).dtype);
        if let [only] = parts[..] {
            let axis = self.integers(id, "axis", &[], &[0]);
            let attrs = Attrs::default()
                .with("T", dtype)
                .with("Tdim", AttrValue::Type(Some(DType::I32)));
            return Some(self.add(id, "stack", "ExpandDims", attrs, vec![only, axis]));
        }
        let attrs = Attrs::default()
            .with("T", dtype)
            .with("N", AttrValue::Int(count))
            .with("axis", AttrValue::Int(0));
        Some(self.add(id, "stack", "Pack", attrs, parts))
    }

    fn stacked(&mut self, id: NodeId) -> Option<WireId> {
        if let Some(items) = self.items(id, 0)
            && !items.contains(&Item::Blank)
            && let Some(packed) = self.packed(id, &items)
        {
            return Some(packed);
        }
        self.input(id, 0).filter(|list| self.is_tensor(*list))
    }

    fn gathered(&mut self, id: NodeId) -> Option<WireId> {
        if let (Some(items), Some(places)) = (self.items(id, 0), self.numbers(id, 1)) {
            let chosen: Option<Vec<Item>> = places
                .iter()
                .map(|place| items.get(*place).copied())
                .collect();
            if let Some(packed) = chosen.and_then(|chosen| self.packed(id, &chosen)) {
                return Some(packed);
            }
        }
        let list = self.input(id, 0).filter(|list| self.is_tensor(*list))?;
        let places = self.input(id, 1)?;
        let limit = self.range(places)?;
        let counter = self.typed.graph.node(limit.node);
        let counts = counter.op == "TensorListLength" && counter.inputs.first() == Some(&list);
        let dims = |wire| self.typed.fact(wire).shape.as_ref().map(Shape::dims);
        let same = match (dims(places), dims(list)) {
            (Some([places]), Some([len, ..])) => places == len,
            _ => false,
        };
        (counts || same).then_some(list)
    }

    /// The limit of a `Range` from 0 in steps of 1.
    fn range(&self, wire: WireId) -> Option<WireId> {
        let node = self.typed.graph.node(wire.node);
        let is = |index: usize, number: i64| {
            let wire = node.inputs.get(index);
            let known = wire.and_then(|wire| self.typed.fact(*wire).known_elements());
            known.as_deref() == Some(&[number])
        };
        let plain = node.op == "Range" && is(0, 0) && is(2, 1);
        node.inputs.get(1).copied().filter(|_| plain)
    }

    /// All elements of a tensor, written to a new list of as many.
    fn scattered(&mut self, id: NodeId) -> Option<WireId> {
        let [list, tensor, places] = self.typed.graph.node(id).inputs[..] else {
            return None;
        };
        let made = self.typed.graph.node(list.node);
        if let Some(items) = self.items.get(&WireId::new(id, 0)).cloned()
            && let Some(rows) = self.rows(tensor)
            && *items == rows
        {
            return Some(tensor);
        }
        self.range(places)?;
        let len = self.typed.fact(tensor).shape.as_ref()?.dims().first()?;
        let len = self.typed.sizes.formula(len);
        let count = self.typed.fact(*made.inputs.get(1)?).elements.as_ref()?;
        let count = count.first()?.formula()?;
        (made.op == "TensorListReserve" && count == len).then_some(tensor)
    }
}
