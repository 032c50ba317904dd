use tfjet_core::{AttrReader, DType, Tensor, TensorView};

use crate::arguments::{expect_count, expect_rank, expect_same_dtype, output, reset, take};
use crate::broadcast::Broadcast;
use crate::error::shape_error;
use crate::fused::Fused;
use crate::number::{Number, with_type};
use crate::strided::Dims;
use crate::{Kernel, OpError};

/// Columns of a result that are kept in registers.
const LANES: usize = 16;

/// A matrix within a slice.
#[derive(Clone, Copy)]
pub(crate) struct Matrix {
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl Matrix {
    pub(crate) fn new(shape: &[usize], transposed: bool) -> Option<Self> {
        let &[.., rows, columns] = shape else {
            return None;
        };
        Some(if transposed {
            Self {
                rows: columns,
                columns: rows,
                row_stride: 1,
                column_stride: columns,
            }
        } else {
            Self {
                rows,
                columns,
                row_stride: columns,
                column_stride: 1,
            }
        })
    }
}

/// `c = a b`, `c` row-major.
pub(crate) fn multiply<T: Number>(
    a_matrix: Matrix,
    a: &[T],
    b_matrix: Matrix,
    b: &[T],
    c: &mut [T],
) {
    if c.is_empty() {
        return;
    }
    for (i, row) in c.chunks_exact_mut(b_matrix.columns).enumerate() {
        for (block, lanes) in row.chunks_mut(LANES).enumerate() {
            let mut sums = [T::Wide::ZERO; LANES];
            let sums = &mut sums[..lanes.len()];
            for k in 0..a_matrix.columns {
                let a = a[i * a_matrix.row_stride + k * a_matrix.column_stride].wide();
                let first = k * b_matrix.row_stride + block * LANES * b_matrix.column_stride;
                if b_matrix.column_stride == 1 {
                    for (sum, b) in sums.iter_mut().zip(&b[first..first + lanes.len()]) {
                        *sum = sum.plus(a.times(b.wide()));
                    }
                } else {
                    let b = b[first..].iter().step_by(b_matrix.column_stride);
                    for (sum, b) in sums.iter_mut().zip(b) {
                        *sum = sum.plus(a.times(b.wide()));
                    }
                }
            }
            for (slot, &sum) in lanes.iter_mut().zip(&*sums) {
                *slot = T::narrow(sum);
            }
        }
    }
}

/// `MatMul` and `_FusedMatMul`.
#[derive(Debug)]
struct MatMul {
    transpose_a: bool,
    transpose_b: bool,
    fused: Option<Fused>,
}

pub(crate) fn mat_mul(reader: &AttrReader<'_>, fused: bool) -> Result<Box<dyn Kernel>, OpError> {
    reader.ignore(&["grad_a", "grad_b"]);
    Ok(Box::new(MatMul {
        transpose_a: reader.bool_or("transpose_a", false)?,
        transpose_b: reader.bool_or("transpose_b", false)?,
        fused: fused.then(|| Fused::read(reader)).transpose()?,
    }))
}

impl Kernel for MatMul {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        expect_count(
            inputs,
            2 + self.fused.as_ref().map_or(0, |fused| fused.args),
        )?;
        let (operands, args) = inputs.split_at(2);
        let [a, b] = take(operands)?;
        expect_same_dtype(operands)?;
        expect_rank(0, a, 2)?;
        expect_rank(1, b, 2)?;
        let c = output(outputs)?;
        let matrices = Matrix::new(a.shape(), self.transpose_a)
            .zip(Matrix::new(b.shape(), self.transpose_b))
            .filter(|(left, right)| left.columns == right.rows);
        let Some((left, right)) = matrices else {
            return Err(mismatch(a, b));
        };
        reset(c, a.dtype(), &[left.rows, right.columns])?;
        match &self.fused {
            None => with_type!(numbers, 0, a.dtype(), T => {
                multiply::<T>(left, a.as_slice()?, right, b.as_slice()?, c.as_mut_slice()?);
                Ok(())
            }),
            Some(fused) => with_type!(reals, 0, a.dtype(), T => {
                multiply::<T>(left, a.as_slice()?, right, b.as_slice()?, c.as_mut_slice()?);
                fused.apply::<T>(args, 2, 1, c)
            }),
        }
    }
}

fn mismatch(a: &TensorView<'_>, b: &TensorView<'_>) -> OpError {
    shape_error!("shapes {:?} and {:?} do not multiply", a.shape(), b.shape())
}

