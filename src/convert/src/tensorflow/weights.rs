use bytes::{Buf, Bytes};
use half::f16;
use serde::Deserialize;
use tfjet_core::{AttrValue, DType, Tensor, TensorError};

use super::attr::{base_type, dtype, type_name};
use super::cast::{cannot_cast, cast};
use super::error::WeightProblem;
use super::proto::DataType;

/// Entry of the manifest.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct WeightSpec {
    pub(super) name: String,
    shape: Vec<usize>,
    dtype: String,
    quantization: Option<Quantization>,
}

#[derive(Debug, Clone, Deserialize)]
struct Quantization {
    dtype: String,
    scale: Option<f32>,
    min: Option<f32>,
}

/// How the elements of a weight are stored.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Encoding {
    Plain(DType),
    /// `float16` that stands for `float32`.
    Half,
    /// `stored * scale + min` in `float32`, rounded where the weight is an integer.
    Affine {
        stored: DType,
        scale: f32,
        min: f32,
        is_integer: bool,
    },
    String,
}

impl WeightSpec {
    fn encoding(&self) -> Result<Encoding, WeightProblem> {
        let Some(quantization) = &self.quantization else {
            return Ok(match self.dtype.as_str() {
                "float32" => Encoding::Plain(DType::F32),
                "int32" => Encoding::Plain(DType::I32),
                "bool" => Encoding::Plain(DType::Bool),
                "uint8" => Encoding::Plain(DType::U8),
                "uint16" => Encoding::Plain(DType::U16),
                "float16" => Encoding::Plain(DType::F16),
                "complex64" => Encoding::Plain(DType::C64),
                "string" => Encoding::String,
                other => return Err(WeightProblem::DType(other.into())),
            });
        };
        let stored = match (self.dtype.as_str(), quantization.dtype.as_str()) {
            ("float32", "float16") => return Ok(Encoding::Half),
            ("float32" | "int32", "uint8") => DType::U8,
            ("float32" | "int32", "uint16") => DType::U16,
            (dtype, stored) => {
                return Err(WeightProblem::Quantization {
                    dtype: dtype.into(),
                    stored: stored.into(),
                });
            }
        };
        match (quantization.scale, quantization.min) {
            (Some(scale), Some(min)) if scale.is_finite() && min.is_finite() => {
                Ok(Encoding::Affine {
                    stored,
                    scale,
                    min,
                    is_integer: self.dtype == "int32",
                })
            }
            _ => Err(WeightProblem::Affine),
        }
    }

    fn elements(&self) -> Option<usize> {
        self.shape
            .iter()
            .try_fold(1usize, |product, &size| product.checked_mul(size))
    }

    /// Bytes in the shards; `None` for strings, whose lengths are in the shards.
    pub(super) fn stored_bytes(&self) -> Result<Option<usize>, WeightProblem> {
        let element = match self.encoding()? {
            Encoding::Plain(dtype) => dtype.size_bytes(),
            Encoding::Half => DType::F16.size_bytes(),
            Encoding::Affine { stored, .. } => stored.size_bytes(),
            Encoding::String => return Ok(None),
        };
        self.elements()
            .and_then(|elements| elements.checked_mul(element))
            .map(Some)
            .ok_or_else(|| WeightProblem::TooLarge(self.shape.clone()))
    }
}

/// A weight as it is stored.
#[derive(Debug)]
pub(super) struct Weight {
    shape: Vec<usize>,
    contents: Contents,
}

#[derive(Debug)]
enum Contents {
    Numeric(Encoding, Bytes),
    Strings(Vec<Vec<u8>>),
}

impl Weight {
    /// Takes the weight from the front of its shards.
    pub(super) fn take(spec: WeightSpec, shards: &mut Bytes) -> Result<Self, WeightProblem> {
        let contents = match spec.stored_bytes()? {
            Some(expected) if expected <= shards.len() => {
                Contents::Numeric(spec.encoding()?, shards.split_to(expected))
            }
            Some(expected) => {
                return Err(WeightProblem::Length {
                    expected,
                    found: shards.len(),
                });
            }
            None => {
                let elements = spec
                    .elements()
                    .ok_or_else(|| WeightProblem::TooLarge(spec.shape.clone()))?;
                Contents::Strings(take_strings(elements, shards)?)
            }
        };
        Ok(Self {
            shape: spec.shape,
            contents,
        })
    }

