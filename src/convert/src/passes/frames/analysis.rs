use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tfjet_core::AttrValue;

use super::super::prune::{needed, topological};
use super::ControlFlowError;
use crate::graph::{Graph, NodeId, WireId, output_count};

/// A predicate and the value that it has: 0 or 1 of a truth value, else the number of a branch.
pub(super) type Literal = (WireId, u32);

/// The literals under which something is alive.
pub(super) type Alive = Rc<BTreeSet<Literal>>;

/// A while frame.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) name: String,
    pub(super) parent: Option<usize>,
    pub(super) enters: Vec<NodeId>,
    pub(super) loop_cond: Option<NodeId>,
    /// Merges of what the loop carries.
    pub(super) headers: Vec<NodeId>,
}

/// How a `Merge` comes by its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    /// It is input number so.
    Input(usize),
    /// It depends on a predicate: an index in [`Analysis::choices`] for each of its values.
    Split {
        predicate: WireId,
        branches: Vec<usize>,
    },
}

/// Frames and literals of a graph's nodes.
pub(super) struct Analysis {
    /// Does an output need the node?
    pub(super) needed: Vec<bool>,
    pub(super) frames: Vec<Frame>,
    /// The frame of a node; `None` outside all.
    pub(super) frame_of: Vec<Option<usize>>,
    /// Does the node follow from constants alone? Such nodes are in no frame by themselves.
    pub(super) frameless: Vec<bool>,
    alive: Vec<Alive>,
    /// Choices with the merge that each belongs to.
    pub(super) choices: Vec<(NodeId, Choice)>,
    /// The choice of each merge that carries nothing; `None` where its inputs cannot be told apart.
    pub(super) merges: BTreeMap<NodeId, Option<usize>>,
    /// Predicates that number branches, with how many there are.
    numbered: BTreeMap<WireId, u32>,
    fed: BTreeSet<WireId>,
    order: Vec<NodeId>,
}

fn kind(op: &str) -> &str {
    op.strip_prefix("Ref").unwrap_or(op)
}

/// Is the op one of TensorFlow 1's control flow?
pub(super) fn is_primitive(op: &str) -> bool {
    matches!(
        kind(op),
        "Enter" | "Exit" | "Merge" | "Switch" | "_SwitchN" | "NextIteration" | "LoopCond"
    )
}

/// Is the op this primitive, for values or for references?
pub(super) fn is(graph: &Graph, id: NodeId, primitive: &str) -> bool {
    kind(&graph.node(id).op) == primitive
}

impl Analysis {
    /// `None` where nothing that an output needs is control flow.
    pub(super) fn new(graph: &Graph) -> Option<Self> {
        let fed: BTreeSet<WireId> = graph.inputs.iter().map(|input| input.wire).collect();
        let outputs = || graph.outputs.iter().map(|output| output.wire);
        let stop = |wire: WireId| fed.contains(&wire);
        let by_data = needed(graph, |id| graph.node(id).inputs.clone(), outputs(), stop);
        let mut ids = graph.ids();
        if !ids.any(|id| by_data[id.index()] && is_primitive(&graph.node(id).op)) {
            return None;
        }
        let with_control = |id: NodeId| -> Vec<WireId> {
            let node = graph.node(id);
            let control = node.control.iter().map(|from| WireId::new(*from, 0));
            node.inputs.iter().copied().chain(control).collect()
        };
        let all = needed(graph, with_control, outputs(), stop);
        let count = graph.nodes.len();
        let mut analysis = Self {
            needed: by_data,
            frames: Vec::new(),
            frame_of: vec![None; count],
            frameless: vec![false; count],
            alive: vec![Alive::default(); count],
            choices: Vec::new(),
            merges: BTreeMap::new(),
            numbered: BTreeMap::new(),
            fed,
            order: Vec::new(),
        };
        let forward = |id: NodeId| -> Vec<WireId> {
            let mut before = with_control(id);
            if is(graph, id, "Merge") {
                before.retain(|wire| !is(graph, wire.node, "NextIteration"));
            }
            before
        };
        for id in topological(graph, &all, forward) {
            analysis.place(graph, id);
        }
        let order = topological(graph, &all, |id| {
            let mut before = forward(id);
            if is(graph, id, "Exit")
                && let Some(frame) = analysis.left_frame(graph, id)
            {
                let enters = analysis.frames[frame].enters.iter();
                before.extend(enters.map(|enter| WireId::new(*enter, 0)));
            }
            before
        });
        for &id in &order {
            analysis.live(graph, id);
        }
        analysis.order = order;
        analysis.add_predicates(graph);
        Some(analysis)
    }

