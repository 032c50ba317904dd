use bytes::{Buf, Bytes};
use prost::encoding::decode_varint;
use tfjet_core::{DType, Dim, Shape, Tensor, TensorError};

use super::attr::{base_type, dtype, shape, type_name};
use super::error::TensorProblem;
use super::proto::{DataType, TensorProto, TensorShapeProto};

/// A tensor of a graph.
#[derive(Debug)]
pub(super) enum Constant {
    Numeric(Tensor),
    /// Shape, and the elements in row-major order.
    Strings(Vec<usize>, Vec<Vec<u8>>),
}

/// Bytes that repeated values of one graph may still fill. A `TensorProto` may leave out values
/// that equal the last one, so a few bytes of a file can stand for any amount of memory.
#[derive(Debug)]
pub(super) struct RepeatBudget(usize);

impl Default for RepeatBudget {
    fn default() -> Self {
        Self(1 << 30)
    }
}

impl RepeatBudget {
    pub(super) fn new(bytes: usize) -> Self {
        Self(bytes)
    }

    fn spend(&mut self, values: usize, bytes_each: usize) -> Result<(), TensorProblem> {
        let bytes = values.saturating_mul(bytes_each);
        self.0 = self
            .0
            .checked_sub(bytes)
            .ok_or(TensorProblem::Repeated { bytes })?;
        Ok(())
    }
}

pub(super) fn constant(
    tensor: TensorProto,
    budget: &mut RepeatBudget,
) -> Result<Constant, TensorProblem> {
    let sizes = fixed_shape(tensor.tensor_shape.clone().unwrap_or_default())?;
    if base_type(tensor.dtype) == Some(DataType::DtString) {
        let values = strings(tensor, &sizes, budget)?;
        return Ok(Constant::Strings(sizes, values));
    }
    let Some(dtype) = dtype(tensor.dtype) else {
        return Err(TensorProblem::DType(type_name(tensor.dtype)));
    };
    let tensor = if tensor.tensor_content.is_empty() {
        from_values(&tensor, dtype, &sizes, budget)?
    } else {
        Tensor::from_bytes(dtype, &sizes, &tensor.tensor_content)?
    };
    Ok(Constant::Numeric(tensor))
}

fn fixed_shape(proto: TensorShapeProto) -> Result<Vec<usize>, TensorProblem> {
    shape(proto)?
        .and_then(|Shape(dims)| dims.iter().map(Dim::fixed).collect())
        .ok_or(TensorProblem::UnknownShape)
}

fn from_values(
    tensor: &TensorProto,
    dtype: DType,
    sizes: &[usize],
    budget: &mut RepeatBudget,
) -> Result<Tensor, TensorProblem> {
    let mut fill = Fill {
        dtype,
        sizes,
        budget,
    };
    match dtype {
        DType::F32 => fill.with(&tensor.float_val, |value| Ok(value.to_le_bytes())),
        DType::F64 => fill.with(&tensor.double_val, |value| Ok(value.to_le_bytes())),
        DType::I64 => fill.with(&tensor.int64_val, |value| Ok(value.to_le_bytes())),
        DType::U32 => fill.with(&tensor.uint32_val, |value| Ok(value.to_le_bytes())),
        DType::U64 => fill.with(&tensor.uint64_val, |value| Ok(value.to_le_bytes())),
        DType::Bool => fill.with(&tensor.bool_val, |value| Ok([u8::from(value)])),
        DType::I32 => fill.with(&tensor.int_val, |value| Ok(value.to_le_bytes())),
        DType::I16 => fill.with(&tensor.int_val, |value| narrow(value).map(i16::to_le_bytes)),
        DType::I8 => fill.with(&tensor.int_val, |value| narrow(value).map(i8::to_le_bytes)),
        DType::U16 => fill.with(&tensor.int_val, |value| narrow(value).map(u16::to_le_bytes)),
        DType::U8 => fill.with(&tensor.int_val, |value| narrow(value).map(u8::to_le_bytes)),
        DType::F16 | DType::BF16 => {
            fill.with(&tensor.half_val, |bits| narrow(bits).map(u16::to_le_bytes))
        }
        DType::C64 => {
            let (pairs, rest) = tensor.scomplex_val.as_chunks::<2>();
            if !rest.is_empty() {
                return Err(TensorProblem::HalfComplex(tensor.scomplex_val.len()));
            }
            fill.with(pairs, |value| {
                let [real, imaginary] = value.map(|part| u64::from(part.to_bits()));
                Ok((real | imaginary << 32).to_le_bytes())
            })
        }
        _ => Err(TensorProblem::DType(type_name(tensor.dtype))),
    }
}

