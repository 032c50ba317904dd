use tfjet_core::{DType, GatherMode, Layer, TopKOperation, WeightsId};

use crate::case::{Case, noise, whole};
use crate::reference::{Array, gather};

pub fn cases() -> Vec<Case> {
    [gathers(), top_ks(), casts(), constants()].concat()
}

fn gathers() -> Vec<Case> {
    let default = |axis, batch_dims| GatherMode::Default { axis, batch_dims };
    let table: [(GatherMode, &[usize], &[usize]); 13] = [
        (default(0, 0), &[4, 5], &[3]),
        (default(1, 0), &[4, 4, 3], &[2, 2]),
        (default(2, 0), &[2, 3, 4], &[]),
        (default(1, 1), &[2, 4, 3], &[2, 5]),
        (default(1, 1), &[2, 4, 3], &[2]),
        (default(2, 1), &[2, 3, 4, 2], &[2, 3, 2]),
        (default(3, 1), &[2, 3, 2, 4], &[2, 2]),
        (default(2, 2), &[2, 3, 4], &[2, 3, 2]),
        (default(3, 2), &[2, 3, 5, 4, 2], &[2, 3, 2, 2]),
        (GatherMode::Nd, &[4, 4, 5], &[3, 2]),
        (GatherMode::Nd, &[4, 5], &[2, 3, 1]),
        (GatherMode::Nd, &[4, 4], &[2]),
        (default(0, 0), &[4], &[0]),
    ];
    let mut cases = Vec::new();
    for (mode, data, indices) in table {
        let (data, indices) = (noise(data, 57), whole(indices, 58, 0, 3));
        let expected = gather(&data, &indices, mode);
        for index_type in [DType::I32, DType::I64, DType::U8] {
            cases.push(Case {
                name: format!(
                    "Gather {mode:?} {:?} {:?} {index_type}",
                    data.shape, indices.shape
                ),
                layer: Layer::Gather { mode },
                inputs: vec![(DType::F32, data.clone()), (index_type, indices.clone())],
                weights: Vec::new(),
                sizes: Vec::new(),
                expected: vec![(DType::F32, expected.clone())],
            });
        }
    }
    cases
}

fn top_ks() -> Vec<Case> {
    let mut cases = Vec::new();
    for dtype in [DType::F32, DType::I32, DType::I64, DType::F16, DType::U8] {
        for (axis, k) in [(0, 2), (1, 1), (1, 5), (2, 4)] {
            for operation in [TopKOperation::Max, TopKOperation::Min] {
                let x = whole(&[3, 5, 7], 59, 0, 4);
                let mut shape = x.shape.clone();
                shape[axis] = k;
                let pick = |at: &[usize]| {
                    let line = |i: usize| {
                        let mut at = at.to_vec();
                        at[axis] = i;
                        x.at(&at)
                    };
                    let mut order: Vec<usize> = (0..x.shape[axis]).collect();
                    let sign = if operation == TopKOperation::Max {
                        -1.0
                    } else {
                        1.0
                    };
                    order.sort_by(|&a, &b| (sign * line(a)).total_cmp(&(sign * line(b))));
                    (order[at[axis]], line(order[at[axis]]))
                };
                cases.push(Case {
                    name: format!("TopK {operation:?} {k} axis {axis} {dtype}"),
                    layer: Layer::TopK { operation, k, axis },
                    inputs: vec![(dtype, x.clone())],
                    weights: Vec::new(),
                    sizes: Vec::new(),
                    expected: vec![
                        (dtype, Array::build(&shape, |at| pick(at).1)),
                        (DType::I32, Array::build(&shape, |at| pick(at).0 as f64)),
                    ],
                });
            }
        }
    }
    cases
}

fn casts() -> Vec<Case> {
    let x = Array::new(&[6], &[-2.75, -1.0, -0.5, 0.0, 0.5, 99.9]);
    let mut cases = Vec::new();
    for to in [
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::F64,
        DType::F16,
        DType::Bool,
    ] {
        let expected = match to {
            DType::F64 => x.map(|x| f64::from(x as f32)),
            DType::F16 => x.clone(),
            DType::Bool => x.map(|x| f64::from(u8::from(x != 0.0))),
            _ => x.map(f64::trunc),
        };
        cases.push(Case::typed(
            format!("Cast float32 {to}"),
            Layer::Cast { to },
            DType::F32,
            &[&x],
            to,
            expected,
        ));
    }
    let n = Array::new(&[4], &[0.0, 1.0, 2.0, 100.0]);
    let all = [
        DType::F32,
        DType::F64,
        DType::F16,
        DType::BF16,
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::U16,
        DType::U32,
        DType::U64,
        DType::Bool,
    ];
    for from in all {
        for to in all {
            let truth = from == DType::Bool || to == DType::Bool;
            let expected = if truth {
                n.map(|x| x.min(1.0))
            } else {
                n.clone()
            };
            cases.push(Case::typed(
                format!("Cast {from} {to}"),
                Layer::Cast { to },
                from,
                &[&n],
                to,
                expected,
            ));
        }
    }
    cases
}

fn constants() -> Vec<Case> {
    [&[2, 3][..], &[], &[1]]
        .into_iter()
        .map(|shape| {
            let value = noise(shape, 60);
            let layer = Layer::Constant {
                weights: WeightsId(0),
            };
            Case::float(format!("Constant {shape:?}"), layer, &[], value.clone())
                .with_weights(&[&value])
        })
        .collect()
}
