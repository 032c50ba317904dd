use std::collections::BTreeMap;

use tfjet_core::{AttrError, AttrReader, Tensor, TensorView};

use crate::arguments::{expect_count, expect_same_dtype, output, reset};
use crate::error::shape_error;
use crate::matmul::{Matrix, multiply};
use crate::number::{Number, with_type};
use crate::strided::{Dims, Strided, row_major};
use crate::{Kernel, OpError};

/// One axis in an equation: a letter, or an axis that an ellipsis stands for, counted from the
/// end.
type Label = Result<char, usize>;

/// `Einsum` of one or two tensors.
#[derive(Debug)]
struct Einsum {
    inputs: Vec<Vec<char>>,
    result: Vec<char>,
}

/// Stands for `...` in a term.
const ELLIPSIS: char = '.';

pub(crate) fn einsum(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    let equation = reader.str_or("equation", "")?;
    let fail = || AttrError::Value {
        name: "equation".into(),
        value: equation.into(),
        expected: "terms of one or two inputs, `->` and the result",
    };
    reader.ignore(&["N"]);
    let (inputs, result) = equation.split_once("->").ok_or_else(fail)?;
    let term = |text: &str| -> Option<Vec<char>> {
        let text: String = text.split_whitespace().collect();
        let text = text.replacen("...", ".", 1);
        let fits = |letter: char| letter.is_ascii_alphabetic() || letter == ELLIPSIS;
        let dots = text.matches(ELLIPSIS).count();
        (dots <= 1 && text.chars().all(fits)).then(|| text.chars().collect())
    };
    let inputs: Option<Vec<_>> = inputs.split(',').map(term).collect();
    let inputs = inputs.filter(|inputs| inputs.len() <= 2).ok_or_else(fail)?;
    let result = term(result).ok_or_else(fail)?;
    let known = |letter: &char| inputs.iter().any(|term| term.contains(letter));
    let twice = |(i, letter): (usize, &char)| result[..i].contains(letter);
    if !result.iter().all(known) || result.iter().enumerate().any(twice) {
        return Err(fail().into());
    }
    Ok(Box::new(Einsum { inputs, result }))
}

/// The labels of a term that names an input of `rank` axes.
fn labels(term: &[char], rank: usize) -> Result<Vec<Label>, OpError> {
    let letters = term.iter().filter(|&&letter| letter != ELLIPSIS).count();
    let ellipsis = term.len() != letters;
    let hidden = match rank.checked_sub(letters) {
        Some(hidden) if ellipsis || hidden == 0 => hidden,
        _ => {
            return Err(shape_error!(
                "a tensor of rank {rank} for the term {:?}",
                term.iter().collect::<String>()
            ));
        }
    };
    Ok(expand(term, hidden))
}

fn expand(term: &[char], hidden: usize) -> Vec<Label> {
    let mut labels = Vec::new();
    for &letter in term {
        if letter == ELLIPSIS {
            labels.extend((0..hidden).rev().map(Err));
        } else {
            labels.push(Ok(letter));
        }
    }
    labels
}

/// An axis of the whole product: its size and its strides in the two inputs.
#[derive(Clone, Copy)]
struct Axis {
    size: usize,
    strides: [isize; 2],
}

impl Axis {
    /// Does it run through both inputs, or through nothing?
    fn is_shared(&self) -> bool {
        (self.strides[0] == 0) == (self.strides[1] == 0)
    }
}

impl Einsum {
    fn axes(&self, inputs: &[TensorView<'_>]) -> Result<BTreeMap<Label, Axis>, OpError> {
        let mut axes = BTreeMap::new();
        for (n, (term, input)) in self.inputs.iter().zip(inputs).enumerate() {
            let shape = input.shape();
            let strides = row_major(shape)?;
            for (dim, label) in labels(term, shape.len())?.into_iter().enumerate() {
                let axis = axes.entry(label).or_insert(Axis {
                    size: shape[dim],
                    strides: [0; 2],
                });
                let broadcasts = label.is_err() && (axis.size == 1 || shape[dim] == 1);
                if axis.size != shape[dim] && !broadcasts {
                    return Err(shape_error!(
                        "an axis of the equation has sizes {} and {}",
                        axis.size,
                        shape[dim]
                    ));
                }
                if axis.size == 1 {
                    axis.size = shape[dim];
                }
                if shape[dim] != 1 {
                    axis.strides[n] = axis.strides[n].wrapping_add(strides[dim]);
                }
            }
        }
        Ok(axes)
    }
}

impl Kernel for Einsum {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        expect_count(inputs, self.inputs.len())?;
        expect_same_dtype(inputs)?;
        let y = output(outputs)?;
        let axes = self.axes(inputs)?;
        let hidden = axes.keys().filter(|label| label.is_err()).count();
        let result: Vec<Axis> = expand(&self.result, hidden)
            .iter()
            .filter_map(|label| axes.get(label).copied())
            .collect();
        let kept = |label: &Label| match label {
            Ok(letter) => self.result.contains(letter),
            Err(_) => self.result.contains(&ELLIPSIS),
        };
        let summed = axes.iter().filter(|(label, _)| !kept(label));
        let summed: Vec<Axis> = summed.map(|(_, axis)| *axis).collect();
        let Some(first) = inputs.first() else {
            return Err(OpError::InputCount {
                expected: 1,
                actual: 0,
            });
        };
        let mut shape = Dims::new();
        result.iter().try_for_each(|axis| shape.push(axis.size))?;
        reset(y, first.dtype(), &shape)?;
        y.bytes_mut().fill(0);
        if axes.values().any(|axis| axis.size == 0) {
            return Ok(());
        }
        with_type!(numbers, 0, first.dtype(), T => {
            let a = first.as_slice::<T>()?;
            let y = y.as_mut_slice::<T>()?;
            match inputs.get(1) {
                Some(second) if summed.iter().all(Axis::is_shared) => {
                    product_of_matrices(&result, &summed, a, second.as_slice()?, y)
                }
                Some(second) => sums(&result, &summed, a, second.as_slice()?, y),
                None => sums(&result, &summed, a, &[T::ONE], y),
            }
        })
    }
}

