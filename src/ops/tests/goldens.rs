//! Every kernel against TensorFlow, by the tables of `tests/goldens/ops`, and against the same cases
//! with something wrong in them.

#[path = "../../../tests/goldens/cases.rs"]
mod cases;

use std::collections::BTreeSet;

use tfjet_core::{AttrValue, Attrs, DType, Tensor};
use tfjet_ops::{kernel, supported_ops};

use cases::{Case, cases};

/// The elements of a floating-point tensor, complex ones as two.
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
        DType::C64 => {
            let parts = tensor.as_slice::<[f32; 2]>().ok()?.as_flattened();
            Some(parts.iter().map(|&x| x.into()).collect())
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
    let kernel = match kernel(&case.op, &case.attrs()) {
        Ok(kernel) => kernel,
        Err(error) => return Some(error.to_string()),
    };
    let inputs = case.inputs();
    let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
    // Left-overs of a larger tensor show where a kernel does not write its whole output.
    let used = Tensor::from_bytes(DType::U8, &[8192], &[0xA5; 8192]).expect("a byte tensor");
    let mut outputs = vec![used; kernel.output_count()];
    if outputs.len() != case.output_count() {
        return Some(format!(
            "{} outputs, expected {}",
            outputs.len(),
            case.output_count()
        ));
    }
    if let Err(error) = kernel.run(&views, &mut outputs) {
        return Some(error.to_string());
    }
    if let Some(at) = kernel.in_place() {
        let mut inputs = inputs.clone();
        let mut again = outputs.clone();
        std::mem::swap(&mut again[0], &mut inputs[at]);
        inputs[at] = Tensor::default();
        let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
        if let Err(error) = kernel.run_in_place(&views, &mut again) {
            return Some(format!("in place: {error}"));
        }
        if again != outputs {
            return Some("in place the result is another".into());
        }
    }
    outputs
        .iter()
        .zip(case.outputs())
        .enumerate()
        .find_map(|(i, (actual, expected))| {
            let wrong = difference(actual, &expected, case.tolerance)?;
            Some(format!("output {i}: {wrong}"))
        })
}

#[test]
fn kernels_compute_what_tensorflow_computes() {
    let cases = cases();
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| Some(format!("{}: {}", case.name, failure(case)?)))
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} cases differ from TensorFlow:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

#[test]
fn every_op_has_a_case() {
    let cases = cases();
    let covered: BTreeSet<&str> = cases.iter().map(|case| case.op.as_str()).collect();
    // tfjet's own ops are held against the ops that they stand for.
    let missing: Vec<_> = supported_ops()
        .filter(|op| !op.starts_with("Tfjet") && !covered.contains(op))
        .collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}

/// All cases with one thing changed: an input's shape, type or integers, the inputs' number, or an
/// attribute. The result may be right or an error.
#[test]
fn mangled_cases_do_not_panic() {
    let cases = cases();
    let (mut runs, mut panics) = (0, Vec::new());
    for case in &cases {
        let (attrs, inputs) = (case.attrs(), case.inputs());
        let mut attempt = |attrs: &Attrs, inputs: &[Tensor], change: &str| {
            runs += 1;
            let attempt = || {
                let Ok(kernel) = kernel(&case.op, attrs) else {
                    return;
                };
                let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
                let mut outputs = vec![Tensor::default(); kernel.output_count().min(64)];
                let _ = kernel.run(&views, &mut outputs);
                if let Some(value) = kernel.in_place().and_then(|at| inputs.get(at)) {
                    outputs.fill(Tensor::default());
                    if let Some(first) = outputs.first_mut() {
                        first.clone_from(value);
                    }
                    let _ = kernel.run_in_place(&views, &mut outputs);
                }
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
        attempt(
            &attrs,
            &inputs[..inputs.len().saturating_sub(1)],
            "one input less",
        );
        let more = [&inputs[..], &[Tensor::scalar(1i32)]].concat();
        attempt(&attrs, &more, "one input more");
        for (name, value) in &attrs.0 {
            for mangled in mangled_attrs(value) {
                let change = format!("{name} {mangled:?}");
                attempt(&attrs.clone().with(name, mangled), &inputs, &change);
            }
        }
    }
    assert!(runs > 10 * cases.len());
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
        DType::C64,
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

/// Numbers from a linear congruential generator.
struct Noise(u64);

impl Noise {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn tensor(&mut self, dtype: DType) -> Tensor {
        let shape: Vec<usize> = (0..self.below(6)).map(|_| self.below(4)).collect();
        let mut tensor = Tensor::zeros(dtype, &shape).expect("a small tensor");
        let wild = self.below(3) == 0;
        let numbers = [
            -1,
            0,
            1,
            2,
            3,
            5,
            -7,
            i64::from(i32::MIN),
            1 << 40,
            i64::MAX,
        ];
        let mut number = |most: usize| numbers[self.below(if wild { most } else { 6 })];
        match dtype {
            DType::I32 => {
                let values = tensor.as_mut_slice::<i32>().expect("int32");
                values.fill_with(|| number(8) as i32);
            }
            DType::I64 => {
                let values = tensor.as_mut_slice::<i64>().expect("int64");
                values.fill_with(|| number(10));
            }
            DType::F32 => {
                let values = tensor.as_mut_slice::<f32>().expect("float32");
                values.fill_with(|| match number(10) {
                    i64::MAX => f32::NAN,
                    value => value as f32 / 2.0,
                });
            }
            _ => {
                for byte in tensor.bytes_mut() {
                    *byte = self.below(2) as u8;
                }
            }
        }
        tensor
    }
}

/// The attributes of a case with other inputs, of random types, shapes and values.
#[test]
fn random_inputs_do_not_panic() {
    let mut noise = Noise(1);
    let (mut results, mut panics) = (BTreeSet::new(), Vec::new());
    let types = [
        DType::F32,
        DType::I32,
        DType::I64,
        DType::Bool,
        DType::U8,
        DType::F16,
        DType::C64,
    ];
    let cases = cases();
    for case in &cases {
        let (attrs, own) = (case.attrs(), case.inputs());
        let Ok(kernel) = kernel(&case.op, &attrs) else {
            panic!("{} has no kernel", case.name);
        };
        for round in 0..40 {
            let inputs: Vec<Tensor> = own
                .iter()
                .map(|own| match noise.below(4) {
                    0 => own.clone(),
                    1 => {
                        let dtype = types[noise.below(types.len())];
                        noise.tensor(dtype)
                    }
                    _ => noise.tensor(own.dtype()),
                })
                .collect();
            let attempt = || {
                let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
                let mut outputs = vec![Tensor::default(); kernel.output_count()];
                kernel.run(&views, &mut outputs).is_ok()
            };
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(attempt)) {
                Ok(true) => {
                    results.insert(&case.op);
                }
                Ok(false) => {}
                Err(_) => panics.push(format!("{} in round {round}: {inputs:?}", case.name)),
            }
        }
    }
    assert!(
        panics.is_empty(),
        "{} panics:\n{}",
        panics.len(),
        panics.join("\n")
    );
    assert!(results.len() > 100, "{} ops computed", results.len());
}
