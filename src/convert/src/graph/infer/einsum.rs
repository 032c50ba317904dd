//! `Einsum`: the sizes of the output's labels are those of the inputs'.

use std::collections::BTreeMap;

use tfjet_core::{Dim, Shape};

use super::{Context, InferError, fact, impossible};
use crate::graph::WireFact;

/// A label: a letter, or an axis of the ellipsis counted from the last one.
type Label = Result<char, usize>;

pub(super) fn infer(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let dtype = context.dtype(0);
    let equation = context.attrs.str_or("equation", "")?;
    let Some((from, to)) = equation.split_once("->") else {
        return impossible(format!("the equation `{equation}` has no output"));
    };
    let mut sizes: BTreeMap<Label, Dim> = BTreeMap::new();
    let mut widest = 0;
    for (index, term) in from.split(',').enumerate() {
        let Some(shape) = context.shape(index)? else {
            return Ok(vec![fact(dtype, None)]);
        };
        let letters = term.chars().filter(|c| c.is_alphabetic()).count();
        let Some(dots) = shape.rank().checked_sub(letters) else {
            return impossible(format!("`{term}` labels more axes than {shape} has"));
        };
        widest = widest.max(dots);
        let labels = labels(term, dots);
        if labels.len() != shape.rank() {
            return impossible(format!("`{term}` does not label the axes of {shape}"));
        }
        for (label, dim) in labels.into_iter().zip(shape.dims()) {
            let size = sizes.entry(label).or_insert_with(|| dim.clone());
            let known = matches!(size, Dim::Fixed(size) if *size != 1);
            if !known && *dim != Dim::Fixed(1) {
                *size = dim.clone();
            }
        }
    }
    let mut dims = Vec::new();
    for label in labels(to, widest) {
        match sizes.get(&label) {
            Some(dim) => dims.push(dim.clone()),
            None => return impossible(format!("an output label of `{equation}` has no input")),
        }
    }
    Ok(vec![fact(dtype, Some(Shape(dims)))])
}

fn labels(term: &str, dots: usize) -> Vec<Label> {
    let mut labels = Vec::new();
    let mut in_dots = false;
    for letter in term.chars() {
        if letter.is_alphabetic() {
            labels.push(Ok(letter));
        } else if letter == '.' && !in_dots {
            labels.extend((0..dots).rev().map(Err));
        }
        in_dots = letter == '.';
    }
    labels
}
