//! What one layer computes and moves.

use std::collections::BTreeSet;

use tfjet_core::{
    DType, Dim, Layer, LayerSpec, MatrixOperation, NetworkSpec, NetworkTensor, TensorId, WeightsId,
};

use crate::lower::WeightsStore;

/// A network with its weights, and the sizes that are known only at run time counted as 1.
pub(super) struct Sizes<'a> {
    pub(super) network: &'a NetworkSpec,
    pub(super) weights: &'a WeightsStore,
}

/// How TensorRT treats a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Takes no time on the GPU: constants, sizes, and what shares its inputs' memory.
    Free,
    /// Computes each element on its own, so it can be done with what made its input.
    Pointwise,
    /// A multiplication of matrices in one form or another; pointwise layers behind it join it.
    Product,
    /// A kernel of its own.
    Own,
}

fn size(dim: &Dim) -> u64 {
    dim.fixed().unwrap_or(1) as u64
}

impl Sizes<'_> {
    pub(super) fn tensor(&self, id: TensorId) -> Option<&NetworkTensor> {
        self.network.tensor(id)
    }

    /// Elements of a tensor; 0 where it does not exist.
    pub(super) fn elements(&self, id: TensorId) -> u64 {
        self.tensor(id).map_or(0, |tensor| {
            let sizes = tensor.shape.dims().iter().map(size);
            sizes.fold(1, u64::saturating_mul)
        })
    }

    fn shape(&self, id: WeightsId) -> &[usize] {
        self.weights.get(id).map_or(&[], |tensor| tensor.shape())
    }

    /// Elements of an array of weights.
    pub(super) fn weight_elements(&self, id: WeightsId) -> u64 {
        let sizes = self.shape(id).iter().map(|size| *size as u64);
        sizes.fold(1, u64::saturating_mul)
    }

    /// Elements of all arrays that a layer holds.
    pub(super) fn layer_weights(&self, layer: &LayerSpec) -> u64 {
        let ids: BTreeSet<WeightsId> = layer.layer.weights().into_iter().collect();
        ids.into_iter()
            .map(|id| self.weight_elements(id))
            .fold(0, u64::saturating_add)
    }

    /// The product of a kernel's sizes but for the `axis` that counts its outputs or inputs.
    fn taps(&self, kernel: WeightsId, axis: usize) -> u64 {
        let along = self.shape(kernel).get(axis).copied().unwrap_or(1).max(1);
        self.weight_elements(kernel) / along as u64
    }

    fn first(&self, ids: &[TensorId]) -> u64 {
        ids.first().map_or(0, |id| self.elements(*id))
    }

    /// Operations of a layer, a multiply-add counted as two.
    pub(super) fn flops(&self, layer: &LayerSpec) -> u64 {
        let output = self.first(&layer.outputs);
        let input = self.first(&layer.inputs);
        match &layer.layer {
            Layer::Convolution { kernel, .. } => output
                .saturating_mul(self.taps(*kernel, 0))
                .saturating_mul(2),
            Layer::Deconvolution { kernel, .. } => input
                .saturating_mul(self.taps(*kernel, 0))
                .saturating_mul(2),
            Layer::MatrixMultiply { first, .. } => {
                let shape = layer.inputs.first().and_then(|id| self.tensor(*id));
                let dims = shape.map_or(&[][..], |tensor| tensor.shape.dims());
                let back = if *first == MatrixOperation::Transpose {
                    2
                } else {
                    1
                };
                let inner = dims.len().checked_sub(back).and_then(|axis| dims.get(axis));
                let inner = inner.map_or(1, size);
                output.saturating_mul(inner).saturating_mul(2)
            }
            Layer::Pooling { window, .. } => {
                let window = window.iter().map(|size| *size as u64);
                window.fold(output, u64::saturating_mul)
            }
            Layer::Reduce { .. } | Layer::TopK { .. } | Layer::Nms { .. } => input,
            Layer::Softmax { .. } => output.saturating_mul(4),
            Layer::Scale { scale, shift } => {
                let steps = u64::from(scale.is_some()) + u64::from(shift.is_some());
                output.saturating_mul(steps)
            }
            Layer::Lrn { window, .. } => output.saturating_mul(2 * *window as u64),
            Layer::Resize { .. } | Layer::ResizeTo { .. } | Layer::ResizeBy { .. } => {
                output.saturating_mul(8)
            }
            Layer::Activation { .. }
            | Layer::ElementWise { .. }
            | Layer::Unary { .. }
            | Layer::Select
            | Layer::ParametricRelu => output,
            _ => 0,
        }
    }

    /// Rows and columns of the matrix that a layer makes as a product of two; `None` where it makes
    /// none, or one for each channel.
    pub(super) fn product(&self, layer: &LayerSpec) -> Option<(u64, u64)> {
        let output = self.first(&layer.outputs);
        let columns = match &layer.layer {
            Layer::Convolution { kernel, groups, .. } if *groups == 1 => {
                *self.shape(*kernel).first()? as u64
            }
            Layer::Deconvolution { kernel, groups, .. } if *groups == 1 => {
                let columns = self.taps(*kernel, 0);
                let channels = *self.shape(*kernel).first()? as u64;
                return Some((self.first(&layer.inputs) / channels.max(1), columns));
            }
            Layer::MatrixMultiply { .. } => {
                let shape = &self.tensor(*layer.outputs.first()?)?.shape;
                shape.dims().last().map_or(1, size)
            }
            _ => return None,
        };
        Some((output / columns.max(1), columns))
    }

    /// Is a layer a 3 by 3 convolution that moves by single pixels?
    pub(super) fn suits_winograd(&self, layer: &Layer) -> bool {
        match layer {
            Layer::Convolution {
                kernel,
                stride,
                dilation,
                groups: 1,
                ..
            } => {
                let single = |steps: &[usize]| steps.iter().all(|step| *step == 1);
                matches!(self.shape(*kernel), [_, _, 3, 3]) && single(stride) && single(dilation)
            }
            _ => false,
        }
    }

    /// Does a layer read of its inputs only as much as it writes?
    pub(super) fn reads_what_it_writes(&self, layer: &Layer) -> bool {
        matches!(
            layer,
            Layer::Slice { .. } | Layer::SliceTo { .. } | Layer::Gather { .. }
        )
    }
}

