use std::collections::BTreeSet;

use tfjet_core::{Schedule, Value, ValueSource};

use crate::gpu::Item;

/// Which buffer holds which value. Values that are not needed at the same time share a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slots {
    /// For each value of the schedule: its buffer. Values that are made in host memory and inputs
    /// that are outputs have one.
    pub(crate) of_value: Vec<Option<usize>>,
    /// Number of buffers.
    pub(crate) count: usize,
}

/// Hands out buffers item by item, in the order in which they run: of those that are free the
/// smallest that is large enough, else the largest, else a new one. `schedule` has passed
/// [`Schedule::check`].
pub(crate) fn assign(schedule: &Schedule, items: &[Item]) -> Slots {
    let last_reads = last_reads(schedule, items);
    let mut of_value: Vec<Option<usize>> = vec![None; schedule.values.len()];
    let mut free: BTreeSet<(usize, usize)> = BTreeSet::new();
    let mut sizes: Vec<usize> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        for id in item.outputs(schedule) {
            let size = size(&schedule.values[id.index()]);
            let fits_best = free.range((size, 0)..).next().or(free.last()).copied();
            let slot = match fits_best {
                Some(chosen) => {
                    free.remove(&chosen);
                    chosen.1
                }
                None => {
                    sizes.push(0);
                    sizes.len() - 1
                }
            };
            sizes[slot] = sizes[slot].max(size);
            of_value[id.index()] = Some(slot);
        }
        let ids = item.inputs(schedule).iter().chain(item.outputs(schedule));
        let dead = ids
            .filter(|id| last_reads[id.index()].is_none_or(|last| last == index))
            .filter_map(|id| of_value[id.index()]);
        free.extend(dead.map(|slot| (sizes[slot], slot)));
    }
    let mut count = sizes.len();
    for id in &schedule.outputs {
        let slot = &mut of_value[id.index()];
        if slot.is_none() && schedule.values[id.index()].source == ValueSource::Input {
            *slot = Some(count);
            count += 1;
        }
    }
    Slots { of_value, count }
}

/// For each buffer: does a block on the GPU read or write it?
pub(crate) fn shared(schedule: &Schedule, items: &[Item], slots: &Slots) -> Vec<bool> {
    let mut shared = vec![false; slots.count];
    for item in items.iter().filter(|item| matches!(item, Item::Block(_))) {
        let ids = item.inputs(schedule).iter().chain(item.outputs(schedule));
        for slot in ids.filter_map(|id| slots.of_value[id.index()]) {
            shared[slot] = true;
        }
    }
    shared
}

