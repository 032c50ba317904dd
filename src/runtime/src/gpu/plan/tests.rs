use tfjet_core::{DType, Function, FunctionId, Schedule, Step, Value, ValueSource};

use super::*;

/// Value 0 is the caller's, value 1 a constant, then one for each output of the steps. A step is
/// (place, inputs, number of outputs); `D` runs on the device, `H` on the host, and `d` on the
/// device with its last input from the host.
fn schedule(steps: &[(char, &[u32], u32)], outputs: &[u32]) -> (Schedule, Vec<Place>) {
    let value = |name: usize, source| Value {
        name: format!("v{name}"),
        dtype: DType::F32,
        shape: None,
        source,
    };
    let mut schedule = Schedule {
        values: vec![
            value(0, ValueSource::Input),
            value(1, ValueSource::Constant(tfjet_core::WeightsId(0))),
        ],
        inputs: vec![ValueId(0)],
        outputs: outputs.iter().copied().map(ValueId).collect(),
        ..Schedule::default()
    };
    let mut places = Vec::new();
    for &(place, inputs, count) in steps {
        let first = schedule.values.len();
        let made = first..first + count as usize;
        for index in made.clone() {
            schedule.values.push(value(index, ValueSource::Computed));
        }
        schedule.steps.push(Step::Engine {
            segment: 0,
            inputs: inputs.iter().copied().map(ValueId).collect(),
            outputs: made.map(|i| ValueId(u32::try_from(i).unwrap())).collect(),
        });
        let mut via_host = vec![false; inputs.len()];
        if let (Some(last), 'd') = (via_host.last_mut(), place) {
            *last = true;
        }
        places.push(match place {
            'H' => Place::Host,
            _ => Place::Device { via_host },
        });
    }
    schedule.check().unwrap();
    (schedule, places)
}

/// The items of a schedule without functions.
fn cut_one(schedule: &Schedule, places: &[Place]) -> Vec<Item> {
    let mut scopes = cut(&Steps::new(schedule), places);
    assert_eq!(scopes.len(), 1);
    scopes.remove(0)
}

fn ids(ids: &[ValueId]) -> String {
    let ids: Vec<_> = ids.iter().map(|id| id.0.to_string()).collect();
    ids.join(",")
}

/// `H<step>` and `D<steps> in=.. resident=.. down=.. kept=..` without the empty ones.
fn text(items: &[Item]) -> String {
    let block = |block: &BlockPlan| {
        let steps: Vec<_> = block.steps.iter().map(usize::to_string).collect();
        let mut text = format!("D{}", steps.join(","));
        for (name, values) in [
            ("in", &block.host_inputs),
            ("invariant", &block.invariant),
            ("resident", &block.resident),
            ("down", &block.downloads),
            ("kept", &block.kept),
        ] {
            if !values.is_empty() {
                text += &format!(" {name}={}", ids(values));
            }
        }
        text
    };
    let items: Vec<_> = items
        .iter()
        .map(|item| match item {
            Item::Host(step) => format!("H{step}"),
            Item::Control { step, host_inputs } => format!("C{step} in={}", ids(host_inputs)),
            Item::Block(plan) => block(plan),
        })
        .collect();
    items.join("; ")
}

#[test]
fn cuts_where_the_host_comes_between() {
    type Case<'a> = (&'a str, &'a [(char, &'a [u32], u32)], &'a [u32], &'a str);
    let cases: &[Case<'_>] = &[
        ("one engine", &[('D', &[0], 1)], &[2], "D0 in=0 down=2"),
        (
            "a chain on the device copies only its ends",
            &[('D', &[0, 1], 1), ('D', &[2], 1), ('D', &[3], 1)],
            &[4],
            "D0,1,2 in=0 down=4",
        ),
        (
            "a host step between two engines",
            &[('D', &[0], 1), ('H', &[2], 1), ('D', &[3], 1)],
            &[4],
            "D0 in=0 down=2; H1; D2 in=3 down=4",
        ),
        (
            "what an earlier block made stays on the device",
            &[('D', &[0], 2), ('H', &[2], 1), ('D', &[3, 4], 1)],
            &[5],
            "D0 in=0 down=2 kept=3; H1; D2 in=4 resident=3 down=5",
        ),
        (
            "what host and device read is downloaded and kept",
            &[('D', &[0], 1), ('H', &[2], 1), ('D', &[2, 3], 1)],
            &[2, 4],
            "D0 in=0 down=2 kept=2; H1; D2 in=3 resident=2 down=4",
        ),
        (
            "host steps that wait for nothing go first, so that one block is left",
            &[
                ('D', &[0], 1),
                ('H', &[0], 1),
                ('D', &[3], 1),
                ('H', &[2], 1),
                ('D', &[5], 1),
            ],
            &[4, 6],
            "H1; D0,2 in=0,3 down=2,4; H3; D4 in=5 down=6",
        ),
        (
            "two branches that go over the host share their blocks",
            &[
                ('D', &[0], 1),
                ('H', &[2], 1),
                ('D', &[3], 1),
                ('D', &[0], 1),
                ('H', &[5], 1),
                ('D', &[6], 1),
            ],
            &[4, 7],
            "D0,3 in=0 down=2,5; H1; H4; D2,5 in=3,6 down=4,7",
        ),
        (
            "an input that goes over the host ends the block that makes it",
            &[('D', &[0], 1), ('D', &[0], 1), ('d', &[2, 3], 1)],
            &[4],
            "D0,1 in=0 down=3 kept=2; D2 in=3 resident=2 down=4",
        ),
        (
            "what nobody reads stays where it is",
            &[('D', &[0], 3), ('H', &[3], 1)],
            &[5],
            "D0 in=0 down=3; H1",
        ),
        (
            "constants are no input of a block",
            &[('D', &[1, 0], 1), ('d', &[2, 1], 1)],
            &[3],
            "D0,1 in=0 down=3",
        ),
        (
            "no device at all",
            &[('H', &[0], 1), ('H', &[2], 1)],
            &[3],
            "H0; H1",
        ),
        ("no step", &[], &[0], ""),
    ];
    for (what, steps, outputs, expected) in cases {
        let (schedule, places) = schedule(steps, outputs);
        assert_eq!(text(&cut_one(&schedule, &places)), *expected, "{what}");
    }
}

