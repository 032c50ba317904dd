//! Discrete Fourier transforms along the last axes, computed in `f64`.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustfft::algorithm::{BluesteinsAlgorithm, Dft, Radix4};
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftDirection};
use tfjet_core::{AttrReader, DType, Tensor, TensorView};

use crate::arguments::{Indices, expect_dtype, output, product, reset, size, take};
use crate::complex::expect_attr;
use crate::error::{shape_error, value_error};
use crate::strided::Dims;
use crate::{Kernel, OpError};

/// Most points of one transform, all its axes together: memory grows with them.
const MAX_POINTS: usize = 1 << 22;
/// Odd parts of lengths up to this one cost less by the definition than by Bluestein's algorithm.
const MAX_DIRECT: usize = 32;

const ZERO: Complex<f64> = Complex { re: 0.0, im: 0.0 };

/// What is transformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Numbers {
    /// `FFT`, `IFFT` and so on.
    Complex,
    /// `RFFT`, `IRFFT` and so on: real on one side, and on the other the half of the complex
    /// numbers along the last axis from which the other half follows.
    Real,
}

/// A transform over the last `rank` axes.
#[derive(Debug)]
struct Fourier {
    numbers: Numbers,
    rank: usize,
    direction: FftDirection,
    work: Mutex<Work>,
}

pub(crate) fn fft(
    reader: &AttrReader<'_>,
    rank: usize,
    is_inverse: bool,
) -> Result<Box<dyn Kernel>, OpError> {
    fourier(reader, Numbers::Complex, rank, is_inverse)
}

pub(crate) fn rfft(
    reader: &AttrReader<'_>,
    rank: usize,
    is_inverse: bool,
) -> Result<Box<dyn Kernel>, OpError> {
    expect_attr(reader, "Treal", DType::F32)?;
    fourier(reader, Numbers::Real, rank, is_inverse)
}

fn fourier(
    reader: &AttrReader<'_>,
    numbers: Numbers,
    rank: usize,
    is_inverse: bool,
) -> Result<Box<dyn Kernel>, OpError> {
    expect_attr(reader, "Tcomplex", DType::C64)?;
    Ok(Box::new(Fourier {
        numbers,
        rank,
        direction: match is_inverse {
            true => FftDirection::Inverse,
            false => FftDirection::Forward,
        },
        work: Mutex::default(),
    }))
}

/// The numbers before and after a transform.
struct Sizes {
    /// Points along each axis of the transform.
    lengths: Dims,
    /// Sizes of the input along these axes.
    input: Dims,
    /// Elements of the input's last axis that are read.
    read: usize,
    /// Elements of the output's last axis.
    written: usize,
    /// Complex numbers of each row of the last axis that are not known from others.
    free: usize,
}

impl Fourier {
    fn is_inverse(&self) -> bool {
        self.direction == FftDirection::Inverse
    }

    fn sizes(&self, inputs: &[TensorView<'_>]) -> Result<Sizes, OpError> {
        let x = match self.numbers {
            Numbers::Complex => take::<1>(inputs)?[0],
            Numbers::Real => take::<2>(inputs)?[0],
        };
        let Some(outer) = x.shape().len().checked_sub(self.rank) else {
            return Err(shape_error!(
                "input 0 must have rank {} or more, has shape {:?}",
                self.rank,
                x.shape()
            ));
        };
        let input = Dims::from_slice(&x.shape()[outer..])?;
        let mut lengths = input;
        if let (Numbers::Real, Some(wanted)) = (self.numbers, inputs.get(1)) {
            expect_dtype(1, wanted, DType::I32)?;
            let wanted = Indices::vector(1, wanted)?;
            if wanted.len() != self.rank {
                return Err(shape_error!(
                    "fft_length must have {} elements, has {}",
                    self.rank,
                    wanted.len()
                ));
            }
            lengths = Dims::new();
            for length in wanted.iter() {
                lengths.push(size("a length", length)?)?;
            }
        }
        let last = lengths[self.rank - 1];
        let half = if last == 0 { 0 } else { last / 2 + 1 };
        let (read, written, free) = match (self.numbers, self.is_inverse()) {
            (Numbers::Complex, _) => (last, last, last),
            (Numbers::Real, false) => (last, half, half),
            (Numbers::Real, true) => (half, last, half),
        };
        let needed = lengths[..self.rank - 1].iter().chain([&read]);
        if needed.zip(&input[..]).any(|(needed, there)| needed > there) {
            return Err(shape_error!(
                "an input of shape {:?} is too small for a transform of {:?} points",
                x.shape(),
                &lengths[..]
            ));
        }
        Ok(Sizes {
            lengths,
            input,
            read,
            written,
            free,
        })
    }
}

impl Kernel for Fourier {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let y = output(outputs)?;
        let sizes = self.sizes(inputs)?;
        let x = &inputs[0];
        let (from, to) = match (self.numbers, self.is_inverse()) {
            (Numbers::Complex, _) => (DType::C64, DType::C64),
            (Numbers::Real, false) => (DType::F32, DType::C64),
            (Numbers::Real, true) => (DType::C64, DType::F32),
        };
        expect_dtype(0, x, from)?;
        let (outer, rows) = (x.shape().len() - self.rank, self.rank - 1);
        let mut shape = Dims::from_slice(&x.shape()[..outer])?;
        for &length in &sizes.lengths[..rows] {
            shape.push(length)?;
        }
        shape.push(sizes.written)?;
        reset(y, to, &shape)?;
        if y.elements() == 0 {
            return Ok(());
        }
        let points = product(&sizes.lengths);
        if points > MAX_POINTS {
            return Err(value_error!(
                "a transform of {points} points, of more than {MAX_POINTS}"
            ));
        }
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        work.prepare(&sizes.lengths, self.direction);
        let (step, scale) = (product(&sizes.input), self.scale(points));
        for item in 0..product(&shape[..outer]) {
            for row in 0..product(&sizes.lengths[..rows]) {
                let from = item * step + sizes.source(row) * sizes.input[rows];
                work.load(row, from..from + sizes.read, x)?;
            }
            self.transform(&mut work, &sizes);
            let to = item * product(&shape[outer..]);
            work.store(&sizes, scale, to, y)?;
        }
        Ok(())
    }
}