    /// The value of a constant whose `dtype` has this `DataType`'s number; without one, in the
    /// weight's own type.
    pub(super) fn into_value(self, data_type: Option<i32>) -> Result<AttrValue, WeightProblem> {
        let shape = self.shape;
        let (encoding, bytes) = match self.contents {
            Contents::Numeric(encoding, bytes) => (encoding, bytes),
            Contents::Strings(values) => {
                return match data_type {
                    Some(number) if base_type(number) != Some(DataType::DtString) => {
                        Err(cannot_cast("string", type_name(number)))
                    }
                    _ => Ok(AttrValue::StringTensor(shape, values)),
                };
            }
        };
        let tensor = decode(encoding, &shape, &bytes)?;
        let Some(number) = data_type else {
            return Ok(AttrValue::Tensor(tensor));
        };
        match dtype(number) {
            Some(to) => cast(tensor, to).map(AttrValue::Tensor),
            None => Err(cannot_cast(tensor.dtype().name(), type_name(number))),
        }
    }
}

/// For every string its length in four bytes, then its bytes.
fn take_strings(elements: usize, shards: &mut Bytes) -> Result<Vec<Vec<u8>>, WeightProblem> {
    let mut values = Vec::new();
    for index in 0..elements {
        let length = shards
            .try_get_u32_le()
            .ok()
            .and_then(|length| usize::try_from(length).ok())
            .filter(|&length| length <= shards.len())
            .ok_or(WeightProblem::String(index))?;
        values.push(shards.split_to(length).to_vec());
    }
    Ok(values)
}

fn decode(encoding: Encoding, shape: &[usize], bytes: &[u8]) -> Result<Tensor, TensorError> {
    match encoding {
        Encoding::Plain(dtype) => Tensor::from_bytes(dtype, shape, bytes),
        Encoding::Half => {
            Tensor::from_slice(shape, &pairs(bytes, |bits| f16::from_bits(bits).to_f32()))
        }
        Encoding::Affine {
            stored,
            scale,
            min,
            is_integer,
        } => {
            let mut values: Vec<f32> = match stored {
                DType::U8 => bytes.iter().map(|&byte| byte.into()).collect(),
                _ => pairs(bytes, f32::from),
            };
            for value in &mut values {
                *value = *value * scale + min;
            }
            if is_integer {
                let values: Vec<i32> = values.into_iter().map(round).collect();
                return Tensor::from_slice(shape, &values);
            }
            Tensor::from_slice(shape, &values)
        }
        Encoding::String => Tensor::from_bytes(DType::U8, shape, bytes),
    }
}

fn pairs(bytes: &[u8], value: impl Fn(u16) -> f32) -> Vec<f32> {
    let (pairs, _) = bytes.as_chunks::<2>();
    pairs
        .iter()
        .map(|&pair| value(u16::from_le_bytes(pair)))
        .collect()
}

