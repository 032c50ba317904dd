use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{DType, Shape, Tensor};

/// Value of an op's attribute, after TensorFlow's
/// [`AttrValue`](https://www.tensorflow.org/api_docs/python/tf/compat/v1/AttrValue).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum AttrValue {
    /// `i`
    Int(i64),
    /// `f`
    Float(f32),
    /// `b`
    Bool(bool),
    /// `s`, mostly text
    Str(Vec<u8>),
    /// `type`; `None` for a type that no tensor of ours can hold (string, resource, ...)
    Type(Option<DType>),
    /// `shape`; `None` for unknown rank, an unknown dim is a symbol
    Shape(Option<Shape>),
    /// `tensor`
    Tensor(Tensor),
    /// `tensor` of strings: shape and elements in row-major order
    StringTensor(Vec<usize>, Vec<Vec<u8>>),
    /// `func`: the function's name
    Func(String),
    /// `placeholder`
    Placeholder(String),
    /// `list(i)`, and the empty list of any kind
    Ints(Vec<i64>),
    /// `list(f)`
    Floats(Vec<f32>),
    /// `list(b)`
    Bools(Vec<bool>),
    /// `list(s)`
    Strs(Vec<Vec<u8>>),
    /// `list(type)`
    Types(Vec<Option<DType>>),
    /// `list(shape)`
    Shapes(Vec<Option<Shape>>),
    /// `list(tensor)`
    Tensors(Vec<Tensor>),
    /// `list(func)`
    Funcs(Vec<String>),
}

/// Attributes of one op, by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Attrs(pub BTreeMap<String, AttrValue>);

impl Attrs {
    /// The value of attribute `name`.
    pub fn get(&self, name: &str) -> Option<&AttrValue> {
        self.0.get(name)
    }

    /// Sets attribute `name`.
    pub fn insert(&mut self, name: impl Into<String>, value: AttrValue) {
        self.0.insert(name.into(), value);
    }

    /// A builder-style [`Attrs::insert`].
    pub fn with(mut self, name: impl Into<String>, value: AttrValue) -> Self {
        self.insert(name, value);
        self
    }
}

/// What is wrong with an attribute. The caller adds node and op.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttrError {
    /// A required attribute is absent.
    #[error("attribute `{0}` is missing")]
    Missing(String),
    /// The attribute has a value of another kind.
    #[error("attribute `{name}` is not {expected}")]
    Kind {
        /// Attribute.
        name: String,
        /// Kind that the op defines.
        expected: &'static str,
    },
    /// The attribute's value is outside what the op defines.
    #[error("attribute `{name}` is {value}, expected {expected}")]
    Value {
        /// Attribute.
        name: String,
        /// Value found.
        value: String,
        /// What the op defines.
        expected: &'static str,
    },
    /// An attribute that the code for this op does not know.
    #[error("attribute `{0}` is not known for this op")]
    Unread(String),
}

/// Reads attributes and remembers which ones were read, so that none is silently ignored.
#[derive(Debug)]
pub struct AttrReader<'a> {
    attrs: &'a Attrs,
    read: RefCell<BTreeSet<&'a str>>,
}

/// Attributes without effect on an op's result: device placement, type constraints that the
/// tensors already carry, and hints.
const NEUTRAL: &[&str] = &[
    "T",
    "Tidx",
    "Tperm",
    "Tshape",
    "Tpaddings",
    "Tdim",
    "Tindices",
    "Tparams",
    "Taxis",
    "Tlen",
    "Tmultiples",
    "Tblock_shape",
    "Tcrops",
    "Index",
    "U",
    "TI",
    "SrcT",
    "DstT",
    "Truncate",
    "use_cudnn_on_gpu",
    "validate_indices",
    "validate_shape",
    "dtype",
    "shape",
    "T_threshold",
    "index_type",
    "num_args",
    "Tcond",
    "grad_x",
    "grad_y",
    "TArgs",
    "host_args",
    "parallel_iterations",
];

impl<'a> AttrReader<'a> {
    /// Starts with nothing read.
    pub fn new(attrs: &'a Attrs) -> Self {
        Self {
            attrs,
            read: RefCell::default(),
        }
    }

