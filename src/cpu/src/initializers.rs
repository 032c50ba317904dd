//! Finds the initializers of a model whose data lies outside it, by walking the few protobuf fields
//! that lead there.

use std::ffi::CString;
use std::ops::Range;

use tfjet_core::DType;

use crate::CpuError;

/// An initializer with external data.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Initializer {
    pub(crate) name: CString,
    pub(crate) dtype: DType,
    pub(crate) dims: Vec<i64>,
    /// Where its bytes lie in the weights.
    pub(crate) bytes: Range<usize>,
}

const MODEL_GRAPH: u64 = 7;
const GRAPH_INITIALIZER: u64 = 5;
const TENSOR_DIMS: u64 = 1;
const TENSOR_DATA_TYPE: u64 = 2;
const TENSOR_NAME: u64 = 8;
const TENSOR_EXTERNAL_DATA: u64 = 13;
const TENSOR_DATA_LOCATION: u64 = 14;
const ENTRY_KEY: u64 = 1;
const ENTRY_VALUE: u64 = 2;
const EXTERNAL: u64 = 1;

/// All initializers of `onnx` with external data, checked to lie in `weights`.
pub(crate) fn external(onnx: &[u8], weights: &[u8]) -> Result<Vec<Initializer>, CpuError> {
    let mut found = Vec::new();
    for field in Message::new(onnx, 0) {
        let field = field?;
        let Some(graph) = field.message(MODEL_GRAPH) else {
            continue;
        };
        for field in graph {
            let Some(tensor) = field?.message(GRAPH_INITIALIZER) else {
                continue;
            };
            found.extend(initializer(tensor, weights)?);
        }
    }
    Ok(found)
}