struct Fill<'a> {
    dtype: DType,
    sizes: &'a [usize],
    budget: &'a mut RepeatBudget,
}

impl Fill<'_> {
    /// The values, the last one repeated up to the number of elements; zeros where there is none.
    fn with<V: Copy, const N: usize>(
        &mut self,
        values: &[V],
        bytes: impl Fn(V) -> Result<[u8; N], i64>,
    ) -> Result<Tensor, TensorProblem> {
        let elements = elements(self.sizes, self.dtype)?;
        let Some(missing) = elements.checked_sub(values.len()) else {
            return Err(TensorProblem::TooManyValues {
                found: values.len(),
                elements,
            });
        };
        self.budget.spend(missing, N)?;
        let mut tensor = Tensor::zeros(self.dtype, self.sizes)?;
        let mut last = [0; N];
        let mut values = values.iter();
        for element in tensor.bytes_mut().chunks_exact_mut(N) {
            if let Some(&value) = values.next() {
                last = bytes(value).map_err(|value| TensorProblem::Range {
                    value,
                    dtype: self.dtype,
                })?;
            }
            element.copy_from_slice(&last);
        }
        Ok(tensor)
    }
}

/// The value as a smaller type, or itself where it does not fit.
fn narrow<T: TryFrom<i32>>(value: i32) -> Result<T, i64> {
    T::try_from(value).map_err(|_| value.into())
}

fn elements(sizes: &[usize], dtype: DType) -> Result<usize, TensorError> {
    sizes
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size))
        .ok_or_else(|| TensorError::TooLarge {
            shape: sizes.to_vec(),
            dtype,
        })
}

fn strings(
    tensor: TensorProto,
    sizes: &[usize],
    budget: &mut RepeatBudget,
) -> Result<Vec<Vec<u8>>, TensorProblem> {
    let elements = elements(sizes, DType::U8)?;
    if !tensor.tensor_content.is_empty() {
        return packed_strings(tensor.tensor_content, elements);
    }
    let mut values: Vec<Vec<u8>> = tensor.string_val.iter().map(|text| text.to_vec()).collect();
    let Some(missing) = elements.checked_sub(values.len()) else {
        return Err(TensorProblem::TooManyValues {
            found: values.len(),
            elements,
        });
    };
    let last = values.last().cloned().unwrap_or_default();
    budget.spend(missing, last.len().saturating_add(size_of::<Vec<u8>>()))?;
    values.resize(elements, last);
    Ok(values)
}