/// Every element of the result as a sum of products.
fn sums<T: Number>(
    result: &[Axis],
    summed: &[Axis],
    a: &[T],
    b: &[T],
    y: &mut [T],
) -> Result<(), OpError> {
    let (result, summed) = (
        walk(result, |axis| axis.strides)?,
        walk(summed, |axis| axis.strides)?,
    );
    let mut slots = y.iter_mut();
    result.points([0, 0], |start| {
        let Some(slot) = slots.next() else { return };
        let mut sum = T::Wide::ZERO;
        summed.rows(start, |[i, j], len, [di, dj]| {
            let (mut i, mut j) = (i as usize, j as usize);
            for _ in 0..len {
                sum = sum.plus(a[i].wide().times(b[j].wide()));
                i = i.wrapping_add_signed(di);
                j = j.wrapping_add_signed(dj);
            }
        });
        *slot = T::narrow(sum);
    });
    Ok(())
}

fn walk<const N: usize>(
    axes: &[Axis],
    strides: impl Fn(&Axis) -> [isize; N],
) -> Result<Strided<N>, OpError> {
    let mut walk = Strided::new();
    for axis in axes {
        walk.push(axis.size, strides(axis))?;
    }
    Ok(walk)
}

/// The same as matrices: rows are the axes of the first input alone, columns those of the second
/// one, for each element along the axes that both and the result have.
fn product_of_matrices<T: Number>(
    result: &[Axis],
    summed: &[Axis],
    a: &[T],
    b: &[T],
    y: &mut [T],
) -> Result<(), OpError> {
    let kind = |axis: &Axis| match axis.strides {
        [0, 0] | [_, 0] => 1,
        [0, _] => 2,
        _ => 0,
    };
    let of = |kind_of: usize| -> Vec<Axis> {
        let axes = result.iter().filter(|axis| kind(axis) == kind_of);
        axes.copied().collect()
    };
    let (batch, rows, columns) = (of(0), of(1), of(2));
    let size = |axes: &[Axis]| axes.iter().map(|axis| axis.size).product::<usize>();
    let [batches, m, n, inner] = [size(&batch), size(&rows), size(&columns), size(summed)];
    let mut left = vec![T::ZERO; batches * m * inner];
    let order = [&batch[..], &rows, summed].concat();
    walk(&order, |axis| [axis.strides[0]])?.copy(0, a, &mut left);
    let mut right = vec![T::ZERO; batches * inner * n];
    let order = [&batch[..], summed, &columns].concat();
    walk(&order, |axis| [axis.strides[1]])?.copy(0, b, &mut right);

    let mut products = vec![T::ZERO; batches * m * n];
    let matrices = Matrix::new(&[m, inner], false).zip(Matrix::new(&[inner, n], false));
    let Some((left_matrix, right_matrix)) = matrices else {
        return Ok(());
    };
    let pairs = left
        .chunks_exact(m * inner)
        .zip(right.chunks_exact(inner * n));
    for ((left, right), product) in pairs.zip(products.chunks_exact_mut(m * n)) {
        multiply(left_matrix, left, right_matrix, right, product);
    }

    // The products' axes are the result's in another order.
    let mut strides = vec![0isize; result.len()];
    let mut stride = 1;
    for wanted in [2, 1, 0] {
        for (slot, axis) in strides.iter_mut().zip(result).rev() {
            if kind(axis) == wanted {
                *slot = stride;
                stride *= axis.size as isize;
            }
        }
    }
    let mut back = Strided::new();
    for (axis, stride) in result.iter().zip(strides) {
        back.push(axis.size, [stride])?;
    }
    back.copy(0, &products, y);
    Ok(())
}
