use tfjet_core::{DType, Layer, MatrixOperation, ReduceOperation, WeightsId};

use crate::case::{Case, noise, whole};
use crate::reference::{Array, broadcast, matrix_multiply, reduce, softmax, stretched, transpose};

pub fn cases() -> Vec<Case> {
    [matrices(), reductions(), others()].concat()
}

fn matrices() -> Vec<Case> {
    let mut cases = Vec::new();
    for (batch_a, batch_b) in [(&[][..], &[][..]), (&[2, 3], &[2, 3]), (&[1, 3], &[2, 1])] {
        for (first, second) in [(false, false), (true, false), (false, true), (true, true)] {
            let (a, b) = ([batch_a, &[4, 5]].concat(), [batch_b, &[5, 6]].concat());
            let (a, b) = (noise(&a, 12), noise(&b, 13));
            let expected = matrix_multiply(&a, &b);
            let mut order: Vec<usize> = (0..a.shape.len()).collect();
            let rank = order.len();
            order.swap(rank - 1, rank - 2);
            let flip = |x: &Array, flip: bool| {
                if flip {
                    transpose(x, &order)
                } else {
                    x.clone()
                }
            };
            let operation = |flip| {
                if flip {
                    MatrixOperation::Transpose
                } else {
                    MatrixOperation::None
                }
            };
            let layer = Layer::MatrixMultiply {
                first: operation(first),
                second: operation(second),
            };
            let name = format!("MatrixMultiply {batch_a:?} {batch_b:?} {first} {second}");
            cases.push(Case::float(
                name,
                layer,
                &[&flip(&a, first), &flip(&b, second)],
                expected,
            ));
        }
    }
    cases
}

fn reductions() -> Vec<Case> {
    let operations = [
        ReduceOperation::Sum,
        ReduceOperation::Prod,
        ReduceOperation::Max,
        ReduceOperation::Min,
        ReduceOperation::Avg,
    ];
    let (x, n) = (noise(&[2, 3, 4, 5], 14), whole(&[2, 3, 4, 5], 15, -2, 2));
    let mut cases = Vec::new();
    for operation in operations {
        for axes in [
            &[][..],
            &[0],
            &[3],
            &[2, 3],
            &[1, 3],
            &[1, 2, 3],
            &[0, 1, 2, 3],
        ] {
            for keep_dims in [true, false] {
                let layer = Layer::Reduce {
                    operation,
                    axes: axes.to_vec(),
                    keep_dims,
                };
                let expected = reduce(&x, operation, axes, keep_dims);
                let name = format!("{operation:?} {axes:?} {keep_dims}");
                cases.push(Case::float(name, layer, &[&x], expected));
            }
        }
        if operation != ReduceOperation::Avg {
            for dtype in [DType::I8, DType::I32, DType::I64, DType::F64] {
                let layer = Layer::Reduce {
                    operation,
                    axes: vec![2],
                    keep_dims: false,
                };
                let expected = reduce(&n, operation, &[2], false);
                let name = format!("{operation:?} {dtype}");
                cases.push(Case::typed(name, layer, dtype, &[&n], dtype, expected));
            }
        }
    }
    cases
}

fn others() -> Vec<Case> {
    let x = noise(&[2, 3, 4, 5], 16);
    let mut cases: Vec<Case> = (0..4)
        .map(|axis| {
            Case::float(
                format!("Softmax {axis}"),
                Layer::Softmax { axis },
                &[&x],
                softmax(&x, axis),
            )
        })
        .collect();
    let (scale, shift) = (noise(&[3], 17), noise(&[3], 18));
    for (with_scale, with_shift) in [(true, true), (true, false), (false, true), (false, false)] {
        let layer = Layer::Scale {
            scale: with_scale.then_some(WeightsId(0)),
            shift: with_shift.then_some(WeightsId(1)),
        };
        for shape in [&[2, 3, 4, 5][..], &[40, 3]] {
            let x = noise(shape, 19);
            let expected = Array::build(shape, |at| {
                let scaled = if with_scale {
                    x.at(at) * scale.data[at[1]]
                } else {
                    x.at(at)
                };
                if with_shift {
                    scaled + shift.data[at[1]]
                } else {
                    scaled
                }
            });
            let name = format!("Scale {with_scale} {with_shift} {shape:?}");
            cases.push(
                Case::float(name, layer.clone(), &[&x], expected).with_weights(&[&scale, &shift]),
            );
        }
    }
    for slopes in [[1, 3, 1, 1], [1, 3, 4, 5], [1, 1, 1, 1]] {
        let slopes = noise(&slopes, 20);
        let expected = broadcast(&x, &slopes, |x, slope| if x < 0.0 { x * slope } else { x });
        let name = format!("ParametricRelu {:?}", slopes.shape);
        cases.push(Case::float(
            name,
            Layer::ParametricRelu,
            &[&x, &slopes],
            expected,
        ));
    }
    let condition = whole(&[2, 1, 4], 21, 0, 1);
    let (yes, no) = (whole(&[2, 3, 4], 22, 0, 9), whole(&[1, 3, 1], 23, 0, 9));
    for dtype in [
        DType::F32,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::I8,
        DType::F16,
        DType::Bool,
    ] {
        let limit = |x: f64| if dtype == DType::Bool { x.min(1.0) } else { x };
        let expected = Array::build(&[2, 3, 4], |at| {
            let from = if stretched(&condition, at) != 0.0 {
                &yes
            } else {
                &no
            };
            limit(stretched(from, at))
        });
        cases.push(Case {
            name: format!("Select {dtype}"),
            layer: Layer::Select,
            inputs: vec![
                (DType::Bool, condition.clone()),
                (dtype, yes.map(limit)),
                (dtype, no.map(limit)),
            ],
            weights: Vec::new(),
            sizes: Vec::new(),
            expected: vec![(dtype, expected)],
        });
    }
    cases
}
