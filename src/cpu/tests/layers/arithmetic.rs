use tfjet_core::{ActivationType, DType, ElementWiseOperation, Layer, UnaryOperation};

use crate::case::{Case, noise, whole};
use crate::reference::{Array, broadcast};

type Function = fn(f64) -> f64;
type Operation = (ElementWiseOperation, fn(f64, f64) -> f64);

pub fn cases() -> Vec<Case> {
    [activations(), unaries(), elementwise(), integers()].concat()
}

fn activations() -> Vec<Case> {
    let x = noise(&[2, 3, 4], 1).map(|x| x * 4.0);
    let table: [(ActivationType, f32, f32, Function); 13] = [
        (ActivationType::Relu, 0.0, 0.0, |x| x.max(0.0)),
        (ActivationType::Sigmoid, 0.0, 0.0, |x| {
            1.0 / (1.0 + (-x).exp())
        }),
        (ActivationType::Tanh, 0.0, 0.0, f64::tanh),
        (ActivationType::LeakyRelu, 0.25, 0.0, |x| {
            if x >= 0.0 { x } else { 0.25 * x }
        }),
        (ActivationType::Elu, 1.5, 0.0, |x| {
            if x >= 0.0 { x } else { 1.5 * (x.exp() - 1.0) }
        }),
        (ActivationType::Selu, 1.75, 1.25, |x| {
            1.25 * if x >= 0.0 { x } else { 1.75 * (x.exp() - 1.0) }
        }),
        (ActivationType::Softsign, 0.0, 0.0, |x| x / (1.0 + x.abs())),
        (ActivationType::Softplus, 1.0, 1.0, |x| (x.exp() + 1.0).ln()),
        (ActivationType::Softplus, 0.5, 2.0, |x| {
            0.5 * ((2.0 * x).exp() + 1.0).ln()
        }),
        (ActivationType::Clip, 0.0, 6.0, |x| x.clamp(0.0, 6.0)),
        (ActivationType::Clip, -1.5, 0.5, |x| x.clamp(-1.5, 0.5)),
        (ActivationType::Clip, 2.0, 1.0, |_| 2.0),
        (ActivationType::HardSigmoid, 0.25, 0.5, |x| {
            (0.25 * x + 0.5).clamp(0.0, 1.0)
        }),
    ];
    let mut cases: Vec<Case> = table
        .into_iter()
        .map(|(kind, alpha, beta, f)| {
            let layer = Layer::Activation { kind, alpha, beta };
            Case::float(format!("{kind:?}({alpha}, {beta})"), layer, &[&x], x.map(f))
        })
        .collect();
    let n = whole(&[3, 5], 2, -9, 9);
    let relu = Layer::Activation {
        kind: ActivationType::Relu,
        alpha: 0.0,
        beta: 0.0,
    };
    let clip = Layer::Activation {
        kind: ActivationType::Clip,
        alpha: -2.0,
        beta: 3.0,
    };
    for dtype in [
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::F16,
        DType::BF16,
        DType::F64,
    ] {
        let (low, capped) = (n.map(|x| x.max(0.0)), n.map(|x| x.clamp(-2.0, 3.0)));
        cases.push(Case::typed(
            format!("Relu {dtype}"),
            relu.clone(),
            dtype,
            &[&n],
            dtype,
            low,
        ));
        cases.push(Case::typed(
            format!("Clip {dtype}"),
            clip.clone(),
            dtype,
            &[&n],
            dtype,
            capped,
        ));
    }
    cases
}

