mod condition;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use tfjet_core::{AttrValue, Attrs};

use super::Failure;
use super::analysis::{Analysis, is, is_invariant};
use super::choice::Choice;
use super::conditions::Alive;
use super::region::{Key, Kind, Planned, Region};
use crate::graph::{Function, Graph, MAX_DEPTH, Node, NodeId, WireId};

/// Constants with more bytes are handed to functions instead of copied into them.
const COPIED_BYTES: usize = 1 << 12;

/// Builds the graph and its functions from what is wanted.
pub(super) struct Builder<'a> {
    graph: &'a Graph,
    analysis: Analysis,
    /// The choices that are made by one `If`, for each of them.
    groups: BTreeMap<usize, Rc<Vec<usize>>>,
    /// Merges whose second output, the number of the chosen input, is read.
    indexed: BTreeSet<NodeId>,
    names: BTreeSet<String>,
    depth: usize,
    pub(super) functions: Vec<(String, Arc<Function>)>,
    /// Control edges left behind.
    pub(super) dropped: usize,
}

/// What comes next for something that is wanted.
enum Step {
    Done(WireId),
    Needs(Vec<Key>),
}

/// Where something is computed.
enum Place {
    Here,
    Outside(Key),
}

impl<'a> Builder<'a> {
    /// `None` where there is no control flow. With `grouped`, conditions on the same predicate are
    /// put together where they do not follow from one another.
    pub(super) fn new(graph: &'a Graph, grouped: bool) -> Option<Self> {
        let analysis = Analysis::new(graph)?;
        let needed = graph.ids().filter(|id| analysis.needed[id.index()]);
        let read = needed.flat_map(|id| graph.node(id).inputs.iter().copied());
        let read = read.chain(graph.outputs.iter().map(|output| output.wire));
        let indexed = read.filter(|wire| wire.slot == 1 && is(graph, wire.node, "Merge"));
        let mut builder = Self {
            indexed: indexed.map(|wire| wire.node).collect(),
            groups: BTreeMap::new(),
            names: graph.nodes.iter().map(|node| node.name.clone()).collect(),
            depth: 0,
            functions: Vec::new(),
            dropped: 0,
            analysis,
            graph,
        };
        if grouped {
            builder.group();
        }
        Some(builder)
    }

    /// Puts merges on the same predicate together, unless one follows from another.
    fn group(&mut self) {
        type Place = (WireId, Alive, Option<usize>);
        let mut same: BTreeMap<Place, Vec<(NodeId, usize)>> = BTreeMap::new();
        for (&merge, choice) in &self.analysis.merges {
            if let Some(choice) = *choice
                && self.analysis.needed[merge.index()]
                && let (_, Choice::Split { predicate, .. }) = &self.analysis.choices[choice]
            {
                let predicate = *predicate;
                let alive = self.analysis.alive(WireId::new(merge, 0));
                let place = (predicate, alive, self.analysis.frame_of[merge.index()]);
                same.entry(place).or_default().push((merge, choice));
            }
        }
        for members in same.into_values().filter(|members| members.len() > 1) {
            let choice_of: BTreeMap<NodeId, usize> = members.into_iter().collect();
            let mut level = vec![0usize; self.graph.nodes.len()];
            let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            for &id in self.analysis.order() {
                let node = self.graph.node(id);
                let inputs = node.inputs.iter().map(|wire| level[wire.node.index()]);
                let before = inputs.max().unwrap_or(0);
                let choice = choice_of.get(&id);
                level[id.index()] = before + usize::from(choice.is_some());
                if let Some(choice) = choice {
                    groups.entry(before).or_default().push(*choice);
                }
            }
            for group in groups.into_values() {
                let group = Rc::new(group);
                for choice in group.iter() {
                    self.groups.insert(*choice, Rc::clone(&group));
                }
            }
        }
    }

    /// The graph, its control flow in functions.
    pub(super) fn run(&mut self) -> Result<Graph, Failure> {
        let root = self.graph.clone();
        let mut region = Region::new(Kind::Root, None, Alive::ALWAYS, root);
        let outputs: Vec<WireId> = self.graph.outputs.iter().map(|it| it.wire).collect();
        for (index, wire) in outputs.into_iter().enumerate() {
            region.graph.outputs[index].wire = self.build(&mut region, Key::Wire(wire))?;
        }
        Ok(region.graph)
    }

