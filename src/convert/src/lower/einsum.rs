//! `Einsum` of one or two tensors, as one product of matrices between shuffles.

mod equation;

use tfjet_core::{Dim, Layer, MatrixOperation, ReduceOperation, Shape, TensorId};

use super::op::{FLOATS, Op};
use super::{Layout, Refusal, refuse};
use equation::{Equation, Label};

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(0, FLOATS)?;
    op.attrs.ignore(&["N"]);
    let count = op.node.inputs.len();
    let mut shapes = Vec::with_capacity(count);
    for index in 0..count {
        op.dtype(index, FLOATS)?;
        shapes.push(op.shape(index)?);
    }
    let ranks: Vec<usize> = shapes.iter().map(Shape::rank).collect();
    let equation = Equation::parse(op.attrs.str_or("equation", "")?, &ranks)?;
    let mut operands = Vec::with_capacity(count);
    for (index, (shape, labels)) in shapes.into_iter().zip(&equation.inputs).enumerate() {
        let tensor = op.tensor(index, Layout::Native)?;
        operands.push(Operand {
            tensor,
            dims: labels.iter().copied().zip(shape.0).collect(),
        });
    }
    let result = match &mut operands[..] {
        [one] => {
            one.sum_others(op, &equation.output)?;
            one.clone()
        }
        [a, b] => {
            let needed = |other: &Operand| -> Vec<Label> {
                let labels = other.dims.iter().map(|(label, _)| *label);
                labels.chain(equation.output.iter().copied()).collect()
            };
            let (of_a, of_b) = (needed(b), needed(a));
            a.sum_others(op, &of_a)?;
            b.sum_others(op, &of_b)?;
            product(op, a, b, &equation.output)?
        }
        _ => return refuse(format!("an Einsum of {count} tensors has no layer")),
    };
    let output = result.ordered(op, &equation.output)?;
    op.output(0, output, Layout::Native);
    Ok(())
}

/// A tensor with a label on each axis.
#[derive(Clone)]
struct Operand {
    tensor: TensorId,
    dims: Vec<(Label, Dim)>,
}

impl Operand {
    fn has(&self, label: Label) -> bool {
        self.dims.iter().any(|(own, _)| *own == label)
    }

    fn dim(&self, label: Label) -> Dim {
        let own = self.dims.iter().find(|(own, _)| *own == label);
        own.map_or(Dim::Fixed(1), |(_, dim)| dim.clone())
    }

    fn shape(&self) -> Shape {
        Shape(self.dims.iter().map(|(_, dim)| dim.clone()).collect())
    }

    /// Sums over the axes whose labels are not among `needed`.
    fn sum_others(&mut self, op: &mut Op<'_, '_>, needed: &[Label]) -> Result<(), Refusal> {
        let (axes, kept): (Vec<_>, Vec<_>) = self
            .dims
            .drain(..)
            .enumerate()
            .partition(|(_, (label, _))| !needed.contains(label));
        self.dims = kept.into_iter().map(|(_, dim)| dim).collect();
        if axes.is_empty() {
            return Ok(());
        }
        let (dtype, _) = op.output_type(0)?;
        let layer = Layer::Reduce {
            operation: ReduceOperation::Sum,
            axes: axes.into_iter().map(|(axis, _)| axis).collect(),
            keep_dims: false,
        };
        let shape = self.shape();
        self.tensor = op.emit(layer, &[self.tensor], dtype, &shape, Layout::Native);
        Ok(())
    }

    /// The tensor with its axes in this order.
    fn ordered(&self, op: &mut Op<'_, '_>, labels: &[Label]) -> Result<TensorId, Refusal> {
        let place = |label: &Label| self.dims.iter().position(|(own, _)| own == label);
        let order: Option<Vec<usize>> = labels.iter().map(place).collect();
        let Some(order) = order.filter(|order| order.len() == self.dims.len()) else {
            return refuse("the output has labels that no input has");
        };
        let name = op.node.name.clone();
        op.builder.transpose(&name, self.tensor, &order)
    }