    /// Adds what decides about needed merges: control edges alone may lead to it.
    fn add_predicates(&mut self, graph: &Graph) {
        let inputs = |id: NodeId| graph.node(id).inputs.clone();
        let mut wanted: BTreeSet<WireId> = graph.outputs.iter().map(|it| it.wire).collect();
        loop {
            let before = wanted.len();
            let splits = self
                .choices
                .iter()
                .filter_map(|(merge, choice)| match choice {
                    Choice::Split { predicate, .. } if self.needed[merge.index()] => {
                        Some(*predicate)
                    }
                    _ => None,
                });
            wanted.extend(splits);
            if wanted.len() == before {
                break;
            }
            let fed = &self.fed;
            let all = wanted.iter().copied();
            self.needed = needed(graph, inputs, all, |wire| fed.contains(&wire));
        }
        for frame in &mut self.frames {
            frame.headers.retain(|header| self.needed[header.index()]);
        }
    }

    /// What an output needs, through control edges too, makers first.
    pub(super) fn order(&self) -> &[NodeId] {
        &self.order
    }

    pub(super) fn is_fed(&self, wire: WireId) -> bool {
        self.fed.contains(&wire)
    }

    /// The frame that an `Exit` leaves.
    pub(super) fn left_frame(&self, graph: &Graph, exit: NodeId) -> Option<usize> {
        let input = graph.node(exit).inputs.first()?;
        self.frame_of[input.node.index()]
    }

    /// Is it the merge of something that a loop carries?
    pub(super) fn is_header(&self, graph: &Graph, id: NodeId) -> bool {
        is(graph, id, "Merge")
            && graph
                .node(id)
                .inputs
                .iter()
                .any(|wire| is(graph, wire.node, "NextIteration"))
    }

    /// Finds the frame of a node.
    fn place(&mut self, graph: &Graph, id: NodeId) {
        let node = graph.node(id);
        let of = |wire: &WireId| match self.fed.contains(wire) {
            true => None,
            false => self.frame_of[wire.node.index()],
        };
        let control = || node.control.iter().map(|from| WireId::new(*from, 0));
        let inherited = node.inputs.iter().find_map(of);
        let inherited = inherited.or_else(|| control().find_map(|wire| of(&wire)));
        let index = id.index();
        let is_free = |wire: &WireId| self.frameless[wire.node.index()] && !self.fed.contains(wire);
        self.frameless[index] = node.op == "Const"
            || !node.inputs.is_empty()
                && !is_primitive(&node.op)
                && node.inputs.iter().all(is_free);
        self.frame_of[index] = match kind(&node.op) {
            "Enter" => {
                let name = match node.attrs.get("frame_name") {
                    Some(AttrValue::Str(name)) => String::from_utf8_lossy(name).into_owned(),
                    _ => node.name.clone(),
                };
                Some(self.enter(id, &name, inherited))
            }
            "Exit" => inherited.and_then(|frame| self.frames[frame].parent),
            _ => inherited,
        };
        let Some(frame) = self.frame_of[index] else {
            return;
        };
        if kind(&node.op) == "LoopCond" {
            self.frames[frame].loop_cond.get_or_insert(id);
        } else if self.is_header(graph, id) {
            self.frames[frame].headers.push(id);
        }
    }

    fn enter(&mut self, id: NodeId, name: &str, parent: Option<usize>) -> usize {
        let same = |frame: &Frame| frame.name == name && frame.parent == parent;
        let frame = self.frames.iter().position(same).unwrap_or_else(|| {
            self.frames.push(Frame {
                name: name.into(),
                parent,
                enters: Vec::new(),
                loop_cond: None,
                headers: Vec::new(),
            });
            self.frames.len() - 1
        });
        self.frames[frame].enters.push(id);
        frame
    }

    /// The wire whose value a wire has.
    pub(super) fn canonical(&self, graph: &Graph, mut wire: WireId) -> WireId {
        loop {
            let node = graph.node(wire.node);
            let passes = matches!(kind(&node.op), "Switch" | "_SwitchN" | "Identity");
            match node.inputs.first() {
                Some(input) if passes && !self.fed.contains(&wire) => wire = *input,
                _ => return wire,
            }
        }
    }

    /// The literals under which a wire is alive.
    pub(super) fn alive(&self, graph: &Graph, wire: WireId) -> Alive {
        if self.fed.contains(&wire) {
            return Alive::default();
        }
        let node = graph.node(wire.node);
        let own = &self.alive[wire.node.index()];
        match (kind(&node.op), node.inputs.get(1)) {
            ("Switch" | "_SwitchN", Some(predicate)) => {
                let literal = (self.canonical(graph, *predicate), wire.slot);
                let mut all = BTreeSet::clone(own);
                all.insert(literal);
                Rc::new(all)
            }
            _ => own.clone(),
        }
    }