/// Numbers that look random and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % bound
    }
}

fn random(numbers: &mut Numbers) -> (Schedule, Vec<Place>) {
    let count = 1 + numbers.below(14);
    let mut values = 2;
    let mut steps = Vec::new();
    for _ in 0..count {
        let inputs: Vec<u32> = (0..1 + numbers.below(3))
            .map(|_| numbers.below(values) as u32)
            .collect();
        let outputs = 1 + numbers.below(2);
        values += outputs;
        steps.push((
            ['H', 'D', 'D', 'd'][numbers.below(4)],
            inputs,
            outputs as u32,
        ));
    }
    let outputs: Vec<u32> = (0..2).map(|_| numbers.below(values) as u32).collect();
    let steps: Vec<_> = steps
        .iter()
        .map(|(place, inputs, outputs)| (*place, inputs.as_slice(), *outputs))
        .collect();
    schedule(&steps, &outputs)
}

/// Goes through the items as a session does, with the values that host and device hold.
fn check_by_running(schedule: &Schedule, places: &[Place], items: &[Item]) {
    let mut host: Vec<bool> = schedule
        .values
        .iter()
        .map(|value| value.source != ValueSource::Computed)
        .collect();
    let mut kept = vec![false; host.len()];
    let mut ran = vec![0; places.len()];
    let steps = Steps::new(schedule);
    for item in items {
        for id in item.inputs(&steps) {
            assert!(host[id.index()], "{} is not on the host", id.0);
        }
        let mut device = vec![false; host.len()];
        match item {
            Item::Host(step) | Item::Control { step, .. } => {
                assert_eq!(places[*step], Place::Host);
                ran[*step] += 1;
            }
            Item::Block(block) => {
                for id in &block.resident {
                    assert!(kept[id.index()], "{} is not on the device", id.0);
                    device[id.index()] = true;
                }
                for &step in &block.steps {
                    let Place::Device { via_host } = &places[step] else {
                        panic!("step {step} is not for the device");
                    };
                    ran[step] += 1;
                    for (id, via_host) in schedule.steps[step].inputs().iter().zip(via_host) {
                        let value = id.index();
                        let source = schedule.values[value].source;
                        let constant = matches!(source, ValueSource::Constant(_));
                        let from_host = constant || block.host_inputs.contains(id);
                        assert!(if *via_host {
                            from_host
                        } else {
                            from_host || device[value]
                        });
                    }
                    for id in schedule.steps[step].outputs() {
                        device[id.index()] = true;
                    }
                }
                for id in &block.kept {
                    assert!(device[id.index()]);
                    kept[id.index()] = true;
                }
                for id in &block.downloads {
                    assert!(device[id.index()]);
                }
            }
        }
        for id in item.outputs(&steps) {
            host[id.index()] = true;
        }
    }
    assert!(ran.iter().all(|&times| times == 1), "{ran:?}");
    for id in &schedule.outputs {
        assert!(host[id.index()], "output {} is not on the host", id.0);
    }
}

#[test]
fn every_order_runs_each_step_once_after_what_it_reads() {
    let mut numbers = Numbers(7);
    let mut longest = 0;
    for _ in 0..3000 {
        let (schedule, places) = random(&mut numbers);
        let items = cut_one(&schedule, &places);
        longest = longest.max(items.len());
        check_by_running(&schedule, &places, &items);
    }
    assert!(longest > 8);
}

