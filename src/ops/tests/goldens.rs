//! Every kernel against TensorFlow, by the cases of `tests/goldens/make_op_goldens.py`, and against
//! the same cases with something wrong in them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use tfjet_core::{AttrValue, Attrs, DType, Shape, Tensor};
use tfjet_ops::{kernel, supported_ops};

const GOLDENS: &str = include_str!("../../../tests/goldens/op_goldens.json");

#[derive(Deserialize)]
struct Goldens {
    tensorflow: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    op: String,
    attrs: BTreeMap<String, Attr>,
    inputs: Vec<Stored>,
    outputs: Vec<Stored>,
    tolerance: Option<f64>,
    /// Given where only the first outputs are.
    output_count: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Attr {
    I(i64),
    F(f32),
    B(bool),
    S(String),
    Type(String),
    Shape(Vec<usize>),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Strs(Vec<String>),
    Types(Vec<String>),
}

#[derive(Deserialize)]
struct Stored {
    dtype: String,
    shape: Vec<usize>,
    data: String,
}

fn goldens() -> Goldens {
    serde_json::from_str(GOLDENS).expect("the golden file parses")
}

fn dtype(name: &str) -> DType {
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
    let found = all.into_iter().find(|dtype| dtype.name() == name);
    found.unwrap_or_else(|| panic!("unknown type {name}"))
}

impl Attr {
    fn value(&self) -> AttrValue {
        match self {
            Self::I(value) => AttrValue::Int(*value),
            Self::F(value) => AttrValue::Float(*value),
            Self::B(value) => AttrValue::Bool(*value),
            Self::S(value) => AttrValue::Str(value.clone().into_bytes()),
            Self::Type(name) => AttrValue::Type(Some(dtype(name))),
            Self::Shape(dims) => AttrValue::Shape(Some(Shape::fixed(dims))),
            Self::Ints(values) => AttrValue::Ints(values.clone()),
            Self::Floats(values) => AttrValue::Floats(values.clone()),
            Self::Strs(values) => {
                AttrValue::Strs(values.iter().map(|v| v.clone().into_bytes()).collect())
            }
            Self::Types(names) => AttrValue::Types(names.iter().map(|n| Some(dtype(n))).collect()),
        }
    }
}

impl Stored {
    fn tensor(&self) -> Tensor {
        let bytes: Vec<u8> = (0..self.data.len() / 2)
            .map(|i| u8::from_str_radix(&self.data[2 * i..2 * i + 2], 16).expect("hexadecimal"))
            .collect();
        Tensor::from_bytes(dtype(&self.dtype), &self.shape, &bytes).expect("data fills the shape")
    }
}

/// The elements of a floating-point tensor.
fn floats(tensor: &Tensor) -> Option<Vec<f64>> {
    match tensor.dtype() {
        DType::F64 => Some(tensor.as_slice::<f64>().ok()?.to_vec()),
        DType::F32 => Some(
            tensor
                .as_slice::<f32>()
                .ok()?
                .iter()
                .map(|&x| x.into())
                .collect(),
        ),
        DType::F16 => {
            let values = tensor.as_slice::<half::f16>().ok()?;
            Some(values.iter().map(|&x| x.into()).collect())
        }
        _ => None,
    }
}

/// What is wrong with `actual`, if anything.
fn difference(actual: &Tensor, expected: &Tensor, tolerance: Option<f64>) -> Option<String> {
    if (actual.dtype(), actual.shape()) != (expected.dtype(), expected.shape()) {
        return Some(format!(
            "{} {:?}, expected {} {:?}",
            actual.dtype(),
            actual.shape(),
            expected.dtype(),
            expected.shape()
        ));
    }
    let (Some(actual_values), Some(expected_values)) = (floats(actual), floats(expected)) else {
        return (actual.bytes() != expected.bytes())
            .then(|| format!("{:?}, expected {:?}", actual.bytes(), expected.bytes()));
    };
    let relative = tolerance.unwrap_or(match expected.dtype() {
        DType::F16 => 4e-3,
        DType::F64 => 1e-12,
        _ => 1e-6,
    });
    let largest = expected_values
        .iter()
        .filter(|value| value.is_finite())
        .fold(0.0f64, |largest, value| largest.max(value.abs()));
    // A sum's error is relative to its terms, which only a case with a tolerance of its own has.
    let floor = if tolerance.is_some() { largest } else { 0.0 };
    let wrong = actual_values
        .iter()
        .zip(&expected_values)
        .position(|(&a, &e)| {
            let equal = a == e || (a.is_nan() && e.is_nan());
            let near = (a - e).abs() <= relative * e.abs().max(floor);
            !(equal || near || (a - e).abs() < f64::from(f32::MIN_POSITIVE))
        })?;
    Some(format!(
        "element {wrong} is {:e}, expected {:e}",
        actual_values[wrong], expected_values[wrong]
    ))
}

fn failure(case: &Case) -> Option<String> {
    let mut attrs = Attrs::default();
    for (name, attr) in &case.attrs {
        attrs.insert(name, attr.value());
    }
    let kernel = match kernel(&case.op, &attrs) {
        Ok(kernel) => kernel,
        Err(error) => return Some(error.to_string()),
    };
    let inputs: Vec<Tensor> = case.inputs.iter().map(Stored::tensor).collect();
    let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
    // Left-overs of a larger tensor show where a kernel does not write its whole output.
    let used = Tensor::from_bytes(DType::U8, &[8192], &[0xA5; 8192]).expect("a byte tensor");
    let mut outputs = vec![used; kernel.output_count()];
    let output_count = case.output_count.unwrap_or(case.outputs.len());
    if outputs.len() != output_count {
        return Some(format!(
            "{} outputs, expected {output_count}",
            outputs.len()
        ));
    }
    if let Err(error) = kernel.run(&views, &mut outputs) {
        return Some(error.to_string());
    }
    let expected = case.outputs.iter().map(Stored::tensor);
    outputs
        .iter()
        .zip(expected)
        .enumerate()
        .find_map(|(i, (actual, expected))| {
            let wrong = difference(actual, &expected, case.tolerance)?;
            Some(format!("output {i}: {wrong}"))
        })
}

#[test]
fn kernels_compute_what_tensorflow_computes() {
    let goldens = goldens();
    let failures: Vec<String> = goldens
        .cases
        .iter()
        .filter_map(|case| Some(format!("{}: {}", case.name, failure(case)?)))
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} cases differ from TensorFlow {}:\n{}",
        failures.len(),
        goldens.cases.len(),
        goldens.tensorflow,
        failures.join("\n")
    );
}

