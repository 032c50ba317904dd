use std::collections::{BTreeMap, BTreeSet};

use tfjet_core::{Step, Value, ValueId, ValueSource};

use crate::gpu::Item;
use crate::steps::{Steps, scope_of};

/// Which buffer holds which value. Values that are not needed at the same time share a buffer.
///
/// What a loop carries has one buffer from its first value to the loop's output. An op's output
/// shares its input's where the op computes in place; nothing else does within a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slots {
    /// For each value of the schedule: its buffer. Values that are made in host memory, arguments,
    /// and inputs that are outputs have one.
    pub(crate) of_value: Vec<Option<usize>>,
    /// For the result of this index of the loop at this step, where the next pass is to have there
    /// what this one carries elsewhere: the buffer in which it waits.
    pub(crate) staged: BTreeMap<(usize, usize), usize>,
    /// Number of buffers.
    pub(crate) count: usize,
}

/// Hands out buffers item by item, in the order in which they run: of those that are free the
/// smallest that is large enough, else the largest, else a new one.
///
/// `items` are those of each scope; `in_place` says for each step which input its kernel could
/// compute in the place of.
pub(crate) fn assign(steps: &Steps<'_>, items: &[Vec<Item>], in_place: &[Option<usize>]) -> Slots {
    let mut assign = Assign {
        steps,
        items,
        in_place,
        of_value: vec![None; steps.schedule().values.len()],
        staged: BTreeMap::new(),
        free: BTreeSet::new(),
        sizes: Vec::new(),
        owners: Vec::new(),
        handed_out: Vec::new(),
    };
    assign.scope(0, Arguments::Stay, &BTreeSet::new());
    let Assign {
        mut of_value,
        staged,
        sizes,
        ..
    } = assign;
    let (schedule, mut count) = (steps.schedule(), sizes.len());
    for id in &schedule.outputs {
        let slot = &mut of_value[id.index()];
        if slot.is_none() && schedule.values[id.index()].source == ValueSource::Input {
            *slot = Some(count);
            count += 1;
        }
    }
    Slots {
        of_value,
        staged,
        count,
    }
}

struct Assign<'a> {
    steps: &'a Steps<'a>,
    items: &'a [Vec<Item>],
    in_place: &'a [Option<usize>],
    of_value: Vec<Option<usize>>,
    staged: BTreeMap<(usize, usize), usize>,
    /// (size, buffer).
    free: BTreeSet<(usize, usize)>,
    sizes: Vec<usize>,
    /// The scope that each buffer was handed out in; it alone frees it.
    owners: Vec<usize>,
    /// Buffers in the order in which they were handed out, of the scopes that are not finished.
    handed_out: Vec<usize>,
}

/// Does anything read the arguments of a function after it?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arguments {
    Stay,
    Die,
}

/// What is known of the values of a scope.
struct Life<'a> {
    scope: usize,
    /// The last item that reads a value in host memory, `usize::MAX` for what the scope gives.
    last_reads: BTreeMap<ValueId, usize>,
    arguments: Arguments,
    /// Values from outside that nobody reads after the scope.
    mortal: &'a BTreeSet<ValueId>,
}

impl Life<'_> {
    /// Is item `index` the last that reads the value?
    fn ends(&self, id: ValueId, index: usize) -> bool {
        self.last_reads.get(&id).is_none_or(|&last| last == index)
    }
}

