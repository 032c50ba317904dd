//! Cuts a schedule into steps for the host and blocks for the device.

use tfjet_core::{Schedule, ValueId, ValueSource};

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

/// What a session runs as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// The step of this index.
    Host(usize),
    /// Steps that follow each other on the device.
    Block(BlockPlan),
}

impl Item {
    /// What it reads in host memory, constants among it only for a step on the host.
    pub(crate) fn inputs<'a>(&'a self, schedule: &'a Schedule) -> &'a [ValueId] {
        match self {
            Self::Host(step) => schedule.steps[*step].inputs(),
            Self::Block(block) => &block.host_inputs,
        }
    }

    /// What it writes in host memory.
    pub(crate) fn outputs<'a>(&'a self, schedule: &'a Schedule) -> &'a [ValueId] {
        match self {
            Self::Host(step) => schedule.steps[*step].outputs(),
            Self::Block(block) => &block.downloads,
        }
    }

    /// The index of its first step.
    pub(crate) fn first_step(&self) -> usize {
        match self {
            Self::Host(step) => *step,
            Self::Block(block) => block.steps.first().copied().unwrap_or_default(),
        }
    }
}

/// Steps that follow each other on the device. Each list holds a value once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BlockPlan {
    /// Indices of the steps in their order.
    pub(crate) steps: Vec<usize>,
    /// Values in host memory that the block uploads or looks at; no constants.
    pub(crate) host_inputs: Vec<ValueId>,
    /// Values that an earlier block left on the device.
    pub(crate) resident: Vec<ValueId>,
    /// Values that the block makes and that the host needs.
    pub(crate) downloads: Vec<ValueId>,
    /// Values that the block makes and that later blocks read on the device.
    pub(crate) kept: Vec<ValueId>,
}

/// Where a step that has been put in order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Host,
    Block(usize),
}

/// Puts the steps in an order with few blocks: whatever can run on the host, then whatever can run
/// on the device, and so on. Steps of a kind stay in the schedule's order where they can.
///
/// `schedule` has passed [`Schedule::check`]; `places` has an entry for each of its steps.
pub(crate) fn cut(schedule: &Schedule, places: &[Place]) -> Vec<Item> {
    let makers = makers(schedule);
    let mut done: Vec<Option<Done>> = vec![None; places.len()];
    let mut items = Vec::new();
    let mut blocks = 0;
    loop {
        let before = items.len();
        for (step, place) in places.iter().enumerate() {
            let made = |id: &ValueId| makers[id.index()].is_none_or(|maker| done[maker].is_some());
            if *place == Place::Host
                && done[step].is_none()
                && schedule.steps[step].inputs().iter().all(made)
            {
                done[step] = Some(Done::Host);
                items.push(Item::Host(step));
            }
        }
        let mut block = BlockPlan::default();
        for (step, place) in places.iter().enumerate() {
            let Place::Device { via_host } = place else {
                continue;
            };
            let inputs = schedule.steps[step].inputs();
            let ready = |(input, id): (usize, &ValueId)| {
                makers[id.index()].is_none_or(|maker| match done[maker] {
                    None => false,
                    Some(Done::Block(made_in)) if made_in == blocks => !goes_via(via_host, input),
                    Some(_) => true,
                })
            };
            if done[step].is_none() && inputs.iter().enumerate().all(ready) {
                done[step] = Some(Done::Block(blocks));
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
    connect(schedule, places, &makers, &done, &mut items);
    items
}

/// Fills in what each block takes and leaves.
fn connect(
    schedule: &Schedule,
    places: &[Place],
    makers: &[Option<usize>],
    done: &[Option<Done>],
    items: &mut [Item],
) {
    let made_in = |id: ValueId| match makers[id.index()].and_then(|maker| done[maker]) {
        Some(Done::Block(block)) => Some(block),
        _ => None,
    };
    let mut blocks: Vec<&mut BlockPlan> = items
        .iter_mut()
        .filter_map(|item| match item {
            Item::Block(block) => Some(block),
            Item::Host(_) => None,
        })
        .collect();
    for (step, place) in places.iter().enumerate() {
        for (input, &id) in schedule.steps[step].inputs().iter().enumerate() {
            let maker = made_in(id);
            let is_constant =
                matches!(schedule.values[id.index()].source, ValueSource::Constant(_));
            match (place, done[step]) {
                (Place::Device { via_host }, Some(Done::Block(reader))) => match maker {
                    Some(maker) if maker == reader => {}
                    Some(maker) if !goes_via(via_host, input) => {
                        add(&mut blocks[maker].kept, id);
                        add(&mut blocks[reader].resident, id);
                    }
                    _ => {
                        if let Some(maker) = maker {
                            add(&mut blocks[maker].downloads, id);
                        }
                        if !is_constant {
                            add(&mut blocks[reader].host_inputs, id);
                        }
                    }
                },
                _ => {
                    if let Some(maker) = maker {
                        add(&mut blocks[maker].downloads, id);
                    }
                }
            }
        }
    }
    for &id in &schedule.outputs {
        if let Some(maker) = made_in(id) {
            add(&mut blocks[maker].downloads, id);
        }
    }
}

/// For each value the step that makes it.
fn makers(schedule: &Schedule) -> Vec<Option<usize>> {
    let mut makers = vec![None; schedule.values.len()];
    for (step, described) in schedule.steps.iter().enumerate() {
        for id in described.outputs() {
            makers[id.index()] = Some(step);
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
