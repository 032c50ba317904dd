use tfjet_core::{
    Layer, LayerSpec, MatrixOperation, NetworkSpec, PaddingMode, QuantizedWeights, Tensor,
    quantized_weights,
};

use super::constraints::Part;
use super::numbers::Computes;
use super::weights::owned;
use super::writer::Writer;
use crate::network::{Convolved, Kernel, Reshape, Weights, Window};
use crate::{DataType, TensorRtError};

type Done = Result<(), TensorRtError>;

pub(super) fn matrix_multiply(
    w: &mut Writer<'_, '_, '_>,
    first: MatrixOperation,
    second: MatrixOperation,
) -> Done {
    let (a, mut b) = (w.input(0)?, w.input(1)?);
    let (left, right) = (w.input_dims(0)?.len(), w.input_dims(1)?.len());
    if left != right || left < 2 {
        return Err(w.fail(format!("inputs have {left} and {right} axes")));
    }
    if let (Computes::Int8(channels), Some(product)) =
        (w.computes(), quantized_weights(w.spec, w.layer))
    {
        if !w.numbers.is_explicit() {
            return convolve(w, product, second);
        }
        b = w.rounded_weights(product.weights, product.axis, channels, b.dtype)?;
    }
    let layer = w
        .network
        .add_matrix_multiply(a.tensor, first, b.tensor, second)?;
    let value = w.value("matrix_multiply", layer, a.dtype)?;
    w.finish(0, value)
}

/// Is the layer a product of a matrix with constant weights? By ranges TensorRT computes no
/// MatrixMultiply in INT8, but a convolution, which such a product can be written as.
pub(super) fn is_convolution(spec: &NetworkSpec, layer: &LayerSpec) -> bool {
    let Layer::MatrixMultiply { first, .. } = layer.layer else {
        return false;
    };
    let rank = layer.inputs.first().and_then(|id| spec.tensor(*id));
    first == MatrixOperation::None
        && rank.is_some_and(|tensor| tensor.shape.rank() == 2)
        && quantized_weights(spec, layer).is_some()
}

/// Rows as pictures of one pixel, whose channels a kernel of one pixel multiplies.
fn convolve(
    w: &mut Writer<'_, '_, '_>,
    product: QuantizedWeights,
    second: MatrixOperation,
) -> Done {
    let input = w.input(0)?;
    let (columns, channels, kernel) = kernel(w, product, second)?;
    let pixels = [0, w.int(channels)?, 1, 1];
    let pixels = Reshape::To {
        dims: &pixels,
        zero_copies: true,
    };
    let layer = w.network.add_shuffle(input.tensor, &[], pixels, &[])?;
    let rows = w.part(Part::Before, "shuffle", layer, input.dtype)?;
    w.same(rows, product.input);
    let window = Window {
        stride: &[1, 1],
        dilation: &[1, 1],
        pre_padding: &[0, 0],
        post_padding: &[0, 0],
        padding_mode: PaddingMode::Explicit,
    };
    let convolved = Convolved {
        input: rows.tensor,
        maps: columns,
        size: &[1, 1],
        groups: 1,
        kernel: Kernel::Weights(kernel),
        bias: None,
        bias_type: input.dtype,
    };
    let layer = w.network.add_convolution(convolved, &window)?;
    let made = w.value("convolution", layer, input.dtype)?;
    if let Some(&id) = w.layer.outputs.first() {
        w.same(made, id);
    }
    let matrix = [0, w.int(columns)?];
    let matrix = Reshape::To {
        dims: &matrix,
        zero_copies: true,
    };
    let layer = w.network.add_shuffle(made.tensor, &[], matrix, &[])?;
    let value = w.part(Part::After, "shuffle", layer, made.dtype)?;
    w.finish(0, value)
}

/// Columns of the product, rows of the weights, and the weights with the columns first.
fn kernel(
    w: &Writer<'_, '_, '_>,
    product: QuantizedWeights,
    second: MatrixOperation,
) -> Result<(usize, usize, Weights<'static>), TensorRtError> {
    let view = w.weights_view(product.weights)?;
    let &[rows, columns] = view.shape() else {
        return Err(w.fail(format!("weights of shape {:?}, no matrix", view.shape())));
    };
    let values = view.as_slice::<f32>();
    let values = values.map_err(|error| w.fail(error.to_string()))?;
    let (rows, columns, values) = match second {
        MatrixOperation::Transpose => (columns, rows, values.to_vec()),
        MatrixOperation::None => {
            let column = |column| values.iter().skip(column).step_by(columns.max(1)).copied();
            (rows, columns, (0..columns).flat_map(column).collect())
        }
    };
    let kernel = Tensor::from_slice(&[columns, rows, 1, 1], &values);
    let kernel = kernel.map_err(|error| w.fail(error.to_string()))?;
    let kernel = owned(kernel, DataType::Float).map_err(|reason| w.fail(reason))?;
    Ok((columns, rows, kernel))
}
