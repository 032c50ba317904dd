//! Values as they lie in a shard.

use prost::encoding::decode_varint;
use tfjet_core::{AttrValue, DType, Tensor};

use super::slices::Slice;
use super::table::mask;
use crate::tensorflow::attr::{self, base_type, type_name};
use crate::tensorflow::proto::DataType;

pub(super) fn is_string(number: i32) -> bool {
    base_type(number) == Some(DataType::DtString)
}

pub(super) fn dtype(number: i32) -> Result<DType, String> {
    attr::dtype(number).ok_or_else(|| format!("unsupported element type {}", type_name(number)))
}

pub(super) fn tensor(dtype: DType, shape: &[usize], bytes: &[u8]) -> Result<AttrValue, String> {
    Tensor::from_bytes(dtype, shape, bytes)
        .map(AttrValue::Tensor)
        .map_err(|problem| problem.to_string())
}

/// Zeros for all elements of `slice`.
pub(super) fn zeros(slice: &Slice, element: usize) -> Result<Vec<u8>, String> {
    let bytes = slice
        .elements()
        .and_then(|elements| elements.checked_mul(element));
    let mut zeros = Vec::new();
    bytes
        .and_then(|bytes| zeros.try_reserve_exact(bytes).ok().map(|()| bytes))
        .map(|bytes| zeros.resize(bytes, 0))
        .ok_or_else(|| format!("shape {:?} is too large", slice.shape))?;
    Ok(zeros)
}

/// The lengths of all strings, their checksum, and the strings. A checksum over the lengths counts
/// each as four bytes, or as eight where it needs them.
pub(super) fn strings(
    stored: &[u8],
    shape: &[usize],
    checksum: u32,
) -> Result<Vec<Vec<u8>>, String> {
    let damaged = || "a damaged list of strings".to_owned();
    let elements = shape
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size))
        .filter(|&elements| elements <= stored.len())
        .ok_or_else(damaged)?;
    let mut rest = stored;
    let mut crc = 0;
    let mut lengths = Vec::with_capacity(elements);
    for _ in 0..elements {
        let length = decode_varint(&mut rest).map_err(|_| damaged())?;
        crc = match u32::try_from(length) {
            Ok(length) => crc32c::crc32c_append(crc, &length.to_le_bytes()),
            Err(_) => crc32c::crc32c_append(crc, &length.to_le_bytes()),
        };
        lengths.push(usize::try_from(length).map_err(|_| damaged())?);
    }
    let (of_lengths, mut rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
    if u32::from_le_bytes(*of_lengths) != mask(crc) {
        return Err("wrong checksum; the file is damaged".into());
    }
    crc = crc32c::crc32c_append(crc, of_lengths);
    crc = crc32c::crc32c_append(crc, rest);
    if mask(crc) != checksum {
        return Err("wrong checksum; the file is damaged".into());
    }
    let mut values = Vec::with_capacity(elements);
    for length in lengths {
        let (value, after) = rest.split_at_checked(length).ok_or_else(damaged)?;
        values.push(value.to_vec());
        rest = after;
    }
    match rest.is_empty() {
        true => Ok(values),
        false => Err(damaged()),
    }
}
