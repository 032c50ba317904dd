use tfjet_core::{DType, Schedule, ValueSource, WeightsId};

use super::*;

/// Value 0 is the caller's, value 1 a constant, then one for each step. A step is (kind, inputs,
/// elements of its output): `E` an engine, `H` an op for the host, `O` one with a kernel, `o` one
/// with a kernel that reads its last input on the host.
fn chosen(steps: &[(char, &[u32], usize)], held_otherwise: &[usize]) -> String {
    let value = |elements: usize, source| Value {
        name: String::new(),
        dtype: DType::F32,
        shape: Some(Shape::fixed(&[elements])),
        source,
    };
    let mut schedule = Schedule {
        values: vec![
            value(1, ValueSource::Input),
            value(1, ValueSource::Constant(WeightsId(0))),
        ],
        ..Schedule::default()
    };
    let mut last_inputs = Vec::new();
    for &(kind, inputs, elements) in steps {
        let made = ValueId(u32::try_from(schedule.values.len()).unwrap());
        let inputs: Vec<_> = inputs.iter().copied().map(ValueId).collect();
        last_inputs.push([inputs.len() - 1]);
        schedule.values.push(value(elements, ValueSource::Computed));
        schedule.steps.push(match kind {
            'E' => Step::Engine {
                segment: 0,
                inputs,
                outputs: vec![made],
            },
            _ => Step::Residual {
                node: String::new(),
                op_type: String::new(),
                attrs: tfjet_core::Attrs::default(),
                inputs,
                outputs: vec![made],
            },
        });
    }
    let offers: Vec<_> = steps
        .iter()
        .zip(&last_inputs)
        .map(|(&(kind, ..), last)| match kind {
            'E' => Offer::Engine,
            'O' => Offer::Op { host_inputs: &[] },
            'o' => Offer::Op { host_inputs: last },
            _ => Offer::Nothing,
        })
        .collect();
    let mut plain = vec![true; schedule.values.len()];
    for &value in held_otherwise {
        plain[value] = false;
    }
    let chosen = choose(&Steps::new(&schedule), &offers, &plain);
    chosen
        .iter()
        .map(|&device| if device { 'D' } else { 'H' })
        .collect()
}

#[test]
fn ops_go_to_the_device_where_they_lie_between_its_steps() {
    const LARGE: usize = WORTH_ELEMENTS;
    type Case<'a> = (
        &'a str,
        &'a [(char, &'a [u32], usize)],
        &'a [usize],
        &'a str,
    );
    let cases: &[Case<'_>] = &[
        (
            "between engines, small",
            &[('E', &[0], 1), ('O', &[2], 1), ('E', &[3], 1)],
            &[],
            "DDD",
        ),
        (
            "no kernel",
            &[('E', &[0], 1), ('H', &[2], 1), ('E', &[3], 1)],
            &[],
            "DHD",
        ),
        (
            "before the first engine",
            &[('O', &[0], LARGE), ('E', &[2], 1)],
            &[],
            "HD",
        ),
        (
            "after the last engine, small",
            &[('E', &[0], 1), ('O', &[2], 1)],
            &[],
            "DH",
        ),
        (
            "after the last engine, large",
            &[('E', &[0], 1), ('O', &[2], LARGE)],
            &[],
            "DD",
        ),
        (
            "a chain that ends large",
            &[
                ('E', &[0], 1),
                ('O', &[2], 1),
                ('O', &[3], LARGE),
                ('O', &[4], 1),
            ],
            &[],
            "DDDH",
        ),
        (
            "a chain that ends on the host",
            &[
                ('E', &[0], 1),
                ('O', &[2], 1),
                ('O', &[3], 1),
                ('H', &[4], 1),
            ],
            &[],
            "DHHH",
        ),
        (
            "with a constant",
            &[('E', &[0], 1), ('O', &[2, 1], 1), ('E', &[3], 1)],
            &[],
            "DDD",
        ),
        (
            "with the caller's tensor, for an engine",
            &[('E', &[0], 1), ('O', &[2, 0], 1), ('E', &[3], 1)],
            &[],
            "DDD",
        ),
        (
            "with the caller's tensor, for the host",
            &[('E', &[0], 1), ('O', &[2, 0], LARGE)],
            &[],
            "DH",
        ),
        (
            "a size on the host",
            &[('E', &[0], 1), ('o', &[2, 0], 1), ('E', &[3], 1)],
            &[],
            "DDD",
        ),
        (
            "a size that the device makes",
            &[('E', &[0], 1), ('o', &[2, 2], 1), ('E', &[3], 1)],
            &[],
            "DHD",
        ),
        (
            "a value that only a host input reads",
            &[
                ('E', &[0], 1),
                ('H', &[0], 1),
                ('O', &[3], 1),
                ('o', &[2, 4], 1),
                ('E', &[5], 1),
            ],
            &[],
            "DHHDD",
        ),
        (
            "held in another type",
            &[('E', &[0], 1), ('O', &[2], 1), ('E', &[3], 1)],
            &[2],
            "DHD",
        ),
    ];
    for (what, steps, held_otherwise, expected) in cases {
        assert_eq!(chosen(steps, held_otherwise), *expected, "{what}");
    }
}