#[test]
fn no_two_blocks_touch_without_a_reason() {
    let mut numbers = Numbers(8);
    for _ in 0..1000 {
        let (schedule, mut places) = random(&mut numbers);
        for place in &mut places {
            if let Place::Device { via_host } = place {
                via_host.fill(false);
            }
        }
        let items = cut_one(&schedule, &places);
        for pair in items.windows(2) {
            assert!(!matches!(pair, [Item::Block(_), Item::Block(_)]));
        }
    }
}

/// Value 0 is the caller's; step 0 makes value 1 of it, and step 1 is a loop that carries value 0
/// to value 4 and captures value 1. Values 2 and 3 are what its functions take. The body has two
/// steps: one makes value 6 of `first` and one value 7 of value 6 and of `second`.
fn looped(first: u32, second: u32) -> Schedule {
    let value = |name: usize, source| Value {
        name: format!("v{name}"),
        dtype: DType::F32,
        shape: None,
        source,
    };
    let sources = [
        ValueSource::Input,
        ValueSource::Computed,
        ValueSource::Argument,
        ValueSource::Argument,
        ValueSource::Computed,
        ValueSource::Computed,
        ValueSource::Computed,
        ValueSource::Computed,
    ];
    let engine = |inputs: &[u32], output| Step::Engine {
        segment: 0,
        inputs: inputs.iter().copied().map(ValueId).collect(),
        outputs: vec![ValueId(output)],
    };
    let function = |input, output, steps| Function {
        name: "function".into(),
        inputs: vec![ValueId(input)],
        outputs: vec![ValueId(output)],
        steps,
    };
    let schedule = Schedule {
        values: (0..)
            .zip(sources)
            .map(|(i, source)| value(i, source))
            .collect(),
        inputs: vec![ValueId(0)],
        outputs: vec![ValueId(4)],
        steps: vec![
            engine(&[0], 1),
            Step::While {
                node: "loop".into(),
                condition: FunctionId(0),
                body: FunctionId(1),
                inputs: vec![ValueId(0), ValueId(0), ValueId(1)],
                outputs: vec![ValueId(4)],
            },
        ],
        functions: vec![
            function(2, 5, vec![engine(&[2], 5)]),
            function(3, 7, vec![engine(&[first], 6), engine(&[6, second], 7)]),
        ],
    };
    schedule.check().unwrap();
    schedule
}

#[test]
fn functions_have_blocks_of_their_own() {
    let cases: &[(&str, [u32; 2], &str, &str)] = &[
        (
            "what is made on the device outside is read there",
            [3, 1],
            "DHHDD",
            "D0 in=0 kept=1; C1 in=0 | H2 | D3,4 in=3 resident=1 down=7",
        ),
        (
            "what the host reads in the body is downloaded outside",
            [3, 1],
            "DHHDH",
            "D0 in=0 down=1; C1 in=0,1 | H2 | D3 in=3 down=6; H4",
        ),
        (
            "both",
            [1, 1],
            "DHHDH",
            "D0 in=0 down=1 kept=1; C1 in=0,1 | H2 | D3 resident=1 down=6; H4",
        ),
        (
            "a value of the host outside is uploaded in the body",
            [1, 0],
            "HHHDD",
            "H0; C1 in=0,1 | H2 | D3,4 in=1,0 invariant=1,0 down=7",
        ),
        (
            "what goes over the host is downloaded outside",
            [3, 1],
            "DHHDd",
            "D0 in=0 down=1; C1 in=0,1 | H2 | D3,4 in=3,1 invariant=1 down=7",
        ),
        (
            "all on the host",
            [3, 1],
            "HHHHH",
            "H0; C1 in=0,1 | H2 | H3; H4",
        ),
    ];
    for &(what, [first, second], places, expected) in cases {
        let schedule = looped(first, second);
        let steps = Steps::new(&schedule);
        let places: Vec<Place> = steps
            .iter()
            .zip(places.chars())
            .map(|((_, step), place)| match place {
                'H' => Place::Host,
                place => {
                    let mut via_host = vec![false; step.inputs().len()];
                    if let (Some(last), 'd') = (via_host.last_mut(), place) {
                        *last = true;
                    }
                    Place::Device { via_host }
                }
            })
            .collect();
        let found: Vec<String> = cut(&steps, &places).iter().map(|it| text(it)).collect();
        assert_eq!(found.join(" | "), expected, "{what}");
    }
}

#[test]
fn what_a_loop_does_not_change_is_known() {
    let schedule = looped(3, 1);
    let steps = Steps::new(&schedule);
    let invariant = |scope: usize| {
        let values = (0..8).filter(|&id| steps.is_invariant(scope, ValueId(id)));
        values.collect::<Vec<_>>()
    };
    assert_eq!(invariant(0), [0u32; 0]);
    assert_eq!(invariant(1), [0, 1, 4]);
    assert_eq!(invariant(2), [0, 1, 4]);
}