/// Most elements of a vector of sizes: as many as a tensor has axes.
const MOST_SIZES: usize = 8;

/// How TensorRT treats this layer of `network`. It computes sizes on the CPU while it enqueues.
pub(super) fn role(network: &NetworkSpec, layer: &LayerSpec) -> Role {
    let is_size = |id: &TensorId| {
        network.tensor(*id).is_some_and(|tensor| {
            let elements = tensor.shape.elements();
            matches!(tensor.dtype, DType::I32 | DType::I64)
                && tensor.shape.rank() <= 1
                && elements.is_some_and(|elements| elements <= MOST_SIZES)
        })
    };
    match &layer.layer {
        Layer::Constant { .. } => Role::Free,
        layer if shares(layer) => Role::Free,
        _ if layer.outputs.iter().all(is_size) => Role::Free,
        Layer::Activation { .. }
        | Layer::Scale { .. }
        | Layer::ElementWise { .. }
        | Layer::Unary { .. }
        | Layer::Select
        | Layer::Cast { .. }
        | Layer::ParametricRelu => Role::Pointwise,
        Layer::Convolution { .. } | Layer::Deconvolution { .. } | Layer::MatrixMultiply { .. } => {
            Role::Product
        }
        _ => Role::Own,
    }
}

/// Is the output of a layer its inputs' memory: a join whose parts are written in place, or other
/// sizes for the same elements?
pub(super) fn shares(layer: &Layer) -> bool {
    let moves = |order: &[usize]| order.iter().enumerate().any(|(i, &axis)| i != axis);
    match layer {
        Layer::Concatenation { .. } | Layer::Reshape => true,
        Layer::Shuffle {
            first_transpose,
            second_transpose,
            ..
        } => !moves(first_transpose) && !moves(second_transpose),
        _ => false,
    }
}