fn initializer(tensor: Message<'_>, weights: &[u8]) -> Result<Option<Initializer>, CpuError> {
    let start = tensor.base;
    let (mut name, mut dims, mut data_type, mut location) = (&[][..], Vec::new(), 0, 0);
    let (mut offset, mut length) = (Some(0), None);
    for field in tensor {
        let field = field?;
        match (field.number, field.value) {
            (TENSOR_DIMS, Value::Number(dim)) => dims.push(dim),
            (TENSOR_DIMS, Value::Bytes(packed)) => {
                let mut at = 0;
                while at < packed.len() {
                    dims.push(varint(packed, &mut at, field.base)?);
                }
            }
            (TENSOR_DATA_TYPE, Value::Number(number)) => data_type = number,
            (TENSOR_NAME, Value::Bytes(bytes)) => name = bytes,
            (TENSOR_DATA_LOCATION, Value::Number(number)) => location = number,
            (TENSOR_EXTERNAL_DATA, Value::Bytes(entry)) => {
                let (key, value) = entry_of(Message::new(entry, field.base))?;
                match key {
                    b"offset" => offset = decimal(value),
                    b"length" => length = decimal(value),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    if location != EXTERNAL {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(name).into_owned();
    let fail = |reason: String| CpuError::Weights {
        initializer: text.clone(),
        reason,
    };
    let name = CString::new(name).map_err(|_| CpuError::Model {
        offset: start,
        reason: "an initializer's name holds a zero byte",
    })?;
    let dtype = dtype(data_type).ok_or_else(|| fail(format!("unknown data type {data_type}")))?;
    let needed = dims
        .iter()
        .try_fold(dtype.size_bytes(), |bytes, &dim| {
            bytes.checked_mul(usize::try_from(dim).ok()?)
        })
        .ok_or_else(|| fail(format!("shape {dims:?} is too large")))?;
    let (Some(offset), Some(length)) = (offset, length) else {
        return Err(fail("offset or length is missing or no number".into()));
    };
    if length != needed {
        return Err(fail(format!(
            "has {length} bytes, shape {dims:?} of {dtype} needs {needed}"
        )));
    }
    let end = offset
        .checked_add(length)
        .filter(|&end| end <= weights.len());
    let Some(bytes) = end.map(|end| offset..end) else {
        return Err(fail(format!(
            "lies at offset {offset}, length {length}, but the weights have {} bytes",
            weights.len()
        )));
    };
    let address = (weights.as_ptr() as usize).wrapping_add(offset);
    if !address.is_multiple_of(dtype.size_bytes()) {
        return Err(fail(format!("offset {offset} is not aligned for {dtype}")));
    }
    Ok(Some(Initializer {
        name,
        dtype,
        dims: dims.into_iter().map(u64::cast_signed).collect(),
        bytes,
    }))
}

fn entry_of(entry: Message<'_>) -> Result<(&[u8], &[u8]), CpuError> {
    let (mut key, mut text) = (&[][..], &[][..]);
    for field in entry {
        let field = field?;
        match (field.number, field.value) {
            (ENTRY_KEY, Value::Bytes(bytes)) => key = bytes,
            (ENTRY_VALUE, Value::Bytes(bytes)) => text = bytes,
            _ => {}
        }
    }
    Ok((key, text))
}

fn decimal(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn dtype(code: u64) -> Option<DType> {
    Some(match code {
        1 => DType::F32,
        2 => DType::U8,
        3 => DType::I8,
        4 => DType::U16,
        5 => DType::I16,
        6 => DType::I32,
        7 => DType::I64,
        9 => DType::Bool,
        10 => DType::F16,
        11 => DType::F64,
        12 => DType::U32,
        13 => DType::U64,
        16 => DType::BF16,
        _ => return None,
    })
}

/// The fields of one protobuf message.
struct Message<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the message starts in the model.
    base: usize,
}

struct Field<'a> {
    number: u64,
    value: Value<'a>,
    /// Where the value starts in the model.
    base: usize,
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed,
}

impl<'a> Field<'a> {
    fn message(&self, number: u64) -> Option<Message<'a>> {
        match self.value {
            Value::Bytes(bytes) if self.number == number => Some(Message::new(bytes, self.base)),
            _ => None,
        }
    }
}

impl<'a> Message<'a> {
    fn new(bytes: &'a [u8], base: usize) -> Self {
        Self { bytes, at: 0, base }
    }

    fn field(&mut self) -> Result<Field<'a>, CpuError> {
        let start = self.base + self.at;
        let key = varint(self.bytes, &mut self.at, self.base)?;
        let value = match key & 7 {
            0 => Value::Number(varint(self.bytes, &mut self.at, self.base)?),
            1 => self.skip(8).map(|_| Value::Fixed)?,
            2 => {
                let len = varint(self.bytes, &mut self.at, self.base)?;
                Value::Bytes(self.skip(usize::try_from(len).unwrap_or(usize::MAX))?)
            }
            5 => self.skip(4).map(|_| Value::Fixed)?,
            _ => {
                return Err(CpuError::Model {
                    offset: start,
                    reason: "no protobuf field",
                });
            }
        };
        let len = if let Value::Bytes(bytes) = value {
            bytes.len()
        } else {
            0
        };
        Ok(Field {
            number: key >> 3,
            value,
            base: self.base + self.at - len,
        })
    }

    fn skip(&mut self, len: usize) -> Result<&'a [u8], CpuError> {
        let end = self.at.checked_add(len);
        let bytes = end
            .and_then(|end| self.bytes.get(self.at..end))
            .ok_or(CpuError::Model {
                offset: self.base + self.at,
                reason: "cut off",
            })?;
        self.at += len;
        Ok(bytes)
    }
}

impl<'a> Iterator for Message<'a> {
    type Item = Result<Field<'a>, CpuError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.at = self.bytes.len();
        }
        Some(field)
    }
}

fn varint(bytes: &[u8], at: &mut usize, base: usize) -> Result<u64, CpuError> {
    let start = base + *at;
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at).ok_or(CpuError::Model {
            offset: start,
            reason: "cut off",
        })?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(CpuError::Model {
        offset: start,
        reason: "no protobuf number",
    })
}
