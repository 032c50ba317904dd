use tfjet_core::{DType, GatherMode, Layer, TopKOperation, WeightsId};

use crate::case::{Case, noise, whole};
use crate::reference::{Array, gather, overlap, suppression};

pub fn cases() -> Vec<Case> {
    [
        gathers(),
        top_ks(),
        suppressions(),
        grouped_suppressions(),
        casts(),
        constants(),
    ]
    .concat()
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

/// Boxes of 8 by 8 in groups that do not touch, moved by up to 2 within a group, corners in any
/// order. Halves hold the coordinates, and overlaps are one of a few numbers.
fn boxes(count: usize, groups: usize) -> Array {
    let moved = whole(&[count, 2], 61, 0, 2);
    Array::build(&[count, 4], |at| {
        let (i, axis) = (at[0], at[1] % 2);
        let group = i * 7 % groups;
        let low = 16.0 * [group / 8, group % 8][axis] as f64 + moved.at(&[i, axis]);
        let is_flipped = i >> axis & 1 == 1;
        low + if (at[1] >= 2) != is_flipped { 8.0 } else { 0.0 }
    })
}

/// All different, steps of a power of 2.
fn scores(count: usize, lowest: f64) -> Array {
    let step = 1.0 / count.next_power_of_two() as f64;
    Array::build(&[count], |at| {
        lowest + step * ((at[0] * 17 + 5) % count) as f64
    })
}

fn suppressions() -> Vec<Case> {
    let mut cases = Vec::new();
    for (count, groups, max_output_boxes, iou_threshold, score_threshold, lowest) in [
        (12, 4, 5, 0.55, 0.0, 0.0),
        (12, 4, 20, 0.3, 0.1, 0.0),
        (12, 4, 12, 0.7, 0.5, 0.0),
        (12, 4, 12, 0.0, 0.0, 0.0),
        (12, 4, 12, 1.0, 0.0, 0.0),
        (7, 3, 4, 0.55, 2.0, 0.0),
        (1, 1, 1, 0.5, 0.25, 0.5),
        (9, 2, 9, 0.55, f32::NEG_INFINITY, -0.5),
        (9, 2, 9, 0.55, f32::MIN, -0.5),
        (9, 2, 9, 0.55, -0.3, -0.5),
        (600, 64, 100, 0.55, 0.25, 0.0),
        (5000, 64, 300, 0.7, 0.0, 0.0),
    ] {
        let (boxes, scores) = (boxes(count, groups), scores(count, lowest));
        let threshold = f64::from(iou_threshold);
        for other in 1..count {
            let far = (overlap(&boxes, 0, other) - threshold).abs() > 0.02;
            assert!(far || threshold == 0.0 || threshold == 1.0);
        }
        let (selected, selected_count) = suppression(
            &boxes,
            &scores,
            max_output_boxes,
            threshold,
            score_threshold.into(),
        );
        cases.push(Case {
            name: format!(
                "Nms {count} {max_output_boxes} {iou_threshold} {score_threshold:e} {lowest}"
            ),
            layer: Layer::Nms {
                max_output_boxes,
                iou_threshold,
                score_threshold,
            },
            inputs: vec![(DType::F32, boxes), (DType::F32, scores)],
            weights: Vec::new(),
            sizes: Vec::new(),
            expected: vec![(DType::I32, selected), (DType::I32, selected_count)],
        });
    }
    cases
}

/// Each group has the boxes and scores of the first one, turned by another number of places.
fn grouped_suppressions() -> Vec<Case> {
    let mut cases = Vec::new();
    for (groups, count, max_output_boxes, iou_threshold, score_threshold) in [
        (3, 12, 5, 0.55, 0.0),
        (3, 12, 20, 0.3, 0.9),
        (1, 12, 12, 0.7, 0.5),
        (4, 7, 4, 0.55, 2.0),
        (90, 300, 20, 0.55, 0.25),
    ] {
        let (all, levels) = (boxes(count, 4.min(count)), scores(count, 0.0));
        let boxes = Array::build(&[groups, count, 4], |at| {
            all.at(&[(at[1] + at[0]) % count, at[2]])
        });
        let scores = Array::build(&[groups, count], |at| {
            levels.at(&[(at[1] + 5 * at[0]) % count])
        });
        let mut rows: Vec<f64> = Vec::new();
        for group in 0..groups {
            let (selected, selected_count) = suppression(
                &Array::build(&[count, 4], |at| boxes.at(&[group, at[0], at[1]])),
                &Array::build(&[count], |at| scores.at(&[group, at[0]])),
                max_output_boxes,
                f64::from(iou_threshold),
                score_threshold.into(),
            );
            for &index in &selected.data[..selected_count.data[0] as usize] {
                rows.extend([group as f64, index]);
            }
        }
        let selected_count = rows.len() / 2;
        rows.resize(groups * max_output_boxes * 2, 0.0);
        let selected = Array::new(&[groups * max_output_boxes, 2], &rows);
        cases.push(Case {
            name: format!(
                "Nms of {groups} groups {count} {max_output_boxes} {iou_threshold} \
                 {score_threshold}"
            ),
            layer: Layer::Nms {
                max_output_boxes,
                iou_threshold,
                score_threshold,
            },
            inputs: vec![(DType::F32, boxes), (DType::F32, scores)],
            weights: Vec::new(),
            sizes: Vec::new(),
            expected: vec![
                (DType::I32, selected),
                (DType::I32, Array::new(&[], &[selected_count as f64])),
            ],
        });
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