/// The lengths of all strings as varints, then the strings.
fn packed_strings(mut contents: Bytes, elements: usize) -> Result<Vec<Vec<u8>>, TensorProblem> {
    if elements > contents.len() {
        return Err(TensorProblem::Strings);
    }
    let mut lengths = Vec::with_capacity(elements);
    for _ in 0..elements {
        lengths.push(decode_varint(&mut contents).map_err(|_| TensorProblem::Strings)?);
    }
    let mut values = Vec::with_capacity(elements);
    for length in lengths {
        match usize::try_from(length) {
            Ok(length) if length <= contents.remaining() => {
                values.push(contents.split_to(length).to_vec());
            }
            _ => return Err(TensorProblem::Strings),
        }
    }
    if contents.has_remaining() {
        return Err(TensorProblem::Strings);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;
    use crate::tensorflow::proto::tensor_shape_proto::Dim;

    fn proto(data_type: DataType, sizes: &[i64]) -> TensorProto {
        TensorProto {
            dtype: data_type.into(),
            tensor_shape: Some(TensorShapeProto {
                dim: sizes
                    .iter()
                    .map(|&size| Dim {
                        size,
                        name: String::new(),
                    })
                    .collect(),
                unknown_rank: false,
            }),
            ..Default::default()
        }
    }

    fn numeric(tensor: TensorProto) -> Result<Tensor, TensorProblem> {
        match constant(tensor, &mut RepeatBudget::default())? {
            Constant::Numeric(tensor) => Ok(tensor),
            Constant::Strings(..) => panic!("strings"),
        }
    }

    #[test]
    fn values_of_every_type_are_read() {
        let base = |data_type| proto(data_type, &[2]);
        for (tensor, expected) in [
            (
                TensorProto {
                    float_val: vec![1.5, -2.0],
                    ..base(DataType::DtFloat)
                },
                Tensor::from_slice(&[2], &[1.5f32, -2.0]),
            ),
            (
                TensorProto {
                    double_val: vec![1.5, -2.0],
                    ..base(DataType::DtDouble)
                },
                Tensor::from_slice(&[2], &[1.5f64, -2.0]),
            ),
            (
                TensorProto {
                    int_val: vec![-1, 2],
                    ..base(DataType::DtInt32)
                },
                Tensor::from_slice(&[2], &[-1i32, 2]),
            ),
            (
                TensorProto {
                    int_val: vec![-1, 2],
                    ..base(DataType::DtInt16)
                },
                Tensor::from_slice(&[2], &[-1i16, 2]),
            ),
            (
                TensorProto {
                    int_val: vec![-128, 127],
                    ..base(DataType::DtInt8)
                },
                Tensor::from_slice(&[2], &[-128i8, 127]),
            ),
            (
                TensorProto {
                    int_val: vec![0, 65535],
                    ..base(DataType::DtUint16)
                },
                Tensor::from_slice(&[2], &[0u16, 65535]),
            ),
            (
                TensorProto {
                    int_val: vec![0, 255],
                    ..base(DataType::DtUint8)
                },
                Tensor::from_slice(&[2], &[0u8, 255]),
            ),
            (
                TensorProto {
                    int64_val: vec![i64::MIN, 2],
                    ..base(DataType::DtInt64)
                },
                Tensor::from_slice(&[2], &[i64::MIN, 2]),
            ),
            (
                TensorProto {
                    uint32_val: vec![7, u32::MAX],
                    ..base(DataType::DtUint32)
                },
                Tensor::from_slice(&[2], &[7, u32::MAX]),
            ),
            (
                TensorProto {
                    uint64_val: vec![7, u64::MAX],
                    ..base(DataType::DtUint64)
                },
                Tensor::from_slice(&[2], &[7, u64::MAX]),
            ),
            (
                TensorProto {
                    bool_val: vec![false, true],
                    ..base(DataType::DtBool)
                },
                Tensor::from_bools(&[2], &[false, true]),
            ),
            (
                TensorProto {
                    half_val: vec![0x3c00, 0xc000],
                    ..base(DataType::DtHalf)
                },
                Tensor::from_slice(&[2], &[f16::ONE, f16::from_f32(-2.0)]),
            ),
            (
                TensorProto {
                    half_val: vec![0x3f80, 0xc000],
                    ..base(DataType::DtBfloat16)
                },
                Tensor::from_slice(&[2], &[bf16::ONE, bf16::from_f32(-2.0)]),
            ),
            (
                TensorProto {
                    scomplex_val: vec![1.5, -2.0],
                    ..base(DataType::DtComplex64)
                },
                Tensor::from_slice(&[2], &[[1.5f32, -2.0]; 2]),
            ),
        ] {
            assert_eq!(numeric(tensor).unwrap(), expected.unwrap());
        }
    }

    #[test]
    fn the_last_value_repeats() {
        for (values, expected) in [
            (vec![], vec![0.0f32; 6]),
            (vec![3.0], vec![3.0; 6]),
            (vec![1.0, 2.0], vec![1.0, 2.0, 2.0, 2.0, 2.0, 2.0]),
        ] {
            let tensor = TensorProto {
                float_val: values,
                ..proto(DataType::DtFloat, &[2, 3])
            };
            assert_eq!(
                numeric(tensor).unwrap(),
                Tensor::from_slice(&[2, 3], &expected).unwrap()
            );
        }
    }

    #[test]
    fn contents_are_little_endian_bytes() {
        let tensor = TensorProto {
            tensor_content: vec![1, 0, 0, 0, 255, 255, 255, 255].into(),
            ..proto(DataType::DtInt32, &[2, 1])
        };
        assert_eq!(
            numeric(tensor).unwrap(),
            Tensor::from_slice(&[2, 1], &[1i32, -1]).unwrap()
        );
    }

    #[test]
    fn strings_are_read_from_values_and_from_contents() {
        let values = TensorProto {
            string_val: vec!["a".into(), "bc".into()],
            ..proto(DataType::DtString, &[3])
        };
        let contents = TensorProto {
            tensor_content: vec![1, 2, 2, b'a', b'b', b'c', b'b', b'c'].into(),
            ..proto(DataType::DtString, &[3])
        };
        for tensor in [values, contents] {
            let read = constant(tensor, &mut RepeatBudget::default()).unwrap();
            let Constant::Strings(sizes, values) = read else {
                panic!("{read:?}");
            };
            assert_eq!(sizes, [3]);
            assert_eq!(values, [&b"a"[..], b"bc", b"bc"]);
        }
    }

    #[test]
    fn impossible_tensors_are_refused() {
        for (tensor, expected) in [
            (
                proto(DataType::DtComplex128, &[]),
                "unsupported element type DT_COMPLEX128",
            ),
            (
                TensorProto {
                    scomplex_val: vec![1.0, 2.0, 3.0],
                    ..proto(DataType::DtComplex64, &[2])
                },
                "3 floats for complex numbers, which take two each",
            ),
            (proto(DataType::DtFloat, &[-1]), "an unknown shape"),
            (proto(DataType::DtFloat, &[-5]), "a dimension of size -5"),
            (
                TensorProto {
                    float_val: vec![1.0, 2.0],
                    ..proto(DataType::DtFloat, &[])
                },
                "2 values for 1 elements",
            ),
            (
                TensorProto {
                    int_val: vec![256],
                    ..proto(DataType::DtUint8, &[])
                },
                "value 256, which uint8 cannot hold",
            ),
            (
                TensorProto {
                    tensor_content: vec![0; 7].into(),
                    ..proto(DataType::DtFloat, &[2])
                },
                "wrong contents: shape [2] of float32 needs 8 bytes, got 7",
            ),
            (
                proto(DataType::DtFloat, &[1 << 40]),
                "4398046511104 bytes of one repeated value, more than this graph may expand to",
            ),
            (
                proto(DataType::DtFloat, &[1 << 40, 1 << 40]),
                "wrong contents: shape [1099511627776, 1099511627776] of float32 is too large",
            ),
            (
                TensorProto {
                    tensor_content: vec![9, b'a'].into(),
                    ..proto(DataType::DtString, &[])
                },
                "a damaged list of strings",
            ),
        ] {
            let error = constant(tensor, &mut RepeatBudget::default()).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn repeated_values_of_one_graph_share_a_budget() {
        let mut budget = RepeatBudget(100);
        let zeros = || proto(DataType::DtFloat, &[20]);
        assert!(constant(zeros(), &mut budget).is_ok());
        assert!(matches!(
            constant(zeros(), &mut budget),
            Err(TensorProblem::Repeated { bytes: 80 })
        ));
    }
}
