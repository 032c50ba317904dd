use super::*;
use crate::gpu::on_host;
use tfjet_core::{DType, Function, FunctionId, Schedule, Shape};

fn on_the_host(schedule: &Schedule) -> Slots {
    let steps = Steps::new(schedule);
    assign(&steps, &on_host(&steps), &vec![None; steps.len()])
}

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
        functions: Vec::new(),
    };
    schedule.check().unwrap();
    on_the_host(&schedule)
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
    let steps: [(&[u32], &[u32]); 4] = [(&[0], &[1]), (&[1], &[2]), (&[2], &[3]), (&[1, 3], &[4])];
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
        functions: Vec::new(),
    };
    schedule.check().unwrap();
    let block = Item::Block(crate::gpu::BlockPlan {
        steps: vec![1, 2],
        host_inputs: vec![ValueId(1)],
        downloads: vec![ValueId(3)],
        ..Default::default()
    });
    let items = [vec![Item::Host(0), block, Item::Host(3)]];
    let steps = Steps::new(&schedule);
    let slots = assign(&steps, &items, &[None; 4]);
    assert_eq!(slots.of_value, [None, Some(0), None, Some(1), Some(0)]);
    assert_eq!(shared(&steps, &items, &slots), [true, true]);
    let host = on_host(&steps);
    let slots = assign(&steps, &host, &[None; 4]);
    assert_eq!(shared(&steps, &host, &slots), [false, false]);
}

#[test]
fn an_input_that_is_an_output_gets_a_buffer() {
    let slots = slots(&[8], &[(&[0], &[1])], &[0, 1, 0]);
    assert_eq!(slots.of_value, [Some(1), Some(0)]);
    assert_eq!(slots.count, 2);
}

/// A loop that carries value 0 (or 1, made of it, where `made`) and a list, value 2, which a kernel
/// in the body changes in place. Values 3, 4 and 5, 6 are the functions' arguments, 7 the
/// condition's result, 8 and 9 the body's, 10 and 11 the loop's outputs. After the loop a step
/// reads the values in `later`.
fn looped(made: bool, later: &[u32]) -> Slots {
    let ids = |ids: &[u32]| ids.iter().copied().map(ValueId).collect::<Vec<_>>();
    let mut values: Vec<Value> = (0..13)
        .map(|id| Value {
            name: id.to_string(),
            dtype: DType::U8,
            shape: Some(Shape::fixed(&[8])),
            source: match id {
                0 => ValueSource::Input,
                3..=6 => ValueSource::Argument,
                _ => ValueSource::Computed,
            },
        })
        .collect();
    values[7].dtype = DType::Bool;
    let step = |inputs: &[u32], outputs: &[u32]| Step::Engine {
        segment: 0,
        inputs: ids(inputs),
        outputs: ids(outputs),
    };
    let function = |inputs: &[u32], outputs: &[u32], steps| Function {
        name: "function".into(),
        inputs: ids(inputs),
        outputs: ids(outputs),
        steps,
    };
    let first = if made { 1 } else { 0 };
    let schedule = Schedule {
        values,
        inputs: ids(&[0]),
        outputs: ids(&[12]),
        steps: vec![
            step(&[0], &[1, 2]),
            Step::While {
                node: "loop".into(),
                condition: FunctionId(0),
                body: FunctionId(1),
                inputs: ids(&[first, 2]),
                outputs: ids(&[10, 11]),
            },
            step(&[&[10, 11], later].concat(), &[12]),
        ],
        functions: vec![
            function(&[3, 4], &[7], vec![step(&[3], &[7])]),
            function(
                &[5, 6],
                &[8, 9],
                vec![step(&[5], &[8]), step(&[6, 8], &[9])],
            ),
        ],
    };
    schedule.check().unwrap();
    let steps = Steps::new(&schedule);
    // Steps 4 and 5 are the body's.
    let in_place = [None, None, None, None, None, Some(0)];
    assign(&steps, &on_host(&steps), &in_place)
}

#[test]
fn what_a_loop_carries_has_one_buffer_from_its_first_value_on() {
    let slots = looped(true, &[]).of_value;
    assert_eq!([slots[3], slots[5], slots[10]], [slots[1]; 3]);
    assert_eq!([slots[4], slots[6], slots[11]], [slots[2]; 3]);
    assert_eq!(slots[9], slots[2], "in place");
    assert!(slots[8] != slots[1] && slots[8] != slots[2]);
}

#[test]
fn a_first_value_that_is_read_later_or_is_the_callers_is_copied() {
    for (made, later, first) in [(false, &[][..], 0), (true, &[1], 1), (true, &[2], 2)] {
        let slots = looped(made, later).of_value;
        let argument = if first == 2 { 6 } else { 5 };
        assert_ne!(slots[argument], slots[first]);
        assert_eq!(slots[argument], slots[argument - 2]);
        assert_eq!(slots[9], slots[6], "in place");
    }
}

#[test]
fn a_loop_takes_no_more_buffers_than_are_needed_at_one_time() {
    // What is carried, twice, and the body's first result, whose buffer the condition's has before.
    assert_eq!(looped(true, &[]).count, 3);
}