fn unaries() -> Vec<Case> {
    let x = noise(&[3, 7], 3).map(|x| x * 0.97);
    let table: [(UnaryOperation, Function, Function); 23] = [
        (UnaryOperation::Exp, |x| x, f64::exp),
        (UnaryOperation::Log, f64::abs, f64::ln),
        (UnaryOperation::Sqrt, f64::abs, f64::sqrt),
        (UnaryOperation::Recip, |x| x + 2.0, f64::recip),
        (UnaryOperation::Abs, |x| x, f64::abs),
        (UnaryOperation::Neg, |x| x, |x| -x),
        (UnaryOperation::Sin, |x| x * 3.0, f64::sin),
        (UnaryOperation::Cos, |x| x * 3.0, f64::cos),
        (UnaryOperation::Tan, |x| x, f64::tan),
        (UnaryOperation::Sinh, |x| x, f64::sinh),
        (UnaryOperation::Cosh, |x| x, f64::cosh),
        (UnaryOperation::Asin, |x| x * 0.9, f64::asin),
        (UnaryOperation::Acos, |x| x * 0.9, f64::acos),
        (UnaryOperation::Atan, |x| x * 5.0, f64::atan),
        (UnaryOperation::Asinh, |x| x, f64::asinh),
        (UnaryOperation::Acosh, |x| x + 2.5, f64::acosh),
        (UnaryOperation::Atanh, |x| x * 0.9, f64::atanh),
        (UnaryOperation::Ceil, |x| x * 5.0, f64::ceil),
        (UnaryOperation::Floor, |x| x * 5.0, f64::floor),
        (
            UnaryOperation::Erf,
            |x| if x < 0.0 { -0.5 } else { 1.0 },
            |x| {
                if x < 0.0 {
                    -0.520_499_877_813_046_5
                } else {
                    0.842_700_792_949_714_9
                }
            },
        ),
        (UnaryOperation::Not, |x| f64::from(x > 0.0), |x| 1.0 - x),
        (
            UnaryOperation::Sign,
            |x| if x.abs() < 0.2 { 0.0 } else { x },
            |x| {
                if x == 0.0 { 0.0 } else { x.signum() }
            },
        ),
        (
            UnaryOperation::Round,
            |x| (x * 8.0).floor() / 2.0,
            f64::round_ties_even,
        ),
    ];
    let mut cases: Vec<Case> = table
        .into_iter()
        .map(|(operation, domain, f)| {
            let x = x.map(|x| f64::from(domain(x) as f32));
            let dtype = if operation == UnaryOperation::Not {
                DType::Bool
            } else {
                DType::F32
            };
            let name = format!("{operation:?}");
            Case::typed(
                name,
                Layer::Unary { operation },
                dtype,
                &[&x],
                dtype,
                x.map(f),
            )
        })
        .collect();
    let n = whole(&[9], 4, -5, 5);
    for dtype in [DType::I8, DType::I32, DType::I64, DType::F16] {
        for (operation, f) in [
            (UnaryOperation::Abs, f64::abs as fn(f64) -> f64),
            (UnaryOperation::Neg, |x| -x),
            (UnaryOperation::Sign, |x| {
                if x == 0.0 { 0.0 } else { x.signum() }
            }),
            (UnaryOperation::Floor, |x| x),
        ] {
            let name = format!("{operation:?} {dtype}");
            cases.push(Case::typed(
                name,
                Layer::Unary { operation },
                dtype,
                &[&n],
                dtype,
                n.map(f),
            ));
        }
    }
    cases
}