/// `BatchMatMul` and `BatchMatMulV2`, whose batch dimensions broadcast.
#[derive(Debug)]
struct BatchMatMul {
    adj_x: bool,
    adj_y: bool,
    broadcast: bool,
}

pub(crate) fn batch_mat_mul(
    reader: &AttrReader<'_>,
    broadcast: bool,
) -> Result<Box<dyn Kernel>, OpError> {
    reader.ignore(&["grad_x", "grad_y"]);
    Ok(Box::new(BatchMatMul {
        adj_x: reader.bool_or("adj_x", false)?,
        adj_y: reader.bool_or("adj_y", false)?,
        broadcast,
    }))
}

impl Kernel for BatchMatMul {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, y] = take(inputs)?;
        let z = output(outputs)?;
        expect_same_dtype(inputs)?;
        let matrices = Matrix::new(x.shape(), self.adj_x)
            .zip(Matrix::new(y.shape(), self.adj_y))
            .filter(|(left, right)| left.columns == right.rows);
        let Some((left, right)) = matrices else {
            return Err(mismatch(x, y));
        };
        let batches = [x, y].map(|view| &view.shape()[..view.shape().len() - 2]);
        if !self.broadcast && batches[0] != batches[1] {
            return Err(mismatch(x, y));
        }
        let broadcast = Broadcast::new(batches)?;
        let mut shape = Dims::from_slice(broadcast.shape())?;
        shape.push(left.rows)?;
        shape.push(right.columns)?;
        reset(z, x.dtype(), &shape)?;
        if z.elements() == 0 {
            return Ok(());
        }
        let (left_size, right_size) = (left.rows * left.columns, right.rows * right.columns);
        with_type!(numbers, 0, x.dtype(), T => {
            let (x, y) = (x.as_slice::<T>()?, y.as_slice::<T>()?);
            let mut results = z.as_mut_slice::<T>()?.chunks_exact_mut(left.rows * right.columns);
            broadcast.rows(|[i, j], len, [di, dj]| {
                for (step, z) in (0..len).zip(&mut results) {
                    let x = &x[(i + step * di) * left_size..][..left_size];
                    let y = &y[(j + step * dj) * right_size..][..right_size];
                    multiply(left, x, right, y, z);
                }
            });
            Ok(())
        })
    }
}

/// `BatchMatMulV3`: the result may be of a larger type than the bytes that are multiplied.
#[derive(Debug)]
struct BatchMatMulV3 {
    same: BatchMatMul,
    result: Option<DType>,
}

pub(crate) fn batch_mat_mul_v3(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    reader.ignore(&["Ta", "Tb", "grad_x", "grad_y"]);
    let result = match reader.get("Tout") {
        Some(_) => Some(reader.dtype("Tout")?),
        None => None,
    };
    Ok(Box::new(BatchMatMulV3 {
        same: BatchMatMul {
            adj_x: reader.bool_or("adj_x", false)?,
            adj_y: reader.bool_or("adj_y", false)?,
            broadcast: true,
        },
        result,
    }))
}

impl Kernel for BatchMatMulV3 {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, y] = take(inputs)?;
        let Some(result) = self.result else {
            return self.same.run(inputs, outputs);
        };
        let wide = |input: usize, view: &TensorView<'_>| -> Result<Tensor, OpError> {
            let mut wide = Tensor::default();
            match (view.dtype(), result) {
                (from, to) if from == to => wide.copy_from(view)?,
                (DType::I8, DType::I32) => {
                    wide.reset(DType::I32, view.shape())?;
                    let values = view.as_slice::<i8>()?;
                    for (slot, &value) in wide.as_mut_slice::<i32>()?.iter_mut().zip(values) {
                        *slot = value.into();
                    }
                }
                (DType::U8, DType::I32) => {
                    wide.reset(DType::I32, view.shape())?;
                    for (slot, &value) in wide.as_mut_slice::<i32>()?.iter_mut().zip(view.bytes()) {
                        *slot = value.into();
                    }
                }
                (dtype, _) => {
                    return Err(OpError::DType {
                        input,
                        dtype,
                        allowed: "the result's type, or bytes for int32",
                    });
                }
            }
            Ok(wide)
        };
        if x.dtype() == result && y.dtype() == result {
            return self.same.run(inputs, outputs);
        }
        let (x, y) = (wide(0, x)?, wide(1, y)?);
        self.same.run(&[x.view(), y.view()], outputs)
    }
}