    /// The raw value, marked as read.
    pub fn get(&self, name: &str) -> Option<&'a AttrValue> {
        let (key, value) = self.attrs.0.get_key_value(name)?;
        self.read.borrow_mut().insert(key);
        Some(value)
    }

    /// `i`, or `default` where absent.
    pub fn int_or(&self, name: &str, default: i64) -> Result<i64, AttrError> {
        match self.get(name) {
            None => Ok(default),
            Some(AttrValue::Int(value)) => Ok(*value),
            Some(_) => Err(kind(name, "an integer")),
        }
    }

    /// `i`.
    pub fn int(&self, name: &str) -> Result<i64, AttrError> {
        match self.get(name) {
            None => Err(AttrError::Missing(name.into())),
            Some(AttrValue::Int(value)) => Ok(*value),
            Some(_) => Err(kind(name, "an integer")),
        }
    }

    /// `f`, or `default` where absent.
    pub fn float_or(&self, name: &str, default: f32) -> Result<f32, AttrError> {
        match self.get(name) {
            None => Ok(default),
            Some(AttrValue::Float(value)) => Ok(*value),
            Some(_) => Err(kind(name, "a float")),
        }
    }

    /// `b`, or `default` where absent.
    pub fn bool_or(&self, name: &str, default: bool) -> Result<bool, AttrError> {
        match self.get(name) {
            None => Ok(default),
            Some(AttrValue::Bool(value)) => Ok(*value),
            Some(_) => Err(kind(name, "a boolean")),
        }
    }

    /// `s` as text, or `default` where absent.
    pub fn str_or(&self, name: &str, default: &'a str) -> Result<&'a str, AttrError> {
        match self.get(name) {
            None => Ok(default),
            Some(AttrValue::Str(value)) => {
                std::str::from_utf8(value).map_err(|_| kind(name, "text"))
            }
            Some(_) => Err(kind(name, "text")),
        }
    }

    /// `type`.
    pub fn dtype(&self, name: &str) -> Result<DType, AttrError> {
        match self.get(name) {
            None => Err(AttrError::Missing(name.into())),
            Some(AttrValue::Type(Some(value))) => Ok(*value),
            Some(_) => Err(kind(name, "a type that a tensor can hold")),
        }
    }

    /// `type`, or `default` where absent.
    pub fn dtype_or(&self, name: &str, default: DType) -> Result<DType, AttrError> {
        if self.attrs.get(name).is_none() {
            return Ok(default);
        }
        self.dtype(name)
    }

    /// `list(i)`; empty where absent.
    pub fn ints(&self, name: &str) -> Result<&'a [i64], AttrError> {
        match self.get(name) {
            None => Ok(&[]),
            Some(AttrValue::Ints(values)) => Ok(values),
            Some(_) => Err(kind(name, "a list of integers")),
        }
    }

    /// `list(s)` as text; empty where absent.
    pub fn strs(&self, name: &str) -> Result<Vec<&'a str>, AttrError> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(AttrValue::Ints(values)) if values.is_empty() => Ok(Vec::new()),
            Some(AttrValue::Strs(values)) => values
                .iter()
                .map(|value| std::str::from_utf8(value).map_err(|_| kind(name, "a list of text")))
                .collect(),
            Some(_) => Err(kind(name, "a list of text")),
        }
    }

    /// Marks attributes as read although nothing depends on them.
    pub fn ignore(&self, names: &[&str]) {
        for name in names {
            self.get(name);
        }
    }

    /// An error where an attribute with a meaning was not read. Names that start with `_` and
    /// the attributes that only restate the tensors' types are no such attributes.
    pub fn finish(self) -> Result<(), AttrError> {
        let read = self.read.into_inner();
        let unread = self.attrs.0.keys().find(|name| {
            !name.starts_with('_')
                && !NEUTRAL.contains(&name.as_str())
                && !read.contains(name.as_str())
        });
        match unread {
            Some(name) => Err(AttrError::Unread(name.clone())),
            None => Ok(()),
        }
    }
}

fn kind(name: &str, expected: &'static str) -> AttrError {
    AttrError::Kind {
        name: name.into(),
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unread_attributes_are_named() {
        let attrs = Attrs::default()
            .with("T", AttrValue::Type(Some(DType::F32)))
            .with("_class", AttrValue::Strs(vec![]))
            .with("strides", AttrValue::Ints(vec![1, 1]))
            .with("dilations", AttrValue::Ints(vec![2, 2]));
        let reader = AttrReader::new(&attrs);
        assert_eq!(reader.ints("strides").unwrap(), [1, 1]);
        assert_eq!(reader.finish(), Err(AttrError::Unread("dilations".into())));
    }

    #[test]
    fn kinds_are_checked() {
        let attrs = Attrs::default().with("N", AttrValue::Bool(true));
        let reader = AttrReader::new(&attrs);
        assert_eq!(reader.int("N"), Err(kind("N", "an integer")));
        assert_eq!(reader.int("M"), Err(AttrError::Missing("M".into())));
    }
}