/// For each value the last item that reads it in host memory, `usize::MAX` for what the caller
/// gets.
fn last_reads(schedule: &Schedule, items: &[Item]) -> Vec<Option<usize>> {
    let mut last_reads = vec![None; schedule.values.len()];
    for (index, item) in items.iter().enumerate() {
        for id in item.inputs(schedule) {
            last_reads[id.index()] = Some(index);
        }
    }
    for id in &schedule.outputs {
        last_reads[id.index()] = Some(usize::MAX);
    }
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
mod tests {
    use super::*;
    use tfjet_core::{DType, Shape, Step, ValueId};

    /// Values `0` (the input) and then one for each size, made by steps of (inputs, outputs).
    fn slots(sizes: &[usize], steps: &[(&[u32], &[u32])], outputs: &[u32]) -> Slots {
        let ids = |ids: &[u32]| ids.iter().copied().map(ValueId).collect::<Vec<_>>();
        let value = |name: usize, size, source| Value {
            name: name.to_string(),
            dtype: DType::U8,
            shape: Some(Shape::fixed(&[size])),
            source,
        };
        let mut values = vec![value(0, 1, ValueSource::Input)];
        for (i, &size) in sizes.iter().enumerate() {
            values.push(value(i + 1, size, ValueSource::Computed));
        }
        let schedule = Schedule {
            values,
            inputs: ids(&[0]),
            outputs: ids(outputs),
            steps: steps
                .iter()
                .map(|(inputs, outputs)| Step::Engine {
                    segment: 0,
                    inputs: ids(inputs),
                    outputs: ids(outputs),
                })
                .collect(),
        };
        schedule.check().unwrap();
        let items: Vec<Item> = (0..steps.len()).map(Item::Host).collect();
        assign(&schedule, &items)
    }

    #[test]
    fn a_chain_takes_two_buffers() {
        let chain: [(&[u32], &[u32]); 4] = [(&[0], &[1]), (&[1], &[2]), (&[2], &[3]), (&[3], &[4])];
        let slots = slots(&[8; 4], &chain, &[4]);
        assert_eq!(slots.count, 2);
        assert_eq!(slots.of_value, [None, Some(0), Some(1), Some(0), Some(1)]);
    }

    #[test]
    fn a_value_keeps_its_buffer_until_its_last_reader() {
        let steps: [(&[u32], &[u32]); 4] =
            [(&[0], &[1]), (&[1], &[2]), (&[2], &[3]), (&[1, 3], &[4])];
        let slots = slots(&[8; 4], &steps, &[4]);
        assert_eq!(slots.count, 3);
        assert_eq!(slots.of_value[4], slots.of_value[2]);
    }

    #[test]
    fn outputs_share_with_no_later_value() {
        let steps: [(&[u32], &[u32]); 3] = [(&[0], &[1]), (&[1], &[2]), (&[2], &[3])];
        let slots = slots(&[8; 3], &steps, &[1, 3]);
        assert_eq!(slots.count, 3);
    }

    #[test]
    fn an_unread_value_frees_its_buffer_and_no_step_shares_within() {
        let steps: [(&[u32], &[u32]); 2] = [(&[0], &[1, 2]), (&[0, 0], &[3])];
        let slots = slots(&[8; 3], &steps, &[2, 3]);
        assert_eq!(slots.count, 2);
        assert_eq!(slots.of_value[3], slots.of_value[1]);
    }

    #[test]
    fn takes_the_buffer_that_fits_best() {
        let steps: [(&[u32], &[u32]); 3] = [(&[0], &[1, 2, 3]), (&[1, 2, 3], &[4]), (&[4], &[5])];
        let slots = slots(&[100, 10, 50, 7, 40], &steps, &[5]);
        assert_eq!(slots.of_value[5], slots.of_value[3]);
    }

    #[test]
    fn what_stays_on_the_gpu_has_no_buffer_and_what_crosses_is_shared() {
        let value = |source| Value {
            name: String::new(),
            dtype: DType::U8,
            shape: None,
            source,
        };
        let mut values = vec![value(ValueSource::Input)];
        values.resize(5, value(ValueSource::Computed));
        let step = |input: u32| Step::Engine {
            segment: 0,
            inputs: vec![ValueId(input)],
            outputs: vec![ValueId(input + 1)],
        };
        let schedule = Schedule {
            values,
            inputs: vec![ValueId(0)],
            outputs: vec![ValueId(4)],
            steps: (0..4).map(step).collect(),
        };
        schedule.check().unwrap();
        let block = Item::Block(crate::gpu::BlockPlan {
            steps: vec![1, 2],
            host_inputs: vec![ValueId(1)],
            downloads: vec![ValueId(3)],
            ..Default::default()
        });
        let items = [Item::Host(0), block, Item::Host(3)];
        let slots = assign(&schedule, &items);
        assert_eq!(slots.of_value, [None, Some(0), None, Some(1), Some(0)]);
        assert_eq!(shared(&schedule, &items, &slots), [true, true]);
        let host: Vec<Item> = (0..4).map(Item::Host).collect();
        let slots = assign(&schedule, &host);
        assert_eq!(shared(&schedule, &host, &slots), [false, false]);
    }

    #[test]
    fn an_input_that_is_an_output_gets_a_buffer() {
        let slots = slots(&[8], &[(&[0], &[1])], &[0, 1, 0]);
        assert_eq!(slots.of_value, [Some(1), Some(0)]);
        assert_eq!(slots.count, 2);
    }
}