#[test]
fn every_op_has_a_case() {
    let goldens = goldens();
    let covered: BTreeSet<&str> = goldens.cases.iter().map(|case| case.op.as_str()).collect();
    let missing: Vec<_> = supported_ops().filter(|op| !covered.contains(op)).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}

/// All cases with one thing changed: an input's shape, type or integers, the inputs' number, or an
/// attribute. The result may be right or an error.
#[test]
fn mangled_cases_do_not_panic() {
    let goldens = goldens();
    let (mut runs, mut panics) = (0, Vec::new());
    for case in &goldens.cases {
        let mut attrs = Attrs::default();
        for (name, attr) in &case.attrs {
            attrs.insert(name, attr.value());
        }
        let inputs: Vec<Tensor> = case.inputs.iter().map(Stored::tensor).collect();
        let mut attempt = |attrs: &Attrs, inputs: &[Tensor], change: &str| {
            runs += 1;
            let attempt = || {
                let Ok(kernel) = kernel(&case.op, attrs) else {
                    return;
                };
                let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
                let mut outputs = vec![Tensor::default(); kernel.output_count().min(64)];
                let _ = kernel.run(&views, &mut outputs);
            };
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(attempt)).is_err() {
                panics.push(format!("{} with {change}", case.name));
            }
        };
        for i in 0..inputs.len() {
            for (change, tensor) in mangled_inputs(&inputs[i]) {
                let mut inputs = inputs.clone();
                inputs[i] = tensor;
                attempt(&attrs, &inputs, &format!("input {i} {change}"));
            }
        }
        attempt(&attrs, &inputs[..inputs.len() - 1], "one input less");
        attempt(
            &attrs,
            &[&inputs[..], &inputs[..1]].concat(),
            "one input more",
        );
        for (name, value) in &attrs.0 {
            for mangled in mangled_attrs(value) {
                let change = format!("{name} {mangled:?}");
                attempt(&attrs.clone().with(name, mangled), &inputs, &change);
            }
        }
    }
    assert!(runs > 10 * goldens.cases.len());
    assert!(
        panics.is_empty(),
        "{} panics:\n{}",
        panics.len(),
        panics.join("\n")
    );
}

