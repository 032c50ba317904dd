//! The table of cases, one layer each: what goes in, and what its definition says comes out.

use tfjet_core::{
    DType, Dim, Layer, LayerSpec, NetworkSpec, NetworkTensor, Shape, Tensor, TensorId,
    WeightsEntry, WeightsTable,
};

use crate::reference::Array;
use crate::{arithmetic, images, indexed, matrices, moving};

/// Every case.
pub fn cases() -> Vec<Case> {
    let families = [
        arithmetic::cases,
        images::cases,
        indexed::cases,
        matrices::cases,
        moving::cases,
    ];
    families.iter().flat_map(|cases| cases()).collect()
}

#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    pub layer: Layer,
    pub inputs: Vec<(DType, Array)>,
    pub weights: Vec<(DType, Array)>,
    pub expected: Vec<(DType, Array)>,
}

impl Case {
    /// A case of float tensors.
    pub fn float(
        name: impl Into<String>,
        layer: Layer,
        inputs: &[&Array],
        expected: Array,
    ) -> Self {
        Self::typed(name, layer, DType::F32, inputs, DType::F32, expected)
    }

    pub fn typed(
        name: impl Into<String>,
        layer: Layer,
        from: DType,
        inputs: &[&Array],
        to: DType,
        expected: Array,
    ) -> Self {
        Self {
            name: name.into(),
            layer,
            inputs: inputs.iter().map(|&array| (from, array.clone())).collect(),
            weights: Vec::new(),
            expected: vec![(to, expected)],
        }
    }

    pub fn with_weights(mut self, weights: &[&Array]) -> Self {
        self.weights = weights
            .iter()
            .map(|&array| (DType::F32, array.clone()))
            .collect();
        self
    }
}

/// Which sizes the network knows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Dims {
    Fixed,
    /// None, but those of one axis.
    Symbolic(Option<usize>),
}

/// Numbers between -1 and 1, and none near 0.
pub fn noise(shape: &[usize], seed: u32) -> Array {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
    Array::build(shape, |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let value = f64::from(state >> 16) / 32768.0 - 1.0;
        f64::from((value + 0.02 * value.signum()) as f32)
    })
}

/// Whole numbers from `low` to `high`.
pub fn whole(shape: &[usize], seed: u32, low: i32, high: i32) -> Array {
    let span = f64::from(high - low + 1);
    noise(shape, seed).map(|x| {
        let x = ((x / 1.02 + 1.0) / 2.0 * span).floor();
        (f64::from(low) + x).clamp(low.into(), high.into())
    })
}

pub fn tensor(dtype: DType, array: &Array) -> Tensor {
    macro_rules! make {
        ($rust:ty) => {{
            let values: Vec<$rust> = array.data.iter().map(|&x| x as $rust).collect();
            Tensor::from_slice(&array.shape, &values).unwrap()
        }};
    }
    match dtype {
        DType::F32 => make!(f32),
        DType::F64 => make!(f64),
        DType::I8 => make!(i8),
        DType::I16 => make!(i16),
        DType::I32 => make!(i32),
        DType::I64 => make!(i64),
        DType::U8 => make!(u8),
        DType::U16 => make!(u16),
        DType::U32 => make!(u32),
        DType::U64 => make!(u64),
        DType::Bool => {
            let values: Vec<bool> = array.data.iter().map(|&x| x != 0.0).collect();
            Tensor::from_bools(&array.shape, &values).unwrap()
        }
        DType::F16 => {
            let values: Vec<_> = array.data.iter().map(|&x| half::f16::from_f64(x)).collect();
            Tensor::from_slice(&array.shape, &values).unwrap()
        }
        DType::BF16 => {
            let values: Vec<_> = array
                .data
                .iter()
                .map(|&x| half::bf16::from_f64(x))
                .collect();
            Tensor::from_slice(&array.shape, &values).unwrap()
        }
        other => panic!("{other}"),
    }
}

