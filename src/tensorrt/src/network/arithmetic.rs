//! Layers that compute.

use tfjet_core::{
    ActivationType, ElementWiseOperation, MatrixOperation, ReduceOperation, TopKOperation,
    UnaryOperation,
};

use super::{LayerRef, Network, TensorRef, Weights, call, codes};
use crate::sys::Dims;
use crate::{DataType, TensorRtError};

type Added<'n> = Result<LayerRef<'n>, TensorRtError>;

/// The axes as TensorRT's bits.
fn bits(axes: &[usize]) -> u32 {
    axes.iter().fold(0, |bits, &axis| {
        let bit = u32::try_from(axis)
            .ok()
            .and_then(|axis| 1u32.checked_shl(axis));
        bits | bit.unwrap_or(0)
    })
}

/// Every method fails with [`TensorRtError`] where the library refuses the layer.
#[allow(clippy::missing_errors_doc, reason = "said once, above")]
impl<'w> Network<'w> {
    /// `IConstantLayer`.
    pub fn add_constant(&self, dims: &[usize], weights: Weights<'w>) -> Added<'_> {
        let (dims, weights) = (Dims::known(dims)?, self.keep(&weights));
        let handle = self.make(|s| &s.network_definition.add_constant, (&dims, weights))?;
        Ok(self.layer(handle))
    }

    /// `IActivationLayer`.
    pub fn add_activation(
        &self,
        input: TensorRef<'_>,
        kind: ActivationType,
        alpha: f32,
        beta: f32,
    ) -> Added<'_> {
        let handle = self.make(
            |s| &s.network_definition.add_activation,
            (self.own(input)?, codes::activation(kind)),
        )?;
        call::set(&handle, |s| &s.activation_layer.set_alpha, (alpha,))?;
        call::set(&handle, |s| &s.activation_layer.set_beta, (beta,))?;
        Ok(self.layer(handle))
    }