impl Fourier {
    fn scale(&self, points: usize) -> f64 {
        match self.direction {
            FftDirection::Forward => 1.0,
            FftDirection::Inverse => 1.0 / points as f64,
        }
    }

    /// Transforms what is loaded. The axis of which a half is free comes first where it is made,
    /// last where it is read.
    fn transform(&self, work: &mut Work, sizes: &Sizes) {
        let is_real = self.numbers == Numbers::Real;
        match self.direction {
            FftDirection::Forward => {
                work.along_rows();
                if is_real {
                    work.clear_imaginary(sizes);
                }
                work.along_columns(sizes);
            }
            FftDirection::Inverse => {
                work.along_columns(sizes);
                if is_real {
                    work.clear_imaginary(sizes);
                    work.mirror(sizes);
                }
                work.along_rows();
            }
        }
    }
}

impl Sizes {
    /// The input's row for row `row` of the transform.
    fn source(&self, row: usize) -> usize {
        let rows = self.lengths.len() - 1;
        let (mut rest, mut stride, mut source) = (row, 1, 0);
        for (length, size) in self.lengths[..rows].iter().zip(&self.input[..rows]).rev() {
            source += rest % length * stride;
            rest /= length;
            stride *= size;
        }
        source
    }
}

/// What is kept from run to run: a transform for each axis, made for its length, and memory.
#[derive(Default)]
struct Work {
    axes: Vec<Arc<dyn Fft<f64>>>,
    /// The points of one transform, row by row.
    block: Vec<Complex<f64>>,
    line: Vec<Complex<f64>>,
    scratch: Vec<Complex<f64>>,
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lengths = self.axes.iter().map(|axis| axis.len());
        f.debug_list().entries(lengths).finish()
    }
}

/// A transform of `len` points, 1 or more. Of the library's algorithms three serve every length;
/// its planner would bring them all into the program.
fn plan(len: usize, direction: FftDirection) -> Arc<dyn Fft<f64>> {
    let fours = len.trailing_zeros() / 2;
    let rest = len >> (2 * fours);
    let base: Arc<dyn Fft<f64>> = if rest <= MAX_DIRECT {
        Arc::new(Dft::new(rest, direction))
    } else {
        let inner = plan((2 * rest).next_power_of_two(), direction);
        Arc::new(BluesteinsAlgorithm::new(rest, inner))
    };
    match fours {
        0 => base,
        _ => Arc::new(Radix4::new_with_base(fours, base)),
    }
}

impl Work {
    fn prepare(&mut self, lengths: &[usize], direction: FftDirection) {
        let made = self.axes.iter().map(|axis| axis.len());
        if !made.eq(lengths.iter().copied()) {
            self.axes.clear();
            self.axes
                .extend(lengths.iter().map(|&len| plan(len, direction)));
        }
        let scratch = self.axes.iter().map(|axis| axis.get_inplace_scratch_len());
        self.scratch.resize(scratch.max().unwrap_or(0), ZERO);
        self.block.resize(product(lengths), ZERO);
        let longest = lengths.iter().copied().max();
        self.line.resize(longest.unwrap_or(0), ZERO);
    }