    /// The wire of `region` that holds what is wanted.
    fn build(&mut self, region: &mut Region, wanted: Key) -> Result<WireId, Failure> {
        let mut stack = vec![wanted];
        let mut open = BTreeSet::new();
        while let Some(&key) = stack.last() {
            if !region.memo.contains_key(&key) {
                match self.step(region, key)? {
                    Step::Done(wire) => {
                        region.memo.insert(key, wire);
                    }
                    Step::Needs(keys) => {
                        open.insert(key);
                        if let Some(again) = keys.iter().find(|key| open.contains(*key)) {
                            return Err(self.circle(region, *again));
                        }
                        stack.extend(keys);
                        continue;
                    }
                }
            }
            open.remove(&key);
            stack.pop();
        }
        Ok(region.memo[&wanted])
    }

    /// Something that needs itself: conditions that were put together wrongly, or a circle.
    fn circle(&self, region: &Region, key: Key) -> Failure {
        let split = region
            .conditions
            .values()
            .any(|planned| planned.made.is_none());
        if split && !self.groups.is_empty() {
            return Failure::Entangled;
        }
        let node = self.node_of(key);
        let reason = "it needs itself other than through NextIteration";
        self.analysis.error(self.graph, node, reason).into()
    }

    fn node_of(&self, key: Key) -> NodeId {
        match key {
            Key::Wire(wire) => wire.node,
            Key::Choice(choice, _) => self.analysis.choices[choice].0,
        }
    }

    fn name_of(&self, key: Key) -> String {
        match key {
            Key::Wire(wire) => self.graph.wire_name(wire),
            Key::Choice(choice, slot) => {
                let merge = self.analysis.choices[choice].0;
                self.graph.wire_name(WireId::new(merge, slot))
            }
        }
    }

    fn error<T>(&self, id: NodeId, reason: impl Into<String>) -> Result<T, Failure> {
        Err(self.analysis.error(self.graph, id, reason).into())
    }

    fn step(&mut self, region: &mut Region, key: Key) -> Result<Step, Failure> {
        if let Place::Outside(outer) = self.place(region, key)? {
            let name = self.name_of(key);
            return Ok(Step::Done(region.capture(outer, &format!("{name}/in"))));
        }
        match key {
            Key::Choice(choice, slot) => self.choice(region, choice, slot),
            Key::Wire(wire) => self.wire(region, wire),
        }
    }

    /// Is something computed in `region`, or handed in?
    fn place(&mut self, region: &Region, key: Key) -> Result<Place, Failure> {
        let wire = match key {
            Key::Wire(wire) => wire,
            Key::Choice(choice, slot) => {
                let merge = self.analysis.choices[choice].0;
                if self.analysis.merges.get(&merge) != Some(&Some(choice)) {
                    return Ok(Place::Here);
                }
                WireId::new(merge, slot)
            }
        };
        let root = region.kind == Kind::Root;
        let id = wire.node;
        if self.analysis.is_fed(wire) {
            return Ok(if root {
                Place::Here
            } else {
                Place::Outside(key)
            });
        }
        if self.analysis.frameless[id.index()] {
            let is_large = match self.graph.node(id).attrs.get("value") {
                Some(AttrValue::Tensor(value)) => value.bytes().len() > COPIED_BYTES,
                _ => false,
            };
            let here = root || !is_large;
            return Ok(if here {
                Place::Here
            } else {
                Place::Outside(key)
            });
        }
        let is_loop = matches!(region.kind, Kind::Condition | Kind::Body);
        if self.analysis.frame_of[id.index()] != region.frame {
            return self.error(id, "it is read in another frame, past Enter and Exit");
        }
        if is_loop && is(self.graph, id, "Enter") {
            return match self.graph.node(id).inputs.first() {
                Some(input) if is_invariant(self.graph, id) => {
                    Ok(Place::Outside(Key::Wire(*input)))
                }
                _ => self.error(
                    id,
                    "only a Merge may read it, since it is there in one pass only",
                ),
            };
        }
        let alive = self.analysis.alive(wire);
        if let Kind::Branch(outside) = region.kind
            && self.analysis.conditions.implies(outside, alive)
        {
            return Ok(Place::Outside(key));
        }
        if !self.analysis.conditions.implies(region.alive, alive) {
            return self.elsewhere(region, id, alive);
        }
        Ok(Place::Here)
    }

