//! Layers that slide a window over spatial axes.

use tfjet_core::{PaddingMode, PoolingType};

use super::{LayerRef, Network, TensorRef, Weights, call, codes};
use crate::sys::{Count, Dims};
use crate::{DataType, TensorRtError};

/// How a window moves, one value per spatial axis.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    /// Step.
    pub stride: &'a [usize],
    /// Distance of the window's elements; empty means 1.
    pub dilation: &'a [usize],
    /// Before the first element (deconvolution: removed there).
    pub pre_padding: &'a [usize],
    /// After the last element (deconvolution: removed there).
    pub post_padding: &'a [usize],
    /// Whether the paddings hold.
    pub padding_mode: PaddingMode,
}

/// What a convolution, of either direction, computes.
#[derive(Debug, Clone)]
pub struct Convolved<'n, 'w, 'a> {
    /// NC+spatial.
    pub input: TensorRef<'n>,
    /// Channels of the output.
    pub maps: usize,
    /// Size of the kernel per spatial axis.
    pub size: &'a [usize],
    /// Channel groups.
    pub groups: usize,
    /// KCRS; CKRS for a deconvolution.
    pub kernel: Kernel<'n, 'w>,
    /// One per channel of the output.
    pub bias: Option<Weights<'w>>,
    /// The type of an absent bias or kernel.
    pub bias_type: DataType,
}

/// Where the kernel of a convolution comes from.
#[derive(Debug, Clone)]
pub enum Kernel<'n, 'w> {
    /// Values of the layer.
    Weights(Weights<'w>),
    /// A tensor, the layer's second input.
    Tensor(TensorRef<'n>),
}

impl<'n, 'w> Kernel<'n, 'w> {
    fn weights(&self) -> Option<&Weights<'w>> {
        match self {
            Self::Weights(weights) => Some(weights),
            Self::Tensor(_) => None,
        }
    }
}

fn count(value: usize) -> Count {
    Count(i64::try_from(value).unwrap_or(i64::MAX))
}

impl<'w> Network<'w> {
    /// `IConvolutionLayer`.
    ///
    /// # Errors
    ///
    /// [`TensorRtError`] where the library refuses it.
    pub fn add_convolution(
        &self,
        layer: Convolved<'_, 'w, '_>,
        window: &Window<'_>,
    ) -> Result<LayerRef<'_>, TensorRtError> {
        let handle = self.make(
            |s| &s.network_definition.add_convolution_nd,
            (
                self.own(layer.input)?,
                count(layer.maps),
                &Dims::known(layer.size)?,
                self.keep_any(layer.kernel.weights(), layer.bias_type),
                self.keep_any(layer.bias.as_ref(), layer.bias_type),
            ),
        )?;
        let (pre, post) = (
            Dims::known(window.pre_padding)?,
            Dims::known(window.post_padding)?,
        );
        let mode = codes::padding(window.padding_mode);
        let stride = Dims::known(window.stride)?;
        call::set(&handle, |s| &s.convolution_layer.set_stride_nd, (&stride,))?;
        call::set(&handle, |s| &s.convolution_layer.set_pre_padding, (&pre,))?;
        call::set(&handle, |s| &s.convolution_layer.set_post_padding, (&post,))?;
        call::set(&handle, |s| &s.convolution_layer.set_padding_mode, (mode,))?;
        call::set(
            &handle,
            |s| &s.convolution_layer.set_nb_groups,
            (count(layer.groups),),
        )?;
        if !window.dilation.is_empty() {
            let dilation = Dims::known(window.dilation)?;
            call::set(
                &handle,
                |s| &s.convolution_layer.set_dilation_nd,
                (&dilation,),
            )?;
        }
        self.with_kernel(self.layer(handle), &layer.kernel)
    }

    /// `IDeconvolutionLayer`.
    ///
    /// # Errors
    ///
    /// [`TensorRtError`] where the library refuses it.
    pub fn add_deconvolution(
        &self,
        layer: Convolved<'_, 'w, '_>,
        window: &Window<'_>,
    ) -> Result<LayerRef<'_>, TensorRtError> {
        let handle = self.make(
            |s| &s.network_definition.add_deconvolution_nd,
            (
                self.own(layer.input)?,
                count(layer.maps),
                &Dims::known(layer.size)?,
                self.keep_any(layer.kernel.weights(), layer.bias_type),
                self.keep_any(layer.bias.as_ref(), layer.bias_type),
            ),
        )?;
        let (pre, post) = (
            Dims::known(window.pre_padding)?,
            Dims::known(window.post_padding)?,
        );
        let mode = codes::padding(window.padding_mode);
        let stride = Dims::known(window.stride)?;
        call::set(
            &handle,
            |s| &s.deconvolution_layer.set_stride_nd,
            (&stride,),
        )?;
        call::set(&handle, |s| &s.deconvolution_layer.set_pre_padding, (&pre,))?;
        call::set(
            &handle,
            |s| &s.deconvolution_layer.set_post_padding,
            (&post,),
        )?;
        call::set(
            &handle,
            |s| &s.deconvolution_layer.set_padding_mode,
            (mode,),
        )?;
        call::set(
            &handle,
            |s| &s.deconvolution_layer.set_nb_groups,
            (count(layer.groups),),
        )?;
        self.with_kernel(self.layer(handle), &layer.kernel)
    }

    fn with_kernel<'n>(
        &'n self,
        layer: LayerRef<'n>,
        kernel: &Kernel<'_, '_>,
    ) -> Result<LayerRef<'n>, TensorRtError> {
        if let Kernel::Tensor(kernel) = kernel {
            layer.set_input(1, self.own(*kernel)?)?;
        }
        Ok(layer)
    }

    /// `IPoolingLayer`.
    ///
    /// # Errors
    ///
    /// [`TensorRtError`] where the library refuses it.
    pub fn add_pooling(
        &self,
        input: TensorRef<'_>,
        kind: PoolingType,
        size: &[usize],
        window: &Window<'_>,
        average_count_excludes_padding: bool,
    ) -> Result<LayerRef<'_>, TensorRtError> {
        let handle = self.make(
            |s| &s.network_definition.add_pooling_nd,
            (self.own(input)?, codes::pooling(kind), &Dims::known(size)?),
        )?;
        let (pre, post) = (
            Dims::known(window.pre_padding)?,
            Dims::known(window.post_padding)?,
        );
        let mode = codes::padding(window.padding_mode);
        let stride = Dims::known(window.stride)?;
        call::set(&handle, |s| &s.pooling_layer.set_stride_nd, (&stride,))?;
        call::set(&handle, |s| &s.pooling_layer.set_pre_padding, (&pre,))?;
        call::set(&handle, |s| &s.pooling_layer.set_post_padding, (&post,))?;
        call::set(&handle, |s| &s.pooling_layer.set_padding_mode, (mode,))?;
        call::set(
            &handle,
            |s| &s.pooling_layer.set_average_count_excludes_padding,
            (average_count_excludes_padding,),
        )?;
        Ok(self.layer(handle))
    }

    /// `ILRNLayer` across axis 1; `numbers` are alpha, beta and k.
    ///
    /// # Errors
    ///
    /// [`TensorRtError`] where the library refuses it.
    pub fn add_lrn(
        &self,
        input: TensorRef<'_>,
        window: usize,
        [alpha, beta, k]: [f32; 3],
    ) -> Result<LayerRef<'_>, TensorRtError> {
        let handle = self.make(
            |s| &s.network_definition.add_lrn,
            (self.own(input)?, count(window), alpha, beta, k),
        )?;
        Ok(self.layer(handle))
    }
}
