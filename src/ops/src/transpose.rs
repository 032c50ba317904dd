use tfjet_core::{AttrError, AttrReader, DType, Tensor, TensorView};

use crate::arguments::{Indices, axis, expect_dtype, expect_rank, output, reset, take};
use crate::error::{shape_error, value_error};
use crate::slice::copy_walk;
use crate::strided::{Dims, Strided, row_major};
use crate::{Kernel, OpError};

/// `Transpose`.
#[derive(Debug)]
struct Transpose;

pub(crate) fn transpose(_: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Transpose))
}

impl Kernel for Transpose {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, perm] = take(inputs)?;
        let y = output(outputs)?;
        let perm = Indices::vector(1, perm)?;
        let shape = x.shape();
        if perm.len() != shape.len() {
            return Err(shape_error!(
                "perm has {} elements for shape {shape:?}",
                perm.len()
            ));
        }
        let strides = row_major(shape)?;
        let (mut permuted, mut walk) = (Dims::new(), Strided::new());
        let mut seen = 0u32;
        for dim in perm.iter() {
            let dim = axis(dim, shape.len())?;
            if seen & 1 << dim != 0 {
                return Err(value_error!("perm has dimension {dim} twice"));
            }
            seen |= 1 << dim;
            permuted.push(shape[dim])?;
            walk.push(shape[dim], [strides[dim]])?;
        }
        reset(y, x.dtype(), &permuted)?;
        copy_walk(&walk, 0, x, y);
        Ok(())
    }
}

/// `InvertPermutation`.
#[derive(Debug)]
struct InvertPermutation;

pub(crate) fn invert_permutation(_: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(InvertPermutation))
}

impl Kernel for InvertPermutation {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let y = output(outputs)?;
        let indices = Indices::vector(0, x)?;
        let len = indices.len();
        reset(y, x.dtype(), x.shape())?;
        y.bytes_mut().fill(u8::MAX);
        for (i, index) in indices.iter().enumerate() {
            let free = usize::try_from(index).ok().filter(|&index| index < len);
            let placed = match (free, indices) {
                (None, _) => false,
                (Some(index), Indices::I32(_)) => {
                    std::mem::replace(&mut y.as_mut_slice::<i32>()?[index], i as i32) == -1
                }
                (Some(index), Indices::I64(_)) => {
                    std::mem::replace(&mut y.as_mut_slice::<i64>()?[index], i as i64) == -1
                }
            };
            if !placed {
                return Err(value_error!("{index} is outside [0, {len}) or there twice"));
            }
        }
        Ok(())
    }
}

/// `DataFormatVecPermute`.
#[derive(Debug)]
struct DataFormatVecPermute {
    source: String,
    destination: String,
}

pub(crate) fn data_format_vec_permute(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    let source = reader.str_or("src_format", "NHWC")?;
    let destination = reader.str_or("dst_format", "NCHW")?;
    let sorted = |format: &str| {
        let mut letters: Vec<char> = format.chars().collect();
        letters.sort_unstable();
        letters
    };
    let letters = sorted(source);
    let distinct = letters.windows(2).all(|pair| pair[0] != pair[1]);
    if !(4..=5).contains(&letters.len()) || !distinct || sorted(destination) != letters {
        return Err(AttrError::Value {
            name: "dst_format".into(),
            value: destination.into(),
            expected: "a permutation of src_format, four or five letters",
        }
        .into());
    }
    Ok(Box::new(DataFormatVecPermute {
        source: source.into(),
        destination: destination.into(),
    }))
}

impl Kernel for DataFormatVecPermute {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let y = output(outputs)?;
        Indices::new(0, x)?;
        let (len, width) = match *x.shape() {
            [len] => (len, 1),
            [len, 2] => (len, 2),
            ref shape => {
                return Err(shape_error!(
                    "the input must be [n] or [n, 2], has shape {shape:?}"
                ));
            }
        };
        let letters = self.source.len();
        let keep = |letter: &char| len == letters || !matches!(letter, 'N' | 'C');
        if self.source.chars().filter(keep).count() != len {
            return Err(shape_error!(
                "{len} elements for formats {} and {}",
                self.source,
                self.destination
            ));
        }
        reset(y, x.dtype(), x.shape())?;
        let item = width * x.dtype().size_bytes();
        let rows = y.bytes_mut().chunks_exact_mut(item);
        for (row, letter) in rows.zip(self.destination.chars().filter(keep)) {
            let from = self
                .source
                .chars()
                .filter(keep)
                .position(|other| other == letter);
            let from = from.unwrap_or(0) * item;
            row.copy_from_slice(&x.bytes()[from..from + item]);
        }
        Ok(())
    }
}

/// `Reverse` (a flag for every dimension) and `ReverseV2` (a list of axes).
#[derive(Debug)]
struct Reverse {
    flags: bool,
}

pub(crate) fn reverse(flags: bool) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Reverse { flags }))
}

impl Kernel for Reverse {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, which] = take(inputs)?;
        let y = output(outputs)?;
        let shape = x.shape();
        let strides = row_major(shape)?;
        let mut reversed = 0u32;
        expect_rank(1, which, 1)?;
        if self.flags {
            expect_dtype(1, which, DType::Bool)?;
            let flags = which.as_bools()?;
            if flags.len() != shape.len() {
                return Err(shape_error!("{} flags for shape {shape:?}", flags.len()));
            }
            for (dim, &flag) in flags.iter().enumerate() {
                reversed |= u32::from(flag != 0) << dim;
            }
        } else {
            for dim in Indices::vector(1, which)?.iter() {
                let dim = axis(dim, shape.len())?;
                if reversed & 1 << dim != 0 {
                    return Err(value_error!("axis {dim} is there twice"));
                }
                reversed |= 1 << dim;
            }
        }
        reset(y, x.dtype(), shape)?;
        if y.elements() == 0 {
            return Ok(());
        }
        let (mut walk, mut start) = (Strided::new(), 0);
        for (dim, (&size, &stride)) in shape.iter().zip(&strides).enumerate() {
            if reversed & 1 << dim != 0 {
                start += (size as isize - 1) * stride;
                walk.push(size, [-stride])?;
            } else {
                walk.push(size, [stride])?;
            }
        }
        copy_walk(&walk, start, x, y);
        Ok(())
    }
}