    /// `IScaleLayer` with one scale and shift per index of `axis`, absent ones of type `dtype`;
    /// the input has 4 axes or more.
    pub fn add_scale(
        &self,
        input: TensorRef<'_>,
        scale: Option<Weights<'w>>,
        shift: Option<Weights<'w>>,
        dtype: DataType,
        axis: usize,
    ) -> Added<'_> {
        let handle = self.make(
            |s| &s.network_definition.add_scale_nd,
            (
                self.own(input)?,
                codes::CHANNEL,
                self.keep_any(shift.as_ref(), dtype),
                self.keep_any(scale.as_ref(), dtype),
                self.keep_any(None, dtype),
                i32::try_from(axis).unwrap_or(i32::MAX),
            ),
        )?;
        Ok(self.layer(handle))
    }

    /// `IElementWiseLayer`: two tensors of equal rank, size-1 dims broadcast.
    pub fn add_elementwise(
        &self,
        a: TensorRef<'_>,
        b: TensorRef<'_>,
        operation: ElementWiseOperation,
    ) -> Added<'_> {
        self.elementwise(a, b, codes::elementwise(operation))
    }

    /// `IElementWiseLayer` of `kXOR`: where two booleans differ.
    pub fn add_xor(&self, a: TensorRef<'_>, b: TensorRef<'_>) -> Added<'_> {
        self.elementwise(a, b, codes::XOR)
    }

    fn elementwise(&self, a: TensorRef<'_>, b: TensorRef<'_>, operation: i32) -> Added<'_> {
        let handle = self.make(
            |s| &s.network_definition.add_element_wise,
            (self.own(a)?, self.own(b)?, operation),
        )?;
        Ok(self.layer(handle))
    }

    /// `IUnaryLayer`.
    pub fn add_unary(&self, input: TensorRef<'_>, operation: UnaryOperation) -> Added<'_> {
        let handle = self.make(
            |s| &s.network_definition.add_unary,
            (self.own(input)?, codes::unary(operation)),
        )?;
        Ok(self.layer(handle))
    }

    /// `IMatrixMultiplyLayer`.
    pub fn add_matrix_multiply(
        &self,
        a: TensorRef<'_>,
        first: MatrixOperation,
        b: TensorRef<'_>,
        second: MatrixOperation,
    ) -> Added<'_> {
        let handle = self.make(
            |s| &s.network_definition.add_matrix_multiply,
            (
                self.own(a)?,
                codes::matrix(first),
                self.own(b)?,
                codes::matrix(second),
            ),
        )?;
        Ok(self.layer(handle))
    }

    /// `ISoftMaxLayer`.
    pub fn add_softmax(&self, input: TensorRef<'_>, axis: usize) -> Added<'_> {
        let handle = self.make(|s| &s.network_definition.add_soft_max, (self.own(input)?,))?;
        call::set(&handle, |s| &s.soft_max_layer.set_axes, (bits(&[axis]),))?;
        Ok(self.layer(handle))
    }

    /// `IReduceLayer` over one axis at least.
    pub fn add_reduce(
        &self,
        input: TensorRef<'_>,
        operation: ReduceOperation,
        axes: &[usize],
        keep_dims: bool,
    ) -> Added<'_> {
        let handle = self.make(
            |s| &s.network_definition.add_reduce,
            (
                self.own(input)?,
                codes::reduce(operation),
                bits(axes),
                keep_dims,
            ),
        )?;
        Ok(self.layer(handle))
    }

    /// `ITopKLayer`: values and int32 indices. The input has 2 axes or more.
    pub fn add_top_k(
        &self,
        input: TensorRef<'_>,
        operation: TopKOperation,
        k: usize,
        axis: usize,
    ) -> Added<'_> {
        let handle = self.make(
            |s| &s.network_definition.add_top_k,
            (
                self.own(input)?,
                codes::top_k(operation),
                i32::try_from(k).unwrap_or(i32::MAX),
                bits(&[axis]),
            ),
        )?;
        Ok(self.layer(handle))
    }

    /// `INMSLayer` over boxes given by two opposite corners, `[b, n, 4]`, and scores of
    /// `[b, n, 1]`: the selected boxes as rows of batch, class and box, by falling score in each
    /// batch item, and how many there are. The limit is a scalar of int32, the thresholds are scalars of float.
    /// TensorRT 8.5 and later.
    pub fn add_nms(
        &self,
        boxes: TensorRef<'_>,
        scores: TensorRef<'_>,
        max_output_boxes: TensorRef<'_>,
        iou_threshold: TensorRef<'_>,
        score_threshold: TensorRef<'_>,
    ) -> Added<'_> {
        let limit = self.own(max_output_boxes)?;
        let handle = self.make(
            |s| &s.network_definition.add_nms,
            (self.own(boxes)?, self.own(scores)?, limit),
        )?;
        call::set(
            &handle,
            |s| &s.nms_layer.set_bounding_box_format,
            (codes::CORNER_PAIRS,),
        )?;
        let layer = self.layer(handle);
        for (index, threshold) in [(3, iou_threshold), (4, score_threshold)] {
            layer.set_input(index, self.own(threshold)?)?;
        }
        Ok(layer)
    }

    /// `ISelectLayer`.
    pub fn add_select(
        &self,
        condition: TensorRef<'_>,
        yes: TensorRef<'_>,
        no: TensorRef<'_>,
    ) -> Added<'_> {
        let handle = self.make(
            |s| &s.network_definition.add_select,
            (self.own(condition)?, self.own(yes)?, self.own(no)?),
        )?;
        Ok(self.layer(handle))
    }

    /// `IParametricReLULayer`.
    pub fn add_parametric_relu(&self, input: TensorRef<'_>, slopes: TensorRef<'_>) -> Added<'_> {
        let handle = self.make(
            |s| &s.network_definition.add_parametric_relu,
            (self.own(input)?, self.own(slopes)?),
        )?;
        Ok(self.layer(handle))
    }

    /// `ICastLayer`; before TensorRT 8.6 `IIdentityLayer` with an output type.
    pub fn add_cast(&self, input: TensorRef<'_>, to: DataType) -> Added<'_> {
        let input = self.own(input)?;
        if self.object.api().has(|s| &s.network_definition.add_cast) {
            let handle = self.make(|s| &s.network_definition.add_cast, (input, to.code()))?;
            return Ok(self.layer(handle));
        }
        let handle = self.make(|s| &s.network_definition.add_identity, (input,))?;
        call::set(&handle, |s| &s.layer.set_output_type, (0i32, to.code()))?;
        Ok(self.layer(handle))
    }

    /// `IIdentityLayer`: a copy, so that one tensor can be several outputs.
    pub fn add_identity(&self, input: TensorRef<'_>) -> Added<'_> {
        let handle = self.make(|s| &s.network_definition.add_identity, (self.own(input)?,))?;
        Ok(self.layer(handle))
    }
}