const EXTREMES: [i64; 9] = [
    -1,
    0,
    1,
    3,
    1 << 33,
    i32::MAX as i64,
    i32::MIN as i64,
    i64::MAX,
    i64::MIN,
];

fn mangled_inputs(tensor: &Tensor) -> Vec<(String, Tensor)> {
    let mut mangled = Vec::new();
    let dtypes = [
        DType::F32,
        DType::F64,
        DType::F16,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::Bool,
    ];
    for dtype in dtypes.into_iter().filter(|&dtype| dtype != tensor.dtype()) {
        let other = Tensor::zeros(dtype, tensor.shape()).expect("a small tensor");
        mangled.push((format!("of {dtype}"), other));
    }
    let shape = tensor.shape();
    let mut shapes = vec![
        vec![],
        vec![0],
        vec![1],
        vec![1; 24],
        vec![0, usize::MAX, usize::MAX],
    ];
    for dim in 0..shape.len() {
        for size in [0, 1, shape[dim] + 1] {
            let mut shape = shape.to_vec();
            shape[dim] = size;
            shapes.push(shape);
        }
        let mut shape = shape.to_vec();
        shape[0] = 0;
        shape[dim] = if dim == 0 { 0 } else { usize::MAX };
        shapes.push(shape);
    }
    shapes.push([shape, &[1]].concat());
    shapes.push([&[1], shape].concat());
    for shape in shapes {
        let other = Tensor::zeros(tensor.dtype(), &shape).expect("a small tensor");
        mangled.push((format!("of shape {shape:?}"), other));
    }
    for position in 0..tensor.elements().min(6) {
        for extreme in EXTREMES {
            let mut other = tensor.clone();
            match tensor.dtype() {
                DType::I32 => {
                    let Ok(extreme) = i32::try_from(extreme) else {
                        continue;
                    };
                    other.as_mut_slice::<i32>().expect("int32")[position] = extreme;
                }
                DType::I64 => other.as_mut_slice::<i64>().expect("int64")[position] = extreme,
                _ => continue,
            }
            mangled.push((format!("with {extreme} at {position}"), other));
        }
    }
    if tensor.dtype() == DType::F32 {
        for value in [f32::NAN, f32::INFINITY, -1.0, 1e38] {
            let mut other = tensor.clone();
            other.as_mut_slice::<f32>().expect("float32").fill(value);
            mangled.push((format!("all {value}"), other));
        }
    }
    mangled
}

fn mangled_attrs(value: &AttrValue) -> Vec<AttrValue> {
    let mut mangled = vec![AttrValue::Placeholder("x".into())];
    match value {
        AttrValue::Int(_) => mangled.extend(EXTREMES.map(AttrValue::Int)),
        AttrValue::Float(_) => {
            mangled.extend([f32::NAN, f32::INFINITY, -1.0, 0.0].map(AttrValue::Float));
        }
        AttrValue::Bool(flag) => mangled.push(AttrValue::Bool(!flag)),
        AttrValue::Str(_) => {
            for text in ["", "NCHW", "EXPLICIT", "VALID", "NCHWD"] {
                mangled.push(AttrValue::Str(text.into()));
            }
            mangled.push(AttrValue::Str(vec![0xFF]));
        }
        AttrValue::Type(_) => {
            for dtype in [DType::F32, DType::I64, DType::I16, DType::Bool] {
                mangled.push(AttrValue::Type(Some(dtype)));
            }
        }
        AttrValue::Ints(values) => {
            mangled.push(AttrValue::Ints([&values[..], &[1]].concat()));
            mangled.push(AttrValue::Ints(vec![3; 8]));
            for i in 0..values.len() {
                for extreme in EXTREMES {
                    let mut values = values.clone();
                    values[i] = extreme;
                    mangled.push(AttrValue::Ints(values));
                }
            }
        }
        _ => {}
    }
    mangled
}
