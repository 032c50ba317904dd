use std::io::{self, Read};

use tfjet_core::{DType, Tensor, TensorError, TensorView};

use super::ArrayProblem;

/// First bytes of an `.npy` file.
pub(super) const MAGIC: [u8; 6] = *b"\x93NUMPY";
/// Longest header that is read. NumPy itself stops at 10,000 unless told otherwise.
const MAX_HEADER_LEN: u32 = 1 << 20;
/// Most dimensions that NumPy knows.
const MAX_RANK: usize = 64;

/// What an `.npy` file holds.
#[derive(Debug, PartialEq)]
pub(super) enum Array {
    Tensor(Tensor),
    /// Elements that no tensor holds, with NumPy's description of the type.
    Foreign(String),
}

/// Reads an `.npy` file to its end.
pub(super) fn read(mut input: impl Read) -> Result<Array, ArrayProblem> {
    let header = read_header(&mut input)?;
    let Some((dtype, is_big_endian)) = dtype_of(&header.descr) else {
        return Ok(Array::Foreign(header.descr));
    };
    let shape = header.shape;
    let too_large = || TensorError::TooLarge {
        shape: shape.clone(),
        dtype,
    };
    let expected = shape
        .iter()
        .try_fold(dtype.size_bytes(), |product, &dim| product.checked_mul(dim))
        .filter(|&bytes| bytes < isize::MAX as usize)
        .ok_or_else(too_large)?;
    let mut bytes = Vec::new();
    input
        .take(expected as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(ArrayProblem::Read)?;
    if bytes.len() != expected {
        return Err(ArrayProblem::Length {
            shape,
            dtype,
            expected,
            found: bytes.len(),
            more: bytes.len() > expected,
        });
    }
    if is_big_endian {
        let number = match dtype {
            DType::C64 => dtype.size_bytes() / 2,
            _ => dtype.size_bytes(),
        };
        for bytes in bytes.chunks_exact_mut(number) {
            bytes.reverse();
        }
    }
    if header.fortran_order && shape.len() > 1 {
        bytes = to_c_order(&bytes, &shape, dtype.size_bytes());
    }
    Ok(Array::Tensor(Tensor::from_bytes(dtype, &shape, &bytes)?))
}

/// The header of an `.npy` file with the values of `view` after it.
pub(super) fn header(view: &TensorView<'_>) -> Result<Vec<u8>, ArrayProblem> {
    let descr = descr_of(view.dtype()).ok_or(ArrayProblem::DType(view.dtype()))?;
    let rank = view.shape().len();
    if rank > MAX_RANK {
        return Err(ArrayProblem::Rank(rank));
    }
    let mut dims = String::new();
    for dim in view.shape() {
        dims.push_str(&format!("{dim}, "));
    }
    let dims = match view.shape() {
        [_] => dims.trim_end(),
        _ => dims.trim_end_matches(", "),
    };
    let dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({dims}), }}");
    let start = MAGIC.len() + 4;
    let total = (start + dictionary.len() + 1).next_multiple_of(64);
    let len = u16::try_from(total - start).unwrap_or(u16::MAX);
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&[1, 0]);
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(dictionary.as_bytes());
    bytes.resize(total - 1, b' ');
    bytes.push(b'\n');
    Ok(bytes)
}

const DESCRIPTIONS: [(DType, &str); 13] = [
    (DType::F16, "<f2"),
    (DType::F32, "<f4"),
    (DType::F64, "<f8"),
    (DType::I8, "|i1"),
    (DType::I16, "<i2"),
    (DType::I32, "<i4"),
    (DType::I64, "<i8"),
    (DType::U8, "|u1"),
    (DType::U16, "<u2"),
    (DType::U32, "<u4"),
    (DType::U64, "<u8"),
    (DType::Bool, "|b1"),
    (DType::C64, "<c8"),
];

fn descr_of(dtype: DType) -> Option<&'static str> {
    let (_, descr) = DESCRIPTIONS.iter().find(|(other, _)| *other == dtype)?;
    Some(descr)
}

/// Element type, and whether it is big-endian.
fn dtype_of(descr: &str) -> Option<(DType, bool)> {
    let mut rest = descr.chars();
    let is_big_endian = match rest.next()? {
        '<' | '|' | '=' => false,
        '>' => true,
        _ => return None,
    };
    let (dtype, _) = DESCRIPTIONS
        .iter()
        .find(|(_, known)| known.get(1..) == Some(rest.as_str()))?;
    Some((*dtype, is_big_endian))
}

/// `shape` has two dims or more and `bytes` as many elements as it takes.
fn to_c_order(bytes: &[u8], shape: &[usize], size: usize) -> Vec<u8> {
    let mut ordered = Vec::with_capacity(bytes.len());
    let mut index = vec![0; shape.len()];
    for _ in 0..bytes.len() / size {
        let from = shape
            .iter()
            .zip(&index)
            .rfold(0, |sum, (dim, position)| sum * dim + position);
        ordered.extend_from_slice(&bytes[from * size..][..size]);
        for (position, dim) in index.iter_mut().zip(shape).rev() {
            *position += 1;
            if *position < *dim {
                break;
            }
            *position = 0;
        }
    }
    ordered
}