    fn wire(&mut self, region: &mut Region, wire: WireId) -> Result<Step, Failure> {
        let graph = self.graph;
        let id = wire.node;
        let node = graph.node(id);
        let passes = |region: &Region, input: Option<&WireId>| match input {
            Some(input) => Ok(match region.memo.get(&Key::Wire(*input)) {
                Some(made) => Step::Done(*made),
                None => Step::Needs(vec![Key::Wire(*input)]),
            }),
            None => self.error(id, "it has no input"),
        };
        if self.analysis.is_fed(wire) {
            return Ok(Step::Done(wire));
        }
        match node.op.strip_prefix("Ref").unwrap_or(&node.op) {
            "Switch" | "_SwitchN" | "LoopCond" | "NextIteration" => {
                passes(region, node.inputs.first())
            }
            "Exit" => self.exit(region, id),
            "Enter" => self.error(id, "it is read outside its frame"),
            "Merge" if self.analysis.is_header(graph, id) => self.error(
                id,
                "it is read as something else than the value that a loop carries",
            ),
            "Merge" => match self.analysis.merges.get(&id) {
                Some(Some(choice)) => {
                    let key = Key::Choice(*choice, wire.slot);
                    Ok(match region.memo.get(&key) {
                        Some(made) => Step::Done(*made),
                        None => Step::Needs(vec![key]),
                    })
                }
                _ => self.error(
                    id,
                    "the graph is not structured: no predicate tells which of its inputs is alive",
                ),
            },
            _ => self.plain(region, wire),
        }
    }

    /// A node that is no control flow.
    fn plain(&mut self, region: &mut Region, wire: WireId) -> Result<Step, Failure> {
        let node = self.graph.node(wire.node);
        if let Some(copy) = region.copies.get(&wire.node) {
            return Ok(Step::Done(WireId::new(*copy, wire.slot)));
        }
        let missing = missing(region, node.inputs.iter().map(|wire| Key::Wire(*wire)));
        if !missing.is_empty() {
            return Ok(Step::Needs(missing));
        }
        let inputs = node.inputs.iter();
        let inputs: Vec<WireId> = inputs.map(|wire| region.memo[&Key::Wire(*wire)]).collect();
        let copy = if region.kind == Kind::Root {
            region.graph.nodes[wire.node.index()].inputs = inputs;
            wire.node
        } else {
            self.dropped += node.control.len();
            region.graph.add(Node {
                inputs,
                control: Vec::new(),
                ..node.clone()
            })
        };
        region.copies.insert(wire.node, copy);
        Ok(Step::Done(WireId::new(copy, wire.slot)))
    }

    /// Makes a planned call once its inputs are there.
    fn call(region: &mut Region, planned: &mut Planned) -> Result<NodeId, Vec<Key>> {
        if let Some(made) = planned.made {
            return Ok(made);
        }
        let missing = missing(region, planned.inputs.iter().copied());
        if !missing.is_empty() {
            return Err(missing);
        }
        let mut node = planned.node.clone();
        node.inputs = planned.inputs.iter().map(|key| region.memo[key]).collect();
        let made = region.graph.add(node);
        planned.made = Some(made);
        Ok(made)
    }

    fn exit(&mut self, region: &mut Region, exit: NodeId) -> Result<Step, Failure> {
        let Some(frame) = self.analysis.left_frame(self.graph, exit) else {
            return self.error(exit, "it lies in no while frame");
        };
        let left = self.graph.node(exit).inputs[0];
        let switch = self.analysis.canonical(self.graph, left);
        let headers = &self.analysis.frames[frame].headers;
        let Some(slot) = headers
            .iter()
            .position(|header| WireId::new(*header, 0) == switch)
        else {
            return self.error(exit, "what leaves the loop is not what it carries");
        };
        let mut planned = match region.loops.remove(&frame) {
            Some(planned) => planned,
            None => self.plan_loop(frame, exit)?,
        };
        let step = match Self::call(region, &mut planned) {
            Ok(made) => Step::Done(WireId::new(made, slot_number(slot))),
            Err(missing) => Step::Needs(missing),
        };
        region.loops.insert(frame, planned);
        Ok(step)
    }

    fn unique(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut count = 1;
        while !self.names.insert(name.clone()) {
            count += 1;
            name = format!("{wanted}#{count}");
        }
        name
    }