#[expect(
    clippy::as_conversions,
    reason = "saturates; no other conversion from f32 exists"
)]
fn round(value: f32) -> i32 {
    value.round_ties_even() as i32
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    fn spec(json: &str) -> WeightSpec {
        serde_json::from_str(json).unwrap()
    }

    fn value(json: &str, bytes: &[u8], to: DataType) -> Result<AttrValue, WeightProblem> {
        let mut shards = Bytes::copy_from_slice(bytes);
        let value = Weight::take(spec(json), &mut shards)?.into_value(Some(to.into()));
        assert!(shards.is_empty());
        value
    }

    #[test]
    fn stored_forms_are_decoded_and_cast() {
        let quantized = |dtype: &str, stored: &str| {
            format!(
                r#"{{"name":"w","shape":[2],"dtype":"{dtype}",
                    "quantization":{{"dtype":"{stored}","scale":0.5,"min":-1.25}}}}"#
            )
        };
        let plain = |dtype: &str| format!(r#"{{"name":"w","shape":[2],"dtype":"{dtype}"}}"#);
        let one_and_two = [0, 0, 128, 63, 0, 0, 0, 64];
        for (json, bytes, to, expected) in [
            (
                plain("float32"),
                &one_and_two[..],
                DataType::DtFloat,
                Tensor::from_slice(&[2], &[1.0f32, 2.0]),
            ),
            (
                plain("float32"),
                &one_and_two,
                DataType::DtDouble,
                Tensor::from_slice(&[2], &[1.0f64, 2.0]),
            ),
            (
                plain("float32"),
                &one_and_two,
                DataType::DtHalf,
                Tensor::from_slice(&[2], &[f16::ONE, f16::from_f32(2.0)]),
            ),
            (
                plain("float32"),
                &one_and_two,
                DataType::DtBfloat16,
                Tensor::from_slice(&[2], &[bf16::ONE, bf16::from_f32(2.0)]),
            ),
            (
                plain("int32"),
                &[255, 255, 255, 255, 2, 0, 0, 0],
                DataType::DtInt64,
                Tensor::from_slice(&[2], &[-1i64, 2]),
            ),
            (
                plain("int32"),
                &[1, 0, 0, 0, 2, 0, 0, 0],
                DataType::DtUint8,
                Tensor::from_slice(&[2], &[1u8, 2]),
            ),
            (
                plain("uint8"),
                &[1, 255],
                DataType::DtUint8,
                Tensor::from_slice(&[2], &[1u8, 255]),
            ),
            (
                plain("uint16"),
                &[1, 0, 255, 255],
                DataType::DtUint16,
                Tensor::from_slice(&[2], &[1u16, 65535]),
            ),
            (
                plain("bool"),
                &[0, 1],
                DataType::DtBool,
                Tensor::from_bools(&[2], &[false, true]),
            ),
            (
                plain("float16"),
                &[0, 60, 0, 192],
                DataType::DtFloat,
                Tensor::from_slice(&[2], &[1.0f32, -2.0]),
            ),
            (
                quantized("float32", "float16"),
                &[0, 60, 0, 192],
                DataType::DtFloat,
                Tensor::from_slice(&[2], &[1.0f32, -2.0]),
            ),
            (
                quantized("float32", "uint8"),
                &[0, 255],
                DataType::DtFloat,
                Tensor::from_slice(&[2], &[-1.25f32, 126.25]),
            ),
            (
                quantized("float32", "uint16"),
                &[0, 0, 0, 1],
                DataType::DtFloat,
                Tensor::from_slice(&[2], &[-1.25f32, 126.75]),
            ),
            (
                quantized("int32", "uint8"),
                &[0, 255],
                DataType::DtInt32,
                Tensor::from_slice(&[2], &[-1i32, 126]),
            ),
            (
                quantized("int32", "uint8"),
                &[0, 255],
                DataType::DtInt64,
                Tensor::from_slice(&[2], &[-1i64, 126]),
            ),
        ] {
            let read = value(&json, bytes, to).unwrap();
            assert_eq!(
                read,
                AttrValue::Tensor(expected.unwrap()),
                "{json} as {to:?}"
            );
        }
    }

    #[test]
    fn strings_carry_their_lengths() {
        let json = r#"{"name":"w","shape":[2],"dtype":"string"}"#;
        let bytes = [2, 0, 0, 0, b'a', b'b', 0, 0, 0, 0];
        assert_eq!(
            value(json, &bytes, DataType::DtString).unwrap(),
            AttrValue::StringTensor(vec![2], vec![b"ab".to_vec(), vec![]])
        );
        let mut cut = Bytes::copy_from_slice(&bytes[..5]);
        let error = Weight::take(spec(json), &mut cut).unwrap_err();
        assert_eq!(
            error.to_string(),
            "string 0 (from 0) reaches beyond the end of its shard"
        );
    }

    #[test]
    fn impossible_weights_are_refused() {
        for (json, expected) in [
            (
                r#"{"name":"w","shape":[1],"dtype":"complex128"}"#,
                "unsupported dtype `complex128`",
            ),
            (
                r#"{"name":"w","shape":[1],"dtype":"bool","quantization":{"dtype":"uint8"}}"#,
                "dtype `bool` quantised as `uint8` is not supported",
            ),
            (
                r#"{"name":"w","shape":[1],"dtype":"float32","quantization":{"dtype":"uint8","scale":1}}"#,
                "quantisation needs a finite `scale` and `min`",
            ),
            (
                r#"{"name":"w","shape":[9999999999,9999999999],"dtype":"bool"}"#,
                "shape [9999999999, 9999999999] is too large",
            ),
            (
                r#"{"name":"w","shape":[3],"dtype":"int32"}"#,
                "needs 12 bytes, its shards hold 4 more",
            ),
        ] {
            let error = Weight::take(spec(json), &mut Bytes::from_static(&[0; 4])).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn lossy_casts_are_refused() {
        for (dtype, to, expected) in [
            (
                "float32",
                DataType::DtInt32,
                "holds float32, but its Const node has type int32",
            ),
            (
                "int32",
                DataType::DtFloat,
                "holds int32, but its Const node has type float32",
            ),
            (
                "int32",
                DataType::DtUint8,
                "value -1 does not fit its Const node's type uint8",
            ),
            (
                "float32",
                DataType::DtResource,
                "holds float32, but its Const node has type DT_RESOURCE",
            ),
        ] {
            let json = format!(r#"{{"name":"w","shape":[1],"dtype":"{dtype}"}}"#);
            assert_eq!(
                value(&json, &[255; 4], to).unwrap_err().to_string(),
                expected
            );
        }
    }
}
