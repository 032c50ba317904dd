//! The table of cases, one layer each: what goes in, and what its definition says comes out. Sizes
//! that a layer takes as a shape tensor are made by layers before it.

use tfjet_core::{
    DType, Dim, Layer, LayerSpec, NetworkSpec, NetworkTensor, Shape, Tensor, TensorId,
    WeightsEntry, WeightsId, WeightsTable,
};

use crate::reference::Array;
use crate::{arithmetic, dynamic, images, indexed, matrices, moving};

/// Every case.
pub fn cases() -> Vec<Case> {
    let families = [
        arithmetic::cases,
        dynamic::cases,
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
    /// What the layer takes behind its inputs.
    pub sizes: Vec<Size>,
}

/// What a network works out for itself.
#[derive(Debug, Clone)]
pub enum Size {
    /// Sizes in the network.
    Numbers(Vec<i64>),
    /// A constant.
    Constant(DType, Array),
    /// The shape of a network input.
    Shape(Vec<usize>),
}

impl Case {
    /// Of a layer that takes `sizes` behind its inputs.
    pub fn with_sizes(mut self, sizes: &[Size]) -> Self {
        self.sizes = sizes.to_vec();
        self
    }

    /// What the network is fed.
    pub fn fed(&self) -> Vec<(DType, Array)> {
        let mut fed = self.inputs.clone();
        fed.extend(self.sizes.iter().filter_map(|size| match size {
            Size::Shape(shape) => Some((DType::F32, noise(shape, 3))),
            Size::Constant(..) | Size::Numbers(_) => None,
        }));
        fed
    }

    /// The layer's weights, then the constants that it takes.
    pub fn stored(&self) -> Vec<(DType, Array)> {
        let mut stored = self.weights.clone();
        stored.extend(self.sizes.iter().filter_map(|size| match size {
            Size::Constant(dtype, array) => Some((*dtype, array.clone())),
            Size::Shape(_) | Size::Numbers(_) => None,
        }));
        stored
    }

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
            sizes: Vec::new(),
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

/// A network of one layer, and of those that make its sizes.
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
    let mut spec = NetworkSpec {
        name: "case".into(),
        ..NetworkSpec::default()
    };
    let tensor = |spec: &mut NetworkSpec, tensor: NetworkTensor| {
        spec.tensors.push(tensor);
        TensorId(spec.tensors.len() as u32 - 1)
    };
    for (i, (dtype, array)) in case.fed().iter().enumerate() {
        let id = tensor(&mut spec, wire("in", i, *dtype, array));
        spec.inputs.push(id);
    }
    let mut inputs = spec.inputs[..case.inputs.len()].to_vec();
    let (mut shaped, mut stored) = (case.inputs.len(), case.weights.len());
    for (i, size) in case.sizes.iter().enumerate() {
        let (dtype, shape, layer, from) = match size {
            Size::Constant(dtype, array) => {
                let weights = WeightsId(stored as u32);
                stored += 1;
                let layer = Layer::Constant { weights };
                (*dtype, array.shape.clone(), layer, Vec::new())
            }
            Size::Numbers(values) => {
                let values = values.clone();
                (
                    DType::I64,
                    vec![values.len()],
                    Layer::Numbers { values },
                    Vec::new(),
                )
            }
            Size::Shape(shape) => {
                shaped += 1;
                let from = vec![spec.inputs[shaped - 1]];
                (DType::I64, vec![shape.len()], Layer::Shape, from)
            }
        };
        let made = NetworkTensor {
            name: format!("size{i}"),
            dtype,
            shape: Shape::fixed(&shape),
        };
        let id = tensor(&mut spec, made);
        spec.layers.push(LayerSpec {
            name: format!("size{i}"),
            layer,
            inputs: from,
            outputs: vec![id],
        });
        inputs.push(id);
    }
    for (i, (dtype, array)) in case.expected.iter().enumerate() {
        let mut made = wire("out", i, *dtype, array);
        if let Layer::Shape = case.layer {
            made.shape = Shape::fixed(&array.shape);
        }
        let id = tensor(&mut spec, made);
        spec.outputs.push(id);
    }
    spec.layers.push(LayerSpec {
        name: "node".into(),
        layer: case.layer.clone(),
        inputs,
        outputs: spec.outputs.clone(),
    });
    spec
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
