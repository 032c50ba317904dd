use std::collections::BTreeMap;

use tfjet_core::{AttrError, AttrReader, Tensor, TensorView};

use crate::arguments::{expect_count, expect_same_dtype, output, reset};
use crate::error::shape_error;
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
        let mut axes = self.axes(inputs)?;
        let hidden = axes.keys().filter(|label| label.is_err()).count();
        let (mut shape, mut kept) = (Dims::new(), Strided::<2>::new());
        for label in expand(&self.result, hidden) {
            let Some(axis) = axes.remove(&label) else {
                continue;
            };
            shape.push(axis.size)?;
            kept.push(axis.size, axis.strides)?;
        }
        let mut summed = Strided::<2>::new();
        for axis in axes.values() {
            summed.push(axis.size, axis.strides)?;
        }
        let Some(first) = inputs.first() else {
            return Err(OpError::InputCount {
                expected: 1,
                actual: 0,
            });
        };
        reset(y, first.dtype(), &shape)?;
        y.bytes_mut().fill(0);
        with_type!(numbers, 0, first.dtype(), T => {
            let a = first.as_slice::<T>()?;
            let one = [T::ONE];
            let b = match inputs.get(1) {
                Some(second) => second.as_slice::<T>()?,
                None => &one,
            };
            let mut slots = y.as_mut_slice::<T>()?.iter_mut();
            kept.points([0, 0], |start| {
                let Some(slot) = slots.next() else { return };
                let mut sum = <T as Number>::Wide::ZERO;
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
        })
    }
}