    fn deeper(&mut self, id: NodeId) -> Result<(), Failure> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let reason = format!("loops and conditions are nested deeper than {MAX_DEPTH}");
            return self.error(id, reason);
        }
        Ok(())
    }

    fn plan_loop(&mut self, frame: usize, exit: NodeId) -> Result<Planned, Failure> {
        self.deeper(exit)?;
        let info = self.analysis.frames[frame].clone();
        let Some(loop_cond) = info.loop_cond else {
            let left = self.graph.node(exit).inputs[0].node;
            return self.error(left, "its frame has no LoopCond");
        };
        let truth = WireId::new(loop_cond, 0);
        let goes_on = self.analysis.conditions.literal(truth, 1);
        let part = |kind, alive| Region::new(kind, Some(frame), alive, Graph::default());
        let mut condition = part(Kind::Condition, Alive::ALWAYS);
        let mut body = part(Kind::Body, goes_on);
        let mut inputs = Vec::new();
        let mut next = Vec::new();
        for &header in &info.headers {
            let (first, following) = self.carried(header)?;
            inputs.push(first);
            next.push(following);
            let name = &self.graph.node(header).name;
            for region in [&mut condition, &mut body] {
                let argument = region.declare(name);
                region
                    .memo
                    .insert(Key::Wire(WireId::new(header, 0)), argument);
            }
        }
        let truth = self.build(&mut condition, Key::Wire(truth))?;
        let mut results = Vec::new();
        for following in next {
            results.push(self.build(&mut body, Key::Wire(following))?);
        }
        let mut captures: Vec<Key> = condition.captures().collect();
        captures.extend(body.captures());
        unique_keys(&mut captures);
        let wanted = &self.graph.node(loop_cond).name;
        let wanted = match wanted.split_once("/LoopCond") {
            Some((scope, _)) => scope.to_owned(),
            None => info.name.clone(),
        };
        let name = self.unique(&wanted);
        let names = |key| self.name_of(key);
        let condition = condition.finish(&captures, &names, &[truth]);
        let body = body.finish(&captures, &names, &results);
        inputs.extend(captures);
        let types = AttrValue::Types(vec![None; inputs.len()]);
        let attrs = Attrs::default()
            .with("T", types)
            .with(
                "cond",
                AttrValue::Func(self.function(&name, "cond", condition)),
            )
            .with("body", AttrValue::Func(self.function(&name, "body", body)));
        self.depth -= 1;
        Ok(Planned {
            node: Node {
                source: self.graph.node(loop_cond).source,
                ..Node::new(name, "While", attrs, Vec::new())
            },
            inputs,
            made: None,
        })
    }

    fn function(&mut self, caller: &str, role: &str, graph: Graph) -> String {
        let name = self.unique(&format!("{caller}/{role}"));
        let function = Function {
            name: name.clone(),
            graph,
        };
        self.functions.push((name.clone(), Arc::new(function)));
        name
    }

    /// The first value of what a loop carries, and the wire with the next one.
    fn carried(&self, header: NodeId) -> Result<(Key, WireId), Failure> {
        let &[a, b] = self.graph.node(header).inputs.as_slice() else {
            return self.error(header, "it merges more than a first and a next value");
        };
        let is_next = |wire: WireId| is(self.graph, wire.node, "NextIteration");
        let (first, next) = match (is_next(a), is_next(b)) {
            (false, true) => (a, b),
            (true, false) => (b, a),
            _ => return self.error(header, "it merges no first value with a next one"),
        };
        let entering = self.graph.node(first.node);
        let first = match entering.inputs.first() {
            Some(input) if is(self.graph, first.node, "Enter") => Key::Wire(*input),
            _ if self.analysis.frameless[first.node.index()] => Key::Wire(first),
            _ => return self.error(header, "its first value does not come through Enter"),
        };
        Ok((first, next))
    }
}

fn missing(region: &Region, keys: impl Iterator<Item = Key>) -> Vec<Key> {
    let mut missing: Vec<Key> = keys.filter(|key| !region.memo.contains_key(key)).collect();
    unique_keys(&mut missing);
    missing
}

/// Drops what stands there before, in order.
fn unique_keys(keys: &mut Vec<Key>) {
    let mut seen = BTreeSet::new();
    keys.retain(|key| seen.insert(*key));
}

fn slot_number(slot: usize) -> u32 {
    u32::try_from(slot).unwrap_or(u32::MAX)
}