impl Assign<'_> {
    /// Hands out the buffers of a scope, which are free again when it has run.
    fn scope(&mut self, scope: usize, arguments: Arguments, mortal: &BTreeSet<ValueId>) {
        let (steps, all) = (self.steps, self.items);
        let items = all.get(scope).map_or(&[][..], Vec::as_slice);
        let life = Life {
            scope,
            last_reads: last_reads(steps, items, steps.results(scope)),
            arguments,
            mortal,
        };
        let first = self.handed_out.len();
        for (index, item) in items.iter().enumerate() {
            let taken = match item {
                Item::Control { step, .. } => match steps.get(*step) {
                    control @ Step::While { .. } => self.enter_loop(&life, index, *step, control),
                    control => self.enter_branches(&life, index, control),
                },
                Item::Host(_) | Item::Block(_) => self.leaf(&life, index, item),
            };
            let ids = item.inputs(steps).iter().chain(item.outputs(steps));
            for &id in ids {
                if life.ends(id, index)
                    && steps.scope_of_value(id) == scope
                    && !taken.contains(&id)
                    && !self.is_argument(id)
                {
                    self.release(scope, id);
                }
            }
        }
        for slot in self.handed_out.split_off(first) {
            if self.owners[slot] == scope {
                self.free.insert((self.sizes[slot], slot));
            }
        }
    }

    /// Buffers for the outputs of a step without functions, or of a block; the input whose buffer
    /// it takes over.
    fn leaf(&mut self, life: &Life<'_>, index: usize, item: &Item) -> BTreeSet<ValueId> {
        let mut taken = BTreeSet::new();
        for (output, &id) in item.outputs(self.steps).iter().enumerate() {
            if let (Item::Host(step), 0) = (item, output)
                && let Some(input) = self.in_place[*step]
                && let Some(&from) = self.steps.get(*step).inputs().get(input)
                && item
                    .inputs(self.steps)
                    .iter()
                    .filter(|id| **id == from)
                    .count()
                    == 1
                && self.may_take(life, index, from)
            {
                self.grow(from, id);
                taken.insert(from);
            } else {
                self.hand_out(life.scope, id);
            }
        }
        taken
    }

    /// May what item `index` makes take over the buffer of what it reads?
    fn may_take(&self, life: &Life<'_>, index: usize, id: ValueId) -> bool {
        let own = self.steps.scope_of_value(id) == life.scope
            && (life.arguments == Arguments::Die || !self.is_argument(id));
        self.slot(id).is_some() && life.ends(id, index) && (own || life.mortal.contains(&id))
    }

    fn is_argument(&self, id: ValueId) -> bool {
        self.steps.schedule().values[id.index()].source == ValueSource::Argument
    }

    /// Buffers for what a loop carries, and for its functions. Returns the first values whose
    /// buffers the loop takes over.
    fn enter_loop(
        &mut self,
        life: &Life<'_>,
        index: usize,
        number: usize,
        step: &Step,
    ) -> BTreeSet<ValueId> {
        let Some(functions) = step.functions() else {
            return BTreeSet::new();
        };
        let [condition, body] = functions.map(scope_of);
        let mut reads: BTreeMap<ValueId, usize> = BTreeMap::new();
        for id in step.inputs() {
            *reads.entry(*id).or_default() += 1;
        }
        let mut taken = BTreeSet::new();
        for (carried, (&output, &first)) in step.outputs().iter().zip(step.inputs()).enumerate() {
            if reads.get(&first) == Some(&1) && self.may_take(life, index, first) {
                self.grow(first, output);
                taken.insert(first);
            } else {
                self.hand_out(life.scope, output);
            }
            for scope in [condition, body] {
                if let Some(&argument) = self.steps.arguments(scope).get(carried) {
                    self.grow(output, argument);
                }
            }
        }
        self.scope(condition, Arguments::Stay, &BTreeSet::new());
        self.scope(body, Arguments::Die, &BTreeSet::new());
        self.stage(life.scope, number, step, self.steps.results(body));
        taken
    }

    /// Buffers for the results of a pass that wait until the others have been taken.
    fn stage(&mut self, scope: usize, number: usize, step: &Step, results: &[ValueId]) {
        let carried: BTreeSet<usize> = step
            .outputs()
            .iter()
            .filter_map(|id| self.slot(*id))
            .collect();
        let slots: Vec<usize> = results.iter().filter_map(|id| self.slot(*id)).collect();
        let held: Vec<(usize, usize)> =
            slots.iter().map(|&slot| (self.sizes[slot], slot)).collect();
        let held: Vec<_> = held
            .into_iter()
            .filter(|place| self.free.remove(place))
            .collect();
        let mut waiting = Vec::new();
        for (position, (&id, &output)) in results.iter().zip(step.outputs()).enumerate() {
            let slot = self.slot(id);
            if slot != self.slot(output) && slot.is_some_and(|slot| carried.contains(&slot)) {
                let taken = self.take_free(scope, self.size(id));
                self.staged.insert((number, position), taken);
                waiting.push((self.sizes[taken], taken));
            }
        }
        self.free.extend(held);
        self.free.extend(waiting);
    }

    /// Buffers for the outputs of a condition, and for its branches. Returns the captured values
    /// whose buffers the outputs take over.
    fn enter_branches(&mut self, life: &Life<'_>, index: usize, step: &Step) -> BTreeSet<ValueId> {
        let Some(functions) = step.functions() else {
            return BTreeSet::new();
        };
        let captured = step.captured().iter().copied();
        let mortal: BTreeSet<ValueId> = captured
            .filter(|id| self.may_take(life, index, *id))
            .collect();
        for &id in step.outputs() {
            self.hand_out(life.scope, id);
        }
        let branches = functions.map(scope_of);
        for branch in branches {
            self.scope(branch, Arguments::Stay, &mortal);
        }
        let by_slot: BTreeMap<usize, ValueId> = mortal
            .iter()
            .filter_map(|id| Some((self.slot(*id)?, *id)))
            .collect();
        let mut taken = BTreeSet::new();
        let mut claimed = BTreeSet::new();
        for (position, &output) in step.outputs().iter().enumerate() {
            let result = |branch: usize| {
                let id = self.steps.results(branch).get(position)?;
                self.slot(*id)
            };
            let [then_slot, else_slot] = branches.map(result);
            let Some(slot) = then_slot.filter(|_| then_slot == else_slot) else {
                continue;
            };
            let from = by_slot.get(&slot);
            let place = (self.sizes[slot], slot);
            if !claimed.insert(slot) || !(from.is_some() || self.free.contains(&place)) {
                continue;
            }
            self.release(life.scope, output);
            match from {
                Some(&from) => drop(taken.insert(from)),
                None => {
                    self.free.remove(&place);
                    self.owners[slot] = life.scope;
                    self.handed_out.push(slot);
                }
            }
            self.of_value[output.index()] = Some(slot);
        }
        taken
    }

    fn slot(&self, id: ValueId) -> Option<usize> {
        self.of_value[id.index()]
    }

    fn size(&self, id: ValueId) -> usize {
        size(&self.steps.schedule().values[id.index()])
    }

    /// Gives `to` the buffer that `from` has.
    fn grow(&mut self, from: ValueId, to: ValueId) {
        let (slot, size) = (self.slot(from), self.size(to));
        if let Some(slot) = slot {
            self.sizes[slot] = self.sizes[slot].max(size);
        }
        self.of_value[to.index()] = slot;
    }

    fn hand_out(&mut self, scope: usize, id: ValueId) {
        let size = self.size(id);
        self.of_value[id.index()] = Some(self.take_free(scope, size));
    }

    fn take_free(&mut self, scope: usize, size: usize) -> usize {
        let fits_best = self.free.range((size, 0)..).next().or(self.free.last());
        let slot = match fits_best.copied() {
            Some(chosen) => {
                self.free.remove(&chosen);
                chosen.1
            }
            None => {
                self.sizes.push(0);
                self.owners.push(scope);
                self.sizes.len() - 1
            }
        };
        self.sizes[slot] = self.sizes[slot].max(size);
        self.owners[slot] = scope;
        self.handed_out.push(slot);
        slot
    }

    /// Lets others have the buffer of a value that is needed no more, where this scope had it.
    fn release(&mut self, scope: usize, id: ValueId) {
        if let Some(slot) = self.slot(id).filter(|&slot| self.owners[slot] == scope) {
            self.free.insert((self.sizes[slot], slot));
        }
    }
}

