//! Cuts a schedule into steps for the host and blocks for the device.

use std::collections::BTreeSet;

use tfjet_core::ValueId;

use crate::steps::{Steps, scope_of};

/// Where a step is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Host,
    /// On the device.
    Device {
        /// For each input: the step takes it from the host, wherever it was made.
        via_host: Vec<bool>,
    },
}

/// What a session runs as one. Steps are numbered as in [`Steps`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// A step that runs no functions.
    Host(usize),
    /// A step that runs functions.
    Control {
        step: usize,
        /// What it and the functions read in host memory, its own inputs first; constants only
        /// among those.
        host_inputs: Vec<ValueId>,
    },
    /// Steps that follow each other on the device.
    Block(BlockPlan),
}

impl Item {
    /// What it reads in host memory, constants among it only for a step on the host.
    pub(crate) fn inputs<'a>(&'a self, steps: &'a Steps<'_>) -> &'a [ValueId] {
        match self {
            Self::Host(step) => steps.get(*step).inputs(),
            Self::Control { host_inputs, .. } => host_inputs,
            Self::Block(block) => &block.host_inputs,
        }
    }

    /// What it writes in host memory.
    pub(crate) fn outputs<'a>(&'a self, steps: &'a Steps<'_>) -> &'a [ValueId] {
        match self {
            Self::Host(step) | Self::Control { step, .. } => steps.get(*step).outputs(),
            Self::Block(block) => &block.downloads,
        }
    }

    /// The number of its first step.
    pub(crate) fn first_step(&self) -> usize {
        match self {
            Self::Host(step) | Self::Control { step, .. } => *step,
            Self::Block(block) => block.steps.first().copied().unwrap_or_default(),
        }
    }
}

/// Steps that follow each other on the device. Each list holds a value once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BlockPlan {
    /// Numbers of the steps in their order.
    pub(crate) steps: Vec<usize>,
    /// Values in host memory that the block uploads or looks at; no constants.
    pub(crate) host_inputs: Vec<ValueId>,
    /// Those of them that stay the same while the loop runs whose body the block is in.
    pub(crate) invariant: Vec<ValueId>,
    /// Values that an earlier block left on the device.
    pub(crate) resident: Vec<ValueId>,
    /// Values that the block makes and that the host needs.
    pub(crate) downloads: Vec<ValueId>,
    /// Values that the block makes and that later blocks, or blocks of functions, read on the
    /// device.
    pub(crate) kept: Vec<ValueId>,
}

/// All steps on the host.
pub(crate) fn on_host(steps: &Steps<'_>) -> Vec<Vec<Item>> {
    cut(steps, &vec![Place::Host; steps.len()])
}

/// Puts the steps of each scope in an order with few blocks: whatever can run on the host, then
/// whatever can run on the device, and so on. Steps of a kind stay in the schedule's order where
/// they can.
///
/// A step that runs functions is one of the host; a function has items of its own, and its blocks
/// read on the device what blocks outside left there. `places` has an entry for each step.
pub(crate) fn cut(steps: &Steps<'_>, places: &[Place]) -> Vec<Vec<Item>> {
    let makers = makers(steps);
    let mut cut = Cut {
        steps,
        places,
        makers,
        done: vec![None; places.len()],
        needs: vec![Needs::default(); steps.scopes().len()],
    };
    // What a function needs from outside is known before the step that runs it is placed.
    let mut scopes: Vec<Vec<Item>> = (0..steps.scopes().len())
        .rev()
        .map(|scope| cut.scope(scope))
        .collect();
    scopes.reverse();
    scopes
}

/// Where a step that has been put in order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Host,
    /// In this block of its scope.
    Block(usize),
}

/// What the steps of a scope read from outside it, but for constants.
#[derive(Debug, Clone, Default)]
struct Needs {
    host: BTreeSet<ValueId>,
    device: BTreeSet<ValueId>,
}

struct Cut<'a> {
    steps: &'a Steps<'a>,
    places: &'a [Place],
    /// For each value the step that makes it.
    makers: Vec<Option<usize>>,
    done: Vec<Option<Done>>,
    /// Of each scope that was cut.
    needs: Vec<Needs>,
}