    /// The tensor as matrices: the axes of `batch`, then those of `rows` as one and those of
    /// `columns` as one.
    fn matrices(
        &self,
        op: &mut Op<'_, '_>,
        [batch, rows, columns]: [&[Label]; 3],
    ) -> Result<TensorId, Refusal> {
        // An axis that only the other tensor has is repeated for this one.
        let own: Vec<Label> = batch.iter().copied().filter(|l| self.has(*l)).collect();
        let tensor = self.ordered(op, &[&own[..], rows, columns].concat())?;
        let dims = |labels: &[Label]| -> Vec<Dim> { labels.iter().map(|&l| self.dim(l)).collect() };
        let mut shape = dims(batch);
        shape.push(op.product(&dims(rows))?);
        shape.push(op.product(&dims(columns))?);
        let name = op.node.name.clone();
        op.builder.reshape(&name, tensor, &Shape(shape))
    }
}

fn product(
    op: &mut Op<'_, '_>,
    a: &Operand,
    b: &Operand,
    output: &[Label],
) -> Result<Operand, Refusal> {
    let (dtype, _) = op.output_type(0)?;
    let in_output = |label: &Label| output.contains(label);
    let labels = |operand: &Operand, fits: &dyn Fn(&Label) -> bool| -> Vec<Label> {
        let own = operand.dims.iter().map(|(label, _)| *label);
        own.filter(fits).collect()
    };
    // Axes of an ellipsis may be longer in one tensor than in the other, so they stay apart.
    let mut batch: Vec<Label> = output.to_vec();
    batch.retain(|&label| label.is_ellipsis() || a.has(label) && b.has(label));
    let summed = labels(a, &|label| b.has(*label) && !in_output(label));
    if summed.iter().any(|label| label.is_ellipsis()) {
        return refuse("the output has no ellipsis, the inputs have");
    }
    let rows = labels(a, &|label| {
        !batch.contains(label) && !summed.contains(label)
    });
    let columns = labels(b, &|label| {
        !batch.contains(label) && !summed.contains(label)
    });
    for &label in batch.iter().chain(&summed) {
        let (left, right) = (a.dim(label), b.dim(label));
        if let (Some(left), Some(right)) = (left.fixed(), right.fixed())
            && left != right
            && !(label.is_ellipsis() && (left == 1 || right == 1))
        {
            return refuse(format!(
                "an axis is {left} long in one input and {right} in the other"
            ));
        }
    }
    // The tensor is read as it lies where that is the other way round.
    let as_it_lies = |operand: &Operand, first: &[Label], second: &[Label]| {
        let own: Vec<Label> = operand.dims.iter().map(|(label, _)| *label).collect();
        let mut wanted = batch.clone();
        wanted.retain(|label| operand.has(*label));
        own == [&wanted[..], first, second].concat()
    };
    let (left, first) = if as_it_lies(a, &summed, &rows) && !as_it_lies(a, &rows, &summed) {
        let matrices = a.matrices(op, [&batch, &summed, &rows])?;
        (matrices, MatrixOperation::Transpose)
    } else {
        (
            a.matrices(op, [&batch, &rows, &summed])?,
            MatrixOperation::None,
        )
    };
    let (right, second) = if as_it_lies(b, &columns, &summed) && !as_it_lies(b, &summed, &columns) {
        let matrices = b.matrices(op, [&batch, &columns, &summed])?;
        (matrices, MatrixOperation::Transpose)
    } else {
        (
            b.matrices(op, [&batch, &summed, &columns])?,
            MatrixOperation::None,
        )
    };
    let longer = |label: &Label| match a.dim(*label) {
        Dim::Fixed(1) => b.dim(*label),
        dim => dim,
    };
    let batch_dims: Vec<Dim> = batch.iter().map(longer).collect();
    let dims = |operand: &Operand, labels: &[Label]| -> Vec<Dim> {
        labels.iter().map(|&label| operand.dim(label)).collect()
    };
    let (row_dims, column_dims) = (dims(a, &rows), dims(b, &columns));
    let mut made = batch_dims.clone();
    made.push(op.product(&row_dims)?);
    made.push(op.product(&column_dims)?);
    let layer = Layer::MatrixMultiply { first, second };
    let inputs = [left, right];
    let made = op.emit(layer, &inputs, dtype, &Shape(made), Layout::Native);
    let dims = [batch_dims, row_dims, column_dims].concat();
    let name = op.node.name.clone();
    let tensor = op.builder.reshape(&name, made, &Shape(dims.clone()))?;
    let labels = [batch, rows, columns].concat();
    Ok(Operand {
        tensor,
        dims: labels.into_iter().zip(dims).collect(),
    })
}