/// For each buffer: does a block on the GPU read or write it?
pub(crate) fn shared(steps: &Steps<'_>, items: &[Vec<Item>], slots: &Slots) -> Vec<bool> {
    let mut shared = vec![false; slots.count];
    let blocks = items.iter().flatten();
    for item in blocks.filter(|item| matches!(item, Item::Block(_))) {
        let ids = item.inputs(steps).iter().chain(item.outputs(steps));
        for slot in ids.filter_map(|id| slots.of_value[id.index()]) {
            shared[slot] = true;
        }
    }
    shared
}

fn last_reads(steps: &Steps<'_>, items: &[Item], results: &[ValueId]) -> BTreeMap<ValueId, usize> {
    let mut last_reads = BTreeMap::new();
    for (index, item) in items.iter().enumerate() {
        last_reads.extend(item.inputs(steps).iter().map(|id| (*id, index)));
    }
    last_reads.extend(results.iter().map(|id| (*id, usize::MAX)));
    last_reads
}

/// Bytes of a value, as if unknown dims were 1.
fn size(value: &Value) -> usize {
    let dims = value.shape.iter().flat_map(|shape| shape.dims());
    dims.fold(value.dtype.size_bytes(), |size, dim| {
        size.saturating_mul(dim.fixed().unwrap_or(1))
    })
}

#[cfg(test)]
mod tests;
