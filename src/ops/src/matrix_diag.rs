//! Diagonals of matrices.

use tfjet_core::{AttrError, AttrReader, Tensor, TensorView};

use crate::arguments::{Indices, expect_same_dtype, integer, output, product, reset, take};
use crate::error::{shape_error, value_error};
use crate::number::with_size;
use crate::strided::Dims;
use crate::{Kernel, OpError};

/// How diagonals that are shorter than the longest lie in their rows.
#[derive(Debug, Clone, Copy)]
struct Align {
    /// Those above the main diagonal, to the left?
    above_left: bool,
    /// Those below it, to the left?
    below_left: bool,
}

impl Align {
    /// Reads `align`, which only the third versions have.
    fn read(reader: &AttrReader<'_>, third: bool) -> Result<Self, OpError> {
        let name = match third {
            true => reader.str_or("align", "RIGHT_LEFT")?,
            false => "LEFT_LEFT",
        };
        let (above_left, below_left) = match name {
            "LEFT_LEFT" => (true, true),
            "LEFT_RIGHT" => (true, false),
            "RIGHT_LEFT" => (false, true),
            "RIGHT_RIGHT" => (false, false),
            other => {
                return Err(AttrError::Value {
                    name: "align".into(),
                    value: other.into(),
                    expected: "LEFT_LEFT, LEFT_RIGHT, RIGHT_LEFT or RIGHT_RIGHT",
                }
                .into());
            }
        };
        Ok(Self {
            above_left,
            below_left,
        })
    }
}

/// The diagonals `low` to `high` of a matrix of `rows` and `columns`.
#[derive(Debug, Clone, Copy)]
struct Band {
    low: i64,
    high: i64,
    rows: i64,
    columns: i64,
    align: Align,
}

impl Band {
    /// The lowest and the highest diagonal of a `k` input.
    fn range(input: usize, k: &TensorView<'_>) -> Result<(i64, i64), OpError> {
        let k = Indices::new(input, k)?;
        match k.len() {
            1 => Ok((k.get(0), k.get(0))),
            2 if k.get(0) <= k.get(1) => Ok((k.get(0), k.get(1))),
            _ => Err(value_error!(
                "diagonals {:?}, expected one or a range",
                k.iter().collect::<Vec<_>>()
            )),
        }
    }

    fn new(
        (low, high): (i64, i64),
        [rows, columns]: [usize; 2],
        align: Align,
    ) -> Result<Self, OpError> {
        let most = i64::from(i32::MAX);
        let side = |size: usize| i64::try_from(size).ok().filter(|&size| size <= most);
        let (Some(rows), Some(columns)) = (side(rows), side(columns)) else {
            return Err(shape_error!("a matrix of {rows} x {columns}"));
        };
        let inside = |k: i64| (-rows < k && k < columns) || k == 0;
        if !inside(low) || !inside(high) {
            return Err(value_error!(
                "diagonals {low} to {high} of a matrix of {rows} x {columns}"
            ));
        }
        Ok(Self {
            low,
            high,
            rows,
            columns,
            align,
        })
    }

    fn count(&self) -> usize {
        (self.high - self.low + 1) as usize
    }

    /// Length of the longest one.
    fn longest(&self) -> usize {
        let rows = self.rows + self.high.min(0);
        let columns = self.columns - self.low.max(0);
        rows.min(columns).max(0) as usize
    }

    /// Calls `f(place in the packed diagonals, place in the matrix)` for all elements of the
    /// diagonals.
    fn each(&self, mut f: impl FnMut(usize, usize)) {
        let longest = self.longest();
        for k in self.low..=self.high {
            let len = (self.rows + k.min(0)).min(self.columns - k.max(0));
            let len = usize::try_from(len).unwrap_or(0);
            let left = (k >= 0 && self.align.above_left) || (k <= 0 && self.align.below_left);
            let offset = if left { 0 } else { longest - len };
            let row = (self.high - k) as usize * longest + offset;
            for i in 0..len {
                let y = i + (-k).max(0) as usize;
                let x = i + k.max(0) as usize;
                f(row + i, y * self.columns as usize + x);
            }
        }
    }

    /// The shape of the packed diagonals of matrices whose outer shape is `outer`.
    fn packed(&self, outer: &[usize]) -> Result<Dims, OpError> {
        let mut shape = Dims::from_slice(outer)?;
        if self.count() > 1 {
            shape.push(self.count())?;
        }
        shape.push(self.longest())?;
        Ok(shape)
    }
}

fn matrix(shape: &[usize]) -> Result<(&[usize], [usize; 2]), OpError> {
    match shape {
        [outer @ .., rows, columns] => Ok((outer, [*rows, *columns])),
        _ => Err(shape_error!("shape {shape:?} holds no matrices")),
    }
}