impl Cut<'_> {
    fn scope(&mut self, scope: usize) -> Vec<Item> {
        let range = self.steps.scopes()[scope].clone();
        let mut items = Vec::new();
        let mut blocks = 0;
        loop {
            let before = items.len();
            for step in range.clone() {
                let made = |id: &ValueId| {
                    self.maker(scope, *id)
                        .is_none_or(|maker| self.done[maker].is_some())
                };
                if self.places[step] == Place::Host
                    && self.done[step].is_none()
                    && self.steps.get(step).inputs().iter().all(made)
                {
                    self.done[step] = Some(Done::Host);
                    items.push(self.host_item(step));
                }
            }
            let mut block = BlockPlan::default();
            for step in range.clone() {
                let Place::Device { via_host } = &self.places[step] else {
                    continue;
                };
                let ready = |(input, id): (usize, &ValueId)| {
                    let Some(maker) = self.maker(scope, *id) else {
                        return true;
                    };
                    match self.done[maker] {
                        None => false,
                        Some(Done::Block(made_in)) if made_in == blocks => {
                            !goes_via(via_host, input)
                        }
                        Some(_) => true,
                    }
                };
                let mut inputs = self.steps.get(step).inputs().iter().enumerate();
                if self.done[step].is_none() && inputs.all(ready) {
                    self.done[step] = Some(Done::Block(blocks));
                    block.steps.push(step);
                }
            }
            if !block.steps.is_empty() {
                blocks += 1;
                items.push(Item::Block(block));
            }
            if items.len() == before {
                break;
            }
        }
        self.connect(scope, &mut items);
        items
    }

    fn host_item(&self, number: usize) -> Item {
        let step = self.steps.get(number);
        let Some(functions) = step.functions() else {
            return Item::Host(number);
        };
        let mut host_inputs = step.own_inputs().to_vec();
        let mut seen: BTreeSet<ValueId> = host_inputs.iter().copied().collect();
        for id in step.captured() {
            let mut needs = functions.iter().map(|id| &self.needs[scope_of(*id)]);
            if needs.any(|needs| needs.host.contains(id)) && seen.insert(*id) {
                host_inputs.push(*id);
            }
        }
        Item::Control {
            step: number,
            host_inputs,
        }
    }

    /// Fills in what each block takes and leaves.
    fn connect(&mut self, scope: usize, items: &mut [Item]) {
        let mut links = Links::default();
        for item in &*items {
            match item {
                Item::Host(step) => {
                    let inputs = self.steps.get(*step).inputs().iter();
                    links.host.extend(inputs.copied());
                }
                Item::Control { step, host_inputs } => {
                    links.host.extend(host_inputs);
                    let functions = self.steps.get(*step).functions();
                    for function in functions.into_iter().flatten() {
                        links.device.extend(&self.needs[scope_of(function)].device);
                    }
                }
                Item::Block(block) => {
                    for &step in &block.steps {
                        links.blocks.push(step);
                    }
                }
            }
        }
        links.host.extend(self.steps.results(scope));
        let mut blocks: Vec<&mut BlockPlan> = items
            .iter_mut()
            .filter_map(|item| match item {
                Item::Block(block) => Some(block),
                Item::Host(_) | Item::Control { .. } => None,
            })
            .collect();
        let mut needs = Needs::default();
        for step in links.blocks {
            if let Some(Done::Block(reader)) = self.done[step] {
                self.connect_step(scope, (step, reader), &mut blocks, &mut needs);
            }
        }
        for id in links.device {
            match self.made_in(scope, id) {
                Some(maker) => add(&mut blocks[maker].kept, id),
                None => drop(needs.device.insert(id)),
            }
        }
        for id in links.host {
            match self.made_in(scope, id) {
                Some(maker) => add(&mut blocks[maker].downloads, id),
                None => self.need(scope, id, &mut needs),
            }
        }
        self.needs[scope] = needs;
    }

    /// Connects a step of the block `reader` with what it reads.
    fn connect_step(
        &self,
        scope: usize,
        (step, reader): (usize, usize),
        blocks: &mut [&mut BlockPlan],
        needs: &mut Needs,
    ) {
        let Place::Device { via_host } = &self.places[step] else {
            return;
        };
        for (input, &id) in self.steps.get(step).inputs().iter().enumerate() {
            let via_host = goes_via(via_host, input);
            match self.made_in(scope, id) {
                Some(maker) if maker == reader => {}
                Some(maker) if !via_host => {
                    add(&mut blocks[maker].kept, id);
                    add(&mut blocks[reader].resident, id);
                }
                None if !via_host && self.is_left_outside(scope, id) => {
                    needs.device.insert(id);
                    add(&mut blocks[reader].resident, id);
                }
                maker => {
                    if let Some(maker) = maker {
                        add(&mut blocks[maker].downloads, id);
                    }
                    if !self.steps.is_constant(id) {
                        add(&mut blocks[reader].host_inputs, id);
                        self.need(scope, id, needs);
                        if self.steps.is_invariant(scope, id) {
                            add(&mut blocks[reader].invariant, id);
                        }
                    }
                }
            }
        }
    }

    /// Notes a value that the host reads, if it comes from outside the scope.
    fn need(&self, scope: usize, id: ValueId, needs: &mut Needs) {
        if !self.steps.is_constant(id) && self.steps.scope_of_value(id) != scope {
            needs.host.insert(id);
        }
    }

    /// The step of this scope that makes the value.
    fn maker(&self, scope: usize, id: ValueId) -> Option<usize> {
        let maker = self.makers[id.index()];
        maker.filter(|maker| self.steps.scopes()[scope].contains(maker))
    }

    /// The block of this scope that makes the value.
    fn made_in(&self, scope: usize, id: ValueId) -> Option<usize> {
        match self.done[self.maker(scope, id)?] {
            Some(Done::Block(block)) => Some(block),
            _ => None,
        }
    }

    /// Is it made on the device, outside this scope?
    fn is_left_outside(&self, scope: usize, id: ValueId) -> bool {
        let maker = self.makers[id.index()];
        maker.is_some_and(|maker| {
            self.places[maker] != Place::Host && !self.steps.scopes()[scope].contains(&maker)
        })
    }
}

/// What the items of a scope read.
#[derive(Default)]
struct Links {
    host: BTreeSet<ValueId>,
    device: BTreeSet<ValueId>,
    /// Steps of blocks.
    blocks: Vec<usize>,
}

fn makers(steps: &Steps<'_>) -> Vec<Option<usize>> {
    let mut makers = vec![None; steps.schedule().values.len()];
    for (number, step) in steps.iter() {
        for id in step.outputs() {
            makers[id.index()] = Some(number);
        }
    }
    makers
}

fn goes_via(via_host: &[bool], input: usize) -> bool {
    via_host.get(input).copied().unwrap_or_default()
}

fn add(ids: &mut Vec<ValueId>, id: ValueId) {
    if !ids.contains(&id) {
        ids.push(id);
    }
}

#[cfg(test)]
mod tests;
