//! `ResizeBicubic` and `ResizeArea` as products with matrices of TensorFlow's own weights, which no
//! layer has.

use std::sync::Arc;

use tfjet_core::{DType, Dim, Layer, MatrixOperation, Shape, Tensor};

use super::op::Op;
use super::{Layout, Refusal, refuse};

/// Most elements of a matrix that resizes one axis.
const MAX_WEIGHTS: usize = 1 << 22;

/// The rows are one product, the columns another.
pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let dtype = op.dtype(0, &[DType::F32, DType::F16, DType::U8, DType::I32])?;
    op.sizes(1, "size")?;
    let align = op.attrs.bool_or("align_corners", false)?;
    let half_pixel = op.attrs.bool_or("half_pixel_centers", false)?;
    let (_, to) = op.output_type(0)?;
    let from = op.shape(0)?;
    let ([batch, height, width, channels], [_, rows, columns, _]) = (from.dims(), to.dims()) else {
        return refuse("the input has no rank of 4");
    };
    let axis = |from: &Dim, to: &Dim| match (from.fixed(), to.fixed()) {
        (Some(from), Some(to)) if from.saturating_mul(to) <= MAX_WEIGHTS => Ok((from, to)),
        _ => refuse(format!("{} from {from} to {to} has no layer", op.node.op)),
    };
    let (down, along) = (axis(height, rows)?, axis(width, columns)?);
    let area = op.node.op == "ResizeArea";
    let weights = |(from, to): (usize, usize)| match area {
        true => area_weights(from, to, align),
        false => cubic_weights(from, to, align, half_pixel),
    };
    let mut tensor = op.tensor(0, Layout::Native)?;
    if dtype != DType::F32 {
        let cast = Layer::Cast { to: DType::F32 };
        tensor = op.emit(cast, &[tensor], DType::F32, &from, Layout::Native);
    }
    let line = op.product(&[width.clone(), channels.clone()])?;
    let lines = op.product(&[batch.clone(), rows.clone()])?;
    let steps = [
        ("rows", down, [batch.clone(), height.clone(), line]),
        ("columns", along, [lines, width.clone(), channels.clone()]),
    ];
    let name = op.node.name.clone();
    for (suffix, (from, to), [outer, before, inner]) in steps {
        let matrix = Shape(vec![outer.clone(), before, inner.clone()]);
        let made = Shape(vec![outer, Dim::Fixed(to), inner]);
        let shape = [1, to, from];
        let matrix = op.builder.reshape(&name, tensor, &matrix)?;
        let factor = op.constant_layer(suffix, DType::F32, &shape, || {
            Ok(Arc::new(Tensor::from_slice(&shape, &weights((from, to)))?))
        })?;
        let product = Layer::MatrixMultiply {
            first: MatrixOperation::None,
            second: MatrixOperation::None,
        };
        let inputs = [factor, matrix];
        tensor = op.emit(product, &inputs, DType::F32, &made, Layout::Native);
    }
    let output = op.builder.reshape(&name, tensor, &to)?;
    op.output(0, output, Layout::Native);
    Ok(())
}

fn scale(from: usize, to: usize, align: bool) -> f32 {
    if align && to > 1 {
        (from - 1) as f32 / (to - 1) as f32
    } else {
        from as f32 / to as f32
    }
}

/// TensorFlow looks the cubic up in a table of this many steps.
const TABLE: f32 = 1024.0;

/// The weight of each of `from` elements in each of `to`. Between pixel centres the cubic is Keys',
/// and what lies outside has no weight; else it is another, and the border is repeated.
fn cubic_weights(from: usize, to: usize, align: bool, half_pixel: bool) -> Vec<f32> {
    let a = if half_pixel { -0.5f32 } else { -0.75 };
    let near = |x: f32| ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    let far = |x: f32| ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a;
    let scale = scale(from, to, align);
    let mut weights = vec![0.0; from * to];
    for (row, weights) in weights.chunks_exact_mut(from).enumerate() {
        let place = match half_pixel {
            true => (row as f32 + 0.5) * scale - 0.5,
            false => row as f32 * scale,
        };
        let floor = place.floor();
        let step = ((place - floor) * TABLE).round_ties_even();
        let (below, above) = (step / TABLE, (TABLE - step) / TABLE);
        let taps = [far(below + 1.0), near(below), near(above), far(above + 1.0)];
        let last = i64::try_from(from).unwrap_or(i64::MAX) - 1;
        let mut sum = 0.0;
        for (offset, tap) in (-1..).zip(taps) {
            let index = floor as i64 + offset;
            let bounded = index.clamp(0, last);
            if half_pixel && bounded != index {
                continue;
            }
            sum += tap;
            if let Some(weight) = usize::try_from(bounded)
                .ok()
                .and_then(|i| weights.get_mut(i))
            {
                *weight += tap;
            }
        }
        if half_pixel && sum.abs() >= 1000.0 * f32::MIN_POSITIVE {
            weights.iter_mut().for_each(|weight| *weight /= sum);
        }
    }
    weights
}

/// The share of each of `from` elements in the area of each of `to`.
fn area_weights(from: usize, to: usize, align: bool) -> Vec<f32> {
    let scale = scale(from, to, align);
    let mut weights = vec![0.0; from * to];
    for (row, weights) in weights.chunks_exact_mut(from).enumerate() {
        let (start, end) = (row as f32 * scale, (row + 1) as f32 * scale);
        let mut index = start.floor();
        while index < end.ceil() {
            let covered = (index + 1.0).min(end) - index.max(start);
            let bounded = (index.max(0.0) as usize).min(from - 1);
            weights[bounded] += covered / scale;
            index += 1.0;
        }
    }
    weights
}
