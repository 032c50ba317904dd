//! The cases that `make_op_goldens.py` made: an op, its attributes and inputs, and TensorFlow's
//! outputs.

use std::collections::BTreeMap;

use serde::Deserialize;
use tfjet_core::{AttrValue, Attrs, DType, Shape, Tensor};

const TABLES: &[&str] = &[
    include_str!("ops/arrays.json"),
    include_str!("ops/convolutions.json"),
    include_str!("ops/elementwise.json"),
    include_str!("ops/fourier.json"),
    include_str!("ops/images.json"),
    include_str!("ops/lists.json"),
    include_str!("ops/numbers.json"),
    include_str!("ops/pictures.json"),
    include_str!("ops/places.json"),
    include_str!("ops/reductions.json"),
    include_str!("ops/volumes.json"),
];

/// Chosen for segments.
const SEGMENTS: &str = include_str!("segments.json");

#[derive(Deserialize)]
struct Table {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) op: String,
    attrs: BTreeMap<String, Attr>,
    inputs: Vec<Stored>,
    outputs: Vec<Stored>,
    pub(crate) tolerance: Option<f64>,
    /// Given where only the first outputs are.
    output_count: Option<usize>,
}

impl Case {
    pub(crate) fn attrs(&self) -> Attrs {
        let attrs = self.attrs.iter();
        Attrs(
            attrs
                .map(|(name, attr)| (name.clone(), attr.value()))
                .collect(),
        )
    }

    pub(crate) fn inputs(&self) -> Vec<Tensor> {
        self.inputs.iter().map(Stored::tensor).collect()
    }

    /// The first outputs.
    pub(crate) fn outputs(&self) -> Vec<Tensor> {
        self.outputs.iter().map(Stored::tensor).collect()
    }

    /// The number of all outputs.
    pub(crate) fn output_count(&self) -> usize {
        self.output_count.unwrap_or(self.outputs.len())
    }
}

/// The cases of `make_op_goldens.py`.
pub(crate) fn cases() -> Vec<Case> {
    TABLES.iter().flat_map(|text| read(text)).collect()
}

/// The cases of `make_segment_goldens.py`, chosen for how segments compute an op.
#[allow(dead_code, reason = "kernels are not tested by them")]
pub(crate) fn segment_cases() -> Vec<Case> {
    read(SEGMENTS)
}

fn read(text: &str) -> Vec<Case> {
    let table: Table = serde_json::from_str(text).expect("a golden file");
    table.cases
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
        DType::C64,
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