fn fill(tensor: &mut Tensor, value: Option<&TensorView<'_>>) -> Result<(), OpError> {
    let Some(value) = value else {
        tensor.bytes_mut().fill(0);
        return Ok(());
    };
    if value.elements() != 1 || value.dtype() != tensor.dtype() {
        return Err(shape_error!(
            "the padding is {} of shape {:?}",
            value.dtype(),
            value.shape()
        ));
    }
    let item = value.bytes();
    for slot in tensor.bytes_mut().chunks_exact_mut(item.len()) {
        slot.copy_from_slice(item);
    }
    Ok(())
}

/// `MatrixDiag` (of one diagonal) and its later versions.
#[derive(Debug)]
struct MatrixDiag {
    version: u8,
    align: Align,
}

pub(crate) fn matrix_diag(
    reader: &AttrReader<'_>,
    version: u8,
) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(MatrixDiag {
        version,
        align: Align::read(reader, version == 3)?,
    }))
}

impl Kernel for MatrixDiag {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let target = output(outputs)?;
        let (diagonals, range, given, padding) = if self.version == 1 {
            let [diagonal] = take(inputs)?;
            (diagonal, (0, 0), [-1, -1], None)
        } else {
            let [diagonal, k, rows, columns, padding] = take(inputs)?;
            let given = [integer(2, rows)?, integer(3, columns)?];
            (diagonal, Band::range(1, k)?, given, Some(padding))
        };
        let (low, high) = range;
        let Some((&longest, mut outer)) = diagonals.shape().split_last() else {
            return Err(shape_error!("a scalar is no diagonal"));
        };
        let small = |k: i64| k.abs() <= i64::from(i32::MAX);
        if !small(low) || !small(high) {
            return Err(value_error!("diagonals {low} to {high}"));
        }
        if low != high {
            match outer.split_last() {
                Some((&count, rest)) if count as i64 == high - low + 1 => outer = rest,
                _ => {
                    return Err(shape_error!(
                        "diagonals {low} to {high} in shape {:?}",
                        diagonals.shape()
                    ));
                }
            }
        }
        let longest = i64::try_from(longest)
            .ok()
            .filter(|&longest| longest <= i64::from(i32::MAX))
            .ok_or_else(|| shape_error!("a diagonal of {longest}"))?;
        let least = [longest - high.min(0), longest + low.max(0)];
        let sizes = match given {
            [-1, -1] => [least[0].max(least[1]); 2],
            [-1, columns] => [least[0], columns],
            [rows, -1] => [rows, least[1]],
            both => both,
        };
        if sizes[0] < least[0]
            || sizes[1] < least[1]
            || (sizes[0] != least[0] && sizes[1] != least[1])
            || sizes.iter().any(|&size| size > i64::from(i32::MAX))
        {
            return Err(value_error!(
                "a matrix of {} x {} for diagonals {low} to {high} of {longest}",
                sizes[0],
                sizes[1]
            ));
        }
        let sizes = sizes.map(|size| size as usize);
        let band = Band::new((low, high), sizes, self.align)?;
        let mut shape = Dims::from_slice(outer)?;
        shape.extend(&sizes)?;
        reset(target, diagonals.dtype(), &shape)?;
        fill(target, padding)?;
        if diagonals.elements() == 0 || target.elements() == 0 {
            return Ok(());
        }
        with_size!(diagonals.dtype(), N => {
            let packed = diagonals.bytes().as_chunks::<N>().0;
            let matrices = target.bytes_mut().as_chunks_mut::<N>().0;
            let packed = packed.chunks_exact(band.count() * band.longest());
            for (packed, matrix) in packed.zip(matrices.chunks_exact_mut(sizes[0] * sizes[1])) {
                band.each(|from, to| matrix[to] = packed[from]);
            }
        });
        Ok(())
    }
}

/// `MatrixDiagPart` (the main diagonal) and its later versions.
#[derive(Debug)]
struct MatrixDiagPart {
    version: u8,
    align: Align,
}

pub(crate) fn matrix_diag_part(
    reader: &AttrReader<'_>,
    version: u8,
) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(MatrixDiagPart {
        version,
        align: Align::read(reader, version == 3)?,
    }))
}

impl Kernel for MatrixDiagPart {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let target = output(outputs)?;
        let (x, range, padding) = if self.version == 1 {
            let [x] = take(inputs)?;
            (x, (0, 0), None)
        } else {
            let [x, k, padding] = take(inputs)?;
            (x, Band::range(1, k)?, Some(padding))
        };
        let (outer, sizes) = matrix(x.shape())?;
        let band = Band::new(range, sizes, self.align)?;
        reset(target, x.dtype(), &band.packed(outer)?)?;
        fill(target, padding)?;
        if x.elements() == 0 || target.elements() == 0 {
            return Ok(());
        }
        with_size!(x.dtype(), N => {
            let matrices = x.bytes().as_chunks::<N>().0.chunks_exact(product(&sizes));
            let packed = target.bytes_mut().as_chunks_mut::<N>().0;
            let packed = packed.chunks_exact_mut(band.count() * band.longest());
            for (matrix, packed) in matrices.zip(packed) {
                band.each(|to, from| packed[to] = matrix[from]);
            }
        });
        Ok(())
    }
}