fn elementwise() -> Vec<Case> {
    let truth = |yes: bool| f64::from(u8::from(yes));
    let table: [Operation; 8] = [
        (ElementWiseOperation::Sum, |a, b| a + b),
        (ElementWiseOperation::Prod, |a, b| a * b),
        (ElementWiseOperation::Max, f64::max),
        (ElementWiseOperation::Min, f64::min),
        (ElementWiseOperation::Sub, |a, b| a - b),
        (ElementWiseOperation::Div, |a, b| a / b),
        (ElementWiseOperation::FloorDiv, |a, b| (a / b).floor()),
        (ElementWiseOperation::Pow, |a, b| a.abs().powf(b)),
    ];
    let mut cases = Vec::new();
    for (shape_a, shape_b) in [
        ([2, 3, 4], [2, 3, 4]),
        ([2, 3, 4], [1, 3, 1]),
        ([2, 1, 4], [1, 3, 1]),
    ] {
        let (a, b) = (
            noise(&shape_a, 5).map(|x| x * 3.0),
            noise(&shape_b, 6).map(|x| x * 2.0),
        );
        for (operation, f) in table {
            let a = if operation == ElementWiseOperation::Pow {
                a.map(f64::abs)
            } else {
                a.clone()
            };
            let expected = broadcast(&a, &b, f);
            let name = format!("{operation:?} {shape_a:?} {shape_b:?}");
            cases.push(Case::float(
                name,
                Layer::ElementWise { operation },
                &[&a, &b],
                expected,
            ));
        }
    }
    let (a, b) = (whole(&[4, 5], 7, 0, 2), whole(&[1, 5], 8, 0, 2));
    for dtype in [
        DType::F32,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::F16,
        DType::BF16,
    ] {
        for (operation, f) in [
            (
                ElementWiseOperation::Equal,
                (|a, b| a == b) as fn(f64, f64) -> bool,
            ),
            (ElementWiseOperation::Greater, |a, b| a > b),
            (ElementWiseOperation::Less, |a, b| a < b),
        ] {
            let expected = broadcast(&a, &b, |a, b| truth(f(a, b)));
            let (name, layer) = (
                format!("{operation:?} {dtype}"),
                Layer::ElementWise { operation },
            );
            cases.push(Case::typed(
                name,
                layer,
                dtype,
                &[&a, &b],
                DType::Bool,
                expected,
            ));
        }
    }
    let (a, b) = (a.map(|x| x.min(1.0)), b.map(|x| x.min(1.0)));
    for (operation, f) in [
        (
            ElementWiseOperation::And,
            (|a, b| a && b) as fn(bool, bool) -> bool,
        ),
        (ElementWiseOperation::Or, |a, b| a || b),
        (ElementWiseOperation::Equal, |a, b| a == b),
    ] {
        let expected = broadcast(&a, &b, |a, b| truth(f(a != 0.0, b != 0.0)));
        let (name, layer) = (
            format!("{operation:?} bool"),
            Layer::ElementWise { operation },
        );
        cases.push(Case::typed(
            name,
            layer,
            DType::Bool,
            &[&a, &b],
            DType::Bool,
            expected,
        ));
    }
    cases
}

fn integers() -> Vec<Case> {
    let (a, b) = (whole(&[8, 9], 9, -11, 11), whole(&[8, 9], 10, 1, 4));
    let b = broadcast(&b, &whole(&[8, 9], 11, 0, 1), |b, sign| {
        if sign == 0.0 { b } else { -b }
    });
    let table: [Operation; 7] = [
        (ElementWiseOperation::Sum, |a, b| a + b),
        (ElementWiseOperation::Prod, |a, b| a * b),
        (ElementWiseOperation::Max, f64::max),
        (ElementWiseOperation::Min, f64::min),
        (ElementWiseOperation::Sub, |a, b| a - b),
        (ElementWiseOperation::Div, |a, b| (a / b).trunc()),
        (ElementWiseOperation::FloorDiv, |a, b| (a / b).floor()),
    ];
    let mut cases = Vec::new();
    for dtype in [
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::U32,
    ] {
        let unsigned = matches!(dtype, DType::U8 | DType::U32);
        let (a, b) = if unsigned {
            (a.map(|x| x.abs() + 4.0), b.map(f64::abs))
        } else {
            (a.clone(), b.clone())
        };
        for (operation, f) in table {
            let (name, layer) = (
                format!("{operation:?} {dtype}"),
                Layer::ElementWise { operation },
            );
            cases.push(Case::typed(
                name,
                layer,
                dtype,
                &[&a, &b],
                dtype,
                broadcast(&a, &b, f),
            ));
        }
    }
    let edge = f64::from(i32::MIN);
    let (a, b) = (
        Array::new(&[4], &[edge, edge, 7.0, edge]),
        Array::new(&[4], &[2.0, 3.0, 0.0, -3.0]),
    );
    let div = Layer::ElementWise {
        operation: ElementWiseOperation::Div,
    };
    let floor_div = Layer::ElementWise {
        operation: ElementWiseOperation::FloorDiv,
    };
    let by = |b: f64| if b == 0.0 { 1.0 } else { b };
    let (truncated, floored) = (
        broadcast(&a, &b, |a, b| (a / by(b)).trunc()),
        broadcast(&a, &b, |a, b| (a / by(b)).floor()),
    );
    cases.push(Case::typed(
        "Div edges",
        div,
        DType::I32,
        &[&a, &b],
        DType::I32,
        truncated,
    ));
    cases.push(Case::typed(
        "FloorDiv edges",
        floor_div,
        DType::I32,
        &[&a, &b],
        DType::I32,
        floored,
    ));
    cases
}
