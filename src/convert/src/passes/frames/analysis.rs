use std::collections::{BTreeMap, BTreeSet};

use tfjet_core::AttrValue;

use super::super::prune::{needed, topological};
use super::ControlFlowError;
use super::choice::Choice;
use super::conditions::{Alive, Conditions, MAX_VALUES};
use crate::graph::{Graph, NodeId, WireId, output_count};

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

/// Frames of a graph's nodes, and when each is alive.
pub(super) struct Analysis {
    /// Does an output need the node?
    pub(super) needed: Vec<bool>,
    pub(super) frames: Vec<Frame>,
    /// The frame of a node; `None` outside all.
    pub(super) frame_of: Vec<Option<usize>>,
    /// Does the node follow from constants alone? Such nodes are in no frame by themselves.
    pub(super) frameless: Vec<bool>,
    pub(super) conditions: Conditions,
    alive: Vec<Alive>,
    /// When each output of a node is alive that sends its input to one of them.
    sides: BTreeMap<NodeId, Vec<Alive>>,
    /// Choices with the merge that each belongs to.
    pub(super) choices: Vec<(NodeId, Choice)>,
    /// The choice of each merge that carries nothing; `None` where its inputs cannot be told apart.
    pub(super) merges: BTreeMap<NodeId, Option<usize>>,
    /// Of what enters a frame for all its passes several times, the first one that does.
    entered: BTreeMap<NodeId, NodeId>,
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

/// Does the node bring something into a frame for all its passes?
pub(super) fn is_invariant(graph: &Graph, id: NodeId) -> bool {
    let constant = graph.node(id).attrs.get("is_constant");
    is(graph, id, "Enter") && constant == Some(&AttrValue::Bool(true))
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
            conditions: Conditions::default(),
            alive: vec![Alive::ALWAYS; count],
            sides: BTreeMap::new(),
            choices: Vec::new(),
            merges: BTreeMap::new(),
            entered: BTreeMap::new(),
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
        analysis.enter_once(graph, &order);
        analysis.conditions = Conditions::new(analysis.numbered(graph));
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

    /// Puts down which nodes bring the same into a frame.
    fn enter_once(&mut self, graph: &Graph, order: &[NodeId]) {
        let mut first = BTreeMap::new();
        for &id in order {
            if is_invariant(graph, id)
                && let Some(input) = graph.node(id).inputs.first()
            {
                let same = (self.canonical(graph, *input), self.frame_of[id.index()]);
                let same = *first.entry(same).or_insert(id);
                self.entered.insert(id, same);
            }
        }
    }

    /// The wire whose value a wire has.
    pub(super) fn canonical(&self, graph: &Graph, mut wire: WireId) -> WireId {
        loop {
            if let Some(first) = self.entered.get(&wire.node) {
                return WireId::new(*first, 0);
            }
            let node = graph.node(wire.node);
            let passes = matches!(kind(&node.op), "Switch" | "_SwitchN" | "Identity");
            match node.inputs.first() {
                Some(input) if passes && !self.fed.contains(&wire) => wire = *input,
                _ => return wire,
            }
        }
    }

    /// Predicates that number branches, with how many there are.
    fn numbered(&self, graph: &Graph) -> BTreeMap<WireId, u32> {
        let switches = graph.ids().filter(|id| is(graph, *id, "_SwitchN"));
        let counts = switches.filter_map(|id| {
            let node = graph.node(id);
            let count = output_count(&node.op, &node.attrs).unwrap_or(0);
            Some((self.canonical(graph, *node.inputs.get(1)?), count))
        });
        counts.collect()
    }

    /// When a wire is alive.
    pub(super) fn alive(&self, wire: WireId) -> Alive {
        if self.fed.contains(&wire) {
            return Alive::ALWAYS;
        }
        match self.sides.get(&wire.node) {
            Some(sides) => {
                let slot = usize::try_from(wire.slot).unwrap_or(usize::MAX);
                sides.get(slot).copied().unwrap_or(Alive::NEVER)
            }
            None => self.alive[wire.node.index()],
        }
    }

    /// Finds when a node is alive.
    fn live(&mut self, graph: &Graph, id: NodeId) {
        let node = graph.node(id);
        self.alive[id.index()] = match kind(&node.op) {
            "Enter" => Alive::ALWAYS,
            "Exit" => {
                let enters = self.left_frame(graph, id);
                let enters = enters.map(|frame| self.frames[frame].enters.iter());
                let inputs = enters.into_iter().flatten();
                let inputs = inputs.filter_map(|enter| graph.node(*enter).inputs.first());
                let inputs: Vec<Alive> = inputs.map(|wire| self.alive(*wire)).collect();
                self.conditions.all(inputs)
            }
            "Switch" | "_SwitchN" => self.switched(graph, id),
            "Merge" if self.is_header(graph, id) => Alive::ALWAYS,
            "Merge" => self.merged(graph, id),
            _ => self.joined(graph, id),
        };
    }

    /// When all inputs are alive.
    fn joined(&mut self, graph: &Graph, id: NodeId) -> Alive {
        let node = graph.node(id);
        let data = node.inputs.iter().map(|wire| self.alive(*wire));
        let control = node.control.iter().map(|from| self.alive[from.index()]);
        let all: Vec<Alive> = data.chain(control).collect();
        self.conditions.all(all)
    }

    fn switched(&mut self, graph: &Graph, id: NodeId) -> Alive {
        let own = self.joined(graph, id);
        if let Some(predicate) = graph.node(id).inputs.get(1) {
            let predicate = self.canonical(graph, *predicate);
            let values = self.conditions.values(predicate);
            if values > MAX_VALUES {
                return Alive::UNKNOWN;
            }
            let sides = (0..values).map(|value| {
                let literal = self.conditions.literal(predicate, value);
                self.conditions.all([own, literal])
            });
            let sides = sides.collect();
            self.sides.insert(id, sides);
        }
        own
    }

    /// Where an input of a merge is alive. One that cannot be told is for the merge's readers.
    fn merged(&mut self, graph: &Graph, id: NodeId) -> Alive {
        let node = graph.node(id);
        let control: Vec<Alive> = node
            .control
            .iter()
            .map(|from| self.alive[from.index()])
            .collect();
        let inputs: Vec<Alive> = node.inputs.iter().map(|wire| self.alive(*wire)).collect();
        let choice = self.chosen(id, &inputs);
        self.merges.insert(id, choice);
        let one = match self.conditions.any(inputs) {
            Alive::NEVER => Alive::NEVER,
            one if choice.is_some() => one,
            _ => Alive::ALWAYS,
        };
        let control = self.conditions.all(control);
        self.conditions.all([one, control])
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