pub fn values(tensor: &Tensor) -> Vec<f64> {
    macro_rules! read {
        ($rust:ty) => {
            tensor
                .as_slice::<$rust>()
                .unwrap()
                .iter()
                .map(|&x| x as f64)
                .collect()
        };
    }
    match tensor.dtype() {
        DType::F32 => read!(f32),
        DType::F64 => read!(f64),
        DType::I8 => read!(i8),
        DType::I16 => read!(i16),
        DType::I32 => read!(i32),
        DType::I64 => read!(i64),
        DType::U8 => read!(u8),
        DType::U16 => read!(u16),
        DType::U32 => read!(u32),
        DType::U64 => read!(u64),
        DType::Bool => tensor.bytes().iter().map(|&x| f64::from(x)).collect(),
        DType::F16 => tensor
            .as_slice::<half::f16>()
            .unwrap()
            .iter()
            .map(|x| x.to_f64())
            .collect(),
        DType::BF16 => tensor
            .as_slice::<half::bf16>()
            .unwrap()
            .iter()
            .map(|x| x.to_f64())
            .collect(),
        other => panic!("{other}"),
    }
}

/// A weights section and its table.
pub fn weights(arrays: &[(DType, Array)]) -> (WeightsTable, Vec<u8>) {
    let mut table = WeightsTable::default();
    let mut blob = Vec::new();
    for (dtype, array) in arrays {
        blob.resize(blob.len().next_multiple_of(64), 0);
        let tensor = tensor(*dtype, array);
        table.entries.push(WeightsEntry {
            dtype: *dtype,
            shape: array.shape.clone(),
            offset: blob.len() as u64,
            len_bytes: tensor.bytes().len() as u64,
        });
        blob.extend_from_slice(tensor.bytes());
    }
    (table, blob)
}

/// A network of one layer.
pub fn spec(case: &Case, dims: Dims) -> NetworkSpec {
    let wire = |kind: &str, i: usize, dtype: DType, array: &Array| NetworkTensor {
        name: format!("{kind}{i}"),
        dtype,
        shape: Shape(
            array
                .shape
                .iter()
                .enumerate()
                .map(|(axis, &size)| match dims {
                    Dims::Fixed => Dim::Fixed(size),
                    Dims::Symbolic(known) if known != Some(axis) => {
                        Dim::Symbolic(format!("{kind}{i}_{axis}"))
                    }
                    Dims::Symbolic(_) => Dim::Fixed(size),
                })
                .collect(),
        ),
    };
    let inputs = case
        .inputs
        .iter()
        .enumerate()
        .map(|(i, (d, a))| wire("in", i, *d, a));
    let outputs = case
        .expected
        .iter()
        .enumerate()
        .map(|(i, (d, a))| wire("out", i, *d, a));
    let (first, count) = (
        case.inputs.len() as u32,
        (case.inputs.len() + case.expected.len()) as u32,
    );
    NetworkSpec {
        name: "case".into(),
        tensors: inputs.chain(outputs).collect(),
        inputs: (0..first).map(TensorId).collect(),
        outputs: (first..count).map(TensorId).collect(),
        layers: vec![LayerSpec {
            name: "node".into(),
            layer: case.layer.clone(),
            inputs: (0..first).map(TensorId).collect(),
            outputs: (first..count).map(TensorId).collect(),
        }],
    }
}

/// Compares a result; each element may differ by `tolerance` times (1 + 4 times its magnitude).
pub fn compare(
    actual: &Tensor,
    dtype: DType,
    expected: &Array,
    tolerance: f64,
) -> Result<(), String> {
    if actual.dtype() != dtype || actual.shape() != expected.shape {
        return Err(format!(
            "{} {:?} instead of {dtype} {:?}",
            actual.dtype(),
            actual.shape(),
            expected.shape
        ));
    }
    for (i, (a, e)) in values(actual).iter().zip(&expected.data).enumerate() {
        if (a - e).abs() > tolerance * (1.0 + 4.0 * e.abs()) || a.is_nan() != e.is_nan() {
            return Err(format!("element {i} is {a}, not {e}"));
        }
    }
    Ok(())
}