    fn width(&self) -> usize {
        self.axes.last().map_or(1, |axis| axis.len())
    }

    /// Takes elements of `x` as the first ones of a row; the others are zero.
    fn load(
        &mut self,
        row: usize,
        elements: std::ops::Range<usize>,
        x: &TensorView<'_>,
    ) -> Result<(), OpError> {
        let width = self.width();
        let row = &mut self.block[row * width..][..width];
        row[elements.len()..].fill(ZERO);
        match x.dtype() {
            DType::C64 => {
                for (point, &[re, im]) in row.iter_mut().zip(&x.as_slice::<[f32; 2]>()?[elements]) {
                    *point = Complex::new(re.into(), im.into());
                }
            }
            _ => {
                for (point, &re) in row.iter_mut().zip(&x.as_slice::<f32>()?[elements]) {
                    *point = Complex::new(re.into(), 0.0);
                }
            }
        }
        Ok(())
    }

    /// Writes the block from element `to` of `y` on.
    fn store(&self, sizes: &Sizes, scale: f64, to: usize, y: &mut Tensor) -> Result<(), OpError> {
        let rows = self.block.chunks_exact(self.width());
        let points = rows.flat_map(|row| &row[..sizes.written]);
        match y.dtype() {
            DType::C64 => {
                for (y, point) in y.as_mut_slice::<[f32; 2]>()?[to..].iter_mut().zip(points) {
                    *y = [(point.re * scale) as f32, (point.im * scale) as f32];
                }
            }
            _ => {
                for (y, point) in y.as_mut_slice::<f32>()?[to..].iter_mut().zip(points) {
                    *y = (point.re * scale) as f32;
                }
            }
        }
        Ok(())
    }

    fn along_rows(&mut self) {
        if let Some(axis) = self.axes.last() {
            axis.process_with_scratch(&mut self.block, &mut self.scratch);
        }
    }

    /// Transforms along all axes but the last one.
    fn along_columns(&mut self, sizes: &Sizes) {
        let width = self.width();
        let mut stride = self.block.len();
        for axis in &self.axes[..self.axes.len() - 1] {
            let (len, whole) = (axis.len(), stride);
            stride /= len;
            let line = &mut self.line[..len];
            for part in self.block.chunks_exact_mut(whole) {
                for first in (0..stride).filter(|first| first % width < sizes.free) {
                    let points = part[first..].iter().step_by(stride);
                    line.iter_mut()
                        .zip(points)
                        .for_each(|(to, from)| *to = *from);
                    axis.process_with_scratch(line, &mut self.scratch);
                    let points = part[first..].iter_mut().step_by(stride);
                    points.zip(&*line).for_each(|(to, from)| *to = *from);
                }
            }
        }
    }

    /// The numbers in the middle and at the start of the spectrum of a real row are real.
    fn clear_imaginary(&mut self, sizes: &Sizes) {
        let width = self.width();
        for row in self.block.chunks_exact_mut(width) {
            row[0].im = 0.0;
            if width.is_multiple_of(2) {
                row[sizes.free - 1].im = 0.0;
            }
        }
    }

    /// The second half of the spectrum of a real row is the first one, conjugate and backwards.
    fn mirror(&mut self, sizes: &Sizes) {
        let width = self.width();
        for row in self.block.chunks_exact_mut(width) {
            for place in sizes.free..width {
                row[place] = row[width - place].conj();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind of plan against the definition.
    #[test]
    fn plans_of_every_length_agree_with_the_definition() {
        for len in (1..140).chain([251, 256, 400, 512, 1021, 1200]) {
            for direction in [FftDirection::Forward, FftDirection::Inverse] {
                let noise = |i: usize| (i * 2_654_435_761 % 1000) as f64 / 500.0 - 1.0;
                let point = |i: usize| Complex::new(noise(i + 1), noise(i + 1 + len));
                let mut expected: Vec<_> = (0..len).map(point).collect();
                let mut points = expected.clone();
                Dft::new(len, direction).process(&mut expected);
                plan(len, direction).process(&mut points);
                let wrong = points
                    .iter()
                    .zip(&expected)
                    .map(|(a, b)| (a - b).norm())
                    .fold(0.0, f64::max);
                assert!(wrong < 1e-11 * len as f64, "{len} {direction}: {wrong}");
            }
        }
    }
}