    /// Finds the literals of a node.
    fn live(&mut self, graph: &Graph, id: NodeId) {
        let node = graph.node(id);
        let index = id.index();
        self.alive[index] = match kind(&node.op) {
            "Enter" => Alive::default(),
            "Exit" => {
                let enters = self.left_frame(graph, id);
                let enters = enters.map(|frame| self.frames[frame].enters.clone());
                let inputs = enters.into_iter().flatten();
                let inputs = inputs.filter_map(|enter| graph.node(enter).inputs.first());
                let inputs = inputs.map(|wire| self.alive(graph, *wire));
                union(inputs.collect())
            }
            "_SwitchN" => {
                let count = output_count(&node.op, &node.attrs).unwrap_or(0);
                if let Some(predicate) = node.inputs.get(1) {
                    let predicate = self.canonical(graph, *predicate);
                    self.numbered.insert(predicate, count);
                }
                self.joined(graph, id)
            }
            "Merge" if self.is_header(graph, id) => Alive::default(),
            "Merge" => self.merged(graph, id),
            _ => self.joined(graph, id),
        };
    }

    /// The literals of all inputs.
    fn joined(&self, graph: &Graph, id: NodeId) -> Alive {
        let node = graph.node(id);
        let data = node.inputs.iter().map(|wire| self.alive(graph, *wire));
        let control = node.control.iter().map(|from| &self.alive[from.index()]);
        union(data.chain(control.cloned()).collect())
    }

    /// How many values a predicate has.
    pub(super) fn values(&self, predicate: WireId) -> u32 {
        self.numbered.get(&predicate).copied().unwrap_or(2)
    }

    /// Is it the number of a branch, no truth value?
    pub(super) fn is_numbered(&self, predicate: WireId) -> bool {
        self.numbered.contains_key(&predicate)
    }

    fn merged(&mut self, graph: &Graph, id: NodeId) -> Alive {
        let node = graph.node(id);
        let control = node
            .control
            .iter()
            .map(|from| self.alive[from.index()].clone());
        let control = union(control.collect());
        let inputs = node.inputs.iter().enumerate();
        let inputs = inputs.map(|(index, wire)| {
            let alive = self.alive(graph, *wire);
            (index, BTreeSet::clone(&alive))
        });
        let inputs: Vec<(usize, BTreeSet<Literal>)> = inputs
            .filter(|(_, alive)| {
                let predicates: BTreeSet<WireId> = alive.iter().map(|(of, _)| *of).collect();
                predicates.len() == alive.len()
            })
            .collect();
        let chosen = self.choose(id, inputs);
        self.merges
            .insert(id, chosen.as_ref().map(|(choice, _)| *choice));
        let left = chosen.map(|(_, left)| left).unwrap_or_default();
        union(vec![Rc::new(left), control])
    }

    /// How one of `inputs` is chosen, and the literals that are left.
    fn choose(
        &mut self,
        merge: NodeId,
        inputs: Vec<(usize, BTreeSet<Literal>)>,
    ) -> Option<(usize, BTreeSet<Literal>)> {
        if let [(index, alive)] = inputs.as_slice() {
            self.choices.push((merge, Choice::Input(*index)));
            return Some((self.choices.len() - 1, alive.clone()));
        }
        let predicates: Vec<WireId> = inputs.first()?.1.iter().map(|(of, _)| *of).collect();
        for predicate in predicates {
            let side = |value: u32| -> Vec<(usize, BTreeSet<Literal>)> {
                let inputs = inputs.iter();
                let side = inputs.filter(|(_, alive)| alive.contains(&(predicate, value)));
                side.map(|(index, alive)| {
                    let mut alive = alive.clone();
                    alive.remove(&(predicate, value));
                    (*index, alive)
                })
                .collect()
            };
            let sides: Vec<_> = (0..self.values(predicate)).map(side).collect();
            let placed: usize = sides.iter().map(Vec::len).sum();
            if sides.iter().any(Vec::is_empty) || placed < inputs.len() {
                continue;
            }
            let chosen = sides.into_iter().map(|side| self.choose(merge, side));
            let chosen: Vec<(usize, BTreeSet<Literal>)> = chosen.collect::<Option<_>>()?;
            let left = chosen.first()?.1.clone();
            if chosen.iter().any(|(_, other)| *other != left) {
                return None;
            }
            let branches = chosen.into_iter().map(|(choice, _)| choice).collect();
            let choice = Choice::Split {
                predicate,
                branches,
            };
            self.choices.push((merge, choice));
            return Some((self.choices.len() - 1, left));
        }
        None
    }

    pub(super) fn error(
        &self,
        graph: &Graph,
        id: NodeId,
        reason: impl Into<String>,
    ) -> ControlFlowError {
        let node = graph.node(id);
        let frame = self.frame_of[id.index()].and_then(|frame| self.frames.get(frame));
        ControlFlowError {
            frame: frame.map(|frame| frame.name.clone()),
            node: node.name.clone(),
            op: node.op.clone(),
            reason: reason.into(),
        }
    }
}

fn union(sets: Vec<Alive>) -> Alive {
    let mut sets = sets.into_iter();
    let Some(mut all) = sets.next() else {
        return Alive::default();
    };
    for set in sets {
        if set.is_subset(&all) {
            continue;
        }
        if all.is_subset(&set) {
            all = set;
        } else {
            all = Rc::new(all.union(&set).copied().collect());
        }
    }
    all
}