#[derive(Debug, PartialEq)]
struct Header {
    descr: String,
    fortran_order: bool,
    shape: Vec<usize>,
}

fn read_header(input: &mut impl Read) -> Result<Header, ArrayProblem> {
    let cut_off = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ArrayProblem::Header("it is cut off"),
        _ => ArrayProblem::Read(error),
    };
    let mut start = [0; 8];
    input.read_exact(&mut start).map_err(cut_off)?;
    if start[..6] != MAGIC {
        return Err(ArrayProblem::Magic);
    }
    let mut len = [0; 4];
    match start[6] {
        1 => input.read_exact(&mut len[..2]),
        2 | 3 => input.read_exact(&mut len),
        _ => return Err(ArrayProblem::Version(start[6], start[7])),
    }
    .map_err(cut_off)?;
    let len = u32::from_le_bytes(len);
    if len > MAX_HEADER_LEN {
        return Err(ArrayProblem::Header("it is longer than 1 MiB"));
    }
    let mut text = vec![0; len as usize];
    input.read_exact(&mut text).map_err(cut_off)?;
    let text = String::from_utf8_lossy(&text);
    let mut literal = Literal { rest: &text };
    literal.header().map_err(ArrayProblem::Header)
}

/// What is left to read of a Python literal.
struct Literal<'a> {
    rest: &'a str,
}

impl<'a> Literal<'a> {
    fn header(&mut self) -> Result<Header, &'static str> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        self.expect('{')?;
        while !self.take('}') {
            let key = self.string()?;
            self.expect(':')?;
            let is_repeated = match key {
                "descr" => descr.replace(self.descr()?).is_some(),
                "fortran_order" => fortran_order.replace(self.boolean()?).is_some(),
                "shape" => shape.replace(self.shape()?).is_some(),
                _ => return Err("a key other than descr, fortran_order and shape"),
            };
            if is_repeated {
                return Err("a key stands there twice");
            }
            if !self.take(',') {
                self.expect('}')?;
                break;
            }
        }
        if !self.rest.trim().is_empty() {
            return Err("text after the dictionary");
        }
        Ok(Header {
            descr: descr.ok_or("descr is missing")?,
            fortran_order: fortran_order.ok_or("fortran_order is missing")?,
            shape: shape.ok_or("shape is missing")?,
        })
    }

    /// A string, or the text of a record's list.
    fn descr(&mut self) -> Result<String, &'static str> {
        if !self.rest.trim_start().starts_with('[') {
            return Ok(self.string()?.to_owned());
        }
        let text = self.rest.trim_start();
        let (mut depth, mut quote) = (0usize, None);
        for (position, character) in text.char_indices() {
            match (quote, character) {
                (Some(open), _) if open == character => quote = None,
                (Some(_), _) => {}
                (None, '\'' | '"') => quote = Some(character),
                (None, '[') => depth += 1,
                (None, ']') if depth == 1 => {
                    let (list, rest) = text.split_at(position + 1);
                    self.rest = rest;
                    return Ok(list.chars().take(60).collect());
                }
                (None, ']') => depth -= 1,
                (None, _) => {}
            }
        }
        Err("the list in descr does not end")
    }

    fn shape(&mut self) -> Result<Vec<usize>, &'static str> {
        let mut shape = Vec::new();
        self.expect('(')?;
        while !self.take(')') {
            self.rest = self.rest.trim_start();
            let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, rest) = self.rest.split_at(digits);
            shape.push(number.parse().map_err(|_| "a dim is no size")?);
            if shape.len() > MAX_RANK {
                return Err("more dims than NumPy knows");
            }
            // Python 2 wrote large sizes as `3L`.
            self.rest = rest.strip_prefix('L').unwrap_or(rest);
            if !self.take(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(shape)
    }

    fn boolean(&mut self) -> Result<bool, &'static str> {
        self.rest = self.rest.trim_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err("fortran_order is neither True nor False")
    }

    fn string(&mut self) -> Result<&'a str, &'static str> {
        let text = self.rest.trim_start();
        let quote = text
            .chars()
            .next()
            .filter(|first| matches!(first, '\'' | '"'))
            .ok_or("a string is missing")?;
        let (string, rest) = text[1..].split_once(quote).ok_or("a string does not end")?;
        self.rest = rest;
        Ok(string)
    }

    fn take(&mut self, character: char) -> bool {
        match self.rest.trim_start().strip_prefix(character) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, character: char) -> Result<(), &'static str> {
        match self.take(character) {
            true => Ok(()),
            false => Err("it is no dictionary of descr, fortran_order and shape"),
        }
    }
}

#[cfg(test)]
mod tests;