/// `MatrixSetDiag` (the main diagonal) and its later versions.
#[derive(Debug)]
struct MatrixSetDiag {
    version: u8,
    align: Align,
}

pub(crate) fn matrix_set_diag(
    reader: &AttrReader<'_>,
    version: u8,
) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(MatrixSetDiag {
        version,
        align: Align::read(reader, version == 3)?,
    }))
}

impl Kernel for MatrixSetDiag {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let target = output(outputs)?;
        let (x, diagonals, range) = if self.version == 1 {
            let [x, diagonal] = take(inputs)?;
            (x, diagonal, (0, 0))
        } else {
            let [x, diagonal, k] = take(inputs)?;
            (x, diagonal, Band::range(2, k)?)
        };
        expect_same_dtype(&inputs[..2])?;
        let (outer, sizes) = matrix(x.shape())?;
        let band = Band::new(range, sizes, self.align)?;
        let expected = band.packed(outer)?;
        if diagonals.shape() != &*expected {
            return Err(shape_error!(
                "diagonals of shape {:?}, expected {:?}",
                diagonals.shape(),
                &*expected
            ));
        }
        reset(target, x.dtype(), x.shape())?;
        target.bytes_mut().copy_from_slice(x.bytes());
        if x.elements() == 0 || diagonals.elements() == 0 {
            return Ok(());
        }
        with_size!(x.dtype(), N => {
            let packed = diagonals.bytes().as_chunks::<N>().0;
            let packed = packed.chunks_exact(band.count() * band.longest());
            let matrices = target.bytes_mut().as_chunks_mut::<N>().0;
            for (packed, matrix) in packed.zip(matrices.chunks_exact_mut(product(&sizes))) {
                band.each(|from, to| matrix[to] = packed[from]);
            }
        });
        Ok(())
    }
}

/// `MatrixBandPart`: zeros outside so many diagonals below and above the main one; all of them
/// where that is negative.
#[derive(Debug)]
struct MatrixBandPart;

pub(crate) fn matrix_band_part(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    reader.ignore(&["Tindex"]);
    Ok(Box::new(MatrixBandPart))
}

impl Kernel for MatrixBandPart {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, lower, upper] = take(inputs)?;
        let y = output(outputs)?;
        let (_, [rows, columns]) = matrix(x.shape())?;
        let bound = |value: i64| usize::try_from(value).unwrap_or(usize::MAX);
        let (lower, upper) = (bound(integer(1, lower)?), bound(integer(2, upper)?));
        reset(y, x.dtype(), x.shape())?;
        y.bytes_mut().copy_from_slice(x.bytes());
        if x.elements() == 0 {
            return Ok(());
        }
        let item = x.dtype().size_bytes();
        for (at, row) in y.bytes_mut().chunks_exact_mut(columns * item).enumerate() {
            let i = at % rows;
            let first = i.saturating_sub(lower).min(columns);
            let end = i.saturating_add(upper).saturating_add(1).min(columns);
            row[..first * item].fill(0);
            row[end.max(first) * item..].fill(0);
        }
        Ok(())
    }
}

/// `Diag` and `DiagPart`: a tensor as the diagonal of one of twice the rank, and back.
#[derive(Debug)]
struct Diag {
    part: bool,
}

pub(crate) fn diag(part: bool) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Diag { part }))
}

impl Kernel for Diag {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let y = output(outputs)?;
        let shape = x.shape();
        let item = x.dtype().size_bytes();
        let (half, rest) = shape.split_at(shape.len() / 2);
        if shape.is_empty() || (self.part && half != rest) {
            return Err(shape_error!("shape {shape:?} has no diagonal"));
        }
        if self.part {
            reset(y, x.dtype(), half)?;
        } else {
            let mut whole = Dims::from_slice(shape)?;
            whole.extend(shape)?;
            reset(y, x.dtype(), &whole)?;
            y.bytes_mut().fill(0);
        }
        let len = if self.part {
            y.elements()
        } else {
            x.elements()
        };
        for i in 0..len {
            let (wide, narrow) = (i * (len + 1) * item, i * item);
            let (from, to) = if self.part {
                (wide, narrow)
            } else {
                (narrow, wide)
            };
            y.bytes_mut()[to..to + item].copy_from_slice(&x.bytes()[from..from + item]);
        }
        Ok(())
    }
}
